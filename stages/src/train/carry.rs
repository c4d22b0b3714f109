//! Whether an optimizer's state passes from stage to stage: the named choice, its ports and their types; with a back end
//! also the folder it passes through. Refuses to know what an optimizer computes.
//!
//! ```text
//! STAGE/optimizer/
//!   optimizer.safetensors  adamw.<what>.<field path>: moments and number of updates of what learnt
//!   optimizer.json         layout, algorithm
//! ```
//!
//! A stage begins with the moments of the one before only where the recipe says so, as an edge of the graph: the tools that
//! the method was released with restart the optimizer between stages without a word, or carry over the position in the
//! other stage's data with it. Schedules of learning rate and entropy always begin anew.

use std::collections::BTreeSet;

use curricle_engine::stage::{ArtifactKind, ArtifactType, Fact, ModelType, OptimizerType, PortTypes, Ports, Problems};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::freeze::Part;

/// What the optimizer begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerState {
    /// Nothing: moments are zero.
    #[default]
    Restart,
    /// The moments and numbers of updates on the port `optimizer`, which a stage with `save_optimizer` leaves.
    Keep,
}

/// The choices of a stage.
#[derive(Debug, Clone, Copy)]
pub struct Carry<'a> {
    /// What it begins with.
    pub state: OptimizerState,
    /// Does it leave its own?
    pub save: bool,
    /// What does not learn.
    pub frozen: &'a [Part],
}

impl Carry<'_> {
    /// Adds the ports that the choices ask for.
    pub fn ports(self, ports: Ports) -> Ports {
        let ports =
            if self.state == OptimizerState::Keep { ports.input("optimizer", ArtifactKind::Optimizer) } else { ports };
        if self.save { ports.output("optimizer", ArtifactKind::Optimizer) } else { ports }
    }

    /// Reports a state that does not fit `model`, which the stage leaves; the type of the state that it leaves, if it does.
    pub fn types(self, model: &ModelType, inputs: &PortTypes, problems: &mut Problems) -> PortTypes {
        let adapter = model.adapter.get().map(Option::is_some);
        let ours: BTreeSet<String> = self.frozen.iter().map(|part| part.name().to_owned()).collect();
        if let Some(before) = inputs.optimizer("optimizer") {
            let theirs = before.adapter.get();
            if let (Some(ours), Some(&theirs)) = (adapter, theirs)
                && ours != theirs
            {
                let of = |adapter| if adapter { "a low-rank adapter" } else { "the weights" };
                let message = format!("is of {}, and this stage trains {}", of(theirs), of(ours));
                problems.input("optimizer", message, "set `optimizer_state = \"restart\"` and leave the input out");
                problems.see(&before.adapter, format!("trains {}", of(theirs)));
            } else if let Some(theirs) = before.frozen.get() {
                differences(&ours, theirs, before, problems);
            }
        }
        if !self.save {
            return PortTypes::default();
        }
        let adapter = adapter.map(|adapter| Fact::new(adapter, model.adapter.said().clone())).unwrap_or_default();
        let left = OptimizerType { adapter, frozen: Fact::param(ours, "freeze") };
        PortTypes::default().with("optimizer", ArtifactType::Optimizer(left))
    }
}

/// Warns where not the same parts are frozen.
fn differences(ours: &BTreeSet<String>, theirs: &BTreeSet<String>, before: &OptimizerType, problems: &mut Problems) {
    let list =
        |parts: &mut dyn Iterator<Item = &String>| parts.map(|part| format!("`{part}`")).collect::<Vec<_>>().join(", ");
    let (new, dropped) = (list(&mut theirs.difference(ours)), list(&mut ours.difference(theirs)));
    let mut said = Vec::new();
    if !new.is_empty() {
        said.push(format!("has no moments of {new}, which learns now: they begin at zero"));
    }
    if !dropped.is_empty() {
        said.push(format!("has moments of {dropped}, which is frozen now: they are dropped"));
    }
    if !said.is_empty() {
        problems.warn("optimizer_state", format!("is `keep`, and the state {}", said.join("; and it ")), "");
        problems.see(&before.frozen, "what was frozen before");
    }
}

#[cfg(feature = "compute")]
pub use folder::{read, write};

#[cfg(feature = "compute")]
mod folder {
    use std::path::Path;

    use curricle_engine::fs;
    use curricle_engine::stage::StageError;
    use serde_json::{Value, json};

    use crate::model::Qwen2_5Vl;
    use crate::train::checkpoint::{read_tensors, write_tensors};
    use crate::train::freeze::Learns;
    use crate::train::optimizer::{AdamW, AdamWConfig};

    const TENSORS: &str = "optimizer.safetensors";
    const HEADER: &str = "optimizer.json";

