//! `score[mrl].accuracy >= score[cold_start].accuracy - 0.01` → [`Requirement`]: weighted metrics on one side, a number on the
//! other. Whether the stages and the metrics exist it refuses to know.
//!
//! ```text
//! requirement = sum relation sum          relation = ">=" | ">" | "<=" | "<"
//! sum         = [sign] product { sign product }
//! product     = operand { "*" operand }   at most one of them a metric
//! operand     = number | STAGE.METRIC
//! ```
//!
//! Names may hold hyphens, so a minus has a space before it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::recipe::head;

/// How both sides have to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `>`
    #[serde(rename = ">")]
    Above,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `<`
    #[serde(rename = "<")]
    Below,
}

impl Relation {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::AtMost => "<=",
            Self::Below => "<",
        }
    }

    fn mirrored(self) -> Self {
        match self {
            Self::AtLeast => Self::AtMost,
            Self::Above => Self::Below,
            Self::AtMost => Self::AtLeast,
            Self::Below => Self::Above,
        }
    }
}

/// A metric and its weight.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mention {
    /// Never 0.
    pub factor: f64,
    /// `score[mrl]`
    pub stage: String,
    /// `accuracy/image`
    pub metric: String,
    /// Where it stands first, in bytes of the text.
    pub place: Range<usize>,
}

/// The sum of `mentions` stands in `relation` to `margin`. The first mention has a factor above 0.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Requirement {
    pub mentions: Vec<Mention>,
    pub relation: Relation,
    pub margin: f64,
}

/// Why a text is no requirement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SyntaxError {
    /// In bytes of the text.
    pub place: Range<usize>,
    pub message: String,
    pub help: String,
}

/// Reads a requirement.
pub(crate) fn parse(text: &str) -> Result<Requirement, SyntaxError> {
    let tokens = tokens(text)?;
    let mut relations = tokens.iter().enumerate().filter(|(_, token)| matches!(token.what, What::Relation(_)));
    let whole = 0..text.len();
    let Some((middle, token)) = relations.next() else {
        let message = if tokens.is_empty() { "nothing is required" } else { "this compares nothing" };
        return Err(SyntaxError { place: whole, message: message.into(), help: EXAMPLE.into() });
    };
    if let Some((_, second)) = relations.next() {
        let help = "a gate compares two sides; write two gates";
        return Err(second.error("a second comparison", help));
    }
    let What::Relation(relation) = token.what else { unreachable!("it was found as one") };
    let mut sum = Sum::default();
    sum.side(&tokens[..middle], 1.0, token.place.start..token.place.start)?;
    sum.side(&tokens[middle + 1..], -1.0, text.len()..text.len())?;
    let Sum { mut mentions, constant } = sum;
    if mentions.is_empty() {
        let message = "both sides are numbers: no metric decides this".into();
        return Err(SyntaxError { place: whole, message, help: EXAMPLE.into() });
    }
    if let Some(gone) = mentions.iter().find(|mention| mention.factor == 0.0) {
        let message = format!("`{}.{}` counts for nothing here: its factors add up to 0", gone.stage, gone.metric);
        return Err(SyntaxError {
            place: gone.place.clone(),
            message,
            help: "remove it, or compare it with another".into(),
        });
    }
    let turned = mentions[0].factor < 0.0;
    if turned {
        for mention in &mut mentions {
            mention.factor = -mention.factor;
        }
    }
    let (relation, margin) = if turned { (relation.mirrored(), constant) } else { (relation, -constant) };
    // −0.0 would be shown as such.
    Ok(Requirement { mentions, relation, margin: if margin == 0.0 { 0.0 } else { margin } })
}

const EXAMPLE: &str = "write it as in `score[mrl].accuracy >= score[cold_start].accuracy - 0.01`";

#[derive(Debug, Clone, Copy, PartialEq)]
enum What<'a> {
    Number(f64),
    Word(&'a str),
    Plus,
    Minus,
    Times,
    Relation(Relation),
}

struct Token<'a> {
    what: What<'a>,
    place: Range<usize>,
}

impl Token<'_> {
    fn error(&self, message: impl Into<String>, help: impl Into<String>) -> SyntaxError {
        SyntaxError { place: self.place.clone(), message: message.into(), help: help.into() }
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let mut push = |what, length: usize| {
            tokens.push(Token { what, place: at..at + length });
            length
        };
        at += match first {
            _ if first.is_whitespace() => first.len_utf8(),
            '+' => push(What::Plus, 1),
            '-' => push(What::Minus, 1),
            '*' => push(What::Times, 1),
            '>' if rest.starts_with(">=") => push(What::Relation(Relation::AtLeast), 2),
            '<' if rest.starts_with("<=") => push(What::Relation(Relation::AtMost), 2),
            '>' => push(What::Relation(Relation::Above), 1),
            '<' => push(What::Relation(Relation::Below), 1),
            _ if first.is_alphanumeric() || matches!(first, '_' | '.') => {
                let word = &rest[..rest.find(ends_a_word).unwrap_or(rest.len())];
                let number = word
                    .parse::<f64>()
                    .ok()
                    .filter(|number| number.is_finite() && word.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
                push(number.map_or(What::Word(word), What::Number), word.len())
            }
            other => {
                let help = match other {
                    '=' | '!' => "a gate compares with `>=`, `>`, `<=` or `<`",
                    '(' | ')' => "there are no brackets; multiply them out",
                    '/' => "multiply by a number instead: `0.5 * STAGE.METRIC`",
                    _ => EXAMPLE,
                };
                let message = format!("`{other}` has no place in a requirement");
                return Err(SyntaxError { place: at..at + other.len_utf8(), message, help: help.into() });
            }
        };
    }
    Ok(tokens)
}

