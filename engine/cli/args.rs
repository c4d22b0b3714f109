//! What was typed. Every flag of every verb, and nothing of what they mean.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use curricle_engine::recipe::Overrides;

/// Declarative staged training recipes: check, plan, train, reuse, report.
#[derive(Debug, Parser)]
#[command(name = "curricle", version, max_term_width = 120, after_help = EXIT_CODES)]
pub struct Cli {
    /// When to use colours; `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb` are honoured by `auto`.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN", help_heading = "Output")]
    pub color: When,
    /// Say only what is wrong.
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
    /// Say more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet", help_heading = "Output")]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 done             1 a stage failed     2 usage              3 recipe invalid
  4 work pending     5 gate not met       6 incomplete         7 store or lease trouble
  8 executor unreachable                  130/143 stopped by a signal";

/// When to do something that suits terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Find every mistake of a recipe before anything runs.
    #[command(visible_alias = "validate")]
    Check(CheckArgs),
    /// Show what `run` would do, and why.
    Plan(PlanArgs),
    /// Train what is not there yet, and report.
    Run(RunArgs),
    /// Draw a recipe's stages.
    Graph(GraphArgs),
    /// Show what a stage's key is made of, and why it runs or is reused.
    #[command(visible_alias = "why")]
    Explain(ExplainArgs),
    /// Report on a run.
    Report(ReportArgs),
    /// Let a model answer the rows of a file.
    Generate(GenerateArgs),
    /// Talk to a model.
    Chat(ChatArgs),
    /// Say of each row of a file whether its prediction is the gold answer.
    Grade(GradeArgs),
    /// Measure how far this program's model is from transformers', on a checkpoint and what transformers made of it.
    VerifyModel(VerifyModelArgs),
    /// List the kinds of stages, or describe one.
    Kinds(KindsArgs),
    /// Print the JSON Schema of recipes.
    Schema,
    /// Print a shell's completion script.
    Completions(CompletionsArgs),
    /// Start a recipe from a template.
    Init(InitArgs),
    /// Run one stage in this process: reads its request from standard input, writes events to standard output.
    #[command(hide = true)]
    Worker,
}

/// What is laid over a recipe's file.
#[derive(Debug, Clone, Default, Args)]
pub struct LayerArgs {
    /// Lay another file over the recipe; repeatable, later ones win.
    #[arg(short = 'f', long = "file", value_name = "OVERLAY")]
    pub overlays: Vec<PathBuf>,
    /// Set a value: `stages.mrl.params.lr=2e-6`; the value is TOML, a bare word is a string.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Remove a value before `--set`.
    #[arg(long, value_name = "KEY")]
    pub unset: Vec<String>,
}

impl LayerArgs {
    /// In the engine's words.
    pub fn overrides(&self) -> Overrides {
        Overrides { overlays: self.overlays.clone(), set: self.set.clone(), unset: self.unset.clone() }
    }
}

/// A recipe and what is laid over it.
#[derive(Debug, Clone, Args)]
pub struct RecipeArgs {
    /// The recipe's file.
    pub recipe: PathBuf,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Treat what can't be verified (absent models and data) as errors.
    #[arg(long)]
    pub strict: bool,
}

/// `curricle check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The recipes' files.
    #[arg(required = true, value_name = "RECIPE")]
    pub recipes: Vec<PathBuf>,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Treat what can't be verified (absent models and data) as errors.
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Which stages take part.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectArgs {
    /// These stages and no other; repeatable. What they need must be in the store.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// These stages and all that follow.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub from: Vec<String>,
    /// These stages and all that they need.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub until: Vec<String>,
    /// With `--only`: and all that follow.
    #[arg(long, requires = "only")]
    pub downstream: bool,
    /// Run again although the store has it: these stages, or every selected one.
    #[arg(long, value_name = "STAGE", num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    pub force: Vec<String>,
}

/// Where results are kept.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// Folder of results and runs.
    #[arg(long, value_name = "DIR", default_value = ".curricle", env = "CURRICLE_STORE")]
    pub store: PathBuf,
}

/// `curricle plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    /// End with 4 if there is anything to run.
    #[arg(long)]
    pub exit_code: bool,
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

/// How a running recipe shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Bars on a terminal, plain lines elsewhere.
    Auto,
    /// Bars.
    Bar,
    /// Plain lines.
    Plain,
    /// Nothing.
    None,
}

/// `curricle run`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RunArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    /// Stages to run at the same time; over `[runtime] jobs`.
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// After a failure, go on with what does not need the failed stage.
    #[arg(short, long)]
    pub keep_going: bool,
    /// Only show the plan.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// With `--dry-run`: end with 4 if there is anything to run.
    #[arg(long, requires = "dry_run")]
    pub exit_code: bool,
    /// Write events to standard output or a file: `ndjson` or `ndjson:FILE`.
    #[arg(long, value_name = "FORMAT[:FILE]")]
    pub events: Option<String>,
    /// How to show progress.
    #[arg(long, value_enum, default_value_t = Progress::Auto, value_name = "HOW")]
    pub progress: Progress,
    /// Show the training dashboard instead of bars.
    #[arg(long)]
    pub tui: bool,
    /// Print the receipt as one JSON document instead of a report.
    #[arg(long)]
    pub json: bool,
}

/// A language for graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// For people.
    Text,
}

/// `curricle graph`
#[derive(Debug, Args)]
pub struct GraphArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Language of the drawing.
    #[arg(long, value_enum, default_value_t = GraphFormat::Text, value_name = "FORMAT")]
    pub format: GraphFormat,
}

/// `curricle explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// The stage; every stage if left out.
    pub stage: Option<String>,
    #[command(flatten)]
    pub store: StoreArgs,
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

/// A language for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For terminals.
    Text,
    /// Markdown.
    Md,
    /// JSON.
    Json,
}

/// `curricle report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Name or folder of a run, or a recipe's file; the latest run if left out.
    pub run: Option<String>,
    #[command(flatten)]
    pub store: StoreArgs,
    /// Language of the report.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text, value_name = "FORMAT")]
    pub format: ReportFormat,
    /// The same as `--format json`.
    #[arg(long)]
    pub json: bool,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

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
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Threads on a CPU; 0: one per core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0).ok_or("not a number above 0".into())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| (0.0..=1.0).contains(value)).ok_or("not a number from 0 to 1".into())
}

#[cfg(any(feature = "flex", feature = "cuda"))]
impl SamplingArgs {
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

/// `curricle kinds`
#[derive(Debug, Args)]
pub struct KindsArgs {
    /// What to show; the list if left out.
    #[command(subcommand)]
    pub what: Option<KindsVerb>,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to show of the kinds.
#[derive(Debug, Subcommand)]
pub enum KindsVerb {
    /// Every kind in a line.
    List,
    /// One kind: its ports and parameters.
    Show {
        /// The word after `kind =`.
        name: String,
    },
}

/// `curricle completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// `curricle init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder to write to; made if it is not there.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// What to start from.
    #[arg(long, value_enum, default_value_t = Template::Quickstart, value_name = "NAME")]
    pub template: Template,
}

/// Something to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A whole curriculum on drawn images and made-up text, in minutes, without downloads.
    Quickstart,
    /// The three stages of ReVisual-R1 with its published numbers.
    #[value(name = "revisual-r1")]
    RevisualR1,
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
