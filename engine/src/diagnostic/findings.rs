//! Mistakes → the formats that continuous integration reads: GitHub's annotations, SARIF 2.1.0, `JUnit` XML. Each takes
//! every recipe that was checked at once, since each is one document.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Diagnostic, Diagnostics, Severity};
use crate::recipe::{Position, Sources};

/// A recipe that was checked, and what was found.
#[derive(Debug)]
pub struct Finding<'a> {
    /// The recipe's file, as it was named.
    pub recipe: &'a str,
    /// What was found; empty if nothing is wrong.
    pub diagnostics: &'a Diagnostics,
}

/// Where a mistake is: the file, where it begins, where it ends.
fn place<'a>(one: &Diagnostic, sources: &'a Sources) -> Option<(&'a str, Position, Position)> {
    let span = one.labels.first()?.span;
    let at = |byte| sources.position(span.source, byte);
    Some((sources.get(span.source).name.as_str(), at(span.start), at(span.end)))
}

/// `message`, and on a line of its own how to fix it.
fn words(one: &Diagnostic) -> String {
    let help = one.help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {help}"));
    format!("{}{help}", one.message)
}

/// One `::error file=…,line=…::message` per mistake: GitHub shows it beside the line of a pull request.
pub fn github(findings: &[Finding<'_>]) -> String {
    // GitHub's own rules for what may not stand in a command.
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for Finding { recipe, diagnostics } in findings {
        for one in diagnostics.list() {
            let command = match one.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "notice",
            };
            // A mistake of the command line has no line in any file: it stands at the recipe.
            let (file, lines) = match place(one, &diagnostics.sources) {
                Some((file, start, end)) if file != COMMAND_LINE => {
                    let columns = format!(",col={},endColumn={}", start.column, end.column);
                    let columns = if start.line == end.line { columns } else { String::new() };
                    (file, format!(",line={},endLine={}{columns}", start.line, end.line))
                }
                _ => (*recipe, String::new()),
            };
            let (file, title) = (property(file), property(one.code));
            text += &format!("::{command} file={file}{lines},title={title}::{}\n", data(&words(one)));
        }
    }
    text
}

const COMMAND_LINE: &str = "command line";

/// One SARIF document, for GitHub's code scanning and its like.
pub fn sarif(findings: &[Finding<'_>]) -> Value {
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for one in findings.iter().flat_map(|finding| finding.diagnostics.list()) {
        rules.entry(one.code).or_default();
    }
    rules.values_mut().enumerate().for_each(|(index, place)| *place = index);
    let result = |one: &Diagnostic, finding: &Finding<'_>| {
        let sources = &finding.diagnostics.sources;
        let level = match one.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let location = |index: usize| {
            let label = &one.labels[index];
            let at = |byte| sources.position(label.span.source, byte);
            let (start, end) = (at(label.span.start), at(label.span.end));
            let file = sources.get(label.span.source).name.as_str();
            let file = if file == COMMAND_LINE { finding.recipe } else { file };
            json!({
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(file) },
                    "region": {
                        "startLine": start.line, "startColumn": start.column,
                        "endLine": end.line, "endColumn": end.column,
                    },
                },
                "message": { "text": label.text },
            })
        };
        let locations = if one.labels.is_empty() {
            vec![json!({ "physicalLocation": { "artifactLocation": { "uri": uri(finding.recipe) } } })]
        } else {
            vec![location(0)]
        };
        let related: Vec<Value> = (1..one.labels.len()).map(location).collect();
        json!({
            "ruleId": one.code, "ruleIndex": rules[one.code], "level": level, "message": { "text": words(one) },
            "locations": locations, "relatedLocations": related,
        })
    };
    let results = findings.iter().flat_map(|it| it.diagnostics.list().iter().map(move |one| (it, one)));
    let results: Vec<Value> = results.map(|(finding, one)| result(one, finding)).collect();
    let rules: Vec<Value> = rules.keys().map(|code| json!({ "id": code })).collect();
    let driver = json!({
        "name": "curricle", "version": env!("CARGO_PKG_VERSION"), "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": rules,
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    })
}

