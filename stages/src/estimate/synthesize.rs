//! What `synthesize` would cost, and what its rows are like.
//!
//! Lengths are means over 60 rows of each task and level, counted by [`rough_tokens`](curricle_engine::stage::rough_tokens);
//! so are bytes of rows and drawings.

use curricle_engine::stage::{Estimate, Extent, Facts, Length, Memory, Phase, rough_tokens};

use crate::kinds::synthesize::{Entry, Params, Task};

/// Bytes of a row, with the names of its fields.
const ROW: f64 = 190.0;
/// Bytes of a drawing, and more for each pixel.
const DRAWING: f64 = 600.0;
const PIXEL: f64 = 0.09;
/// Bytes of a worker that loads no back end.
const PROCESS: u64 = 30 << 20;
/// Tokens of `<think>`, `</think>` and `\boxed{}` around reasoning and answer, and of the last alone.
const THINKING: f64 = 5.0;
const BOXED: f64 = 3.0;

/// Tokens of prompt, reasoning and answer at the levels 1 and 5; what is between grows about evenly.
fn lengths(task: Task) -> [[f64; 3]; 2] {
    match task {
        Task::Arithmetic => [[6.5, 5.8, 1.5], [11.8, 24.1, 2.0]],
        Task::Compare => [[11.6, 5.1, 2.0], [18.4, 31.1, 1.6]],
        Task::Word => [[15.2, 5.8, 1.5], [23.0, 23.2, 2.1]],
        Task::Caption => [[4.3, 0.0, 21.0], [4.3, 0.0, 26.9]],
        Task::Count => [[5.4, 8.6, 1.1], [5.4, 8.6, 1.1]],
        Task::More => [[8.6, 22.7, 1.1], [8.6, 24.8, 1.1]],
        Task::Relate => [[9.2, 13.0, 2.2], [13.0, 19.4, 2.2]],
        Task::CaptionBars => [[4.3, 0.0, 5.4], [4.3, 0.0, 15.1]],
        Task::BarValue => [[7.6, 3.2, 1.1], [6.5, 14.6, 1.6]],
        Task::BarTallest => [[5.4, 9.7, 1.1], [5.4, 19.4, 1.1]],
        Task::BarDifference => [[8.6, 14.0, 1.1], [8.6, 14.0, 1.1]],
        Task::CaptionFigure => [[4.3, 0.0, 4.3], [4.3, 0.0, 7.5]],
        Task::Perimeter => [[5.4, 14.4, 2.1], [5.4, 17.7, 2.4]],
        Task::Area => [[5.4, 6.4, 2.1], [5.4, 15.0, 3.0]],
    }
}

/// As [`curricle_engine::stage::StageKind::estimate`].
pub fn estimate(params: &Params, _facts: &Facts<'_>) -> Estimate {
    let pixels = (params.image_size * params.image_size) as f64;
    let known = rows(params, pixels);
    let made = (params.train + params.test) as f64;
    let images = known.images.unwrap_or_default();
    let bytes = made * (ROW + images * (DRAWING + PIXEL * pixels));
    let memory = Memory { other: PROCESS + (made * ROW) as u64, ..Memory::default() };
    let estimate = Estimate {
        phases: vec![Phase { name: "drawing".to_owned(), memory }],
        output_bytes: Some(bytes as u64),
        checkpoint_bytes: Some(0),
        ..Estimate::default()
    };
    let of = |rows: usize| Extent { rows: Some(rows as f64), ..known.clone() };
    estimate.making("train", of(params.train)).making("test", of(params.test))
}

/// What rows are like, weighted as they are asked.
fn rows(params: &Params, pixels: f64) -> Extent {
    let all: f64 = params.asked().map(|(_, _, entry)| entry.weight).sum();
    let (mut prompt, mut answer, mut images) = (Length::default(), Length::default(), 0.0);
    for (_, task, entry) in params.asked() {
        let (asked, told) = of_task(task, entry);
        let share = entry.weight / all;
        for (sum, one) in [(&mut prompt, asked), (&mut answer, told)] {
            sum.mean += share * one.mean;
            // The longest of all tasks; half of the rows are as long as the average.
            sum.marks = std::array::from_fn(|at| if at == 0 { sum.mean } else { sum.marks[at].max(one.marks[at]) });
        }
        images += share * f64::from(u8::from(task.has_images()));
    }
    Extent {
        prompt: Some(prompt),
        answer: Some(answer),
        images: Some(images),
        pixels: Some(pixels),
        ..Extent::default()
    }
}

/// Prompt and answer of one task; the longest rows are taken to be half as long again as the mean of the hardest level.
fn of_task(task: Task, entry: &Entry) -> (Length, Length) {
    let [easy, hard] = lengths(task);
    let at = |level: u8| -> [f64; 3] {
        let share = f64::from(level.saturating_sub(1)) / 4.0;
        std::array::from_fn(|index| easy[index] + share * (hard[index] - easy[index]))
    };
    let told = |[_, reasoning, answer]: [f64; 3]| {
        if !task.has_answers() {
            return answer;
        }
        answer + BOXED + entry.reasoning * (reasoning + THINKING - BOXED)
    };
    let instruction = entry.instruction.as_deref().map_or(0.0, rough_tokens);
    let mean = |of: &dyn Fn([f64; 3]) -> f64| {
        entry.levels.iter().map(|level| of(at(*level))).sum::<f64>() / entry.levels.len().max(1) as f64
    };
    let hardest = at(entry.levels.iter().copied().max().unwrap_or(1));
    let asked = |lengths: [f64; 3]| lengths[0] + instruction;
    let length = |of: &dyn Fn([f64; 3]) -> f64| Length {
        mean: mean(of),
        marks: [1.0, 1.2, 1.4, 1.5, 1.5].map(|times| times * of(hardest)),
    };
    (length(&asked), length(&told))
}
