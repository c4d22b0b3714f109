//! A forward pass that a backward pass follows: a batch → hidden states, and from their gradient → the parameters'.
//!
//! ```text
//! Keep::All      tracked parameters                 h            every operation's operands stay
//! Keep::Inputs   plain parameters     x₀ → x₁ → … → xₙ → h       only the xₖ stay; backward, layer by layer from the last:
//!                yₖ = layerₖ(xₖ) once more, on leaves;  ∂/∂xₖ and ∂/∂wₖ of  Σ yₖ · ∂L/∂yₖ
//! ```
//!
//! Both run the same operations on the same numbers and add up the same terms: their gradients have the same bits wherever
//! the device computes an operation the same way twice. What a layer draws at random (dropout) must follow from its module
//! and its input. The embedding is a table of rows: its gradient is added up here, in float32 whatever the model's type.
//!
//! Reference: Chen et al. 2016 (arXiv 1604.06174), one checkpoint per layer. Knows no loss and no head.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Gradients, IndexingUpdateOp, Tensor};

use super::batch::{Batch, VisionBatch};
use super::linear::Linear;
use super::norm::RmsNorm;
use super::text::Context;
use super::vision::{Merger, View, VisionTower};
use super::vlm::Qwen2_5Vl;

/// What a forward pass keeps for its backward pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// The operands of every operation.
    #[default]
    All,
    /// The input of every layer; costs a second forward pass.
    Inputs,
}

impl Keep {
    /// What a runtime's `gradient_checkpointing` asks for.
    pub fn when(gradient_checkpointing: bool) -> Self {
        if gradient_checkpointing { Self::Inputs } else { Self::All }
    }
}

/// A forward pass whose backward pass is still to come.
#[derive(Debug)]
pub struct Tape<'a> {
    model: &'a Qwen2_5Vl,
    batch: &'a Batch,
    vision: Links,
    text: Links,
    /// Of [`Keep::All`]: the embedded words, and the hidden states.
    graph: Option<(Tensor<2>, Tensor<2>)>,
}

impl Qwen2_5Vl {
    /// Hidden states after the final norm `[B·T, D]`, off the tape, and the tape.
    ///
    /// `self` is the model whose learning parameters are fresh leaves; `plain` is the same without.
    pub fn learn<'a>(&'a self, plain: &Self, batch: &'a Batch, keep: Keep) -> (Tensor<2>, Tape<'a>) {
        let words_nd = plain.text.embed(batch.ids_bt.clone());
        let learning = self.text.embed_tokens.val().is_tracked();
        let words_nd = if learning && keep == Keep::All { words_nd.autodiff().require_grad() } else { words_nd };

        let mut vision = Links::new(keep, false);
        let mut x_nd = match &batch.vision {
            None => words_nd.clone(),
            Some(images) => images.place(words_nd.clone(), vision.tower(&plain.visual, &self.visual, images)),
        };
        let mut text = Links::new(keep, learning || vision.learning);
        for (plain, leaves) in plain.text.layers.iter().zip(&self.text.layers) {
            x_nd = text.forward(x_nd, plain, leaves, |layer, x_nd, learning| {
                layer.forward(x_nd, Context { learning, ..batch.context() }, None)
            });
        }
        let h_nd = text.forward(x_nd, &plain.text.norm, &self.text.norm, |norm, x_nd, _| norm.forward(x_nd));
        let graph = (keep == Keep::All).then(|| (words_nd, h_nd.clone()));
        (h_nd.inner(), Tape { model: self, batch, vision, text, graph })
    }
}

impl Tape<'_> {
    /// Whether anything before the head learns.
    pub fn is_tracked(&self) -> bool {
        self.text.learning
    }

    /// Adds to `gradients` those of everything before the head, from the gradient of the hidden states `[B·T, D]`.
    pub fn backward(mut self, cotangent_nd: Tensor<2>, gradients: &mut GradientsParams) {
        let model = self.model;
        if let Some((words_nd, h_nd)) = self.graph.take() {
            if h_nd.is_tracked() {
                let mut raw = pull(h_nd, cotangent_nd);
                collect(model, &mut raw, gradients);
                self.embedding(words_nd.grad_remove(&mut raw), gradients);
            }
            return;
        }
        let batch = self.batch;
        let mut cotangent = self.text.backward(Some(cotangent_nd), &model.text.norm, gradients, RmsNorm::forward);
        for layer in model.text.layers.iter().rev() {
            cotangent = self.text.backward(cotangent, layer, gradients, |layer, x_nd| {
                layer.forward(x_nd, Context { learning: true, ..batch.context() }, None)
            });
        }
        let Some(cotangent_nd) = cotangent else { return };
        let words_nd = match &batch.vision {
            None => cotangent_nd,
            Some(images) => {
                let (words_nd, images_nd) = images.replace(cotangent_nd);
                self.vision.tower_backward(images_nd, &model.visual, images, gradients);
                words_nd
            }
        };
        self.embedding(model.text.embed_tokens.val().is_tracked().then_some(words_nd), gradients);
    }

    /// The gradient of the table from that of the words taken from it.
    fn embedding(&self, cotangent: Option<Tensor<2>>, gradients: &mut GradientsParams) {
        let Some(cotangent_nd) = cotangent else { return };
        let (table, ids_bt) = (&self.model.text.embed_tokens, self.batch.ids_bt.clone());
        let [b, t] = ids_bt.dims();
        let zeros_vd = Tensor::<2>::zeros(table.lazy_shape(), (&cotangent_nd.device(), DType::F32));
        let cotangent_nd = cotangent_nd.cast(DType::F32);
        let ids_n = ids_bt.reshape([b * t]);
        add(table, zeros_vd.select_assign(0, ids_n, cotangent_nd, IndexingUpdateOp::Add), gradients);
    }
}

