//! An answer as written → one spelling: markup, spacing, degrees and currency gone, synonyms of macros joined.
//!
//! Knows only spelling; what a number is stands in `number`.

/// Macros and signs that say nothing, or say the same as another; tried in this order at every place.
const REPLACED: &[(&str, &str)] = &[
    (r"\dfrac", r"\frac"),
    (r"\tfrac", r"\frac"),
    (r"\cfrac", r"\frac"),
    (r"\left", ""),
    (r"\right", ""),
    (r"\displaystyle", ""),
    (r"^{\circ}", ""),
    (r"^\circ", ""),
    (r"\circ", ""),
    (r"\degree", ""),
    (r"\cdot", "*"),
    (r"\times", "*"),
    (r"\div", "/"),
    (r"\%", "%"),
    (r"\$", ""),
    (r"\!", ""),
    (r"\,", ""),
    (r"\;", ""),
    (r"\:", ""),
    (r"\(", ""),
    (r"\)", ""),
    ("$", ""),
    ("°", ""),
    ("€", ""),
    ("£", ""),
    ("−", "-"),
    ("–", "-"),
    ("×", "*"),
    ("÷", "/"),
    ("π", r"\pi"),
    ("∞", r"\infty"),
];

/// Macros that set their argument as text.
const TEXT: &[&str] = &[r"\text", r"\mbox", r"\textbf", r"\mathrm", r"\textit", r"\mathbf", r"\operatorname"];

/// Stands before a unit in normalised text: a word after a number, or the argument of a text macro after something.
const UNIT: char = '\u{1}';

/// One spelling for all ways to write an answer; a space is kept only between two digits (`1 1/2`).
pub(super) fn normalise(answer: &str) -> String {
    let text = words_out(answer.trim().trim_end_matches(['.', ',', ';', '!']).trim());
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if let Some((from, to)) = REPLACED.iter().find(|(from, _)| starts_with_macro(rest, from)) {
            out.push_str(to);
            rest = &rest[from.len()..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if !c.is_whitespace() {
            out.push(c);
        } else if out.ends_with(|c: char| c.is_ascii_digit()) {
            let next = rest.trim_start();
            if next.starts_with(|c: char| c.is_ascii_digit()) {
                out.push(' ');
            } else if next.starts_with(|c: char| c.is_alphabetic()) {
                out.push(UNIT);
            }
        }
    }
    if out.starts_with(UNIT) { out.remove(0).to_string() + &out } else { out }
}

/// Does `rest` start with this macro, and not with a longer one (`\leftarrow`)?
fn starts_with_macro(rest: &str, name: &str) -> bool {
    let is_word = name.ends_with(|c: char| c.is_ascii_alphabetic()) && name.starts_with(['\\', '^']);
    rest.strip_prefix(name).is_some_and(|after| !is_word || !after.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Takes the arguments of text macros out of their braces; after something else they are units, and marked so.
fn words_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let argument = TEXT.iter().find_map(|name| {
            let braced = rest.strip_prefix(name)?.strip_prefix('{')?;
            braced.find('}').map(|close| (&braced[..close], &braced[close + 1..]))
        });
        if let Some((argument, after)) = argument {
            if out.trim_end().ends_with(|c: char| c.is_ascii_digit() || c == '}') && !argument.trim().is_empty() {
                out.push(UNIT);
            }
            out.push_str(argument);
            rest = after;
        } else {
            // The backslash and the sign after it go together: `\\` is a line break, not the start of a macro.
            let taken = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
    }
    out + rest
}

/// Normalised text without a unit at its end: letters and a power, after a number.
pub(super) fn without_unit(text: &str) -> &str {
    match text.split_once(UNIT) {
        Some((number, unit)) if is_unit(unit) => number,
        _ => text,
    }
}

fn is_unit(unit: &str) -> bool {
    unit.chars().all(|c| c.is_alphabetic() || c.is_ascii_digit() || "^{}/*.".contains(c) || c == UNIT)
}
