//! Two answers as text → are they the same answer? Numbers, fractions, decimals, percents, ratios, units, lists, sets,
//! tuples, choices and words; and the boxed answer of a completion.
//!
//! Numbers are compared exactly as rationals (0.333 is not 1/3). Never panics, whatever a model writes. Refuses to know
//! algebra: `(x+1)^2` and `x^2+2x+1` differ here, and so do `\sqrt{8}` and `2\sqrt{2}`.

mod normal;
mod number;

use self::normal::{normalise, without_unit};
use self::number::parse;

/// Nesting beyond this is compared as text.
const MAX_DEPTH: usize = 12;

/// The content of the last `\boxed{…}` whose braces close; `None` if there is none.
pub fn boxed(text: &str) -> Option<&str> {
    let mut end = text.len();
    while let Some(at) = text[..end].rfind(r"\boxed{") {
        let content = &text[at + r"\boxed{".len()..];
        if let Some(close) = closing_brace(content) {
            return Some(content[..close].trim());
        }
        end = at;
    }
    None
}

/// Position of the brace that closes what was opened just before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(i),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Is `found` the gold answer of a question with these options? The letter of an option stands for its text, both ways.
pub fn matches(gold: &str, choices: &[String], found: &str) -> bool {
    if equal(gold, found) {
        return true;
    }
    let option = |answer: &str| {
        let position = letter_position(answer)?;
        let is_letter = |choice: &String| letter_position(choice).is_some();
        (!choices.iter().any(is_letter)).then(|| choices.get(position)).flatten()
    };
    option(found).is_some_and(|text| equal(gold, text)) || option(gold).is_some_and(|text| equal(text, found))
}

/// 0 for `A`, `(A)`, `a.`; `None` for anything but one letter.
fn letter_position(answer: &str) -> Option<usize> {
    let normal = normalise(answer);
    let mut letters = unwrapped(&normal).chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => {
            Some((letter.to_ascii_lowercase() as u8 - b'a') as usize)
        }
        _ => None,
    }
}

/// Are two answers the same answer? An empty answer equals nothing.
pub fn equal(gold: &str, found: &str) -> bool {
    let (gold, found) = (normalise(gold), normalise(found));
    !gold.is_empty() && !found.is_empty() && equal_normal(&gold, &found, MAX_DEPTH)
}

fn equal_normal(gold: &str, found: &str, depth: usize) -> bool {
    if gold == found {
        return true;
    }
    let (gold, found) = (unwrapped(value_of_equation(gold)), unwrapped(value_of_equation(found)));
    if gold == found || (is_word(gold) && is_word(found) && gold.eq_ignore_ascii_case(found)) {
        return true;
    }
    if let (Some(gold), Some(found)) = (parse(gold), parse(found)) {
        return gold == found;
    }
    let (gold_bare, found_bare) = (without_unit(gold), without_unit(found));
    if (gold_bare, found_bare) != (gold, found) {
        return match (parse(gold_bare), parse(found_bare)) {
            (Some(gold), Some(found)) => gold == found,
            _ => gold_bare == found_bare,
        };
    }
    depth > 0 && equal_parts(gold, found, depth - 1)
}

/// Compares what has parts: tuples and intervals in order and with the same brackets, sets and lists in any order.
fn equal_parts(gold: &str, found: &str, depth: usize) -> bool {
    let (gold, found) = (Parts::of(gold), Parts::of(found));
    if gold.items.len() != found.items.len() || gold.items.len() < 2 || gold.brackets != found.brackets {
        return false;
    }
    if gold.brackets.is_some() {
        return gold.items.iter().zip(&found.items).all(|(a, b)| equal_normal(a, b, depth));
    }
    let mut left = found.items;
    gold.items.iter().all(|item| match left.iter().position(|other| equal_normal(item, other, depth)) {
        Some(at) => {
            left.swap_remove(at);
            true
        }
        None => false,
    })
}

/// An answer cut at its top-level commas.
struct Parts {
    /// `Some` when order counts.
    brackets: Option<(char, char)>,
    items: Vec<String>,
}

impl Parts {
    fn of(text: &str) -> Self {
        if let Some(rest) = text.strip_prefix(r"\pm") {
            return Self { brackets: None, items: vec![rest.to_owned(), format!("-{rest}")] };
        }
        let inner = text.strip_prefix(r"\{").and_then(|rest| rest.strip_suffix(r"\}"));
        if let Some(inner) = inner {
            return Self { brackets: None, items: split(inner) };
        }
        let mut chars = text.chars();
        if let (Some(open @ ('(' | '[')), Some(close @ (')' | ']'))) = (chars.next(), chars.next_back()) {
            let items = split(chars.as_str());
            if items.len() > 1 {
                return Self { brackets: Some((open, close)), items };
            }
        }
        Self { brackets: None, items: split(text) }
    }
}

/// Cuts at commas outside brackets; a closing bracket too many makes one piece of it all.
fn split(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return vec![text.to_owned()],
            },
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = items.last_mut() {
            last.push(c);
        }
    }
    items
}

/// `x=3` → `3`; other equations stay.
fn value_of_equation(text: &str) -> &str {
    match text.split_once('=') {
        Some((name, value)) if name.len() == 1 && name.is_ascii() && !value.is_empty() && !value.contains('=') => {
            if name.chars().all(|c| c.is_ascii_alphabetic()) {
                value
            } else {
                text
            }
        }
        _ => text,
    }
}

/// `(A)` → `A`: round brackets around one thing.
fn unwrapped(text: &str) -> &str {
    match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) if !inner.is_empty() && !inner.contains(['(', ')', '[', ']', ',']) => inner,
        _ => text,
    }
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_alphabetic() || c == '-' || c == '\'') && text.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests;
