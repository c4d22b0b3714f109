//! Reading and writing rows one by one, and saying what was dropped and why. Refuses to know why a row is dropped.
//!
//! Beside the rows of its outputs a stage leaves the folder `curation`: `dropped.jsonl` with a line for each row that went,
//! `renamed.jsonl` where ids changed, and `counts.json`, which reports show ([`curricle_engine::report::Counts`]).

use curricle_datasets::curate::keep::{DROPPED, Dropped, RENAMED, Renamed};
use curricle_datasets::fs::{FsError, Lines};
use curricle_datasets::jsonl::Writer;
use curricle_datasets::{Row, fs};
use curricle_engine::report::{COUNTS, CURATION, Counts, Table};
use curricle_engine::stage::{InputArtifact, StageContext, StageError};

use crate::inputs;

/// Rows between two looks at whether to stop.
const LOOK_EVERY: usize = 1000;
/// Rows between two reports.
const REPORT_EVERY: usize = 20_000;

/// Rows that are read together, so that all cores have work.
pub const BATCH: usize = 1024;

/// Where a stage writes what it keeps and what it drops.
pub struct Desk<'a, 'b> {
    context: &'a mut StageContext<'b>,
    dropped: Lines,
    renamed: Option<Lines>,
    counts: Counts,
    done: usize,
    total: usize,
}

/// A failed read or write, as a stage says it.
fn told<T>(result: Result<T, FsError>) -> Result<T, StageError> {
    result.map_err(|error| StageError::Failed(error.to_string()))
}

/// May images of an input's rows be linked? What lies in the store is never changed, what a user has may be.
fn links(input: &InputArtifact) -> bool {
    !input.reference.starts_with("data.")
}

/// Writes a row of an input to an output, with its images: they go on to exist when the input is removed.
pub fn keep(writer: &mut Writer, row: &Row, input: &InputArtifact) -> Result<(), StageError> {
    writer.link(links(input));
    told(writer.write(row))
}

/// Something about each row, found on all cores.
pub fn parallel<T: Send>(rows: &[Row], find: impl Fn(&Row) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = rows.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let find = &find;
        let parts: Vec<_> =
            rows.chunks(part).map(|part| scope.spawn(move || part.iter().map(find).collect::<Vec<_>>())).collect();
        let joined = parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.flatten().collect()
    })
}

impl<'a, 'b> Desk<'a, 'b> {
    /// Opens the folder `curation`. `passes` is how often every row is read; `reasons` are listed even where nothing is dropped
    /// for them.
    pub fn open(context: &'a mut StageContext<'b>, passes: usize, reasons: &[&str]) -> Result<Self, StageError> {
        let dir = context.output(CURATION)?;
        let counts = Counts::new(reasons);
        let total = passes * context.inputs().filter_map(|(_, input)| inputs::known_rows(input)).sum::<usize>();
        Ok(Self { dropped: told(Lines::create(&dir.join(DROPPED)))?, context, renamed: None, counts, done: 0, total })
    }

    /// Begins an output; what an interrupted attempt left of it goes.
    pub fn writer(&mut self, port: &str) -> Result<Writer, StageError> {
        let dir = self.context.output(port)?;
        told(fs::remove_dir_all(&dir).and_then(|()| Writer::create(&dir)))
    }

    /// One more row was looked at; an error where somebody asked to stop.
    pub fn step(&mut self) -> Result<(), StageError> {
        self.done += 1;
        if self.done.is_multiple_of(LOOK_EVERY) && self.context.interrupted() {
            return Err(StageError::Interrupted { step: 0 });
        }
        if self.done.is_multiple_of(REPORT_EVERY) {
            self.context.progress(self.done, self.total.max(self.done), &[]);
        }
        Ok(())
    }

    /// Calls back with every row of an input.
    pub fn each(
        &mut self,
        input: &InputArtifact,
        mut see: impl FnMut(&mut Self, Row) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        for row in inputs::each(input)? {
            self.step()?;
            see(self, row?)?;
        }
        Ok(())
    }

    /// Calls back with the rows of an input, many at a time.
    pub fn batches(
        &mut self,
        input: &InputArtifact,
        mut see: impl FnMut(&mut Self, Vec<Row>) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let mut batch = Vec::with_capacity(BATCH);
        for row in inputs::each(input)? {
            self.step()?;
            batch.push(row?);
            if batch.len() == BATCH {
                see(self, std::mem::take(&mut batch))?;
            }
        }
        see(self, batch)
    }

    /// Counts rows that came in.
    pub fn came(&mut self, port: &str, rows: usize) {
        *self.counts.rows_in.entry(port.to_owned()).or_default() += rows;
    }

    /// Writes down a row that goes.
    pub fn drop(&mut self, dropped: &Dropped) -> Result<(), StageError> {
        self.counts.drop(&dropped.reason);
        told(self.dropped.line(&serde_json::to_string(dropped).expect("plain data")))
    }

    /// Writes down an id that changed.
    pub fn rename(&mut self, renamed: &Renamed) -> Result<(), StageError> {
        if self.renamed.is_none() {
            let file = self.context.output(CURATION)?.join(RENAMED);
            self.renamed = Some(told(Lines::create(&file))?);
        }
        let line = serde_json::to_string(renamed).expect("plain data");
        self.renamed.as_mut().map_or(Ok(()), |lines| told(lines.line(&line)))
    }

    /// Adds a table to what reports show.
    pub fn table(&mut self, table: Table) {
        self.counts.tables.push(table);
    }

    /// Ends the outputs and writes the counts.
    pub fn finish(mut self, outputs: Vec<(String, Writer)>) -> Result<(), StageError> {
        for (port, writer) in outputs {
            self.counts.rows_out.insert(port, writer.rows());
            told(writer.finish())?;
        }
        told(self.dropped.finish())?;
        if let Some(renamed) = self.renamed {
            told(renamed.finish())?;
        }
        let text = serde_json::to_string_pretty(&self.counts).expect("plain data") + "\n";
        told(fs::write(&self.context.output(CURATION)?.join(COUNTS), text.as_bytes()))?;
        let (came, left) = (self.counts.came(), self.counts.left());
        self.context.log(format!("{came} rows in, {left} out"));
        let total = self.total.max(self.done).max(1);
        self.context.progress(total, total, &[("rows_in", came as f64), ("rows_out", left as f64)]);
        Ok(())
    }
}
