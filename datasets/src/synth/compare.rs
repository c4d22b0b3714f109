//! The largest or smallest of several numbers or sums.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::arithmetic::Chain;
use super::item::Item;

/// Levels 1 to 3: two, three, four numbers up to 99; 4 and 5: two, three sums of digits.
pub fn make(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let (count, sums) = match level {
        1 => (2, false),
        2 => (3, false),
        3 => (4, false),
        4 => (2, true),
        _ => (3, true),
    };
    let largest = rng.random_bool(0.5);
    let mut terms: Vec<Chain> = Vec::new();
    while terms.len() < count {
        let mut term = Chain::new(rng.random_range(1..=if sums { 9 } else { 99 }));
        if sums {
            term.plus(rng.random_range(1..=9));
        }
        // Without equal values the answer is one of them.
        if terms.iter().all(|other| other.value != term.value) {
            terms.push(term);
        }
    }
    let mut steps: Vec<String> = terms.iter().flat_map(|term| term.steps.iter().cloned()).collect();
    let mut best = terms[0].value;
    for term in &terms[1..] {
        let sign = if best < term.value { '<' } else { '>' };
        steps.push(format!("{best}{sign}{}", term.value));
        best = if largest { best.max(term.value) } else { best.min(term.value) };
    }
    let listed: Vec<_> = terms.into_iter().map(|term| term.expression).collect();
    let word = if largest { "largest" } else { "smallest" };
    Item::answer(format!("What is the {word} of {}?", listed.join(", ")), None, steps.join(", "), &best)
}
