//! Names of a model's parts → which parameters learn. Refuses to know how a part is computed.

use curricle_engine::stage::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of the model that can be held fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The vision tower without its merger: patch embedding and blocks.
    Vision,
    /// The merger, which turns patches into tokens of the language model.
    Merger,
    /// Layers and final norm of the language model.
    Text,
    /// The token embedding. A tied head is the same tensor.
    Embed,
    /// The untied head.
    Head,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 5] = [Self::Vision, Self::Merger, Self::Text, Self::Embed, Self::Head];

    /// Its name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vision => "vision",
            Self::Merger => "merger",
            Self::Text => "text",
            Self::Embed => "embed",
            Self::Head => "head",
        }
    }

    /// The part that holds the parameter at this path of fields: `visual.merger.mlp.0.weight`.
    pub fn of(path: &str) -> Self {
        let mut fields = path.split('.');
        match (fields.next(), fields.next()) {
            (Some("visual"), Some("merger")) => Self::Merger,
            (Some("visual"), _) => Self::Vision,
            (Some("text"), Some("embed_tokens")) => Self::Embed,
            (Some("lm_head"), _) => Self::Head,
            _ => Self::Text,
        }
    }
}

/// Refuses to freeze every part: nothing would learn.
pub fn validate(frozen: &[Part], problems: &mut Problems) {
    if Part::ALL.iter().all(|part| frozen.contains(part)) {
        problems.param(
            "freeze",
            "every part of the model is frozen: nothing would learn",
            "leave out the part to train",
        );
    }
}

#[cfg(feature = "compute")]
pub use tracked::{Learns, check, tracked};

#[cfg(feature = "compute")]
mod tracked {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::Tensor;
    use curricle_engine::stage::StageError;

    use super::Part;
    use crate::model::weights::is_adapter;
    use crate::train::checkpoint::names;
    use crate::train::gradients::Path;

    /// Which parameters of a model learn: none of a frozen part, and where there are adapters, only they.
    #[derive(Debug, Clone)]
    pub struct Learns {
        frozen: Vec<Part>,
        adapters: bool,
    }

    impl Learns {
        /// Of a model with these parts frozen.
        pub fn of<M: Module>(model: &M, frozen: &[Part]) -> Self {
            Self::among(frozen, names(model).iter().any(|path| is_adapter(path)))
        }

        /// Of a model that is not there yet: with these parts frozen, and with adapters or without.
        pub fn among(frozen: &[Part], adapters: bool) -> Self {
            Self { frozen: frozen.to_vec(), adapters }
        }

        /// Does the parameter at this path of fields learn?
        pub fn at(&self, path: &str) -> bool {
            is_adapter(path) == self.adapters && !self.frozen.contains(&Part::of(path))
        }
    }

    /// Refuses a model with nothing to learn. One whose head is tied has no [`Part::Head`]: only the model can tell.
    pub fn check<M: Module>(model: &M, frozen: &[Part]) -> Result<(), StageError> {
        let learns = Learns::of(model, frozen);
        if !names(model).iter().any(|path| learns.at(path)) {
            let has = if learns.adapters { "that has an adapter" } else { "that this model has" };
            return Err(StageError::Failed(format!("`freeze` names every part {has}: nothing would learn")));
        }
        Ok(())
    }

    /// The model with every parameter that learns as a fresh leaf of the tape; the others stay plain, so they cost neither
    /// a gradient nor a saved input.
    ///
    /// Leaves are new on every call: two threads that share a leaf would share one graph, and wait for each other.
    pub fn tracked<M: Module>(model: M, frozen: &[Part]) -> M {
        let learns = Learns::of(&model, frozen);
        model.map(&mut Track { path: Path::default(), learns: &learns })
    }

    struct Track<'a> {
        path: Path,
        learns: &'a Learns,
    }

    impl ModuleMapper for Track<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.enter(name);
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let learns = self.learns.at(&self.path.to_string());
            let (id, tensor, mapper) = param.consume();
            let plain = tensor.inner();
            let tensor = if learns { plain.autodiff().require_grad() } else { plain };
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_head_may_be_frozen_and_the_head_not_too() {
        let refused = |frozen: &[Part]| {
            let mut problems = Problems::default();
            validate(frozen, &mut problems);
            !problems.into_vec().is_empty()
        };
        assert!(!refused(&Part::ALL[..4]));
        assert!(refused(&Part::ALL));
    }

    #[cfg(feature = "compute")]
    #[test]
    fn a_tied_head_learns_with_the_embedding_only() {
        let model = crate::model::fixture::model();
        assert!(check(&model, &Part::ALL[..4]).is_err(), "the head of this model is its embedding");
        assert!(check(&model, &Part::ALL[..3]).is_ok());
    }

    #[test]
    fn every_field_belongs_to_a_part() {
        for (path, part) in [
            ("visual.patch_embed.proj.weight", Part::Vision),
            ("visual.blocks.0.attn.qkv.weight", Part::Vision),
            ("visual.merger.ln_q.gamma", Part::Merger),
            ("text.embed_tokens.weight", Part::Embed),
            ("text.layers.3.mlp.up_proj.weight", Part::Text),
            ("text.norm.gamma", Part::Text),
            ("lm_head.weight", Part::Head),
        ] {
            assert_eq!(Part::of(path), part, "{path}");
        }
    }
}
