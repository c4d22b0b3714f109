//! A case: everything that both sides must know to measure the same thing, and what comes back.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use curricle_datasets::{Encoded, ImagePatches};
use curricle_stages::model::ModelConfig;
use curricle_stages::model::config::{PATCH_VALUES, TextConfig, TokenIds, VisionConfig};
use serde::{Deserialize, Serialize};

/// Tokens below are special: 0 fills up, 1 and 2 surround an image, 3 stands for its patches, 5 ends.
const WORDS: usize = 16;

/// One measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    /// Part it belongs to.
    pub part: String,
    /// Its name in the table.
    pub name: String,
    /// Which of a script's peers: `torch` or `transformers`.
    pub peer: String,
    /// The model.
    pub size: Size,
    /// `cpu` or `cuda`.
    pub device: String,
    /// `f32` or `bf16`.
    pub dtype: String,
    /// Threads of either side.
    pub threads: usize,
    /// Calls before the first that counts.
    pub warm: usize,
    /// Calls that count.
    pub repeats: usize,
    /// Rows of a batch, or of a data set.
    pub rows: usize,
    /// Tokens of each row.
    pub length: usize,
    /// Patches per side of each row's image; 0: rows of text.
    pub patches: usize,
    /// Rows of a forward pass of ours.
    pub micro_batch: usize,
    /// Rows of a forward pass of TRL.
    pub peer_micro_batch: usize,
    /// Tokens of each prompt.
    pub prompts: Vec<usize>,
    /// Completions per prompt.
    pub group: usize,
    /// Tokens of each completion.
    pub new: usize,
    /// Weight of the KL term.
    pub kl: f64,
    /// Compute layers twice instead of keeping their operations.
    pub recompute: bool,
    /// `torch.compile` the peer.
    pub compile: bool,
    /// A model folder of the user's.
    pub model: Option<PathBuf>,
    /// A folder that both sides see, ours first.
    pub folder: PathBuf,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            part: String::new(),
            name: String::new(),
            peer: "transformers".into(),
            size: Size::QUICKSTART,
            device: "cpu".into(),
            dtype: "f32".into(),
            threads: thread::available_parallelism().map_or(1, usize::from),
            warm: 2,
            repeats: 7,
            rows: 0,
            length: 0,
            patches: 0,
            micro_batch: 0,
            peer_micro_batch: 0,
            prompts: Vec::new(),
            group: 1,
            new: 0,
            kl: 0.0,
            recompute: false,
            compile: false,
            model: None,
            folder: PathBuf::new(),
        }
    }
}

/// Dimensions of a model.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Size {
    pub vocabulary: usize,
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub inner: usize,
    /// The embedding is the head too.
    pub tied: bool,
    pub positions: usize,
    pub vision: Tower,
}

/// Dimensions of a vision tower, with windows of 112 pixels.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Tower {
    pub depth: usize,
    pub width: usize,
    pub inner: usize,
    pub heads: usize,
    /// Blocks that see the whole image.
    pub whole: [usize; 1],
}

/// A tower that is there because the architecture has one; rows of text never reach it.
const UNUSED: Tower = Tower { depth: 1, width: 32, inner: 32, heads: 2, whole: [0] };

impl Size {
    /// The model of `recipes/quickstart.toml`.
    pub const QUICKSTART: Self = Self {
        vocabulary: 512,
        width: 128,
        layers: 4,
        heads: 4,
        kv_heads: 2,
        inner: 384,
        tied: true,
        positions: 512,
        vision: Tower { depth: 2, width: 64, inner: 128, heads: 4, whole: [1] },
    };
    /// 3.67 million parameters.
    pub const DECODER: Self = Self {
        vocabulary: 512,
        width: 256,
        layers: 4,
        heads: 8,
        kv_heads: 8,
        inner: 768,
        tied: false,
        positions: 512,
        vision: UNUSED,
    };
    /// SmolLM2-135M with room for the architecture's own tokens.
    pub const SMOLLM2: Self = Self {
        vocabulary: 49_216,
        width: 576,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        inner: 1536,
        tied: true,
        positions: 2048,
        vision: UNUSED,
    };
    /// The text of Qwen2.5-0.5B.
    pub const HALF_BILLION: Self = Self {
        vocabulary: 151_936,
        width: 896,
        layers: 24,
        heads: 14,
        kv_heads: 2,
        inner: 4864,
        tied: true,
        positions: 8192,
        vision: UNUSED,
    };
    /// The text of Qwen2.5-VL-3B.
    pub const THREE_BILLION: Self = Self {
        vocabulary: 151_936,
        width: 2048,
        layers: 36,
        heads: 16,
        kv_heads: 2,
        inner: 11_008,
        tied: true,
        positions: 8192,
        vision: UNUSED,
    };