/// Layers one after the other, `[N, D]` → `[N, E]` each.
#[derive(Debug)]
struct Links {
    keep: Keep,
    /// Whether anything up to here learns; once it does, all that follows has to be differentiated.
    learning: bool,
    /// The input of each layer since then, and whether somebody before it wants its gradient.
    inputs: Vec<(Tensor<2>, bool)>,
}

impl Links {
    fn new(keep: Keep, learning: bool) -> Self {
        Self { keep, learning, inputs: Vec::new() }
    }

    /// Runs the next layer; `call` is told whether it will be differentiated.
    fn forward<M: Module>(
        &mut self,
        x_nd: Tensor<2>,
        plain: &M,
        leaves: &M,
        call: impl Fn(&M, Tensor<2>, bool) -> Tensor<2>,
    ) -> Tensor<2> {
        let wanted = self.learning;
        self.learning |= learns(leaves);
        if self.keep == Keep::All {
            return call(leaves, x_nd, self.learning);
        }
        if self.learning {
            self.inputs.push((x_nd.clone(), wanted));
        }
        call(plain, x_nd, self.learning)
    }

    /// Differentiates the last layer that is left, from the gradient of its output to that of its input.
    fn backward<M: Module>(
        &mut self,
        cotangent: Option<Tensor<2>>,
        leaves: &M,
        gradients: &mut GradientsParams,
        call: impl Fn(&M, Tensor<2>) -> Tensor<2>,
    ) -> Option<Tensor<2>> {
        let (cotangent_nd, (x_nd, wanted)) = (cotangent?, self.inputs.pop()?);
        let x_nd = if wanted { x_nd.autodiff().require_grad() } else { x_nd };
        let mut raw = pull(call(leaves, x_nd.clone()), cotangent_nd);
        collect(leaves, &mut raw, gradients);
        x_nd.grad_remove(&mut raw)
    }

    /// The images' tokens.
    fn tower(&mut self, plain: &VisionTower, tower: &VisionTower, images: &VisionBatch) -> Tensor<2> {
        let patches = plain.patches(images);
        let mut x_nd = self.forward(patches, &plain.patch_embed, &tower.patch_embed, |map, x, _| map.forward(x));
        for (at, (plain, leaves)) in plain.blocks.iter().zip(&tower.blocks).enumerate() {
            x_nd = self.forward(x_nd, plain, leaves, |block, x_nd, learning| {
                block.forward(x_nd, View { learning, ..tower.view(images, at) })
            });
        }
        self.forward(x_nd, &plain.merger, &tower.merger, |merger, x_nd, _| merger.forward(x_nd))
    }

    fn tower_backward(
        &mut self,
        cotangent_nd: Tensor<2>,
        tower: &VisionTower,
        images: &VisionBatch,
        gradients: &mut GradientsParams,
    ) {
        let mut cotangent = self.backward(Some(cotangent_nd), &tower.merger, gradients, Merger::forward);
        for (at, block) in tower.blocks.iter().enumerate().rev() {
            cotangent = self.backward(cotangent, block, gradients, |block, x_nd| {
                block.forward(x_nd, View { learning: true, ..tower.view(images, at) })
            });
        }
        self.backward(cotangent, &tower.patch_embed, gradients, Linear::forward);
    }
}

/// The gradients of everything that `y` depends on, from the gradient of `y` itself: those of `Σ y · ∂L/∂y`.
pub fn pull<const D: usize>(y: Tensor<D>, cotangent: Tensor<D>) -> Gradients {
    (y * cotangent).sum().backward()
}

/// Moves the gradients of a module's parameters from a backward pass into `gradients`, in float32, and adds up where one
/// is there already.
pub fn collect<M: Module>(module: &M, raw: &mut Gradients, gradients: &mut GradientsParams) {
    struct Collect<'a>(&'a mut Gradients, &'a mut GradientsParams);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad_remove(self.0) {
                add(param, gradient, self.1);
            }
        }
    }
    module.visit(&mut Collect(raw, gradients));
}

fn add<const D: usize>(param: &Param<Tensor<D>>, gradient: Tensor<D>, gradients: &mut GradientsParams) {
    let gradient = gradient.cast(DType::F32);
    let sum = match gradients.remove::<D>(param.id) {
        Some(sum) => sum + gradient,
        None => gradient,
    };
    gradients.register(param.id, sum);
}

/// Is any parameter of the module a leaf of the tape?
fn learns<M: Module>(module: &M) -> bool {
    struct Learns(bool);
    impl ModuleVisitor for Learns {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= param.val().is_tracked();
        }
    }
    let mut learns = Learns(false);
    module.visit(&mut learns);
    learns.0
}
