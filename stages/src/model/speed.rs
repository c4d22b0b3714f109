//! How fast the quickstart's model is: `cargo test --release -p curricle-stages speed -- --ignored --nocapture`.
//!
//! One thread, as each lane of a training step has. Measures, asserts nothing; therefore ignored.

#![expect(clippy::print_stderr, reason = "the measurement is the result")]

use std::time::Instant;

use burn::module::{Module, ParamGroup};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use curricle_datasets::Encoded;

use super::config::{ModelConfig, TextConfig, VisionConfig};
use super::{Batch, Padding, Qwen2_5Vl, Sampling, fixture, generate};

const ROWS: usize = 16;
const REPEATS: usize = 5;

fn config() -> ModelConfig {
    ModelConfig {
        text: TextConfig {
            vocab_size: 600,
            hidden_size: 128,
            intermediate_size: 384,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            max_position_embeddings: 512,
            mrope_section: [4, 6, 6],
            ..fixture::config().text
        },
        vision: VisionConfig {
            hidden_size: 64,
            intermediate_size: 160,
            num_heads: 4,
            out_hidden_size: 128,
            window_size: 112,
            ..fixture::config().vision
        },
        initializer_range: 0.02,
        ..fixture::config()
    }
}

fn row(words: usize, image: bool) -> Encoded {
    let text = (0..words).map(|i| 10 + (i * 37 % 500) as u32);
    let ids: Vec<u32> =
        if image { [1].into_iter().chain([3; 9]).chain([2]).chain(text).collect() } else { text.collect() };
    let images = if image { vec![std::sync::Arc::new(fixture::picture([1, 6, 6], 1))] } else { vec![] };
    Encoded { target: vec![true; ids.len()], ids, images }
}

fn timed(name: &str, tokens: usize, mut work: impl FnMut()) {
    work();
    let start = Instant::now();
    for _ in 0..REPEATS {
        work();
    }
    let seconds = start.elapsed().as_secs_f64() / REPEATS as f64;
    eprintln!("{name}: {:.1} ms, {:.0} tokens/s", seconds * 1e3, tokens as f64 / seconds);
}

fn step(model: &Qwen2_5Vl, batch: &Batch) -> Tensor<1> {
    let h_btd = model.hidden(batch);
    let [b, t, d] = h_btd.dims();
    let logits = model.logits_of(h_btd.narrow(1, 0, t - 1).reshape([b * (t - 1), d]));
    let ids: Vec<i32> = batch.ids.chunks_exact(t).flat_map(|row| &row[1..]).map(|&id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [b * (t - 1), 1]), &fixture::device());
    log_softmax(logits, 1).gather(1, ids).mean().neg()
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let (config, device) = (config(), fixture::device());
    let plain = config.init(1, &device);
    eprintln!("{} parameters", plain.num_params());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        for image in [false, true] {
            let rows: Vec<Encoded> = (0..ROWS).map(|i| row(60 + i, image)).collect();
            let rows: Vec<&Encoded> = rows.iter().collect();
            let tokens = rows.iter().map(|row| row.ids.len()).sum::<usize>();
            let model = plain.clone().train();
            let batch = Batch::new(&rows, Padding::Right, 0, &config, &device);
            timed(&format!("batch, image {image}"), tokens, || {
                let _ = Batch::new(&rows, Padding::Right, 0, &config, &device);
            });
            timed(&format!("forward, image {image}"), tokens, || {
                let _ = step(&plain, &batch).into_scalar::<f32>();
            });
            timed(&format!("forward + backward, image {image}"), tokens, || {
                let _ = step(&model, &batch).backward();
            });
        }
        let frozen = plain.clone().train().set_require_grad_group(ParamGroup::from_predicate("visual"), false);
        let rows: Vec<Encoded> = (0..ROWS).map(|i| row(60 + i, true)).collect();
        let batch = Batch::new(&rows.iter().collect::<Vec<_>>(), Padding::Right, 0, &config, &device);
        timed("forward + backward, frozen vision", batch.real.iter().filter(|r| **r).count(), || {
            let _ = step(&frozen, &batch).backward();
        });
        let prompts: Vec<Encoded> = (0..20).map(|i| row(40 + i, i % 2 == 0)).collect();
        let prompts: Vec<&Encoded> = (0..160).map(|i| &prompts[i / 8]).collect();
        let seeds: Vec<u64> = (0..160).collect();
        for tokens in [1, 40] {
            let rules = Sampling { temperature: 1.0, ..Sampling::greedy(tokens, vec![]) };
            timed(&format!("160 rows × {tokens} tokens"), 160 * tokens, || {
                let _ = generate(&plain, &config, &prompts, &rules, &seeds, &device);
            });
        }
    });
}
