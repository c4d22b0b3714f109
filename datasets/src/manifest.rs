//! The data sets of the paper's Table 1 and the benchmarks of its Table 2 → where each lives, what is known of it, and from
//! where. What could not be looked up is said to be unknown: a revision that nobody saw is `unpinned`, a licence `not stated`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rows::FIELDS;

/// What stands where nobody could look.
pub const UNPINNED: &str = "unpinned";
/// What stands where no licence is known.
pub const NOT_STATED: &str = "not stated";

/// A public data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name here.
    pub name: String,
    /// Its name among people.
    pub title: String,
    /// What it is for.
    pub r#use: Use,
    /// Text alone, or images too.
    pub modality: Modality,
    /// `hf:ORG/NAME`; none where no address is known for certain.
    pub source: Option<String>,
    /// A commit, or [`UNPINNED`]; none without a source.
    pub revision: Option<String>,
    /// The file, folder or pattern in it, where it is known and not everything.
    pub files: Option<String>,
    /// As the hub spells it, or [`NOT_STATED`].
    pub licence: String,
    /// How we know, and what we don't.
    pub known: String,
    /// How a benchmark is scored.
    pub score: Option<String>,
    /// Row field → column, as far as columns are known.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// What the paper says of it.
    pub paper: Paper,
}

/// What a data set is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// To learn from.
    Train,
    /// To measure on; never to learn from.
    Benchmark,
}

impl Use {
    /// As manifests spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Benchmark => "benchmark",
        }
    }
}

/// What rows hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Modality {
    /// Text.
    Text,
    /// Text and images.
    Image,
}

impl Modality {
    /// As manifests spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
        }
    }
}

/// What arXiv 2506.04207 says of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Its table: 1 has data sets, 2 benchmarks.
    pub table: String,
    /// Its name there.
    pub name: String,
    /// How many samples the paper counts.
    pub samples: Option<String>,
    /// The words that this is taken from.
    pub sentence: String,
}

const TEXTS: [&str; 29] = [
    include_str!("../manifests/aime24.toml"),
    include_str!("../manifests/aime25.toml"),
    include_str!("../manifests/big-math-rl.toml"),
    include_str!("../manifests/big-math-rl-u.toml"),
    include_str!("../manifests/deepmath.toml"),
    include_str!("../manifests/dynamath.toml"),
    include_str!("../manifests/figureqa.toml"),
    include_str!("../manifests/geometry3k.toml"),
    include_str!("../manifests/geoqa.toml"),
    include_str!("../manifests/gpqa.toml"),
    include_str!("../manifests/iconqa.toml"),
    include_str!("../manifests/limo.toml"),
    include_str!("../manifests/logicvista.toml"),
    include_str!("../manifests/math500.toml"),
    include_str!("../manifests/mathverse.toml"),
    include_str!("../manifests/mathvision.toml"),
    include_str!("../manifests/mathvista.toml"),
    include_str!("../manifests/mavis.toml"),
    include_str!("../manifests/multimath.toml"),
    include_str!("../manifests/numinamath-cot.toml"),
    include_str!("../manifests/openmathreasoning.toml"),
    include_str!("../manifests/openr1-220k.toml"),
    include_str!("../manifests/openthoughts.toml"),
    include_str!("../manifests/orca-math.toml"),
    include_str!("../manifests/s1k-1.1.toml"),
    include_str!("../manifests/super-clevr.toml"),
    include_str!("../manifests/tabmwp.toml"),
    include_str!("../manifests/unigeo.toml"),
    include_str!("../manifests/wemath.toml"),
];

/// Every manifest, by name.
///
/// # Panics
/// Never: the manifests are part of this program, and its tests read them all.
pub fn manifests() -> Vec<Manifest> {
    TEXTS.iter().map(|text| parse(text).expect("the manifests are tested")).collect()
}

