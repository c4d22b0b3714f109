//! `curricle chat`: a person and a model, turn by turn. Answers go to standard output as they are written.

use std::io::{self, BufRead, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use curricle_engine::fs;
use curricle_stages::infer::{Completer, Conversation};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::args::ChatArgs;
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};

const HELP: &str = "\
/image PATH   show an image with the next question; repeatable
/system TEXT  begin again with other rules
/clear        begin again
/exit         leave; so does Ctrl-D
A backslash at the end of a line continues it. Ctrl-C ends an answer.";

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Nothing,
    Say(&'a str),
    Image(&'a Path),
    System(&'a str),
    Clear,
    Help,
    Exit,
    Unknown(&'a str),
}

fn parse(line: &str) -> Line<'_> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (word, rest.trim()) {
        ("", _) => Line::Nothing,
        ("/image", path) if !path.is_empty() => Line::Image(Path::new(path)),
        ("/system", text) if !text.is_empty() => Line::System(text),
        ("/clear", "") => Line::Clear,
        ("/help", "") => Line::Help,
        ("/exit" | "/quit", "") => Line::Exit,
        _ if word.starts_with('/') => Line::Unknown(word),
        _ => Line::Say(line),
    }
}

/// Talks until the person leaves.
pub fn run(args: &ChatArgs, paint: Paint) -> Result<Exit, Failure> {
    let sampling = &args.sampling;
    let completer = sampling.open(&args.model).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let rules = completer.sampling(&sampling.wishes());
    let stop = Stop::listen()?;
    let terminal = io::stdin().is_terminal();
    if terminal {
        paint.say(&format!("{}; /help lists what else can be typed", args.model.display()));
    }
    let mut talk = Conversation::new(args.system.clone());
    let mut turn = 0;
    while let Some(line) = read(terminal)? {
        match parse(&line) {
            Line::Nothing => {}
            Line::Say(text) => {
                let row = talk.ask(text);
                let mut shown = Shown::new(&completer, paint);
                stop.begin();
                let answer = completer.stream(&row, turn, &rules, sampling.seed, &mut |id| shown.next(id, &stop));
                stop.end();
                match answer {
                    Ok(answer) => {
                        paint.data("\n")?;
                        talk.answered(completer.text(&answer.ids));
                        turn += 1;
                    }
                    Err(error) => {
                        paint.complain(&format!("{} {error}", paint.err_tint(Tint::Red, "error:")));
                        talk.take_back();
                    }
                }
            }
            Line::Image(path) if fs::exists(path) => talk.show(path),
            Line::Image(path) => paint.complain(&format!("there is no `{}`", path.display())),
            Line::System(text) => talk = Conversation::new(Some(text.to_owned())),
            Line::Clear => talk = Conversation::new(args.system.clone()),
            Line::Help => paint.complain(HELP),
            Line::Exit => break,
            Line::Unknown(word) => paint.complain(&format!("`{word}` is no command, or lacks its argument\n{HELP}")),
        }
    }
    Ok(Exit::Done)
}

/// What is typed up to a line without a backslash at its end; nothing at the end of input.
fn read(terminal: bool) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    loop {
        if terminal {
            let mut err = io::stderr().lock();
            err.write_all(if text.is_empty() { b"> " } else { b". " }).and_then(|()| err.flush())?;
        }
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok((!text.is_empty()).then_some(text));
        }
        let line = line.trim_end_matches(['\n', '\r']);
        let Some(line) = line.strip_suffix('\\') else { return Ok(Some(text + line)) };
        text += line;
        text.push('\n');
    }
}

/// The answer so far, and how much of it was printed.
struct Shown<'a> {
    completer: &'a Completer,
    paint: Paint,
    ids: Vec<u32>,
    bytes: usize,
}

impl<'a> Shown<'a> {
    fn new(completer: &'a Completer, paint: Paint) -> Self {
        Self { completer, paint, ids: Vec::new(), bytes: 0 }
    }

    fn next(&mut self, id: u32, stop: &Stop) -> ControlFlow<()> {
        self.ids.push(id);
        let text = self.completer.text(&self.ids);
        // A character may take several tokens; until it is whole, its place is held by this one.
        if !text.ends_with(char::REPLACEMENT_CHARACTER)
            && let Some(new) = text.get(self.bytes..)
        {
            if self.paint.data(new).is_err() {
                return ControlFlow::Break(());
            }
            self.bytes = text.len();
        }
        if stop.wanted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Ctrl-C: ends an answer while there is one, else the program.
#[derive(Clone)]
struct Stop {
    answering: Arc<AtomicBool>,
    wanted: Arc<AtomicBool>,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        let stop = Self { answering: Arc::default(), wanted: Arc::default() };
        let (heard, mut signals) = (stop.clone(), Signals::new([SIGINT])?);
        std::thread::spawn(move || {
            for _ in &mut signals {
                if !heard.answering.load(Ordering::Relaxed) || heard.wanted.swap(true, Ordering::Relaxed) {
                    std::process::exit(Exit::Interrupted as i32);
                }
            }
        });
        Ok(stop)
    }

    fn begin(&self) {
        self.wanted.store(false, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
    }

    fn end(&self) {
        self.answering.store(false, Ordering::Relaxed);
    }

    fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_questions() {
        assert_eq!(parse("  "), Line::Nothing);
        assert_eq!(parse("what is 2/3? "), Line::Say("what is 2/3?"));
        assert_eq!(parse("/image  a b.png"), Line::Image(Path::new("a b.png")));
        assert_eq!(parse("/system be brief"), Line::System("be brief"));
        assert_eq!(parse("/quit"), Line::Exit);
        assert_eq!(parse("/image"), Line::Unknown("/image"));
        assert_eq!(parse("/clear all"), Line::Unknown("/clear"));
    }
}
