//! Sums and products of several numbers, one step at a time.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::item::Item;

/// Largest number that a step may lead to.
const HIGHEST: i64 = 99;

/// Level 1: one step with digits; 2 and 3: two and three steps from a number up to 20; 4: two steps, the first a product;
/// 5: three, with numbers up to 20 after the product.
pub fn make(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let (steps, first, largest) = match level {
        1 => (1, 9, 9),
        2 => (2, 20, 9),
        3 => (3, 20, 9),
        4 => (2, 9, 9),
        _ => (3, 9, 20),
    };
    let first = rng.random_range(1..=first);
    let mut chain = Chain::new(first);
    for step in 0..steps {
        if step == 0 && level >= 4 {
            chain.times(rng.random_range(2..=9));
        } else {
            chain.random_step(largest, rng);
        }
    }
    Item::answer(format!("What is {}?", chain.expression), None, chain.steps.join(", "), &chain.value)
}

/// A calculation from left to right and its written-out steps: `3+4-2` is `3+4=7, 7-2=5`.
#[derive(Debug, Clone)]
pub struct Chain {
    /// What is calculated.
    pub expression: String,
    /// Each step with its result.
    pub steps: Vec<String>,
    /// The result so far.
    pub value: i64,
}

impl Chain {
    /// A number before any step.
    pub fn new(value: i64) -> Self {
        Self { expression: value.to_string(), steps: Vec::new(), value }
    }

    /// Adds a number.
    pub fn plus(&mut self, number: i64) {
        self.step('+', number, self.value + number);
    }

    /// Takes a number away.
    pub fn minus(&mut self, number: i64) {
        self.step('-', number, self.value - number);
    }

    /// Multiplies; right only as the first step, since expressions have no brackets.
    pub fn times(&mut self, number: i64) {
        self.step('*', number, self.value * number);
    }

    /// Adds or takes away a number up to `largest`, so that the result stays between 0 and 99.
    pub fn random_step(&mut self, largest: i64, rng: &mut ChaCha8Rng) {
        let number = rng.random_range(1..=largest);
        let may_subtract = number <= self.value;
        if self.value + number > HIGHEST || (may_subtract && rng.random_bool(0.5)) {
            self.minus(number.min(self.value));
        } else {
            self.plus(number);
        }
    }

    fn step(&mut self, sign: char, number: i64, result: i64) {
        self.steps.push(format!("{}{sign}{number}={result}", self.value));
        self.expression.push(sign);
        self.expression.push_str(&number.to_string());
        self.value = result;
    }
}
