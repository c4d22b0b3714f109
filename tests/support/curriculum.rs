//! A recipe of any number of stages: for what its check and its plan cost.

use std::fmt::Write as _;

/// Chains of every kind that trains or measures, each from a base of its own split, through tokens, adapters and merges:
/// types of all sorts flow along every edge.
pub fn curriculum(stages: usize) -> String {
    let mut text = "schema = 1\n[models.base]\nsource = \"hf:org/base\"\n".to_owned();
    text +=
        "assume = { images = true, max_length = 32768, vocabulary = 151665, embedding = 151936, adapter = false }\n";
    for (name, role) in [("rows", "train"), ("exam", "eval")] {
        write!(text, "[data.{name}]\nsource = \"hf:org/{name}\"\nrole = \"{role}\"\nlicence = \"cc-by-4.0\"\n")
            .unwrap();
        text += "assume = { images = true, columns = [\"prompt\", \"answer\", \"images\"], answers = \"number\" }\n";
    }
    let mut model = "models.base".to_owned();
    for stage in 0..stages {
        let (kind, data, params) = match stage % 5 {
            0 => ("sft", "rows", "steps = 9, add_tokens = [\"<think>\"]"),
            1 => ("grpo", "rows", "steps = 9, lora = { rank = 16 }, max_new_tokens = 1024"),
            2 => ("evaluate", "exam", "max_new_tokens = 1024"),
            3 => ("merge", "", ""),
            _ => ("grpo", "rows", "steps = 9, freeze = [\"vision\"], reward = { numeric = { weight = 0.5 } }"),
        };
        let data = if data.is_empty() { String::new() } else { format!(", data = \"data.{data}\"") };
        write!(text, "[stages.s{stage}]\nkind = \"{kind}\"\ninputs = {{ model = \"{model}\"{data} }}\n").unwrap();
        writeln!(text, "params = {{ {params} }}").unwrap();
        if kind != "evaluate" {
            model = if stage % 100 == 99 { "models.base".to_owned() } else { format!("s{stage}.model") };
        }
    }
    text
}
