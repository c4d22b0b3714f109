//! Small word problems: somebody has things, gets some, loses some.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::arithmetic::Chain;
use super::item::Item;

const NAMES: [&str; 4] = ["Ann", "Bob", "Eva", "Tom"];
const THINGS: [&str; 4] = ["apples", "books", "cards", "coins"];
const GAINS: [&str; 3] = ["gets", "finds", "buys"];
const LOSSES: [&str; 3] = ["loses", "sells", "gives away"];

/// Levels 1 to 3: so many events with digits; 4 and 5: so many boxes of things first, then one or two events.
pub fn make(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let pick = |words: &[&'static str], rng: &mut ChaCha8Rng| words.choose(rng).copied().unwrap_or_default();
    let (name, things) = (pick(&NAMES, rng), pick(&THINGS, rng));
    let mut chain = Chain::new(rng.random_range(2..=9));
    let mut text = if level >= 4 {
        let boxes = chain.value;
        chain.times(rng.random_range(2..=9));
        format!("{name} has {boxes} boxes of {} {things}.", chain.value / boxes)
    } else {
        format!("{name} has {} {things}.", chain.value)
    };
    for _ in 0..if level >= 4 { level - 3 } else { level } {
        let before = chain.value;
        chain.random_step(9, rng);
        let gained = chain.value >= before;
        let verb = pick(if gained { &GAINS } else { &LOSSES }, rng);
        text = format!("{text} {name} {verb} {}.", (chain.value - before).abs());
    }
    Item::answer(format!("{text} How many {things} now?"), None, chain.steps.join(", "), &chain.value)
}
