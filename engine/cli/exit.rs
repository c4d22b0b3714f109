//! How a verb ends: with a documented exit code, or with something to say first.

use std::io;

use curricle_engine::diagnostic::Diagnostics;

/// Exit codes; stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for is done.
    Done = 0,
    /// A stage failed, or something else went wrong.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The recipe is invalid.
    Invalid = 3,
    /// There is work to do.
    Pending = 4,
    /// Nothing failed, and a gate is not met.
    Gate = 5,
    /// Cancelled, or some stages were skipped.
    Incomplete = 6,
    /// The store is damaged or somebody else holds a stage.
    Store = 7,
    /// The hub can't be reached, or does not do what it should.
    #[cfg(feature = "rows")]
    Unreachable = 8,
    /// Stopped from the keyboard.
    Interrupted = 130,
    /// Nobody reads what is printed any more.
    BrokenPipe = 141,
    /// Told to end.
    Terminated = 143,
}

/// Why a verb could not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The recipe is invalid.
    Recipe(Diagnostics),
    /// Something else, in one line.
    Message(Exit, String),
    /// Printing failed.
    Output(io::Error),
}

impl Failure {
    /// A failure with an exit code and a line.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Message(exit, message.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Recipe(diagnostics)
    }
}
