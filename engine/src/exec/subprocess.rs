//! A stage as a process: its memory is really freed, a crash is an exit code, and it dies with whoever started it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::worker::WorkerEnd;
use super::{Executor, Job, StageEvent};
use crate::fs::{self, Appender};
use crate::stage::StageError;

/// How often a running stage looks for a wish to stop.
const BEAT: Duration = Duration::from_millis(20);
/// Lines of a stage's log that a failure shows.
const TAIL: usize = 12;

/// Runs each stage as `PROGRAM ARGS…`, which must call [`serve`](super::serve).
#[derive(Debug, Clone)]
pub struct Subprocess {
    /// Program to start: usually this one.
    pub program: PathBuf,
    /// Its arguments: usually `worker`.
    pub args: Vec<String>,
}

impl Executor for Subprocess {
    fn run(&self, job: &Job<'_>, events: &mut dyn FnMut(StageEvent)) -> Result<(), StageError> {
        let mut child = self.spawn(job)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(StageError::Failed("the worker has no pipes".into()));
        };
        let request = serde_json::to_string(job.request).expect("a request is plain data");
        // A worker that died already is explained by its exit code below.
        drop(writeln!(stdin, "{request}"));
        let mut last_step = 0;
        let mut end = None;
        let over = AtomicBool::new(false);
        let pid = child.id();
        let status = thread::scope(|scope| {
            scope.spawn(|| pass_on(job, &mut stdin, pid, &over));
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                match understand(line) {
                    Line::End(it) => end = Some(it),
                    Line::Event(event) => {
                        if let StageEvent::Progress { step, .. } | StageEvent::Resumed { step } = event {
                            last_step = step;
                        }
                        events(event);
                    }
                }
            }
            over.store(true, Ordering::SeqCst);
            wait(&mut child, job)
        });
        drop(stdin);
        let status = status.map_err(|error| StageError::while_doing("waiting for the worker", error))?;
        match end {
            Some(WorkerEnd::Done) if status.success() => Ok(()),
            Some(WorkerEnd::Interrupted { step }) => Err(StageError::Interrupted { step }),
            Some(WorkerEnd::Failed { message }) => Err(with_log(message, job)),
            _ if job.interrupt.insisted() => Err(StageError::Interrupted { step: last_step }),
            _ => Err(with_log(describe(status), job)),
        }
    }
}

impl Subprocess {
    fn spawn(&self, job: &Job<'_>) -> Result<Child, StageError> {
        let log = Appender::open(&job.log).map_err(|error| StageError::Failed(error.to_string()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.into_stdio());
        // A group of its own: Ctrl-C reaches the worker through us, in order, not from the terminal.
        command.process_group(0);
        if job.request.runtime.threads > 0 {
            command.env("RAYON_NUM_THREADS", job.request.runtime.threads.to_string());
        }
        command
            .spawn()
            .map_err(|error| StageError::while_doing(&format!("starting `{}`", self.program.display()), error))
    }
}

/// Tells the worker to stop when somebody asks, and kills it when they insist.
fn pass_on(job: &Job<'_>, stdin: &mut ChildStdin, pid: u32, over: &AtomicBool) {
    let mut told = false;
    while !over.load(Ordering::SeqCst) {
        if job.interrupt.insisted() {
            if let Some(pid) = Pid::from_raw(pid as i32) {
                // It may be gone already.
                let _ = kill_process_group(pid, Signal::KILL);
            }
            return;
        }
        if job.interrupt.requested() && !told {
            drop(writeln!(stdin, "stop").and_then(|()| stdin.flush()));
            told = true;
        }
        thread::sleep(BEAT);
    }
}

fn wait(child: &mut Child, job: &Job<'_>) -> std::io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if job.interrupt.insisted() {
            child.kill()?;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

enum Line {
    Event(StageEvent),
    End(WorkerEnd),
}

/// Lines that are no JSON of ours come from libraries that print: they belong in the log.
fn understand(line: String) -> Line {
    let value: Value = serde_json::from_str(&line).unwrap_or_default();
    let known = match &value {
        Value::Object(fields) if fields.contains_key("end") => serde_json::from_value(value).map(Line::End),
        _ => serde_json::from_value(value).map(Line::Event),
    };
    known.unwrap_or(Line::Event(StageEvent::Log { message: line }))
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) => "the worker was killed by signal 9; was there enough memory?".into(),
        (Some(signal), _) => format!("the worker was killed by signal {signal}"),
        (None, Some(101)) => "the worker panicked".into(),
        (None, code) => format!("the worker ended with code {} and no word why", code.unwrap_or_default()),
    }
}

fn with_log(message: String, job: &Job<'_>) -> StageError {
    match fs::tail(&job.log, TAIL) {
        tail if tail.is_empty() => StageError::Failed(message),
        tail => StageError::Failed(format!("{message}\nlast lines of {}:\n{tail}", job.log.display())),
    }
}
