//! THE CONTRACT: what the engine asks of a stage kind, and what a running stage may ask of the engine.
//!
//! A kind is a type that implements [`StageKind`]: its parameters, its ports, its rules, its work. [`Kind`] erases that
//! type so that a table of kinds is a plain `&[&dyn AnyKind]`. This room refuses to know any kind's name, and knows
//! nothing of tensors, tokens or files formats.

mod context;
mod device;
mod estimate;
mod fact;
mod memory;
mod metric;
mod port;
mod problem;
mod stand_in;
mod tokenizer;
mod types;

use std::fmt::Debug;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use context::{DataView, InputArtifact, Runtime, StageContext, StageError, StageRequest};
pub use device::DeviceName;
pub use estimate::{Estimate, Extent, Facts, Length, Memory, Phase, rough_tokens};
pub use fact::{Fact, Said};
pub use memory::{Counted, PhaseMemory};
pub use metric::Metric;
pub use port::{ArtifactKind, InputPort, OutputPort, Ports};
pub use problem::{Problem, ProblemAt, Problems};
pub use stand_in::{Offer, StandIn};
pub use tokenizer::{Difference, Known, Tokenizer, Vocabulary};
pub use types::{
    Adapter, Answers, ArtifactType, DataType, EmbeddingsType, Licence, ModelType, OptimizerType, Pixels, PortTypes,
    Role, Source, add_sources,
};

/// One kind of stage: what the word after `kind =` means.
///
/// Everything in [`StageKind::Params`] is part of a stage's identity, and nothing else is. Raise
/// [`StageKind::VERSION`] in the commit that changes what the same parameters compute.
pub trait StageKind: 'static {
    /// The word after `kind =`.
    const NAME: &'static str;
    /// Raised when the same parameters start to mean something else.
    const VERSION: u32;
    /// One line for `curricle kinds`.
    const SUMMARY: &'static str;
    /// Does its work need a back end for tensors? Stages that don't run in every build, whatever device is asked for.
    const COMPUTES: bool = true;
    /// Parameters as a recipe spells them; doc comments become the schema's descriptions.
    type Params: DeserializeOwned + Serialize + JsonSchema + Debug + Send + Sync + 'static;

    /// What the stage reads and makes; may depend on its parameters.
    fn ports(params: &Self::Params) -> Ports;

    /// Rules on values that a type can't say (ranges, combinations). Pure: no files, no device.
    fn validate(params: &Self::Params, problems: &mut Problems);

    /// Types of the outputs, given the types of the inputs; reports inputs that do not fit. Pure. What the kind itself knows
    /// of an output says by which parameter ([`Fact::param`]), so that a later mistake can point at it.
    fn types(params: &Self::Params, inputs: &PortTypes, problems: &mut Problems) -> PortTypes;

    /// The numbers that its outputs of type metrics hold, as far as the parameters tell; empty where they do not.
    fn metrics(_params: &Self::Params) -> Vec<Metric> {
        Vec::new()
    }

    /// What the stage would cost on this machine, and what its outputs would be like. Pure; unknown unless a kind says it.
    fn estimate(_params: &Self::Params, _facts: &Facts<'_>) -> Estimate {
        Estimate::default()
    }

    /// Makes the parameters small for `--tiny`: few steps, rows and tokens. What decides which code runs stays: objectives,
    /// rules, schedules, formats, frozen parts. The result has to be sound in the sense of [`StageKind::validate`].
    fn tiny(_params: &mut Self::Params) {}

    /// How a stage of this kind makes something small of this type, in place of a model or data set from outside; `salt`
    /// tells what stands in for one data set from what stands in for another. None where this kind makes no such thing.
    fn stand_in(_ty: &ArtifactType, _salt: u64) -> Option<StandIn<Self::Params>> {
        None
    }

    /// Does the work. Called in a worker process, with every input present.
    ///
    /// Writes results under [`StageContext::output`], progress under [`StageContext::work_dir`] (it survives a crash
    /// and is handed to the next attempt), and returns [`StageError::Interrupted`] soon after
    /// [`StageContext::interrupted`] turns true.
    fn run(params: &Self::Params, context: &mut StageContext<'_>) -> Result<(), StageError>;
}

/// Why a table of parameters is not what a kind takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Dotted path below `params` to the offending key or value; empty for the table itself.
    pub path: String,
    /// serde's message.
    pub message: String,
}

