//! Colours and streams: data goes to standard output, everything said to people to standard error.

use std::io::{self, IsTerminal, Write};

use curricle_engine::diagnostic::{Diagnostics, Severity};

use crate::args::{Cli, When};
use crate::exit::{Exit, Failure};

/// How to speak to whoever called.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// Colours on standard output?
    pub color_out: bool,
    /// Colours on standard error?
    pub color_err: bool,
    /// Say only what is wrong.
    pub quiet: bool,
    /// How much more to say.
    pub verbose: u8,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    /// Headings and names.
    Bold,
    /// Beside the point.
    Dim,
    /// Good.
    Green,
    /// Take note.
    Yellow,
    /// Bad.
    Red,
    /// References.
    Cyan,
}

impl Paint {
    /// From flags and environment.
    pub fn new(cli: &Cli) -> Self {
        let (color_out, color_err) =
            (colored(cli.color, io::stdout().is_terminal()), colored(cli.color, io::stderr().is_terminal()));
        Self { color_out, color_err, quiet: cli.quiet, verbose: cli.verbose }
    }

    /// Text for standard output in a colour.
    pub fn out_tint(self, tint: Tint, text: &str) -> String {
        tinted(self.color_out, tint, text)
    }

    /// Text for standard error in a colour.
    pub fn err_tint(self, tint: Tint, text: &str) -> String {
        tinted(self.color_err, tint, text)
    }

    /// Prints data.
    #[expect(clippy::unused_self, reason = "whoever prints must have been given the right to")]
    pub fn data(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Prints a JSON document.
    pub fn json(self, value: &serde_json::Value) -> io::Result<()> {
        self.data(&format!("{value:#}\n"))
    }

    /// Says a line to people, unless they want quiet.
    pub fn say(self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Says a line to people in any case.
    #[expect(clippy::unused_self, reason = "whoever prints must have been given the right to")]
    pub fn complain(self, text: &str) {
        // Nobody can be told that telling failed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Says what is wrong with a recipe; warnings and notes only to those who did not ask for quiet.
    pub fn diagnostics(self, diagnostics: &Diagnostics) {
        if !self.quiet || diagnostics.count(Severity::Error) > 0 {
            self.complain(diagnostics.render(self.color_err).trim_end());
        }
    }

    /// Says why a verb failed, and gives the exit code.
    pub fn failure(self, failure: &Failure) -> Exit {
        let line = |text: &str| self.complain(&format!("{} {text}", self.err_tint(Tint::Red, "error:")));
        match failure {
            Failure::Recipe(diagnostics) => {
                self.diagnostics(diagnostics);
                self.complain(&format!("\n{}", summary(diagnostics)));
                Exit::Invalid
            }
            Failure::Message(exit, message) => {
                line(message);
                *exit
            }
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::BrokenPipe,
            Failure::Output(error) => {
                line(&format!("cannot write: {error}"));
                Exit::Failed
            }
        }
    }
}

/// `2 errors, 1 warning`; empty if nothing is wrong.
pub fn summary(diagnostics: &Diagnostics) -> String {
    let counts =
        [Severity::Error, Severity::Warning, Severity::Note].map(|severity| (severity, diagnostics.count(severity)));
    let parts = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| format!("{count} {}{}", severity.as_str(), if *count == 1 { "" } else { "s" }));
    parts.collect::<Vec<_>>().join(", ")
}

fn colored(when: When, terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto if set("NO_COLOR") => false,
        When::Auto if std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0" && !value.is_empty()) => true,
        When::Auto => terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
    }
}

fn tinted(color: bool, tint: Tint, text: &str) -> String {
    let code = match tint {
        Tint::Bold => "1",
        Tint::Dim => "2",
        Tint::Red => "1;31",
        Tint::Green => "32",
        Tint::Yellow => "33",
        Tint::Cyan => "36",
    };
    if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
