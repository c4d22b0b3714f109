//! Our fields ⇄ the names and layouts of a checkpoint.
//!
//! One table of renamed paths, and three differences of layout: a linear weight is stored `[out, in]` and used `[in, out]`;
//! the patch embedding is stored as a 3-D convolution; the vision tower's `qkv` is stored fused. Knows no file.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use super::config::{CHANNELS, PATCH, TEMPORAL_PATCH};

/// Beginnings of our paths and of the hub's names; the first that fits is replaced.
const RENAMED: &[(&str, &str)] = &[
    ("visual.patch_embed.", "visual.patch_embed.proj."),
    ("visual.merger.inner.", "visual.merger.mlp.0."),
    ("visual.merger.outer.", "visual.merger.mlp.2."),
    ("text.embed_tokens", "model.embed_tokens.weight"),
    ("text.", "model."),
];

/// Names of a model in memory (transformers ≥ 4.52), as the hub writes them.
const IN_MEMORY: &[(&str, &str)] = &[("model.language_model.", "model."), ("model.visual.", "visual.")];

/// The parts of the fused tensor of a vision block, in stored order.
const FUSED: [&str; 3] = [".attn.q.", ".attn.k.", ".attn.v."];

/// Ends of our paths of an adapter, and of PEFT's names.
const ADAPTER: [(&str, &str); 2] = [(".lora.a", ".lora_A.weight"), (".lora.b", ".lora_B.weight")];

/// Is the parameter at this path one of an adapter?
pub fn is_adapter(path: &str) -> bool {
    ADAPTER.iter().any(|(end, _)| path.ends_with(end))
}

/// Where a parameter of ours lies in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// Name on the hub.
    pub name: String,
    /// Shape of the whole stored tensor.
    pub shape: Vec<usize>,
    /// Which third of the stored tensor is ours.
    pub part: Option<usize>,
    /// Our shape.
    pub ours: Vec<usize>,
    transposed: bool,
}

impl Slot {
    /// The slot of our parameter `path` (`text.layers.0.self_attn.q_proj.weight`) of shape `ours`.
    pub fn new(path: &str, ours: &[usize]) -> Self {
        let mut name = RENAMED
            .iter()
            .find_map(|(from, to)| path.strip_prefix(from).map(|rest| format!("{to}{rest}")))
            .unwrap_or_else(|| path.to_owned());
        let part = FUSED.iter().position(|piece| path.contains(piece));
        if let Some(part) = part {
            name = name.replace(FUSED[part], ".attn.qkv.");
        }
        // The adapter of the fused layer has no field of its own to be named after.
        name = name.replace(".attn.lora.", ".attn.qkv.lora.");
        if let Some((end, theirs)) = ADAPTER.iter().find(|(end, _)| name.ends_with(end)) {
            name = format!("{}{theirs}", name.trim_end_matches(end));
        }
        let transposed = ours.len() == 2 && path != "text.embed_tokens";
        let mut shape = ours.to_vec();
        if transposed {
            shape.reverse();
        }
        if part.is_some() {
            shape[0] *= FUSED.len();
        }
        if path == "visual.patch_embed.weight" {
            shape = vec![shape[0], CHANNELS, TEMPORAL_PATCH, PATCH, PATCH];
        }
        Self { name, shape, part, ours: ours.to_vec(), transposed }
    }

    /// Our values from the whole stored tensor's, which `stored` gives by their index.
    pub fn take<T: Copy + Default>(&self, stored: impl Fn(usize) -> T) -> Vec<T> {
        let mut values = vec![T::default(); self.ours.iter().product()];
        self.pairs(|ours, theirs| values[ours] = stored(theirs));
        values
    }

    /// Tells `put` where in the whole stored tensor each of our values lies.
    pub fn put(&self, values: &[f32], mut put: impl FnMut(usize, f32)) {
        self.pairs(|ours, theirs| put(theirs, values[ours]));
    }

    /// Index of each value with us and in the whole stored tensor.
    fn pairs(&self, mut each: impl FnMut(usize, usize)) {
        let count = self.ours.iter().product::<usize>();
        let first = self.part.unwrap_or(0) * count;
        if !self.transposed {
            (0..count).for_each(|index| each(index, first + index));
            return;
        }
        // In tiles: a whole row of one side is a whole column of the other, and would miss the cache at every step.
        let (rows, columns) = (self.ours[0], self.ours[1]);
        for (row, column) in (0..rows).step_by(TILE).flat_map(|r| (0..columns).step_by(TILE).map(move |c| (r, c))) {
            for r in row..rows.min(row + TILE) {
                for c in column..columns.min(column + TILE) {
                    each(r * columns + c, first + c * rows + r);
                }
            }
        }
    }
}

/// Side of the squares in which a matrix is turned.
const TILE: usize = 32;

