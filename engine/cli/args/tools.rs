//! What was typed for the verbs that need no recipe: kinds, completions, templates.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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

/// `curricle fmt`
#[derive(Debug, Args)]
pub struct FmtArgs {
    /// The recipes' files, or `-` for standard input to standard output.
    #[arg(required = true, value_name = "RECIPE")]
    pub recipes: Vec<PathBuf>,
    /// Change nothing: print the files that would change, and end with 4 if there are any.
    #[arg(long)]
    pub check: bool,
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
