//! The table of kinds. A new kind is one file here, its `mod` line and its line in [`KINDS`].

pub mod balance;
pub mod cluster;
pub mod decontaminate;
pub mod dedupe;
pub mod difficulty;
pub mod embed;
pub mod evaluate;
pub mod export;
pub mod filter;
pub mod grpo;
pub mod init;
pub mod merge;
pub mod mix;
pub mod sft;
pub mod split;
pub mod synthesize;
pub mod topics;

use curricle_engine::stage::{AnyKind, Kind};

/// Every kind that a recipe may name, in the order of `curricle kinds`.
pub static KINDS: &[&dyn AnyKind] = &[
    &Kind::<init::Init>::NEW,
    &Kind::<synthesize::Synthesize>::NEW,
    &Kind::<filter::Filter>::NEW,
    &Kind::<dedupe::Dedupe>::NEW,
    &Kind::<decontaminate::Decontaminate>::NEW,
    &Kind::<difficulty::Difficulty>::NEW,
    &Kind::<embed::Embed>::NEW,
    &Kind::<cluster::Cluster>::NEW,
    &Kind::<topics::Topics>::NEW,
    &Kind::<mix::Mix>::NEW,
    &Kind::<balance::Balance>::NEW,
    &Kind::<split::Split>::NEW,
    &Kind::<sft::Sft>::NEW,
    &Kind::<grpo::Grpo>::NEW,
    &Kind::<evaluate::Evaluate>::NEW,
    &Kind::<merge::Merge>::NEW,
    &Kind::<export::Export>::NEW,
];