/// A [`StageKind`] with its type erased: one line of the table of kinds.
pub trait AnyKind: Send + Sync {
    /// See [`StageKind::NAME`].
    fn name(&self) -> &'static str;
    /// See [`StageKind::VERSION`].
    fn version(&self) -> u32;
    /// See [`StageKind::SUMMARY`].
    fn summary(&self) -> &'static str;
    /// See [`StageKind::COMPUTES`].
    fn computes(&self) -> bool;
    /// JSON Schema (draft 7 subset) of the parameters.
    fn schema(&self) -> Value;
    /// Reads parameters, filling in defaults. Non-finite numbers can't get here: JSON has none.
    fn decode(&self, params: &Value) -> Result<Box<dyn AnyStage>, DecodeError>;
    /// See [`StageKind::stand_in`].
    fn stand_in(&self, ty: &ArtifactType, salt: u64) -> Option<Offer>;
}

impl Debug for dyn AnyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A kind together with decoded parameters.
pub trait AnyStage: Debug + Send + Sync {
    /// The parameters with every default filled in: the part of the key preimage that a recipe can change.
    fn params(&self) -> Value;
    /// See [`StageKind::ports`].
    fn ports(&self) -> Ports;
    /// See [`StageKind::validate`].
    fn validate(&self) -> Vec<Problem>;
    /// See [`StageKind::types`].
    fn types(&self, inputs: &PortTypes) -> (PortTypes, Vec<Problem>);
    /// See [`StageKind::metrics`].
    fn metrics(&self) -> Vec<Metric>;
    /// See [`StageKind::estimate`].
    fn estimate(&self, facts: &Facts<'_>) -> Estimate;
    /// The same kind with the parameters that [`StageKind::tiny`] makes of these.
    fn tiny(&self) -> Box<dyn AnyStage>;
    /// See [`StageKind::run`].
    fn run(&self, context: &mut StageContext<'_>) -> Result<(), StageError>;
}

/// Erases the type of a [`StageKind`]: `&Kind::<Sft>::NEW` is its line in the table.
pub struct Kind<K>(PhantomData<fn() -> K>);

impl<K: StageKind> Kind<K> {
    /// The table entry of `K`.
    pub const NEW: Self = Self(PhantomData);
}

impl<K: StageKind> AnyKind for Kind<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn version(&self) -> u32 {
        K::VERSION
    }

    fn summary(&self) -> &'static str {
        K::SUMMARY
    }

    fn computes(&self) -> bool {
        K::COMPUTES
    }

    fn schema(&self) -> Value {
        let settings = schemars::generate::SchemaSettings::draft07();
        settings.into_generator().into_root_schema_for::<K::Params>().to_value()
    }

    fn decode(&self, params: &Value) -> Result<Box<dyn AnyStage>, DecodeError> {
        match serde_path_to_error::deserialize::<_, K::Params>(params) {
            Ok(params) => Ok(Box::new(Decoded::<K>(params))),
            Err(error) => {
                let path = error.path().to_string();
                let path = if path == "." { String::new() } else { path };
                Err(DecodeError { path, message: error.into_inner().to_string() })
            }
        }
    }

    fn stand_in(&self, ty: &ArtifactType, salt: u64) -> Option<Offer> {
        let StandIn { params, port, inputs } = K::stand_in(ty, salt)?;
        Some(Offer { stage: Box::new(Decoded::<K>(params)), port, inputs })
    }
}

struct Decoded<K: StageKind>(K::Params);

impl<K: StageKind> Debug for Decoded<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", K::NAME, self.0)
    }
}

impl<K: StageKind> AnyStage for Decoded<K> {
    fn params(&self) -> Value {
        serde_json::to_value(&self.0).expect("parameters are plain data")
    }

    fn ports(&self) -> Ports {
        K::ports(&self.0)
    }

    fn validate(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        K::validate(&self.0, &mut problems);
        problems.into_vec()
    }

    fn types(&self, inputs: &PortTypes) -> (PortTypes, Vec<Problem>) {
        let mut problems = Problems::default();
        let outputs = K::types(&self.0, inputs, &mut problems);
        (outputs, problems.into_vec())
    }

    fn metrics(&self) -> Vec<Metric> {
        K::metrics(&self.0)
    }

    fn estimate(&self, facts: &Facts<'_>) -> Estimate {
        K::estimate(&self.0, facts)
    }

    fn tiny(&self) -> Box<dyn AnyStage> {
        let mut params: K::Params = serde_json::from_value(self.params()).expect("what was written can be read");
        K::tiny(&mut params);
        Box::new(Self(params))
    }

    fn run(&self, context: &mut StageContext<'_>) -> Result<(), StageError> {
        K::run(&self.0, context)
    }
}