    /// As a stage reads it.
    pub fn config(&self) -> ModelConfig {
        let half = self.width / self.heads / 2;
        let side = 3 * half / 8;
        let config = ModelConfig {
            text: TextConfig {
                vocab_size: self.vocabulary,
                hidden_size: self.width,
                intermediate_size: self.inner,
                num_hidden_layers: self.layers,
                num_attention_heads: self.heads,
                num_key_value_heads: self.kv_heads,
                max_position_embeddings: self.positions,
                rms_norm_eps: 1e-6,
                rope_theta: 1e6,
                mrope_section: [half - 2 * side, side, side],
                max_window_layers: self.layers,
            },
            vision: VisionConfig {
                depth: self.vision.depth,
                hidden_size: self.vision.width,
                intermediate_size: self.vision.inner,
                num_heads: self.vision.heads,
                out_hidden_size: self.width,
                window_size: 112,
                fullatt_block_indexes: self.vision.whole.to_vec(),
                tokens_per_second: 2,
            },
            tokens: TokenIds {
                image: 3,
                video: 4,
                vision_start: 1,
                vision_end: 2,
                bos: None,
                eos: Some(5),
                pad: Some(0),
            },
            tie_word_embeddings: self.tied,
            initializer_range: 0.02,
        };
        assert_eq!(config.mistakes(), Vec::<String>::new());
        config
    }

    /// Floating-point operations that the model needs for a token of a training step over rows of `length`: six per weight
    /// of a matrix, and a causal attention's share of scores. What is computed twice to save memory does not count.
    pub fn operations(&self, length: usize) -> f64 {
        let head = self.width / self.heads;
        let attention = 2 * self.width * self.width + 2 * self.width * self.kv_heads * head;
        let weights = self.layers * (attention + 3 * self.width * self.inner) + self.vocabulary * self.width;
        6.0 * (weights + self.layers * self.width * length) as f64
    }
}

impl Case {
    /// Token number `number` of a case (`tokens` in peers/case.py).
    fn token(&self, number: usize) -> u32 {
        (WORDS + (number * 7919 + 13) % (self.size.vocabulary - WORDS)) as u32
    }

    /// The rows to learn from: of one length, every token a target, each with an image where the case has patches.
    pub fn examples(&self) -> Vec<Encoded> {
        (0..self.rows).map(|row| self.row(row, row * self.length, self.length, true)).collect()
    }

    /// The prompts to complete, all different.
    pub fn questions(&self) -> Vec<Encoded> {
        let prompt = |(row, length): (usize, &usize)| self.row(row, 1000 * row, *length, false);
        self.prompts.iter().enumerate().map(prompt).collect()
    }

    /// Tokens from number `first` on, the image's in place of those that it takes.
    fn row(&self, row: usize, first: usize, length: usize, target: bool) -> Encoded {
        let units = self.patches * self.patches / 4;
        let mut ids: Vec<u32> = (first..first + length).map(|number| self.token(number)).collect();
        let mut images = Vec::new();
        if units > 0 {
            ids[..units + 2].fill(3);
            (ids[0], ids[units + 1]) = (1, 2);
            let count = self.patches * self.patches * PATCH_VALUES;
            let value = |i: usize| (((row * count + i) * 37 % 255) as f32 - 127.0) / 100.0;
            let patches = (0..count).map(value).collect();
            images.push(Arc::new(ImagePatches { grid: [1, self.patches, self.patches], patches }));
        }
        Encoded { target: vec![target; ids.len()], ids, images }
    }

    /// Median seconds of a call.
    pub fn median(&self, mut work: impl FnMut()) -> f64 {
        self.median_of(|| (), |()| work())
    }

    /// As [`Self::median`], of calls that each need something made first.
    pub fn median_of<T, R>(&self, mut make: impl FnMut() -> T, mut work: impl FnMut(&T) -> R) -> f64 {
        let times = (0..self.warm + self.repeats).map(|_| {
            let made = make();
            seconds(|| drop(black_box(work(&made))))
        });
        median(times.skip(self.warm).collect())
    }

    /// What came out, with the peak of this process.
    pub fn answer(&self, figures: Vec<Figure>) -> Answer {
        let device_mib = if self.device == "cpu" { None } else { crate::machine::device_mib() };
        Answer { figures, who: "curricle".into(), peak_mib: crate::machine::peak_mib(), device_mib }
    }
}

/// Seconds that a call takes.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The middle one; the mean of the two middle ones of an even number.
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    let middle = of.len() / 2;
    if of.len().is_multiple_of(2) { f64::midpoint(of[middle - 1], of[middle]) } else { of[middle] }
}

/// One number of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    /// More is better for what is per second, and for shares (`%`); else less is.
    pub unit: String,
    /// What it may be at most, in a release build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
}

impl Figure {
    pub fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { name: name.into(), value, unit: unit.to_owned(), bound: None }
    }

    pub fn at_most(mut self, bound: f64) -> Self {
        self.bound = Some(bound);
        self
    }

    pub fn more_is_better(&self) -> bool {
        self.unit.ends_with("/s") || self.unit == "%"
    }
}

/// What a process says of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    pub figures: Vec<Figure>,
    /// Name and version.
    pub who: String,
    /// Largest resident size of the process; none where it is not what was measured.
    pub peak_mib: Option<u64>,
    /// Memory of the GPU in use at the end.
    #[serde(default)]
    pub device_mib: Option<u64>,
}