/// Reads a manifest; unknown keys and unknown fields of rows are mistakes.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Manifest, String> {
    let manifest: Manifest = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    if let Some(field) = manifest.columns.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(format!("a row has no field `{field}`"));
    }
    match (&manifest.source, &manifest.revision) {
        (Some(source), Some(revision)) => {
            let commit = revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !source.starts_with("hf:") || source.contains('@') {
                return Err(format!("`{source}` is no repository"));
            }
            if !commit && revision != UNPINNED {
                return Err(format!("`{revision}` is neither a commit nor `{UNPINNED}`"));
            }
        }
        (None, None) if manifest.files.is_none() => {}
        _ => return Err("a revision and `files` belong to a source, and a source has a revision".into()),
    }
    match manifest.r#use {
        Use::Benchmark if manifest.score.is_none() => Err("a benchmark says how it is scored".into()),
        Use::Train if manifest.paper.samples.is_none() => Err("Table 1 says how many samples there are".into()),
        _ => Ok(manifest),
    }
}

impl Manifest {
    /// The entry of a recipe that reads it; none where no address is known.
    pub fn entry(&self) -> Option<String> {
        let mut text = format!("[data.{}]\nsource = \"{}\"\n", self.key(), self.source.as_ref()?);
        if let Some(revision) = self.revision.as_ref().filter(|revision| *revision != UNPINNED) {
            text += &format!("revision = \"{revision}\"\n");
        }
        if let Some(files) = &self.files {
            text += &format!("files = \"{files}\"\n");
        }
        let same = |(field, column): &(&String, &String)| field != column;
        let columns: Vec<_> = self.columns.iter().filter(same).map(|(f, c)| format!("{f} = \"{c}\"")).collect();
        if !columns.is_empty() {
            text += &format!("columns = {{ {} }}\n", columns.join(", "));
        }
        if self.licence != NOT_STATED {
            text += &format!("licence = \"{}\"\n", self.licence);
        }
        if self.r#use == Use::Benchmark {
            text += "role = \"eval\"\n";
        }
        Some(text)
    }

    fn key(&self) -> String {
        self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_set_and_every_benchmark_of_the_paper_has_one() {
        let all = manifests();
        let of = |table: &'static str| all.iter().filter(move |manifest| manifest.paper.table == table);
        let samples: Vec<_> = of("1").map(|manifest| manifest.paper.samples.clone().unwrap()).collect();
        let thousands: f64 =
            samples.iter().map(|n| n.replace(',', "").trim_end_matches('K').parse::<f64>().unwrap()).sum();
        assert_eq!((of("1").count(), of("2").count()), (19, 10));
        // 816.1K with images, 4,983.8K of text.
        assert!((thousands - 5_799.9).abs() < 0.01, "{thousands}");
        assert!(of("2").all(|manifest| manifest.r#use == Use::Benchmark));
        assert!(all.windows(2).all(|two| two[0].name < two[1].name), "names are sorted, and each is there once");
    }

    #[test]
    fn nothing_is_pinned_that_nobody_saw() {
        for manifest in manifests() {
            assert!(manifest.revision.is_none_or(|revision| revision == UNPINNED), "{}", manifest.name);
            assert!(!manifest.known.is_empty() && !manifest.paper.sentence.is_empty(), "{}", manifest.name);
        }
    }

    #[test]
    fn a_manifest_is_strict() {
        let good = include_str!("../manifests/math500.toml");
        assert!(parse(good).is_ok());
        let wrong = |from: &str, to: &str| parse(&good.replace(from, to)).unwrap_err();
        assert!(wrong("title ", "titel ").contains("unknown field `titel`"));
        assert_eq!(wrong("prompt =", "question ="), "a row has no field `question`");
        assert_eq!(wrong("\"unpinned\"", "\"main\""), "`main` is neither a commit nor `unpinned`");
        assert_eq!(wrong("hf:", "https://"), "`https://HuggingFaceH4/MATH-500` is no repository");
        assert!(parse(good.split("[columns]").next().unwrap()).is_err(), "without what the paper says");
    }

    #[test]
    fn an_entry_is_what_a_recipe_would_say() {
        let all = manifests();
        let find = |name: &str| all.iter().find(|manifest| manifest.name == name).unwrap();
        let entry = "[data.math500]\nsource = \"hf:HuggingFaceH4/MATH-500\"\n\
                     columns = { prompt = \"problem\", reasoning = \"solution\" }\nrole = \"eval\"\n";
        assert_eq!(find("math500").entry().unwrap(), entry);
        assert!(find("deepmath").entry().unwrap().contains("licence = \"mit\"\n"));
        assert_eq!(find("figureqa").entry(), None);
    }
}
