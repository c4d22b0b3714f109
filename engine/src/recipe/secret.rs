//! Finds secrets written out in a recipe. Recipes are shared, stored beside artifacts and printed in reports; a secret
//! stands in the environment and a recipe names the variable.

use super::source::Span;
use super::tree::{Node, Table};
use crate::diagnostic::Diagnostic;

/// Reports every literal secret below a table, and gives the places to mask.
pub(super) fn find(table: &Table, mistakes: &mut Vec<Diagnostic>) -> Vec<Span> {
    let mut places = Vec::new();
    for (key, entry) in table.in_order() {
        look(key, &entry.value.value, entry.value.span, mistakes, &mut places);
    }
    places
}

fn look(key: &str, node: &Node, span: Span, mistakes: &mut Vec<Diagnostic>, places: &mut Vec<Span>) {
    match node {
        Node::String(text) if is_secret(key, text) => {
            let help = if is_named_secret(key) {
                format!("write `{key} = {{ env = \"NAME\" }}`, and revoke this secret if it was shared")
            } else {
                "remove it, and revoke this secret if it was shared".to_owned()
            };
            let message = format!("`{key}` holds a secret in plain text");
            mistakes.push(Diagnostic::error("secret", message).at(span, "shown masked").help(help));
            places.push(span);
        }
        Node::Array(items) => items.iter().for_each(|item| look(key, &item.value, item.span, mistakes, places)),
        Node::Table(table) => places.extend(find(table, mistakes)),
        _ => {}
    }
}

fn is_secret(key: &str, text: &str) -> bool {
    const PREFIXES: [&str; 6] = ["hf_", "sk-", "AKIA", "ghp_", "github_pat_", "glpat-"];
    let word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let shaped =
        PREFIXES.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| rest.len() >= 16 && word(rest)));
    shaped || (is_named_secret(key) && !text.is_empty() && !text.contains("${"))
}

fn is_named_secret(key: &str) -> bool {
    const NAMES: [&str; 6] = ["token", "secret", "password", "passwd", "apikey", "credential"];
    const ENDINGS: [&str; 6] = ["_secret", "_password", "api_key", "access_key", "private_key", "secret_key"];
    const HOLDERS: [&str; 10] =
        ["hf", "hub", "api", "auth", "access", "bearer", "github", "gitlab", "wandb", "refresh"];
    let key = key.to_ascii_lowercase().replace('-', "_");
    let holder = key.strip_suffix("_token").is_some_and(|holder| HOLDERS.contains(&holder));
    NAMES.contains(&key.as_str()) || ENDINGS.iter().any(|ending| key.ends_with(ending)) || holder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_or_shape_and_tokens_of_text_are_none() {
        for (key, text) in [
            ("hf_token", "whatever"),
            ("api-key", "abc"),
            ("note", "hf_abcdefghijklmnopqrstuvwx"),
            ("x", "AKIAABCDEFGHIJKLMNOP"),
            ("wandb_api_key", "0123456789abcdef0123456789abcdef01234567"),
        ] {
            assert!(is_secret(key, text), "{key} = {text}");
        }
        for (key, text) in [("stop_token", "<|im_end|>"), ("source", "hf:org/name"), ("kind", "sk-"), ("tokens", "a")] {
            assert!(!is_secret(key, text), "{key} = {text}");
        }
    }
}
