//! Two answers as text → are they the same answer? Numbers, fractions, percents, units, scientific notation, radicals,
//! powers, π, expressions in variables, lists, sets, tuples, intervals, matrices, equations, inequalities, choices, words.
//!
//! ```text
//! text ──lex──▶ tokens ──parse──▶ tree ──same──▶ verdict        (text that is no mathematics is compared as text)
//! ```
//!
//! Arithmetic on numbers is exact (0.333 is not 1/3). Everything else is compared by value, at fixed points where there
//! are variables; that can't miss an identity, and mistakes two expressions for one only where they agree to ten digits at
//! every point. Never panics, and ends soon, whatever a model writes. Knows no algebra: it solves no equation.
//!
//! The reference is math-verify 0.9.0; where the two part, `judged.jsonl` beside this file says who is right.

mod boxed;
mod complex;
mod lex;
mod node;
mod parse;
mod ratio;
mod relation;
mod same;
mod unit;
mod value;
mod words;

use self::lex::{Kind, Token, lex};
use self::parse::parse;
use self::same::{Effort, same};

pub use self::boxed::boxed;

/// Longer answers are compared letter by letter.
const MAX_BYTES: usize = 4096;

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

/// 0 for `A`, `(A)`, `a.`, `\text{(A)}`; `None` for anything but one letter.
pub(super) fn letter_position(answer: &str) -> Option<usize> {
    if answer.len() > MAX_BYTES {
        return None;
    }
    match bare(&lex(answer)) {
        [Token { kind: Kind::Letter(letter), .. }] if letter.is_ascii_alphabetic() => {
            Some((letter.to_ascii_lowercase() as u8 - b'a') as usize)
        }
        _ => None,
    }
}

/// Are two answers the same answer? An empty answer equals nothing.
pub fn equal(gold: &str, found: &str) -> bool {
    if gold.len() > MAX_BYTES || found.len() > MAX_BYTES {
        return !gold.trim().is_empty() && gold.trim() == found.trim();
    }
    let (gold, found) = (lex(gold), lex(found));
    if gold.is_empty() || found.is_empty() {
        return false;
    }
    equal_tokens(&gold, &found)
        || labelled(&gold, &found)
        || unit::split(&gold, &found).is_some_and(|(gold, found)| equal_tokens(gold, found))
}

/// The real number that an answer is, or names; `None` where it is anything else.
pub fn number(answer: &str) -> Option<f64> {
    if answer.len() > MAX_BYTES {
        return None;
    }
    let tokens = lex(answer);
    let whole = parse(&tokens).and_then(|node| value::number(relation::values_of(&node).first().unwrap_or(&&node)));
    whole.or_else(|| value::number(&parse(unit::without(&tokens))?))
}

/// What kind of thing an answer is, by what it can be compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A number, with or without a unit.
    Number,
    /// One letter.
    Letter,
    /// Mathematics of any other kind: expressions, equations, lists, intervals, matrices. A word of up to three small letters
    /// may be a product of variables, and counts as one.
    Expression,
    /// Words, or something that can't be read as mathematics: compared as text.
    Text,
}

/// What kind of thing an answer is; `None` where there is nothing to compare.
pub fn form(answer: &str) -> Option<Form> {
    let tokens = if answer.len() > MAX_BYTES { Vec::new() } else { lex(answer) };
    if tokens.is_empty() {
        return (!answer.trim().is_empty()).then_some(Form::Text);
    }
    if number(answer).is_some() {
        return Some(Form::Number);
    }
    if letter_position(answer).is_some() {
        return Some(Form::Letter);
    }
    let tokens = bare(&tokens);
    let in_words = tokens.iter().all(is_word) && !is_product(tokens);
    Some(if in_words || parse(tokens).is_none() { Form::Text } else { Form::Expression })
}

fn equal_tokens(gold: &[Token], found: &[Token]) -> bool {
    let (gold, found) = (bare(gold), bare(found));
    if let Some(verdict) = words(gold, found) {
        return verdict;
    }
    match (parse(gold), parse(found)) {
        (Some(gold), Some(found)) => same(&gold, &found, &mut Effort::new()),
        _ => spelled(gold) == spelled(found),
    }
}

/// Without round brackets around all of it, if that leaves a letter or a word: `(A)`.
fn bare(tokens: &[Token]) -> &[Token] {
    match tokens {
        [open, inner @ .., close]
            if open.is('(') && close.is(')') && !inner.is_empty() && inner.iter().all(is_word) =>
        {
            inner
        }
        _ => tokens,
    }
}

fn is_word(token: &Token) -> bool {
    matches!(token.kind, Kind::Letter(_) | Kind::Text(_))
}

/// The verdict on two answers in words; `None` if one is not, or both may be products of a few variables (`ab`, `ba`).
fn words(gold: &[Token], found: &[Token]) -> Option<bool> {
    let spelling = |tokens: &[Token]| tokens.iter().all(is_word).then(|| spelled(tokens).to_lowercase());
    let (gold_word, word) = (spelling(gold)?, spelling(found)?);
    if gold_word == word {
        return Some(true);
    }
    (!is_product(gold) || !is_product(found)).then_some(false)
}

/// May a few letters be a product of variables?
fn is_product(tokens: &[Token]) -> bool {
    tokens.len() < 4 && tokens.iter().all(|token| matches!(token.kind, Kind::Letter(c) if c.is_lowercase()))
}

/// `(B) 5` for `B`, and for `5`.
fn labelled(gold: &[Token], found: &[Token]) -> bool {
    let [open, Token { kind: Kind::Letter(letter), .. }, close, text @ ..] = found else { return false };
    if !open.is('(') || !close.is(')') || !letter.is_ascii_uppercase() || text.is_empty() || !text[0].spaced {
        return false;
    }
    match bare(gold) {
        [Token { kind: Kind::Letter(gold), .. }] => gold == letter,
        gold => equal_tokens(gold, text),
    }
}

/// Tokens side by side, spaces gone.
fn spelled(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        match &token.kind {
            Kind::Number(part) => {
                if token.spaced && text.ends_with(|c: char| c.is_ascii_digit()) {
                    text.push(' ');
                }
                text += part;
            }
            Kind::Letter(letter) => text.push(*letter),
            Kind::Name(name) => text += &format!("\\{name}"),
            Kind::Text(words) => {
                text.extend(words.to_lowercase().chars().filter(|c| !c.is_whitespace() && *c != '.'));
            }
            Kind::Begin(_) => text += "\\begin",
            Kind::End => text += "\\end",
            Kind::Sign(sign) => text.push(*sign),
        }
    }
    text
}

#[cfg(test)]
mod tests;
