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

fn known(tokens: &[Token]) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    for token in tokens {
        match &token.kind {
            Kind::Text(text) => {
                for word in text.split_whitespace() {
                    parts.push(words::unit(word.trim_matches('.'))?.to_owned());
                }
            }
            Kind::Letter(letter) => parts.push(words::unit(&letter.to_string())?.to_owned()),
            Kind::Number(written) => parts.push(written.clone()),
            Kind::Sign('\'') => return None,
            Kind::Sign(sign) if "{}.^".contains(*sign) => {}
            Kind::Sign(sign) => parts.push(sign.to_string()),
            _ => return None,
        }
    }
    Some(parts)
}
