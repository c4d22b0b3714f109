//! `recipes/quickstart.toml` from nothing, and again: the whole product, by the clock on the wall.

use std::path::Path;

use crate::case::{Answer, Case, Figure, seconds};
use crate::recipes::curricle;

pub fn cases() -> Vec<Case> {
    vec![Case { warm: 0, repeats: 1, ..Case::default() }]
}

pub fn measure(case: &Case) -> Answer {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/quickstart.toml");
    std::fs::copy(recipe, case.folder.join("recipe.toml")).unwrap();
    let run = || seconds(|| curricle(&case.folder, &["run", "recipe.toml", "--progress", "none"]));
    let mut figures = vec![Figure::new("the whole run", run(), "s").at_most(300.0)];
    let mut stages: Vec<(String, f64)> = Vec::new();
    for entry in std::fs::read_dir(case.folder.join(".curricle/store/v1")).unwrap() {
        let entry = entry.unwrap();
        let Ok(text) = std::fs::read_to_string(entry.path().join("manifest.json")) else { continue };
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let name = entry.file_name().to_string_lossy().rsplit_once('-').unwrap().0.to_owned();
        let memory = manifest["usage"]["peak_memory"].as_u64().unwrap_or_default() >> 20;
        stages.push((format!("`{name}`, {memory} MiB at the peak"), manifest["wall_s"].as_f64().unwrap()));
    }
    stages.sort_by(|a, b| b.1.total_cmp(&a.1));
    figures.extend(stages.into_iter().take(5).map(|(name, seconds)| Figure::new(name, seconds, "s")));
    figures.push(Figure::new("the whole run, everything there", run() * 1e3, "ms"));
    Answer { peak_mib: None, ..case.answer(figures) }
}