/// The hub's name of a name that may be an in-memory one.
pub(crate) fn hub_name(name: &str) -> String {
    IN_MEMORY
        .iter()
        .find_map(|(from, to)| name.strip_prefix(from).map(|rest| format!("{to}{rest}")))
        .unwrap_or_else(|| name.to_owned())
}

/// The path of a parameter inside its module, while visitors and mappers walk.
#[derive(Debug, Default)]
pub(super) struct Path(Vec<String>);

impl Path {
    pub fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub fn exit(&mut self) {
        self.0.pop();
    }

    pub fn joined(&self) -> String {
        self.0.join(".")
    }
}

/// One parameter of a module.
#[derive(Debug, Clone)]
pub struct Named {
    /// Path of fields, dots between: `text.layers.0.mlp.up_proj.weight`.
    pub path: String,
    /// Identity for gradients and optimizer states.
    pub id: ParamId,
    /// Shape as the module holds it.
    pub shape: Vec<usize>,
}

/// All float parameters of a module in the order of its fields.
pub fn parameters<M: Module>(module: &M) -> Vec<Named> {
    struct Collect(Path, Vec<Named>);
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.push(Named { path: self.0.joined(), id: param.id, shape: param.lazy_shape().to_vec() });
        }
    }
    let mut collect = Collect(Path::default(), Vec::new());
    module.visit(&mut collect);
    collect.1
}

#[cfg(test)]
mod tests {
    use super::{Slot, hub_name, is_adapter};

    #[test]
    fn a_linear_weight_is_turned_and_back() {
        let slot = Slot::new("text.layers.3.self_attn.q_proj.weight", &[2, 3]);
        assert_eq!((slot.name.as_str(), &slot.shape[..]), ("model.layers.3.self_attn.q_proj.weight", &[3, 2][..]));
        let stored = [1., 2., 3., 4., 5., 6.];
        let ours = slot.take(|i| stored[i]);
        assert_eq!(ours, [1., 3., 5., 2., 4., 6.]);
        let mut back = [0.; 6];
        slot.put(&ours, |i, value| back[i] = value);
        assert_eq!(back.map(f32::to_bits), stored.map(f32::to_bits));
    }

    #[test]
    fn thirds_of_the_fused_tensor_are_rows() {
        let slot = Slot::new("visual.blocks.0.attn.v.weight", &[1, 1]);
        assert_eq!((slot.name.as_str(), &slot.shape[..]), ("visual.blocks.0.attn.qkv.weight", &[3, 1][..]));
        assert_eq!(slot.take(|i| [7., 8., 9.][i]), [9.]);
        assert_eq!(Slot::new("visual.blocks.0.attn.k.bias", &[2]).take(|i| i as f32), [2., 3.]);
    }

    #[test]
    fn matrices_wider_than_a_tile_are_turned_whole() {
        let slot = Slot::new("text.layers.3.self_attn.q_proj.weight", &[33, 70]);
        let ours = slot.take(|i| i as f32);
        assert!((0..33 * 70).all(|i| ours[i] as usize == (i % 70) * 33 + i / 70));
    }

    #[test]
    fn adapters_have_the_names_of_peft() {
        for (path, name) in [
            ("text.layers.3.mlp.up_proj.lora.a", "model.layers.3.mlp.up_proj.lora_A.weight"),
            ("visual.blocks.0.attn.lora.b", "visual.blocks.0.attn.qkv.lora_B.weight"),
            ("visual.blocks.0.attn.proj.lora.b", "visual.blocks.0.attn.proj.lora_B.weight"),
            ("visual.merger.inner.lora.a", "visual.merger.mlp.0.lora_A.weight"),
            ("lm_head.lora.a", "lm_head.lora_A.weight"),
        ] {
            let slot = Slot::new(path, &[3, 2]);
            assert_eq!((slot.name.as_str(), &slot.shape[..]), (name, &[2, 3][..]));
            assert!(is_adapter(path) && !is_adapter(&path.replace(".lora", "")));
        }
    }

    #[test]
    fn names_of_the_hub_and_of_memory() {
        assert_eq!(Slot::new("text.embed_tokens", &[5, 2]).shape, [5, 2]);
        assert_eq!(Slot::new("text.norm.weight", &[2]).name, "model.norm.weight");
        assert_eq!(Slot::new("visual.patch_embed.weight", &[1176, 8]).shape, [8, 3, 2, 14, 14]);
        assert_eq!(Slot::new("visual.merger.outer.bias", &[2]).name, "visual.merger.mlp.2.bias");
        assert_eq!(hub_name("model.language_model.norm.weight"), "model.norm.weight");
        assert_eq!(hub_name("model.visual.merger.ln_q.weight"), "visual.merger.ln_q.weight");
        assert_eq!(hub_name("lm_head.weight"), "lm_head.weight");
    }
}
