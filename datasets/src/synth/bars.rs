//! Bar charts with labelled bars and a scale: describe them, read one, find the tallest, take a difference.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::canvas::{self, Canvas};
use super::item::{Item, Says, Scene};

/// Highest value of the scale.
const TOP: u8 = 9;
const LABELS: [char; 5] = ['A', 'B', 'C', 'D', 'E'];
const COLOURS: [canvas::Colour; 5] = [[220, 40, 40], [40, 80, 220], [30, 150, 60], [240, 170, 30], [140, 60, 180]];

/// Values of bars `A`, `B`, …, different from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bars {
    values: Vec<u8>,
}

impl Bars {
    /// Level 1: two bars; 2 and 3: three; 4: four; 5: five.
    fn random(level: u8, rng: &mut ChaCha8Rng) -> Self {
        let count = match level {
            1 => 2,
            2 | 3 => 3,
            4 => 4,
            _ => 5,
        };
        let mut values: Vec<u8> = (1..=TOP).collect();
        values.shuffle(rng);
        values.truncate(count);
        Self { values }
    }

    /// `A 3, B 7, C 5`.
    pub fn words(&self) -> String {
        let bar = |(label, value): (&char, &u8)| format!("{label} {value}");
        LABELS.iter().zip(&self.values).map(bar).collect::<Vec<_>>().join(", ")
    }

    /// Draws a scale from 0 to 9, its lines, the bars and their labels.
    pub fn draw(&self, canvas: &mut Canvas) {
        let scale = (canvas.size() / 84).max(1);
        let dot = scale as f64 / canvas.size() as f64;
        let (left, right) = (dot * 9.0, 1.0 - dot);
        let (top, bottom) = (dot * 5.0, 1.0 - dot * 11.0);
        // Lines lie on whole pixels, so that they are equally dark.
        let height = |value: u8| {
            let y = bottom - (bottom - top) * f64::from(value) / f64::from(TOP);
            (y * canvas.size() as f64).round() / canvas.size() as f64
        };
        let heights: Vec<f64> = (0..=TOP).map(height).collect();
        for (value, &y) in heights.iter().enumerate() {
            let labelled = value % 3 == 0;
            let colour = if labelled { [150; 3] } else { [225; 3] };
            canvas.rectangle([left, y, right, y + dot], colour);
            if labelled {
                canvas.label(&value.to_string(), [dot * 3.5, y + dot * 0.5], scale, canvas::BLACK);
            }
        }
        let step = (right - left) / self.values.len() as f64;
        let half = (step * 0.32).min(0.12);
        for (index, &value) in self.values.iter().enumerate() {
            let x = left + step * (index as f64 + 0.5);
            canvas.rectangle([x - half, heights[usize::from(value)], x + half, heights[0]], COLOURS[index]);
            canvas.label(&LABELS[index].to_string(), [x, 1.0 - dot * 4.5], scale, canvas::BLACK);
        }
        canvas.rectangle([left, top, left + dot, heights[0] + dot], canvas::BLACK);
        canvas.rectangle([left, heights[0], right, heights[0] + dot], canvas::BLACK);
    }
}

/// Describe the chart.
pub fn caption(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let bars = Bars::random(level, rng);
    Item { prompt: "Describe the chart.".into(), says: Says::Text(bars.words()), scene: Some(Scene::Bars(bars)) }
}

/// Read one bar; from level 3 on the sum of two.
pub fn value(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let bars = Bars::random(level, rng);
    let (a, b) = two(&bars, rng);
    let ((one, x), (other, y)) = (named(&bars, a), named(&bars, b));
    if level < 3 {
        let prompt = format!("What is the value of {one}?");
        return Item::answer(prompt, Some(Scene::Bars(bars)), format!("{one} is {x}"), &x);
    }
    let reasoning = format!("{one} is {x}, {other} is {y}, {x}+{y}={}", x + y);
    Item::answer(format!("What is {one} plus {other}?"), Some(Scene::Bars(bars)), reasoning, &(x + y))
}

/// Find the tallest or, from level 3 on, the shortest bar as often.
pub fn tallest(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let bars = Bars::random(level, rng);
    let shortest = level >= 3 && rng.random_bool(0.5);
    let places = 0..bars.values.len();
    let key = |&at: &usize| bars.values[at];
    let (found, word) =
        if shortest { (places.min_by_key(key), "shortest") } else { (places.max_by_key(key), "tallest") };
    let (label, value) = named(&bars, found.unwrap_or_default());
    let reasoning = format!("{}, {word} is {value}", bars.words());
    Item::answer(format!("Which bar is {word}?"), Some(Scene::Bars(bars)), reasoning, &label)
}

/// How much taller one bar is than another.
pub fn difference(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let bars = Bars::random(level, rng);
    let (a, b) = two(&bars, rng);
    let (high, low) = if bars.values[a] > bars.values[b] { (a, b) } else { (b, a) };
    let ((one, x), (other, y)) = (named(&bars, high), named(&bars, low));
    let reasoning = format!("{one} is {x}, {other} is {y}, {x}-{y}={}", x - y);
    Item::answer(format!("How much taller is {one} than {other}?"), Some(Scene::Bars(bars)), reasoning, &(x - y))
}

/// Two different bars.
fn two(bars: &Bars, rng: &mut ChaCha8Rng) -> (usize, usize) {
    let count = bars.values.len();
    let first = rng.random_range(0..count);
    (first, (first + rng.random_range(1..count)) % count)
}

fn named(bars: &Bars, at: usize) -> (char, u8) {
    (LABELS[at], bars.values[at])
}
