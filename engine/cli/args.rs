//! What was typed. Every flag of every verb, and nothing of what they mean.

pub mod data;
mod model;
mod provenance;
mod tools;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use curricle_engine::recipe::Overrides;

pub use model::{ChatArgs, GenerateArgs, GradeArgs, VerifyModelArgs};
pub use provenance::{AdoptArgs, CacheArgs, CacheVerb, ConfigArgs, DiffArgs, GcArgs, LockArgs, VerifyArgs};
pub use tools::{CompletionsArgs, FmtArgs, InitArgs, KindsArgs, KindsVerb, Template};

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
  8 hub or executor unreachable           130/143 stopped by a signal";

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
    /// Say what `run` would cost: memory, operations, disk, and time as far as earlier runs tell.
    Estimate(EstimateArgs),
    /// Train what is not there yet, and report.
    Run(RunArgs),
    /// Draw a recipe's stages.
    Graph(GraphArgs),
    /// Show what a stage's key is made of, and why it runs or is reused.
    #[command(visible_alias = "why")]
    Explain(ExplainArgs),
    /// Show a recipe in one piece, and who set each value.
    Config(ConfigArgs),
    /// List, print and count what recipes take from outside.
    Data(data::DataArgs),
    /// Show every field in which two recipes, plans, runs or keys differ.
    Diff(DiffArgs),
    /// Write down what a recipe is made of, beside it, so that `--locked` can hold runs to it.
    Lock(LockArgs),
    /// List the store, measure it, tidy it, or read every byte of it again.
    Cache(CacheArgs),
    /// Read a stage's result again, or make it again, and compare.
    Verify(VerifyArgs),
    /// Take what was made elsewhere as the result of a stage.
    Adopt(AdoptArgs),
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
    /// Write recipes as the shipped ones are written: comments, order and values stay.
    Fmt(FmtArgs),
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
    #[command(flatten)]
    pub tiny: TinyArgs,
}

/// Which size of a recipe.
#[derive(Debug, Clone, Default, Args)]
pub struct TinyArgs {
    /// Take the recipe's tiny sibling: every stage and every arm with one seed, a few steps each, models with random weights
    /// and made-up rows in place of all from outside. It shows that the recipe executes; results go to `tiny/` in the store.
    #[arg(long)]
    pub tiny: bool,
}

/// A language for what `check` finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people, on standard error.
    Human,
    /// One JSON document.
    Json,
    /// GitHub's annotations: beside the lines of a pull request.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// XML as test runners write it.
    Junit,
}

/// `curricle check`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct CheckArgs {
    /// The recipes' files.
    #[arg(required = true, value_name = "RECIPE")]
    pub recipes: Vec<PathBuf>,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Treat what can't be verified (absent models and data) as errors.
    #[arg(long)]
    pub strict: bool,
    /// Check every scale of a recipe, not only the chosen one.
    #[arg(long)]
    pub every_scale: bool,
    #[command(flatten)]
    pub tiny: TinyArgs,
    /// Refuse to go on, with 4, where something is no longer as the recipe's lock says.
    #[arg(long, conflicts_with = "tiny")]
    pub locked: bool,
    #[command(flatten)]
    pub store: StoreArgs,
    /// Look into the rows that are there: none that is measured on may also be learned from.
    #[arg(long, conflicts_with = "tiny")]
    pub leaks: bool,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = CheckFormat::Human, value_name = "FORMAT", conflicts_with = "json")]
    pub format: CheckFormat,
    /// The same as `--format json`.
    #[arg(long)]
    pub json: bool,
}

/// Which stages take part.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectArgs {
    /// These arms of a recipe with variation, and no other; repeatable. `base` is the recipe as written; an ablation's name
    /// stands for all its arms, a name without `#SEED` for every seed.
    #[arg(long, value_name = "ARM", value_delimiter = ',')]
    pub arm: Vec<String>,
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
    /// Judge gates and hold nothing back for them.
    #[arg(long)]
    pub ignore_gates: bool,
}

/// Where results are kept.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// Folder of results and runs.
    #[arg(long, value_name = "DIR", default_value = ".curricle", env = "CURRICLE_STORE", global = true)]
    pub store: PathBuf,
}

impl StoreArgs {
    /// The folder, or the one in it that tiny runs have for themselves: what they leave is the history of no other run.
    pub fn folder(&self, tiny: &TinyArgs) -> PathBuf {
        if tiny.tiny { self.store.join("tiny") } else { self.store.clone() }
    }
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
    /// Refuse to go on, with 4, where something is no longer as the recipe's lock says.
    #[arg(long, conflicts_with = "tiny")]
    pub locked: bool,
    /// Instead of the plan, show what the recipe runs again compared with itself at a revision in git, as a markdown table.
    #[arg(long, value_name = "REV", conflicts_with = "tiny")]
    pub diff: Option<String>,
    /// End with 4 if there is anything to run; with `--diff`, if anything runs again.
    #[arg(long)]
    pub exit_code: bool,
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `curricle estimate`
#[derive(Debug, Args)]
pub struct EstimateArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub store: StoreArgs,
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
    /// Refuse to go on, with 4, where something is no longer as the recipe's lock says.
    #[arg(long, conflicts_with = "tiny")]
    pub locked: bool,
    /// Stages to run at the same time; over `[runtime] jobs`.
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// After a failure, go on with what does not need the failed stage.
    #[arg(short, long)]
    pub keep_going: bool,
    /// Only show the plan.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Start although estimates say that memory or disk are too small. (`--force` runs stages again.)
    #[arg(long)]
    pub force_fit: bool,
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
    /// One HTML file with drawings.
    Html,
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
    /// Write `report.html` into the run's folder, or to `--output`, and print where it is.
    #[arg(long, conflicts_with_all = ["json", "format"])]
    pub html: bool,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
