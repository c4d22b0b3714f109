//! A program of the user judges: completions go to it as lines of JSON, and a number per line comes back.
//!
//! ```text
//! {"prompt": "…", "completion": "…", "answer": "…", "choices": ["…"], "tokens": 57}   →   0.5
//! ```
//!
//! The program is connected as the stage's input `program`, so its bytes are part of the stage's identity as those of any
//! input are, and its path is not. It is started once per step. It should say the same for the same lines: what else it
//! reads is not part of the identity. Refuses to know languages; an interpreter is named in the recipe.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answered, Asked, Problem};

/// Most bytes that are read of an answer, per completion: a number, and room for mistakes to be shown.
const MOST_BYTES: usize = 1024;
/// Characters of the program's last words in an error.
const LAST_WORDS: usize = 600;

/// Settings of the reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Weight in the sum.
    pub weight: f64,
    /// What to start the program with, for example `["python3"]`; left out, the file itself is started.
    #[serde(default)]
    pub interpreter: Vec<String>,
    /// Arguments after the program.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Seconds that the program may take for the completions of one step.
    #[serde(default = "a_minute")]
    pub timeout: f64,
    /// Does it say whether an answer is right, so that it decides which groups are informative?
    #[serde(default)]
    pub decides: bool,
}

fn a_minute() -> f64 {
    60.0
}

impl Command {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(self.timeout > 0.0 && self.timeout <= 86_400.0) {
            let message = format!("`{}` is no time that a program can take", self.timeout);
            problems.push(("timeout".into(), message, "seconds above 0, at most a day"));
        }
        problems
    }
}

/// A program that could not be asked, or did not answer as it should.
#[derive(Debug, thiserror::Error)]
#[error("the reward program `{}` {kind}", program.display())]
pub struct RewardError {
    /// The program.
    pub program: PathBuf,
    /// What went wrong.
    pub kind: RewardErrorKind,
}

/// What went wrong with a program.
#[derive(Debug, thiserror::Error)]
pub enum RewardErrorKind {
    /// No input is connected.
    #[error("is not there: connect its file as the stage's input `program`")]
    Absent,
    /// It is a folder.
    #[error("is a folder: connect the program's file")]
    Folder,
    /// It could not be started.
    #[error("does not start: {0}; make it executable, or name what runs it in `reward.command.interpreter`")]
    Start(std::io::Error),
    /// It took too long.
    #[error("did not answer within {seconds} s for {completions} completions; raise `reward.command.timeout`")]
    Slow {
        /// The limit.
        seconds: f64,
        /// What it was asked about.
        completions: usize,
    },
    /// It ended badly.
    #[error("ended with {status}{last_words}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it said on standard error.
        last_words: String,
    },
    /// It wrote too few or too many lines.
    #[error("wrote {found} numbers for {expected} completions; it must write one line for each, in their order")]
    Count {
        /// Lines that are not empty.
        found: usize,
        /// Completions.
        expected: usize,
    },
    /// A line holds something else.
    #[error("wrote `{line}` for completion {place} of {completions}, which is no finite number")]
    NoNumber {
        /// The line.
        line: String,
        /// Its place, from 1.
        place: usize,
        /// Completions.
        completions: usize,
    },
}

/// What the program says of each completion.
pub(super) fn score(asked: &Asked<'_>) -> Result<Vec<f32>, RewardError> {
    let Some(settings) = &asked.rewards.command else { return Ok(vec![0.0; asked.answered.len()]) };
    let program = asked.program.unwrap_or(Path::new("program"));
    let failed = |kind| RewardError { program: program.to_owned(), kind };
    if asked.program.is_none() {
        return Err(failed(RewardErrorKind::Absent));
    }
    if program.is_dir() {
        return Err(failed(RewardErrorKind::Folder));
    }
    ask(settings, program, asked.answered).map_err(failed)
}

fn ask(settings: &Command, program: &Path, answered: &[Answered<'_>]) -> Result<Vec<f32>, RewardErrorKind> {
    let mut child = start(settings, program).map_err(RewardErrorKind::Start)?;
    let questions: String = answered.iter().map(question).collect();
    let input = child.stdin.take();
    // A program that ends before it has read everything is explained by what it wrote and how it ended.
    thread::spawn(move || input.map(|mut input| input.write_all(questions.as_bytes())));
    let most = MOST_BYTES * (answered.len() + 1);
    let (output, errors) = (listen(child.stdout.take(), most), listen(child.stderr.take(), most));
    let limit = Instant::now() + Duration::from_secs_f64(settings.timeout);
    let slow = || RewardErrorKind::Slow { seconds: settings.timeout, completions: answered.len() };
    let output = output.recv_timeout(limit.saturating_duration_since(Instant::now()));
    if let Ok(output) = &output
        && output.len() >= most
    {
        // More than any number of numbers: say what it is, rather than that it was cut off.
        wait(&mut child, Instant::now());
        return numbers(output, answered.len());
    }
    let status = wait(&mut child, limit);
    let (Ok(output), Some(status)) = (output, status) else { return Err(slow()) };
    if !status.success() {
        // Whoever holds the other end after the program is gone is not waited for.
        let said = errors.recv_timeout(Duration::from_millis(200)).unwrap_or_default();
        return Err(RewardErrorKind::Ended { status, last_words: last_words(&said) });
    }
    numbers(&output, answered.len())
}

fn start(settings: &Command, program: &Path) -> std::io::Result<Child> {
    // A bare name would be looked for in `PATH`.
    let program = std::path::absolute(program)?;
    let mut words = settings.interpreter.iter();
    let mut command = match words.next() {
        Some(first) => {
            let mut command = std::process::Command::new(first);
            command.args(words).arg(program);
            command
        }
        None => std::process::Command::new(program),
    };
    command.args(&settings.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

fn question(answered: &Answered<'_>) -> String {
    let Answered { prompt, text, tokens, answer, choices } = *answered;
    let line = json!({ "prompt": prompt, "completion": text, "answer": answer, "choices": choices, "tokens": tokens });
    format!("{line}\n")
}

/// Reads to the end in a thread of its own, so that no pipe fills up, and a time limit holds.
fn listen(stream: Option<impl Read + Send + 'static>, most: usize) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // What could be read before an error is what there is.
            let _ = stream.take(most as u64).read_to_end(&mut bytes);
        }
        send.send(String::from_utf8_lossy(&bytes).into_owned())
    });
    receive
}

