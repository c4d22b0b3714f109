//! A wish to stop: once means "at the next safe point", twice means now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

/// Shared between whoever hears signals and whoever runs stages; clones are the same wish.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    times: Arc<AtomicUsize>,
    signal: Arc<AtomicI32>,
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Nobody wants to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks to stop, or insists; `signal` is the number of the signal that said so.
    pub fn raise(&self, signal: i32) {
        self.signal.store(signal, Ordering::SeqCst);
        self.flag.store(true, Ordering::SeqCst);
        self.times.fetch_add(1, Ordering::SeqCst);
    }

    /// Did anybody ask?
    pub fn requested(&self) -> bool {
        self.times.load(Ordering::SeqCst) > 0
    }

    /// Did anybody ask twice?
    pub fn insisted(&self) -> bool {
        self.times.load(Ordering::SeqCst) > 1
    }

    /// The last signal.
    pub fn signal(&self) -> i32 {
        self.signal.load(Ordering::SeqCst)
    }

    /// True once somebody asked, for a stage that runs in this process.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}
