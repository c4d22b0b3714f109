//! Plan → Ledger.

mod event;

pub use event::StageEvent;
