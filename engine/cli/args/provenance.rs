//! What was typed for the verbs that say where things come from and whether they are still what they were.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{LayerArgs, StoreArgs};

/// `curricle config`
#[derive(Debug, Args)]
#[command(after_help = "\
What is printed is a recipe again: beside the first one it does the same. Literal secrets are shown as asterisks.")]
pub struct ConfigArgs {
    /// The recipe's file.
    pub recipe: PathBuf,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Replace every `${…}` by what it names, and fill in what the stages' kinds take for granted.
    #[arg(long)]
    pub resolved: bool,
    /// Say behind each value which line, option or kind set it.
    #[arg(long)]
    pub origin: bool,
    /// Print one JSON document instead of TOML: values, and who set them.
    #[arg(long)]
    pub json: bool,
}

/// `curricle diff`
#[derive(Debug, Args)]
#[command(after_help = "\
Both sides are of one sort: recipes (their files), plans (files that `plan --json` wrote), runs (folders, or names below runs/), or keys
(a stage's folder in the store, its preimage.json, or the first digits of its key). `-f`, `--unset` and `--set` lie over the second
recipe; without a second one the first is compared with itself under them.")]
pub struct DiffArgs {
    /// What was.
    #[arg(value_name = "A")]
    pub old: String,
    /// What is.
    #[arg(value_name = "B")]
    pub new: Option<String>,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Lay a file over the first recipe; repeatable.
    #[arg(long, value_name = "OVERLAY")]
    pub old_file: Vec<PathBuf>,
    /// Set a value of the first recipe; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub old_set: Vec<String>,
    #[command(flatten)]
    pub store: StoreArgs,
    /// End with 4 if there is any difference.
    #[arg(long)]
    pub exit_code: bool,
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `curricle lock`
#[derive(Debug, Args)]
#[command(after_help = "\
Writes NAME.lock beside NAME.toml. Where there is one, says what is no longer as locked and ends with 4; `--update` accepts it.")]
pub struct LockArgs {
    /// The recipe's file.
    pub recipe: PathBuf,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Accept what has changed: of these entries (`data.mm`, `stages.mrl`) and the stages that depend on them, or of all.
    #[arg(long, value_name = "NAME", num_args = 0..)]
    pub update: Option<Vec<String>>,
    #[command(flatten)]
    pub store: StoreArgs,
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `curricle cache`
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: CacheVerb,
    #[command(flatten)]
    pub store: StoreArgs,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub enum CacheVerb {
    /// Every result: its stage, kind, key, size, age, and which recipes and runs use it.
    Ls {
        /// Recipes whose use is told, beside that of the runs.
        #[arg(value_name = "RECIPE")]
        recipes: Vec<PathBuf>,
    },
    /// Bytes by kind of stage.
    Du,
    /// Remove what no given recipe and no given run was made from; only shows it unless told `--delete`.
    #[command(after_help = "\
What is adopted, what a run works on or from, and what is named by `--keep` stays in any case. A result that goes is made again when a
recipe asks for it.")]
    Gc(GcArgs),
    /// Read every byte again and compare it with what was committed; ends with 7 if anything is damaged.
    Verify {
        /// Stages, folders or first digits of keys; every result if left out.
        #[arg(value_name = "STAGE|KEY")]
        names: Vec<String>,
    },
}

/// `curricle cache gc`
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Recipes whose results stay.
    #[arg(value_name = "RECIPE")]
    pub recipes: Vec<PathBuf>,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Runs whose results stay: names or folders; repeatable.
    #[arg(long = "run", value_name = "RUN")]
    pub runs: Vec<String>,
    /// The results of every run stay.
    #[arg(long)]
    pub all_runs: bool,
    /// Stages, folders or first digits of keys that stay; repeatable.
    #[arg(long, value_name = "STAGE|KEY")]
    pub keep: Vec<String>,
    /// Remove it.
    #[arg(long, conflicts_with = "dry_run")]
    pub delete: bool,
    /// Only show what would be removed: the default.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// `curricle verify`
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 7 if a result is not what was committed, with 1 if a rebuilt one is different, with 6 if a named stage has no result.")]
pub struct VerifyArgs {
    /// The recipe's file.
    pub recipe: PathBuf,
    /// The stage; every stage with a result if left out.
    pub stage: Option<String>,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Do the work again, beside the store, and compare: bit-equal, equal numbers, or different.
    #[arg(long)]
    pub rebuild: bool,
    #[command(flatten)]
    pub store: StoreArgs,
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `curricle adopt`
#[derive(Debug, Args)]
#[command(after_help = "\
The path is copied. A stage with several outputs takes a folder with one subfolder for each. The store, plans and reports say for ever
that the result was adopted; its key is the stage's, whatever the files really were made from.")]
pub struct AdoptArgs {
    /// What was made elsewhere: a folder such as a trained model, or a file of rows.
    pub path: PathBuf,
    /// The recipe's file.
    pub recipe: PathBuf,
    /// The stage that it becomes the result of.
    #[arg(long = "as", value_name = "STAGE")]
    pub stage: String,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Where it is from, in your words.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Replace a result that is there.
    #[arg(long)]
    pub replace: bool,
    #[command(flatten)]
    pub store: StoreArgs,
}
