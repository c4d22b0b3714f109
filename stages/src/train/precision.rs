//! The number format of a stage's weights and activations. Refuses to know what is computed in it.
//!
//! ```text
//! folder (any format) ──hold──▶ what learns: f32, its own master     ──view──▶ bf16, made anew after every update
//!                               what is frozen: bf16                  ──view──▶ the same tensors
//!                     ──read──▶ all of it to compute with
//!         result (f32) ◀──whole── trained masters + the folder's frozen weights
//! ```
//!
//! Masters are the weights: they are what checkpoints and results hold, exactly, so nothing is rounded from one stage to the
//! next. bfloat16 is only how a stage looks at them. Frozen weights of a float32 folder are rounded to be looked at, and
//! leave the stage as they came. Norms, rotary turns, softmax, logits and losses are computed in float32 in any case, and
//! gradients leave a pass, add up over micro-batches and move the weights in float32.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number format of weights and activations while a stage computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16: half the memory of weights and activations, and the speed of tensor cores. Norms, softmax, logits, loss,
    /// gradients' sums and the weights that the optimizer moves stay in 32 bits. On a CPU it is emulated, and slower.
    Bf16,
}

#[cfg(feature = "compute")]
mod held {
    use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
    use burn::tensor::{DType, Device, Tensor};
    use curricle_engine::stage::StageError;
    use std::path::Path as FilePath;

    use super::Precision;
    use crate::model::dtype::cast;
    use crate::model::weights::{self, WeightsError, Width};
    use crate::model::{ModelConfig, Qwen2_5Vl};
    use crate::train::gradients::Path;

    impl Precision {
        fn dtype(self) -> DType {
            match self {
                Self::F32 => DType::F32,
                Self::Bf16 => DType::BF16,
            }
        }

        /// Refuses a device that lacks the format.
        pub fn check(self, device: &Device) -> Result<(), StageError> {
            if device.supports_dtype(self.dtype()) {
                return Ok(());
            }
            Err(StageError::Failed("this device has no bfloat16; use `precision = \"f32\"`".to_owned()))
        }

        /// As wide as frozen weights are held.
        pub fn width(self) -> Width {
            match self {
                Self::F32 => Width::Wide,
                Self::Bf16 => Width::Narrow,
            }
        }

        /// The model of a folder to compute with, its adapter included: [`Self::view`] of it, and never wider in memory.
        ///
        /// # Errors
        /// As [`weights::load`].
        pub fn read(self, dir: &FilePath, config: &ModelConfig, device: &Device) -> Result<Qwen2_5Vl, WeightsError> {
            weights::load_as(dir, config, device, |_| self.width()).map(|model| self.view(&model))
        }

        /// A plain float32 model as it is held while it is trained: what learns as it is, the rest as it is computed with. What is
        /// that already stays.
        pub fn hold<M: Module>(self, model: M, learns: impl Fn(&str) -> bool) -> M {
            if self == Self::F32 {
                return model;
            }
            let dtype = self.dtype();
            each(model, |path, tensor| if learns(path) { tensor } else { tensor.cast(dtype) })
        }

        /// The model to compute with: all of it in this format. What has the format already is shared.
        pub fn view<M: Module>(self, model: &M) -> M {
            cast(model.clone(), self.dtype())
        }

        /// The result in float32: `held` where it learnt, `origin` (the model that it began with) elsewhere.
        pub fn whole<M: Module>(self, held: M, origin: &M, learns: impl Fn(&str) -> bool) -> M {
            if self == Self::F32 {
                return held;
            }
            let mut frozen = flat(origin).into_iter();
            each(held, |path, tensor| match frozen.next() {
                Some(origin) if !learns(path) => origin,
                _ => tensor,
            })
        }
    }

    /// The module with other values of its parameters, `[elements]` each; the name is the path of fields.
    fn each<M: Module>(module: M, value: impl FnMut(&str, Tensor<1>) -> Tensor<1>) -> M {
        struct Each<F>(Path, F);
        impl<F: FnMut(&str, Tensor<1>) -> Tensor<1>> ModuleMapper for Each<F> {
            fn enter_module(&mut self, name: &str, _container: &str) {
                self.0.enter(name);
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.0.exit();
            }
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let (id, tensor, mapper) = param.consume();
                let shape = tensor.shape();
                let tensor = (self.1)(&self.0.to_string(), tensor.reshape([-1]));
                Param::from_mapped_value(id, tensor.reshape(shape), mapper)
            }
        }
        module.map(&mut Each(Path::default(), value))
    }

    /// Every parameter `[elements]`, in the order of the fields.
    fn flat<M: Module>(module: &M) -> Vec<Tensor<1>> {
        struct Flat(Vec<Tensor<1>>);
        impl ModuleVisitor for Flat {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.push(param.val().reshape([-1]));
            }
        }
        let mut flat = Flat(Vec::new());
        module.visit(&mut flat);
        flat.0
    }
}

#[cfg(test)]
#[cfg(feature = "compute")]
mod tests {
    use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
    use burn::tensor::{DType, Tensor};

    use super::*;
    use crate::model::weights::export;
    use crate::model::{Qwen2_5Vl, fixture};
    use crate::train::checkpoint::names;

    fn text(path: &str) -> bool {
        path.starts_with("text.")
    }

    /// Whether each parameter is one of the text, and its format.
    fn types(model: &Qwen2_5Vl) -> Vec<(bool, DType)> {
        struct Types(Vec<DType>);
        impl ModuleVisitor for Types {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.push(param.val().dtype());
            }
        }
        let mut types = Types(Vec::new());
        model.visit(&mut types);
        names(model).iter().map(|name| text(name)).zip(types.0).collect()
    }

    #[test]
    fn masters_stay_wide_and_views_are_narrow() {
        let model = fixture::model();
        let held = Precision::Bf16.hold(model.clone(), text);
        for (learns, dtype) in types(&held) {
            assert_eq!(dtype, if learns { DType::F32 } else { DType::BF16 });
        }
        assert!(types(&Precision::Bf16.view(&held)).iter().all(|(_, dtype)| *dtype == DType::BF16));
        assert!(types(&Precision::F32.view(&model)).iter().all(|(_, dtype)| *dtype == DType::F32));
    }

    #[test]
    fn the_whole_has_trained_masters_and_frozen_weights_bit_by_bit() {
        let origin = fixture::model();
        let held = Precision::Bf16.hold(origin.clone(), text);
        // What training did: every held value is one larger.
        let trained = held.map(&mut AddOne);
        let before = export(&origin);
        for (name, (_, after)) in export(&Precision::Bf16.whole(trained, &origin, text)) {
            let more = if name.starts_with("visual.") { 0.0 } else { 1.0 };
            let expected: Vec<f32> = before[&name].1.iter().map(|value| value + more).collect();
            assert!(after == expected, "{name}");
        }
    }

    struct AddOne;

    impl ModuleMapper for AddOne {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor + 1.0)
        }
    }
}
