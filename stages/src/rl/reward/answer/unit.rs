//! Tokens → the value, without the unit behind it. An answer without a unit equals one with any; two units that are known
//! to differ make two answers.

use super::lex::{Kind, Token};
use super::words;

/// Both answers without their units; `None` if neither has one, or they have different ones.
pub(super) fn split<'a>(gold: &'a [Token], found: &'a [Token]) -> Option<(&'a [Token], &'a [Token])> {
    let (gold, gold_unit) = gold.split_at(start(gold));
    let (found, unit) = found.split_at(start(found));
    if gold_unit.is_empty() && unit.is_empty() {
        return None;
    }
    let fits = gold_unit.is_empty() || unit.is_empty() || !known_to_differ(gold_unit, unit);
    fits.then_some((gold, found))
}

/// An answer without its unit, if it has one.
pub(super) fn without(tokens: &[Token]) -> &[Token] {
    &tokens[..start(tokens)]
}

/// Where the unit at the end starts; the length if there is none.
fn start(tokens: &[Token]) -> usize {
    let end = tokens.len();
    let is_value = |token: &Token| match token.kind {
        Kind::Number(_) | Kind::Name(_) => true,
        Kind::Sign(sign) => "})]%°".contains(sign),
        _ => false,
    };
    let unit_at = (1..end).find(|&at| {
        let first = match &tokens[at].kind {
            Kind::Text(_) | Kind::Sign('\'' | '¢') => true,
            Kind::Letter(letter) => {
                let after_degrees = tokens[at - 1].is('°') && matches!(letter, 'C' | 'F' | 'K');
                after_degrees || (tokens[at].spaced && "mgshLl".contains(*letter))
            }
            _ => false,
        };
        first && is_value(&tokens[at - 1]) && tokens[at..].iter().all(is_unit_part)
    });
    unit_at.unwrap_or(end)
}

fn is_unit_part(token: &Token) -> bool {
    match &token.kind {
        Kind::Text(_) | Kind::Letter(_) => true,
        Kind::Number(written) => matches!(written.as_str(), "2" | "3" | "1"),
        Kind::Sign(sign) => "^{}/*.-()'¢".contains(*sign),
        _ => false,
    }
}

/// Do both consist of units that are known, and not of the same ones?
fn known_to_differ(gold: &[Token], found: &[Token]) -> bool {
    match (known(gold), known(found)) {
        (Some(gold), Some(found)) => gold != found,
        _ => false,
    }
}

/// Units, powers and `/` in order, each in its first spelling; `None` if one is not known, or written as `s^{-1}`.
fn known(tokens: &[Token]) -> Option<Vec<&str>> {
    let mut parts: Vec<&str> = Vec::new();
    let mut power = None;
    let mut add = |parts: &mut Vec<&str>, word: &str| {
        match words::unit(word.trim_matches('.'))? {
            "sq" => power = Some("2"),
            "cubic" => power = Some("3"),
            "mph" => parts.extend(["mi", "/", "h"]),
            "kmh" => parts.extend(["km", "/", "h"]),
            unit => {
                parts.push(unit);
                parts.extend(power.take());
            }
        }
        Some(())
    };
    for token in tokens {
        match &token.kind {
            Kind::Text(text) => {
                for word in text.split_whitespace() {
                    add(&mut parts, word)?;
                }
            }
            Kind::Letter(letter) => add(&mut parts, letter.encode_utf8(&mut [0; 4]))?,
            Kind::Number(written) => parts.push(written),
            Kind::Sign('/') => parts.push("/"),
            Kind::Sign('{' | '}' | '.' | '^' | '*') => {}
            _ => return None,
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::super::lex::lex;
    use super::*;

    #[test]
    fn units_are_known_by_any_spelling() {
        let differ = |gold: &str, found: &str| known_to_differ(&lex(gold)[1..], &lex(found)[1..]);
        for (a, b) in [
            ("5 cm", r"5\text{ centimeters}"),
            ("5 sq. ft.", r"5\text{ ft}^2"),
            ("5 square feet", r"5 \mathrm{ft}^{2}"),
            ("5 hours", "5 h"),
            ("5 mph", r"5\text{ mi/h}"),
            ("5 apples", "5 cm"),
            ("5 m/s", "5 m s^{-1}"),
        ] {
            assert!(!differ(a, b) && !differ(b, a), "{a} | {b}");
        }
        for (a, b) in
            [("5 cm", "5 m"), (r"5\text{ cm}^2", r"5\text{ cm}^3"), ("5 m/s", "5 km/h"), ("5 cents", "5 dollars")]
        {
            assert!(differ(a, b) && differ(b, a), "{a} | {b}");
        }
    }
}