    /// Writes the state of `model`'s optimizer into a folder.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn write(optimizer: &AdamW, model: &Qwen2_5Vl, folder: &Path) -> Result<(), StageError> {
        let failed = |error: &dyn std::fmt::Display| StageError::while_doing("writing the optimizer's state", error);
        write_tensors(&folder.join(TENSORS), &optimizer.save(model)).map_err(|error| failed(&error))?;
        let header = json!({ "schema": 1, "algorithm": "adamw" });
        fs::write(&folder.join(HEADER), format!("{header:#}\n")).map_err(|error| failed(&error))
    }

    /// The state in a folder, as far as it is of what learns now, and a line about what fits.
    ///
    /// # Errors
    /// Where the folder holds something else, or nothing of it fits.
    pub fn read(
        folder: &Path,
        config: AdamWConfig,
        model: &Qwen2_5Vl,
        learns: &Learns,
    ) -> Result<(AdamW, String), StageError> {
        let failed = |error: &dyn std::fmt::Display| StageError::while_doing("reading the optimizer's state", error);
        let header = fs::read_to_string(&folder.join(HEADER)).map_err(|error| failed(&error))?;
        let header: Value = serde_json::from_str(&header).map_err(|error| failed(&error))?;
        if header["schema"] != 1 || header["algorithm"] != "adamw" {
            return Err(failed(&format!("`{HEADER}` is of another optimizer or version")));
        }
        let tensors = read_tensors(&folder.join(TENSORS)).map_err(|error| failed(&error))?;
        let stored = tensors.keys().filter(|name| name.starts_with("adamw.updates.")).count();
        let (optimizer, kept, new) = AdamW::carry(config, model, learns, |name| tensors.get(name).cloned());
        if kept == 0 {
            let message = "nothing in it is of a parameter that learns here; set `optimizer_state = \"restart\"`";
            return Err(failed(&message));
        }
        let dropped = stored - kept;
        let mut said = format!("the optimizer goes on with the moments of {kept} tensors");
        if dropped > 0 {
            said += &format!("; those of {dropped} are dropped: frozen, or of another shape");
        }
        if new > 0 {
            said += &format!("; {new} that learn now have none and begin at zero");
        }
        Ok((optimizer, said))
    }
}

#[cfg(test)]
mod tests {
    use curricle_engine::diagnostic::Severity;
    use curricle_engine::stage::{Adapter, Problem};

    use super::*;

    fn types(carry: Carry<'_>, before: OptimizerType, adapter: Fact<Option<Adapter>>) -> (PortTypes, Vec<Problem>) {
        let inputs = PortTypes::default().with("optimizer", ArtifactType::Optimizer(before));
        let mut problems = Problems::default();
        let types = carry.types(&ModelType { adapter, ..ModelType::default() }, &inputs, &mut problems);
        (types, problems.into_vec())
    }

    fn state(adapter: bool, frozen: &str) -> OptimizerType {
        OptimizerType { adapter: Fact::known(adapter), frozen: Fact::known(BTreeSet::from([frozen.to_owned()])) }
    }

    const KEEP: Carry<'_> = Carry { state: OptimizerState::Keep, save: true, frozen: &[Part::Vision] };

    #[test]
    fn choices_are_ports() {
        let names = |carry: Carry<'_>| {
            let ports = carry.ports(Ports::new());
            (ports.inputs.len(), ports.outputs.len())
        };
        assert_eq!(names(KEEP), (1, 1));
        assert_eq!(names(Carry { state: OptimizerState::Restart, save: false, ..KEEP }), (0, 0));
    }

    #[test]
    fn another_set_of_parameters_is_said_and_another_kind_refused() {
        let (out, said) = types(KEEP, state(false, "vision"), Fact::known(None));
        assert!(said.is_empty(), "{said:?}");
        let left = out.optimizer("optimizer").unwrap();
        assert!(left.adapter.is(&false) && left.frozen.is(&BTreeSet::from(["vision".to_owned()])));

        let (_, said) = types(KEEP, state(false, "embed"), Fact::known(None));
        let [problem] = &said[..] else { panic!("{said:?}") };
        assert_eq!(problem.severity, Severity::Warning);
        let message = &problem.message;
        assert!(message.contains("no moments of `embed`") && message.contains("moments of `vision`"), "{message}");

        let (_, said) = types(KEEP, state(false, "vision"), Fact::known(Some(Adapter::default())));
        let [problem] = &said[..] else { panic!("{said:?}") };
        assert_eq!(problem.severity, Severity::Error);
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        let (out, said) = types(KEEP, OptimizerType::default(), Fact::default());
        assert!(said.is_empty());
        assert_eq!(out.optimizer("optimizer").unwrap().adapter.get(), None);
    }
}