/// How the program ended; kills it at the limit.
fn wait(child: &mut Child, limit: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < limit => thread::sleep(Duration::from_millis(2)),
            _ => {
                // It may be gone already.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

fn last_words(said: &str) -> String {
    let said = said.trim();
    let from = said.char_indices().rev().nth(LAST_WORDS).map_or(0, |(at, _)| at);
    if said.is_empty() { String::new() } else { format!("; it said:\n{}", &said[from..]) }
}

fn numbers(output: &str, completions: usize) -> Result<Vec<f32>, RewardErrorKind> {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let read = |(i, line): (usize, &&str)| match line.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => {
            let line = line.chars().take(80).collect();
            Err(RewardErrorKind::NoNumber { line, place: i + 1, completions })
        }
    };
    let values = lines.iter().take(completions).enumerate().map(read).collect::<Result<Vec<f32>, _>>()?;
    if lines.len() != completions {
        return Err(RewardErrorKind::Count { found: lines.len(), expected: completions });
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::super::Rewards;
    use super::*;

    /// Runs a shell script as the program, on `count` completions.
    fn run(script: &str, count: usize, timeout: f64) -> Result<Vec<f32>, String> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("judge.sh");
        curricle_engine::fs::write(&program, script).unwrap();
        let command = Command {
            weight: 1.0,
            interpreter: vec!["sh".into()],
            arguments: vec!["0.25".into()],
            timeout,
            decides: false,
        };
        let rewards = Rewards { command: Some(command), ..Rewards::default() };
        let texts: Vec<String> = (0..count).map(|i| format!("line\n{i} {}", "x".repeat(2000))).collect();
        let answered: Vec<_> = texts.iter().map(|text| Answered { text, answer: "4", ..Answered::default() }).collect();
        score(&Asked { answered: &answered, rewards: &rewards, program: Some(&program) })
            .map_err(|error| error.to_string().replace(&program.display().to_string(), "judge.sh"))
    }

    #[test]
    fn a_line_in_a_number_out() {
        let script = r#"while read -r line; do case "$line" in *'"answer":"4"'*) echo "$1";; *) echo 0;; esac; done"#;
        assert_eq!(run(script, 200, 20.0).unwrap(), vec![0.25; 200]);
        assert_eq!(run("cat > /dev/null; echo 1; echo; echo -2.5e0", 2, 20.0).unwrap(), [1.0, -2.5]);
        assert_eq!(run("", 0, 20.0).unwrap(), [0.0; 0]);
    }

    #[test]
    fn every_failure_says_what_to_do() {
        let says = |script: &str, timeout: f64, parts: &[&str]| {
            let said = run(script, 3, timeout).unwrap_err();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        };
        says("echo 1; echo 1", 20.0, &["`judge.sh`", "wrote 2 numbers for 3 completions", "one line for each"]);
        says("echo 1; echo good; echo 1", 20.0, &["`good` for completion 2 of 3"]);
        says("echo 1; echo NaN; echo 1", 20.0, &["`NaN`"]);
        says("echo oh no >&2; exit 3", 20.0, &["exit status: 3", "it said:\noh no"]);
        says("cat > /dev/null; exec sleep 60", 0.3, &["did not answer within 0.3 s for 3 completions", "timeout"]);
        says("exec > /dev/null; exec sleep 60", 0.3, &["did not answer"]);
        says("yes no", 20.0, &["`no` for completion 1 of 3"]);
    }

    #[test]
    fn a_program_must_be_a_file_that_starts() {
        let rewards: Rewards = serde_json::from_str(r#"{"command":{"weight":1}}"#).unwrap();
        let error = |program: Option<&Path>| {
            score(&Asked { answered: &[Answered::default()], rewards: &rewards, program }).unwrap_err().to_string()
        };
        assert!(error(None).contains("connect its file as the stage's input `program`"));
        let dir = tempfile::tempdir().unwrap();
        assert!(error(Some(dir.path())).contains("is a folder"));
        let text = dir.path().join("judge.py");
        curricle_engine::fs::write(&text, "print(1)").unwrap();
        assert!(error(Some(&text)).contains("reward.command.interpreter"), "{}", error(Some(&text)));
    }
}
