//! The model as burn-train's learner wants to see it. Its own step is never asked for: the loop of [`super::run`] steps.

use burn::module::Module;
use burn::train::{InferenceStep, TrainOutput, TrainStep};

use crate::model::Qwen2_5Vl;
use crate::train::meter::Numbers;

/// A model that burn-train carries through a run.
#[derive(Module, Debug)]
pub struct Learning {
    /// The model.
    pub model: Qwen2_5Vl,
}

impl TrainStep for Learning {
    type Input = ();
    type Output = Numbers;

    fn step(&self, (): ()) -> TrainOutput<Numbers> {
        unreachable!("the loop of the stage makes the steps")
    }
}

impl InferenceStep for Learning {
    type Input = ();
    type Output = Numbers;

    fn step(&self, (): ()) -> Numbers {
        Numbers::default()
    }
}
