//! The other end of [`Subprocess`](super::Subprocess): one stage per process, spoken to in lines of JSON.
//!
//! | line | direction | says |
//! | --- | --- | --- |
//! | [`StageRequest`] | in, first | what to run |
//! | `stop` | in | end at the next safe point |
//! | end of input | in | whoever asked is gone: end at once, commit nothing |
//! | [`StageEvent`] | out | progress |
//! | [`WorkerEnd`] | out, last | how it ended |
//!
//! Exit codes: 0 done, 1 failed, 6 interrupted.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde::{Deserialize, Serialize};

use super::executor::run_here;
use super::usage::leave_peak;
use crate::stage::{AnyKind, StageError, StageRequest};
use crate::store::WorkerGuard;

/// The last line of a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub(super) enum WorkerEnd {
    /// Every output is written.
    Done,
    /// Stopped where it can go on.
    Interrupted {
        /// Last finished step.
        step: usize,
    },
    /// Could not do its work.
    Failed {
        /// Why.
        message: String,
    },
}

/// Runs the one stage that the first line of `input` asks for; returns the exit code. `orphaned` is called, from another
/// thread, when `input` ends before the stage does; it must end the process.
pub fn serve(
    kinds: &[&dyn AnyKind],
    mut input: impl BufRead + Send + 'static,
    mut output: impl Write,
    orphaned: impl FnOnce() + Send + 'static,
) -> u8 {
    let mut line = String::new();
    let request = match input.read_line(&mut line) {
        Ok(_) => serde_json::from_str::<StageRequest>(&line).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let interrupt = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupt);
    thread::spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            if line == "stop" {
                flag.store(true, Ordering::SeqCst);
            }
        }
        orphaned();
    });
    // A failed write means that the reader is gone, which the thread above finds out for itself.
    let mut say = |line: String| drop(writeln!(output, "{line}").and_then(|()| output.flush()));
    let result = request.map_err(|error| StageError::while_doing("reading the request", error)).and_then(|request| {
        let _guard = WorkerGuard::take(&request.work_dir).map_err(|error| StageError::Failed(error.to_string()))?;
        run_here(kinds, &request, interrupt, &mut |event| say(to_line(&event)))?;
        leave_peak(&request.work_dir);
        Ok(())
    });
    let (end, code) = match result {
        Ok(()) => (WorkerEnd::Done, 0),
        Err(StageError::Interrupted { step }) => (WorkerEnd::Interrupted { step }, 6),
        Err(error) => (WorkerEnd::Failed { message: error.to_string() }, 1),
    };
    say(to_line(&end));
    code
}

fn to_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("events are plain data")
}
