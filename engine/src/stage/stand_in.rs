//! What a kind offers in place of a model or data set from outside. Knows neither recipes nor graphs.

use super::{AnyStage, ArtifactType};

/// A stage that makes a stand-in.
#[derive(Debug)]
pub struct StandIn<P> {
    /// Its parameters.
    pub params: P,
    /// The output that is the stand-in.
    pub port: &'static str,
    /// What it needs, by port: stand-ins too.
    pub inputs: Vec<(&'static str, ArtifactType)>,
}

/// A [`StandIn`] with the type of its parameters erased.
#[derive(Debug)]
pub struct Offer {
    /// Kind and parameters.
    pub stage: Box<dyn AnyStage>,
    /// See [`StandIn::port`].
    pub port: &'static str,
    /// See [`StandIn::inputs`].
    pub inputs: Vec<(&'static str, ArtifactType)>,
}
