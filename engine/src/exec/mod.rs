//! Plan → Ledger: runs what a plan says, several stages at once, each in a process of its own.
//!
//! 1. [`execute`] starts a stage as soon as everything before it is done, and asks the store for a claim.
//! 2. An [`Executor`] does the stage's work and reports [`StageEvent`]s.
//! 3. The claim commits; what happened goes out as [`RunEvent`]s, which the [`Ledger`] writes and the caller shows.
//!
//! This room never prints and never decides whether a stage has to run.

mod event;
mod executor;
mod history;
mod interrupt;
mod ledger;
mod preflight;
mod rebuild;
mod receipt;
mod run_event;
mod schedule;
mod subprocess;
#[cfg(test)]
mod tests;
mod usage;
mod worker;

pub use event::StageEvent;
pub use executor::{Executor, InProcess, Job, Recording};
pub use history::{HISTORY, History, HistoryAlert, HistoryStep};
pub use interrupt::Interrupt;
pub use ledger::Ledger;
pub use preflight::{Preflight, RunError, preflight};
pub use rebuild::{RebuildError, rebuild};
pub use receipt::{ArmReceipt, InputReceipt, MemoryReceipt, Outcome, Receipt, StageReceipt, Status};
pub use run_event::{Happening, RunEvent};
pub use schedule::{Run, execute};
pub use subprocess::Subprocess;
pub use worker::serve;
