//! Rows → fewer rows: `filter`, `dedupe` and `balance` in a run of the binary.

use std::io::Write as _;
use std::path::Path;

use crate::case::{Answer, Case, Figure, seconds};
use crate::recipes::curricle;
use crate::table::grouped;

/// Most memory that a stage may take for a million rows.
const MOST_MIB: u64 = 2048;

pub fn cases() -> Vec<Case> {
    let rows = std::env::var("CURRICLE_BENCH_ROWS").map_or(200_000, |rows| rows.parse().unwrap());
    vec![Case { name: format!("{} rows", grouped(rows as u64)), rows, warm: 0, repeats: 1, ..Case::default() }]
}

/// Questions of some thirty words: a tenth is there twice, a tenth nearly so, a tenth has no answer that can be checked.
fn write(rows: usize, path: &Path) {
    let mut state = 1_u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut before: Vec<String> = Vec::new();
    for row in 0..rows {
        let again = draw(10);
        let mut words: Vec<String> = match before.get(draw(before.len().max(1) as u64) as usize) {
            Some(prompt) if again < 2 => prompt.split(' ').map(str::to_owned).collect(),
            _ => (0..20 + draw(20))
                .map(|_| format!("w{}", "abcdefghijklmnopqrst".get(..1 + draw(20) as usize).unwrap()))
                .collect(),
        };
        if again == 1 {
            let place = draw(words.len() as u64) as usize;
            "changed".clone_into(&mut words[place]);
        }
        if again >= 2 {
            words.push(format!("and {} of {}?", draw(1000), draw(1000)));
        }
        let prompt = words.join(" ");
        let answer = if draw(10) == 0 { "it depends on the weather".to_owned() } else { draw(10_000).to_string() };
        let (topic, level) = (draw(20) * draw(20) / 20, 1 + draw(10));
        writeln!(
            file,
            "{{\"id\": \"r{row}\", \"prompt\": \"{prompt}\", \"answer\": \"{answer}\", \"topic\": \"topic {topic}\", \"level\": {level}}}"
        )
        .unwrap();
        if before.len() < 50_000 {
            before.push(prompt);
        }
    }
}

pub fn measure(case: &Case) -> Answer {
    let (dir, rows) = (&case.folder, case.folder.join("rows.jsonl"));
    write(case.rows, &rows);
    let recipe = format!(
        "schema = 1\n[recipe]\nname = \"curation\"\n[data.raw]\nsource = \"file:{}\"\n\
         [stages.usable]\nkind = \"filter\"\ninputs = {{ data = \"data.raw\" }}\n\
         [stages.distinct]\nkind = \"dedupe\"\ninputs = {{ data = \"usable.rows\" }}\n\
         [stages.balanced]\nkind = \"balance\"\ninputs = {{ data = \"distinct.rows\" }}\nparams = {{ rows = {} }}\n",
        rows.display(),
        case.rows / 5,
    );
    std::fs::write(dir.join("curation.toml"), recipe).unwrap();
    let all = seconds(|| curricle(dir, &["run", "curation.toml", "--progress", "none"]));
    let mut figures = vec![Figure::new("all three", case.rows as f64 / all, "rows/s")];
    let (mut peak, mut stages) = (0, Vec::new());
    for entry in std::fs::read_dir(dir.join(".curricle/store/v1")).unwrap() {
        let Ok(text) = std::fs::read_to_string(entry.unwrap().path().join("manifest.json")) else { continue };
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (kind, seconds) = (manifest["kind"].as_str().unwrap(), manifest["wall_s"].as_f64().unwrap());
        stages.push(Figure::new(kind, seconds, "s"));
        peak = peak.max(manifest["usage"]["peak_memory"].as_u64().unwrap_or_default() >> 20);
    }
    stages.sort_by_key(|figure| ["filter", "dedupe", "balance"].iter().position(|name| *name == figure.name));
    assert!(stages.len() == 3 && peak > 0 && peak < MOST_MIB, "{stages:?}, {peak} MiB at the peak");
    figures.extend(stages);
    Answer { peak_mib: Some(peak), ..case.answer(figures) }
}
