//! curricle's engine: what to do, in which order, and whether to do it again.
//!
//! ```text
//! text ──parse──▶ Recipe ──check──▶ Graph ──plan──▶ Plan ──execute──▶ Ledger ──▶ report
//! ```

mod clock;
pub mod diagnostic;
pub mod diff;
pub mod estimate;
pub mod exec;
pub mod fs;
pub mod gate;
pub mod graph;
pub mod hub;
pub mod lock;
mod parallel;
pub mod plan;
pub mod recipe;
pub mod report;
pub mod rows;
pub mod stage;
pub mod store;
mod vary;

#[cfg(test)]
mod testing;
