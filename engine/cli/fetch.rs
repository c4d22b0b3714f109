//! What a plan lacks of the hub → fetched, before the first stage. A build without `rows` fetches nothing and leaves it to
//! the plan to say what is not here.

use curricle_engine::graph::Checked;
use curricle_engine::plan::Plan;
use curricle_engine::recipe::Recipe;

use crate::exit::Failure;
use crate::paint::Paint;

/// A recipe, checked and planned.
pub type Planned = (Recipe, Checked, Plan);

/// Fetches what stages that would run read from the hub; `again` checks and plans with what was learned.
#[cfg(not(feature = "rows"))]
#[expect(clippy::unnecessary_wraps, reason = "a build that fetches may fail to")]
pub fn missing(planned: Planned, _: &dyn Fn() -> Result<Planned, Failure>, _: Paint) -> Result<Planned, Failure> {
    Ok(planned)
}

#[cfg(feature = "rows")]
pub use with_rows::{Talk, failure, missing};

#[cfg(feature = "rows")]
mod with_rows {
    use std::io::IsTerminal;
    use std::time::{Duration, Instant};

    use curricle_engine::diagnostic::Severity;
    use curricle_engine::hub::{Progress, Trouble, TroubleKind, listing, orders, pull};
    use curricle_stages::hub::HuggingFace;
    use indicatif::{ProgressBar, ProgressStyle};

    use super::{Failure, Paint, Planned};
    use crate::exit::Exit;
    use crate::table::bytes;

    /// Fetches what stages that would run read from the hub; `again` checks and plans with what was learned.
    pub fn missing(
        mut planned: Planned,
        again: &dyn Fn() -> Result<Planned, Failure>,
        paint: Paint,
    ) -> Result<Planned, Failure> {
        let mut asked = false;
        loop {
            let (recipe, checked, plan) = &planned;
            let mut wanted = orders(&checked.graph, plan);
            if wanted.is_empty() {
                break;
            }
            let shelf = recipe.shelf().clone();
            let hub = HuggingFace::from_env(&shelf);
            let mut talk = Talk::new(paint);
            // A commit may be all that is needed: what was made of it may be in the store.
            let learn = wanted.iter().any(|order| order.commit.is_none());
            wanted.retain(|order| order.commit.is_none() == learn);
            for order in &wanted {
                let say = &mut |progress: Progress<'_>| talk.show(progress);
                if learn {
                    listing(&hub, &shelf, order, false, say).map_err(|trouble| failure(&trouble))?;
                } else {
                    pull(&hub, &shelf, order, false, say).map_err(|trouble| failure(&trouble))?;
                }
            }
            talk.end();
            asked = true;
            planned = again()?;
        }
        if asked && planned.1.warnings.count(Severity::Warning) > 0 {
            paint.diagnostics(&planned.1.warnings);
        }
        Ok(planned)
    }

    /// Trouble, and the exit code for it.
    pub fn failure(trouble: &Trouble) -> Failure {
        let exit = match trouble.kind {
            TroubleKind::Hub => Exit::Unreachable,
            TroubleKind::Refused | TroubleKind::Offline => Exit::Invalid,
            TroubleKind::Disk => Exit::Store,
        };
        Failure::new(exit, format!("{trouble}\n  help: {}", trouble.help))
    }

    /// Shows how a fetch goes: a bar on a terminal, else a line now and then.
    pub struct Talk {
        paint: Paint,
        bar: Option<ProgressBar>,
        /// Bytes of files that are whole, and the file that is not.
        whole: u64,
        file: (String, u64),
        all: u64,
        said: Instant,
    }

    /// Lines are not written more often.
    const PAUSE: Duration = Duration::from_secs(10);

    impl Talk {
        /// Nothing is shown yet.
        pub fn new(paint: Paint) -> Self {
            Self { paint, bar: None, whole: 0, file: (String::new(), 0), all: 0, said: Instant::now() }
        }

        /// Shows a step.
        pub fn show(&mut self, progress: Progress<'_>) {
            match progress {
                Progress::Start { source, files, bytes: all } => {
                    self.end();
                    let plural = if files == 1 { "" } else { "s" };
                    self.paint.say(&format!("fetching {source}: {files} file{plural}, {}", bytes(all)));
                    (self.whole, self.file, self.all) = (0, (String::new(), 0), all);
                    if std::io::stderr().is_terminal() && !self.paint.quiet {
                        let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta} {msg}");
                        let bar = ProgressBar::new(all);
                        self.bar = Some(style.map_or(bar.clone(), |style| bar.with_style(style)));
                    }
                }
                Progress::File { path, done, .. } => {
                    if self.file.0 != path {
                        self.whole += self.file.1;
                        path.clone_into(&mut self.file.0);
                    }
                    self.file.1 = done;
                    let here = self.whole + done;
                    if let Some(bar) = &self.bar {
                        bar.set_message(path.to_owned());
                        bar.set_position(here);
                    } else if self.said.elapsed() > PAUSE {
                        self.paint.say(&format!("  {} of {}: {path}", bytes(here), bytes(self.all)));
                        self.said = Instant::now();
                    }
                }
                Progress::Again { cause, wait_s } => {
                    let line = format!("  {cause}; again in {wait_s:.1} s");
                    match &self.bar {
                        Some(bar) => bar.suspend(|| self.paint.say(&line)),
                        None => self.paint.say(&line),
                    }
                }
            }
        }

        /// Clears the bar.
        pub fn end(&mut self) {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
        }
    }
}
