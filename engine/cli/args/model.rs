//! What was typed for the verbs that ask or measure one model. Nothing of recipes.

use std::path::PathBuf;

use clap::Args;

/// How a model answers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sampling (default: the model's generation_config.json)")]
pub struct SamplingArgs {
    /// Always take the likeliest token.
    #[arg(long, conflicts_with_all = ["temperature", "top_p", "top_k"])]
    pub greedy: bool,
    /// Divide the scores by this, and sample.
    #[arg(long, value_name = "T", value_parser = positive)]
    pub temperature: Option<f64>,
    /// Sample from the fewest tokens that together have this probability.
    #[arg(long, value_name = "P", value_parser = share)]
    pub top_p: Option<f64>,
    /// Sample from that many best tokens; 0: from all.
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Make tokens that are there already less likely; 1 does not.
    #[arg(long, value_name = "R", value_parser = positive)]
    pub repetition_penalty: Option<f64>,
    /// Longest answer.
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// Seed of the draws.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// `auto`, `cpu`, `cuda`, `cuda:N`, or several GPUs: `cuda:0,1`, `cuda:all`.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Number format of weights and activations; `bf16` takes half the memory, and is slower on a CPU.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = PrecisionArg::F32)]
    pub precision: PrecisionArg,
    /// Threads on a CPU; 0: one per core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

/// The words of the kinds' `precision`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum PrecisionArg {
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0).ok_or("not a number above 0".into())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| (0.0..=1.0).contains(value)).ok_or("not a number from 0 to 1".into())
}

#[cfg(any(feature = "flex", feature = "cuda"))]
impl SamplingArgs {
    /// The model of a folder, to be asked as these say.
    pub fn open(
        &self,
        model: &std::path::Path,
    ) -> Result<curricle_stages::infer::Completer, curricle_stages::infer::InferError> {
        use curricle_stages::train::precision::Precision;
        let precision = match self.precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
        };
        curricle_stages::infer::Completer::open(model, &self.device, precision, self.threads)
    }

    /// In the library's words.
    pub fn wishes(&self) -> curricle_stages::infer::Wishes {
        curricle_stages::infer::Wishes {
            greedy: self.greedy,
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            repetition_penalty: self.repetition_penalty,
            max_new_tokens: self.max_new_tokens,
        }
    }
}

/// `curricle grade`
#[derive(Debug, Args)]
#[command(after_help = "\
A row is a line of JSON with `gold` and `pred`, each text or a number, and may have `choices`. Of a prediction with a \\boxed{…} \
the last box counts. Rows go to standard output with the verdict in `ok`, otherwise unchanged; a summary to standard error. \
Ends with 2 at the first line that is no such row; what came before it is written.")]
pub struct GradeArgs {
    /// The file, or `-` for standard input.
    #[arg(value_name = "FILE")]
    pub rows: PathBuf,
}

/// `curricle generate`
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// Folder of a model: a download, an export, or `model` in a stage's artifact.
    pub model: PathBuf,
    /// Rows to answer: a JSONL file of objects with `prompt`, and optionally `system` and `images` (paths from that file's
    /// folder). Each is printed with `text`, `token_ids` and `finish_reason` (`stop` or `length`) added.
    #[arg(long, value_name = "FILE")]
    pub rows: PathBuf,
    /// Rows that one thread answers together.
    #[arg(long, value_name = "N", default_value = "16")]
    pub batch: std::num::NonZeroUsize,
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

/// `curricle chat`
#[derive(Debug, Args)]
pub struct ChatArgs {
    /// Folder of a model: a download, an export, or `model` in a stage's artifact.
    pub model: PathBuf,
    /// Rules for the model, in place of its chat template's.
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

/// `curricle verify-model`
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 if everything that was compared is within its bound, 1 if something is not, 2 if nothing could be compared.
tests/golden/README.md describes the fixtures; tests/golden/generate.py makes some.")]
pub struct VerifyModelArgs {
    /// Folder of a checkpoint: `config.json`, safetensors in one file or shards, tokenizer.
    pub folder: PathBuf,
    /// Folder of what transformers made of that checkpoint: `golden.safetensors`, `golden.json`, pictures.
    #[arg(long, value_name = "FIXTURES")]
    pub against: PathBuf,
    /// Print one JSON document instead of a table.
    #[arg(long)]
    pub json: bool,
}
