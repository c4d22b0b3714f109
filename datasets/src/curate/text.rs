//! What a row asks, in forms that compare well. Knows words, numbers and signs; no language.

use std::borrow::Cow;

use crate::rows::Row;

/// Signs that make another question of the same words: `2 + 3`, `2 - 3`.
const SIGNS: &str = "+-−*×·/÷=<>≤≥≠^√%";

/// Everything that is said to the assistant: the turns before the prompt, too.
pub(super) fn asked(row: &Row) -> Cow<'_, str> {
    if row.history.is_empty() {
        return Cow::Borrowed(&row.prompt);
    }
    let turns = row.history.iter().map(|turn| turn.content.as_str()).chain([row.prompt.as_str()]);
    Cow::Owned(turns.collect::<Vec<_>>().join("\n"))
}

/// In lower case, with single blanks and without the sign that ends it.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.extend(word.chars().flat_map(char::to_lowercase));
    }
    let end = plain.trim_end_matches(['.', '?', '!', ':', ' ', '。', '？']).len();
    plain.truncate(end);
    plain
}

/// Calls back with every word and every mathematical sign, as written; true for a number or a sign.
fn tokens(text: &str, mut see: impl FnMut(&str, bool)) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() {
            rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if first.is_alphanumeric() {
            see(token, token.bytes().any(|byte| byte.is_ascii_digit()));
        } else if SIGNS.contains(first) {
            see(token, true);
        }
        rest = after;
    }
}

/// A number for each word and sign, and one for all the numbers and signs in their order.
pub(super) fn hashes(text: &str) -> (Vec<u64>, u64) {
    let (mut words, mut numbers) = (Vec::new(), 0_u64);
    tokens(text, |token, is_number| {
        let word = hash(token);
        words.push(word);
        if is_number {
            numbers = chain(numbers, word);
        }
    });
    (words, numbers)
}

/// The numbers of a text, each as it is written.
pub(super) fn numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    tokens(text, |token, is_number| {
        if is_number {
            found.push(token.to_owned());
        }
    });
    found
}

/// FNV-1a over the lower case of a word.
pub(super) fn hash(word: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut see = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    if word.is_ascii() {
        word.bytes().for_each(|byte| see(byte.to_ascii_lowercase()));
    } else {
        let mut utf8 = [0; 4];
        word.chars().flat_map(char::to_lowercase).for_each(|c| c.encode_utf8(&mut utf8).bytes().for_each(&mut see));
    }
    mixed(hash)
}

/// A hash of two hashes in their order.
pub(super) fn chain(before: u64, next: u64) -> u64 {
    mixed(before.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ next)
}

/// A hash of a run of words.
pub(super) fn run(words: &[u64]) -> u64 {
    words.iter().fold(words.len() as u64, |hash, word| chain(hash, *word))
}

/// `MurmurHash3`'s last steps: every bit of the result depends on every bit of what goes in.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_blanks_and_the_last_sign_do_not_count_and_operators_do() {
        assert_eq!(plain("  What  is\n2 + 3?  "), "what is 2 + 3");
        assert_ne!(plain("What is 2 - 3?"), plain("What is 2 + 3?"));
        assert_eq!(plain("?!"), "");
        let words = |text: &str| hashes(text).0;
        assert_eq!(words("Straße, 12!"), words("STRAßE 12"));
        assert_eq!(words("a-b").len(), 3);
        assert_ne!(words("2 + 3"), words("2 - 3"));
    }

    #[test]
    fn numbers_are_told_in_their_order() {
        let of = |text: &str| hashes(text).1;
        assert_eq!(of("Tom has 3 pears and 4 figs"), of("With 3 figs, Ann buys 4 pears."));
        assert_ne!(of("3 and 4"), of("4 and 3"));
        assert_ne!(of("3 + 4"), of("3 - 4"));
        assert_eq!(of("no number"), of("none"));
        assert_eq!(numbers("x2 + 3.5 apples"), ["x2", "+", "3", "5"]);
    }
}
