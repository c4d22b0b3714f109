//! Tensors in the number format that a place asks for. Parameters and activations may be bfloat16; norms, rotary turns,
//! softmax and logits are computed in float32 whatever their input is. Knows no layer.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};

/// The tensor in a format; as it is where it has that already, so that float32 models pay nothing.
pub(super) fn to<const D: usize>(tensor: Tensor<D>, dtype: DType) -> Tensor<D> {
    if tensor.dtype() == dtype { tensor } else { tensor.cast(dtype) }
}

/// Every float parameter of a plain module in a format; those that have it already are shared, not copied.
pub fn cast<M: Module>(module: M, dtype: DType) -> M {
    struct Cast(DType);
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            Param::from_mapped_value(id, to(tensor, self.0), mapper)
        }
    }
    module.map(&mut Cast(dtype))
}