/// A path as a relative reference.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// One `JUnit` document: a suite per recipe, a failed case per error, a passed one where there is none.
pub fn junit(findings: &[Finding<'_>]) -> String {
    let mut suites = String::new();
    let mut all = (0, 0);
    for Finding { recipe, diagnostics } in findings {
        let errors: Vec<_> = diagnostics.list().iter().filter(|one| one.severity == Severity::Error).collect();
        let count = errors.len().max(1);
        all = (all.0 + count, all.1 + errors.len());
        let name = xml(recipe);
        suites += &format!("  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{}\">\n", errors.len());
        if errors.is_empty() {
            suites += &format!("    <testcase classname=\"{name}\" name=\"check\"/>\n");
        }
        for one in errors {
            let place = place(one, &diagnostics.sources);
            let at =
                place.map_or_else(String::new, |(file, start, _)| format!("{file}:{}:{}: ", start.line, start.column));
            suites += &format!(
                "    <testcase classname=\"{name}\" name=\"{}\">\n      <failure type=\"{}\" message=\"{}\">{}</failure>\n    \
                 </testcase>\n",
                xml(&format!("{at}{}", one.message)),
                xml(one.code),
                xml(&one.message),
                xml(&format!("{at}{}", words(one))),
            );
        }
        let rest: Vec<_> = diagnostics.list().iter().filter(|one| one.severity != Severity::Error).collect();
        if !rest.is_empty() {
            let lines: Vec<String> =
                rest.iter().map(|one| format!("{}: {}", one.severity.as_str(), words(one))).collect();
            suites += &format!("    <system-out>{}</system-out>\n", xml(&lines.join("\n")));
        }
        suites += "  </testsuite>\n";
    }
    let (tests, failures) = all;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"curricle check\" tests=\"{tests}\" \
         failures=\"{failures}\">\n{suites}</testsuites>\n"
    )
}

/// Text as XML holds it, in attributes too; control characters have no place there.
fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' => out += "&#10;",
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::recipe::Span;

    fn found() -> Diagnostics {
        let mut sources = Sources::default();
        let a = sources.add("dir/a b.toml", Path::new("."), "x = 1\ny = \"<é>\"\n");
        let set = sources.add(COMMAND_LINE, Path::new("."), "--set x=1");
        let list = vec![
            Diagnostic::error("bad", "100% \"wrong\" <&>\u{1b}")
                .at(Span::new(a, 10..16), "here")
                .at(Span::new(a, 0..1), "there")
                .help("fix it"),
            Diagnostic::warning("odd", "odd").at(Span::new(set, 6..7), ""),
            Diagnostic::note("unseen", "not seen"),
        ];
        Diagnostics::new(Arc::new(sources), list)
    }

    #[test]
    fn annotations_are_one_line_each() {
        let diagnostics = found();
        let said = github(&[Finding { recipe: "a,b.toml", diagnostics: &diagnostics }]);
        let expected = "::error file=dir/a b.toml,line=2,endLine=2,col=5,endColumn=10,title=bad::100%25 \"wrong\" \
                        <&>\u{1b}%0Ahelp: fix it\n::warning file=a%2Cb.toml,title=odd::odd\n\
                        ::notice file=a%2Cb.toml,title=unseen::not seen\n";
        assert_eq!(said, expected);
    }

    #[test]
    fn sarif_has_every_field_that_it_must() {
        let diagnostics = found();
        let document = sarif(&[Finding { recipe: "a.toml", diagnostics: &diagnostics }]);
        assert_eq!(document["version"], "2.1.0");
        let run = &document["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap().iter();
        let rules: Vec<_> = rules.filter_map(|rule| rule["id"].as_str()).collect();
        assert_eq!((run["tool"]["driver"]["name"].as_str(), rules), (Some("curricle"), vec!["bad", "odd", "unseen"]));
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        for result in results {
            assert!(result["message"]["text"].is_string() && result["level"].is_string());
            let index = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
            assert!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].is_string());
        }
        let place = &results[0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "dir/a%20b.toml");
        assert_eq!(place["region"], json!({ "startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 10 }));
        assert_eq!(results[0]["relatedLocations"][0]["message"]["text"], "there");
        assert_eq!(results[1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "a.toml");
    }

    /// Tags of a document, each opened and closed in turn; panics where they are not.
    fn parse(text: &str) -> Vec<String> {
        let (mut open, mut seen, mut rest) = (Vec::new(), Vec::new(), text);
        while let Some(start) = rest.find('<') {
            assert!(!rest[..start].contains(['>', '"']) || open.is_empty(), "bare text: {}", &rest[..start]);
            let end = rest.find('>').expect("a tag ends");
            let tag = &rest[start + 1..end];
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            assert!(!tag.contains('<'), "{tag}");
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.starts_with('?') {
                seen.push(name.clone());
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "{open:?}");
        for entity in text.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;", "#10;"].iter().any(|known| entity.starts_with(known)), "{entity}");
        }
        seen
    }

    #[test]
    fn junit_is_xml_with_a_case_per_error() {
        let diagnostics = found();
        let clean = Diagnostics::new(Arc::new(Sources::default()), Vec::new());
        let findings = [
            Finding { recipe: "<a>.toml", diagnostics: &diagnostics },
            Finding { recipe: "b.toml", diagnostics: &clean },
        ];
        let text = junit(&findings);
        let tags = parse(&text);
        assert_eq!(tags, ["testsuites", "testsuite", "testcase", "failure", "system-out", "testsuite", "testcase"]);
        assert!(text.contains("<testsuites name=\"curricle check\" tests=\"2\" failures=\"1\">"), "{text}");
        assert!(
            text.contains("dir/a b.toml:2:5: 100% &quot;wrong&quot; &lt;&amp;&gt;\u{fffd}&#10;help: fix it"),
            "{text}"
        );
    }
}
