//! What was typed for `curricle data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{LayerArgs, StoreArgs};

/// `curricle data`
#[derive(Debug, Args)]
pub struct DataArgs {
    /// What to do with data.
    #[command(subcommand)]
    pub what: DataVerb,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with data.
#[derive(Debug, Subcommand)]
pub enum DataVerb {
    /// List the public data sets that are known here, or what a recipe takes from outside.
    Ls(DataLsArgs),
    /// Show a public data set, or an entry of a recipe: where it is, at which commit, what is known of it.
    Show(DataShowArgs),
    /// Fetch what recipes take from the hub, so that they run without a network.
    Pull(PullArgs),
    /// Print rows as stages get them: columns mapped, the split taken.
    Sample(SampleArgs),
    /// Count rows: how many, how long, with which images, of which tasks and levels.
    Stats(StatsArgs),
    /// Say through which stages of a run a row went, and what became of it at each.
    Trace(TraceArgs),
}

/// `curricle data ls`
#[derive(Debug, Args)]
pub struct DataLsArgs {
    /// The recipe's file; the public data sets if left out.
    pub recipe: Option<PathBuf>,
    #[command(flatten)]
    pub layers: LayerArgs,
}

/// `curricle data show`
#[derive(Debug, Args)]
pub struct DataShowArgs {
    /// A public data set's name, or the entry `data.NAME` or `models.NAME` of the recipe.
    pub name: String,
    /// Look into this recipe.
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    #[command(flatten)]
    pub layers: LayerArgs,
}

/// `curricle data pull`
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Recipes' files, or repositories: `hf:ORG/NAME[@REVISION]`.
    #[arg(required = true, value_name = "RECIPE|hf:ORG/NAME")]
    pub what: Vec<String>,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// The repositories named here are models, not data.
    #[arg(long)]
    pub model: bool,
    /// Of the repositories named here, fetch only this file, folder or pattern (`main/train-*.parquet`).
    #[arg(long, value_name = "PATTERN")]
    pub files: Option<String>,
    /// Ask the hub what branches mean now, whatever was known of them.
    #[arg(long)]
    pub update: bool,
}

/// Rows of a recipe.
#[derive(Debug, Args)]
pub struct RowsArgs {
    /// The recipe's file.
    pub recipe: PathBuf,
    /// Which rows: `data.NAME` or `data.NAME.SPLIT`.
    pub data: String,
    #[command(flatten)]
    pub layers: LayerArgs,
}

/// `curricle data sample`
#[derive(Debug, Args)]
pub struct SampleArgs {
    #[command(flatten)]
    pub rows: RowsArgs,
    /// How many rows.
    #[arg(short, default_value_t = 5, value_name = "N")]
    pub n: usize,
}

/// `curricle data stats`
#[derive(Debug, Args)]
pub struct StatsArgs {
    #[command(flatten)]
    pub rows: RowsArgs,
    /// Count tokens, too, with the tokenizer in the folder of this model.
    #[arg(long, value_name = "DIR")]
    pub tokenizer: Option<PathBuf>,
    /// Open at most so many images.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub images: usize,
}

/// `curricle data trace`
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The last stage to look at.
    pub stage: String,
    /// The row's id.
    #[arg(long, value_name = "ID")]
    pub row: String,
    /// Name or folder of a run, or a recipe's file; the latest run if left out.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    #[command(flatten)]
    pub store: StoreArgs,
}