fn ends_a_word(c: char) -> bool {
    c.is_whitespace() || "<>=!+*()\"',;".contains(c)
}

/// Everything on the left side.
#[derive(Default)]
struct Sum {
    mentions: Vec<Mention>,
    constant: f64,
}

impl Sum {
    /// Adds a side; `end` is where something is missing if the side is cut short.
    fn side(&mut self, tokens: &[Token<'_>], sign: f64, end: Range<usize>) -> Result<(), SyntaxError> {
        let mut rest = tokens.iter().peekable();
        let mut sign_of_next = match rest.peek().map(|token| token.what) {
            Some(What::Plus) => rest.next().map_or(sign, |_| sign),
            Some(What::Minus) => rest.next().map_or(sign, |_| -sign),
            _ => sign,
        };
        loop {
            let mut factor = sign_of_next;
            let mut metric: Option<(&str, Range<usize>)> = None;
            loop {
                let Some(token) = rest.next() else {
                    let message = "a metric or a number is missing here".into();
                    return Err(SyntaxError { place: end, message, help: EXAMPLE.into() });
                };
                match token.what {
                    What::Number(number) => factor *= number,
                    What::Word(word) if metric.is_none() => metric = Some((word, token.place.clone())),
                    What::Word(_) => {
                        let help = "a metric can be multiplied by numbers only";
                        return Err(token.error("two metrics are multiplied", help));
                    }
                    _ => return Err(token.error("a metric or a number is missing before this", EXAMPLE)),
                }
                if rest.peek().is_none_or(|token| token.what != What::Times) {
                    break;
                }
                rest.next();
            }
            match metric {
                None => self.constant += factor,
                Some((word, place)) => self.mention(word, place, factor)?,
            }
            sign_of_next = match rest.next() {
                None => return Ok(()),
                Some(Token { what: What::Plus, .. }) => sign,
                Some(Token { what: What::Minus, .. }) => -sign,
                Some(other) => {
                    let help = "write `+`, `-` or `*` between the two; a minus has a space before it";
                    return Err(other.error("an operator is missing before this", help));
                }
            };
        }
    }

    fn mention(&mut self, word: &str, place: Range<usize>, factor: f64) -> Result<(), SyntaxError> {
        let stage = head(word);
        let metric = word[stage.len()..].strip_prefix('.').unwrap_or_default();
        let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        if digit(metric) && stage.chars().all(|c| c.is_ascii_digit()) {
            let help = "a minus has a space before it: `0.5 - 0.01`".into();
            return Err(SyntaxError { place, message: format!("`{word}` is no number"), help });
        }
        if metric.is_empty() || stage.is_empty() {
            let message = format!("`{word}` is neither a number nor a stage's metric");
            let help = if stage.is_empty() || digit(word) {
                "a metric is `STAGE.METRIC`, a minus has a space before it".to_owned()
            } else {
                format!("say which: `{}.METRIC`, such as `{0}.accuracy`", stage.trim_end_matches('.'))
            };
            return Err(SyntaxError { place, message, help });
        }
        match self.mentions.iter_mut().find(|known| known.stage == stage && known.metric == metric) {
            Some(known) => known.factor += factor,
            None => self.mentions.push(Mention { factor, stage: stage.into(), metric: metric.into(), place }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let Requirement { mentions, relation, margin } = parse(text).unwrap();
        let sum: Vec<_> = mentions.iter().map(|one| format!("{}·{}.{}", one.factor, one.stage, one.metric)).collect();
        format!("{} {} {margin}", sum.join(" "), relation.symbol())
    }

    #[test]
    fn metrics_go_left_and_numbers_right() {
        for (text, expected) in [
            (
                "score[mrl].accuracy >= score[cold_start].accuracy - 0.01",
                "1·score[mrl].accuracy -1·score[cold_start].accuracy >= -0.01",
            ),
            ("0.5 < a-b.accuracy/task/add-one", "1·a-b.accuracy/task/add-one > 0.5"),
            ("2 * s.pass@4 <= 1 + 0.5*s.pass@4 * 3", "0.5·s.pass@4 <= 1"),
            ("-s[v1.5].tokens + 100 > -1e2", "1·s[v1.5].tokens < 200"),
            ("a.x - b.x >= 0", "1·a.x -1·b.x >= 0"),
            ("7b.x + 1 > 1", "1·7b.x > 0"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mistake_has_its_place() {
        for (text, place, message) in [
            ("", 0..0, "nothing is required"),
            ("a.x + 1", 0..7, "this compares nothing"),
            ("a.x >= 1 >= 2", 9..11, "a second comparison"),
            ("1 >= 2", 0..6, "both sides are numbers: no metric decides this"),
            ("a.x >= a.x - 1", 0..3, "`a.x` counts for nothing here: its factors add up to 0"),
            ("a.x >=", 6..6, "a metric or a number is missing here"),
            ("a.x >= + * 2", 9..10, "a metric or a number is missing before this"),
            ("a.x b.x > 1", 4..7, "an operator is missing before this"),
            ("a.x * b.x > 1", 6..9, "two metrics are multiplied"),
            ("score[mrl] > 1", 0..10, "`score[mrl]` is neither a number nor a stage's metric"),
            ("a.x > 0.5-0.01", 6..14, "`0.5-0.01` is no number"),
            ("a.x == 1", 4..5, "`=` has no place in a requirement"),
            ("(a.x) > 1", 0..1, "`(` has no place in a requirement"),
            ("é.x > 日", 7..10, "`日` is neither a number nor a stage's metric"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.place, place, "{text}: {}", error.message);
            assert!(error.message.starts_with(message), "{text}: {}", error.message);
            assert!(!error.help.is_empty());
        }
    }
}
