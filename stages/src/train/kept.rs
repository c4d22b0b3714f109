//! States of a model that a stage keeps beside its last: in its work folder while it runs, on outputs of their own in the end.
//!
//! ```text
//! WORK/kept/step-00000400.safetensors   weights of what learns, after a step that shall be kept
//! WORK/kept/best-00000320.safetensors   those of the best look so far, and of the looks that checkpoints name
//! OUT/model@best/kept.json              which state it is
//! ```
//!
//! A state is on disk before a checkpoint names it, and stays as long as one does: an attempt that goes on from any of them
//! finds what the best was then. Refuses to know what makes a state the best ([`super::course`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use curricle_engine::fs;
use curricle_engine::stage::StageError;
use serde_json::{Value, json};

use super::checkpoint;
use super::course::Mark;
use super::freeze::Learns;
use super::meter::Meter;
use super::start::End;
use super::stop::{Keep, Metric, port};
use crate::model::Qwen2_5Vl;

/// What is kept, and where.
pub struct Keeper {
    work: PathBuf,
    steps: Vec<(usize, PathBuf)>,
    /// The number that the best is chosen by, and its output.
    best: Option<(&'static str, PathBuf)>,
    end: Arc<End>,
    /// Steps of the best states that checkpoints on disk name, the newest last.
    named: Vec<usize>,
}

impl Keeper {
    /// Of a stage that works in `work_dir`, whose models are written by `end`; `output` gives the folder of a port.
    ///
    /// # Errors
    /// Where a folder can't be made.
    pub fn new<M: Metric>(
        keep: &Keep<M>,
        end: Arc<End>,
        work_dir: &Path,
        output: impl Fn(&str) -> Result<PathBuf, StageError>,
    ) -> Result<Self, StageError> {
        let mut steps = Vec::new();
        for &step in &keep.steps {
            steps.push((step, output(&port(&format!("step={step}")))?));
        }
        let best = keep.best.map(|metric| Ok::<_, StageError>((metric.name(), output(&port("best"))?)));
        let work = work_dir.join("kept");
        Ok(Self { work, steps, best: best.transpose()?, end, named: Vec::new() })
    }

    /// Keeps the state after `step`, if that is asked for.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn after(&self, step: usize, model: &Qwen2_5Vl, learns: &Learns) -> Result<(), StageError> {
        if self.steps.iter().any(|(kept, _)| *kept == step) { self.write("step", step, model, learns) } else { Ok(()) }
    }

    /// Keeps the state after `step`, the best so far.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn best(&self, step: usize, model: &Qwen2_5Vl, learns: &Learns) -> Result<(), StageError> {
        self.write("best", step, model, learns)?;
        self.forget(step)
    }

    /// Learns that a checkpoint on disk names this best state: one that was found, or one that was written just now.
    pub fn named(&mut self, best: Option<Mark>) {
        self.named.extend(best.map(|best| best.step));
        let old = self.named.len().saturating_sub(checkpoint::KEEP);
        self.named.drain(..old);
    }

    /// Removes best states that are neither the newest nor named by a checkpoint.
    fn forget(&self, newest: usize) -> Result<(), StageError> {
        let kept: Vec<PathBuf> = self.named.iter().chain([&newest]).map(|step| self.file("best", *step)).collect();
        for name in fs::list(&self.work).map_err(|error| keeping(&error))? {
            let path = self.work.join(&name);
            if name.starts_with("best-") && !kept.contains(&path) {
                fs::remove_file(&path).map_err(|error| keeping(&error))?;
            }
        }
        Ok(())
    }

    /// Writes every output, after a stage that ends with `model`, `step` steps and this best look; says where a state was
    /// never reached, and the last stands in for it.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn finish(
        self,
        (step, model): (usize, &Qwen2_5Vl),
        best: Option<Mark>,
        learns: &Learns,
        meter: &Meter,
    ) -> Result<(), StageError> {
        let read =
            |file: PathBuf| checkpoint::read_weights(&file, model.clone(), learns).map_err(|error| keeping(&error));
        for (wanted, output) in &self.steps {
            if *wanted <= step {
                self.leave(&read(self.file("step", *wanted))?, output, &json!({ "after_step": wanted }))?;
            } else {
                meter.log(format!(
                    "`{}` is the state that the stage ends with: it ends after step {step}, before step {wanted}",
                    port(&format!("step={wanted}"))
                ));
                self.leave(model, output, &json!({ "after_step": step, "instead_of": wanted }))?;
            }
        }
        let Some((metric, output)) = &self.best else { return Ok(()) };
        if let Some(Mark { step, value }) = best {
            meter.log(format!("`{}` is the state after step {step}: its `{metric}` is {value:.4}", port("best")));
            let note = json!({ "after_step": step, "metric": metric, "value": value });
            self.leave(&read(self.file("best", step))?, output, &note)
        } else {
            meter.log(format!(
                "`{}` is the state that the stage ends with: `{metric}` was never looked at",
                port("best")
            ));
            self.leave(model, output, &json!({ "after_step": step, "metric": metric }))
        }
    }

    fn leave(&self, model: &Qwen2_5Vl, output: &Path, note: &Value) -> Result<(), StageError> {
        self.end.write(model, output)?;
        fs::write(&output.join("kept.json"), format!("{note:#}\n")).map_err(|error| keeping(&error))
    }

    fn write(&self, name: &str, step: usize, model: &Qwen2_5Vl, learns: &Learns) -> Result<(), StageError> {
        let tensors = checkpoint::weights(model, learns);
        fs::create_dir_all(&self.work).map_err(|error| keeping(&error))?;
        checkpoint::write_tensors(&self.file(name, step), &tensors).map_err(|error| keeping(&error))
    }

    fn file(&self, name: &str, step: usize) -> PathBuf {
        self.work.join(format!("{name}-{step:08}.safetensors"))
    }
}

fn keeping(error: &dyn std::fmt::Display) -> StageError {
    StageError::while_doing("keeping a state", error)
}

#[cfg(test)]
mod tests;
