//! What was typed for the verbs that say where things come from and whether they are still what they were.

use std::path::PathBuf;

use clap::Args;

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
