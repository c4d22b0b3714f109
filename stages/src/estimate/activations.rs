//! Rows of a micro-batch → bytes that a forward pass keeps for its backward pass, counted operation by operation as
//! `crate::model` runs them ([`Form`]). Composed, Burn's tape keeps their operands:
//!
//! ```text
//! a layer on n tokens, width D, key width K, MLP width F, H heads, S keys; w: bytes of a number (4, or 2 in bfloat16)
//!
//! two norms      2 · n · D · (4 + 4 + w)     input and normalised input in float32, output (input of the next maps)
//! q, k, v        n · (D + 2K) · w            operands of the two products
//! scores         n · H · S · (4 + w)         before exp in float32, after it
//! division       n · (D + H) · 4             the products before they are divided, and their divisors
//! output map     n · D · w                   its input
//! MLP            5 · n · F · w               gate, its sigmoid, their product, up, and the input of the last map
//! ```
//!
//! Fused, each operator keeps what its backward pass reads (`Operator::Saved` in `crate::fused`), and no table of scores:
//!
//! ```text
//! two norms      2 · n · D · (4 + 4)         input (RmsNorm), output (input of the next maps)
//! attention      n · (D + 2K) · 4            queries and keys as they are turned, values
//!                n · (D + H) · 4             context, which is the input of the output map, and a sum for each head
//! MLP            3 · n · F · 4               gate and up (SwiGlu), and the input of the last map
//! ```
//!
//! What learns decides what is kept: a frozen map keeps no input, a frozen norm no normalised one. With gradient
//! checkpointing only inputs of layers stay, and one layer at a time is as above. The backward pass of a layer needs, composed,
//! about three tensors as wide as its scores or its MLP beside them; fused, the gradients of an MLP's three tensors or of
//! attention's inputs and output, and that of the layer's input.
//!
//! Knows nothing of weights and gradients.

use super::learning::Learning;
use super::sizes::Sizes;
use super::{WIDE, bytes_of};
use crate::model::config::PATCH_VALUES;
use crate::train::freeze::Part;
use crate::train::precision::Precision;

/// How operations are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// By the operators of `crate::fused`, in float32.
    Fused,
    /// Out of Burn's operators, in numbers of so many bytes.
    Composed(f64),
}

impl Form {
    /// What stages compute with: float32 on a CPU has operators of its own.
    pub fn of(precision: Precision, gpu: bool) -> Self {
        if precision == Precision::F32 && !gpu { Self::Fused } else { Self::Composed(bytes_of(precision) as f64) }
    }

    /// Bytes of a number.
    pub fn width(self) -> f64 {
        match self {
            Self::Fused => WIDE as f64,
            Self::Composed(w) => w,
        }
    }
}

/// A micro-batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Micro {
    /// Rows.
    pub rows: f64,
    /// Tokens of a row, padding included.
    pub width: f64,
    /// Patches of a row's images.
    pub patches: f64,
    /// Patches of one image.
    pub image: f64,
}

/// One kind of layer on the tokens of a micro-batch.
struct Block {
    tokens: f64,
    width: f64,
    kv_width: f64,
    inner: f64,
    heads: f64,
    keys: f64,
}

impl Block {
    /// Bytes that it keeps, where its weights, or an adapter beside them, learn.
    fn kept(&self, form: Form, weights: bool, inputs: bool) -> f64 {
        let Self { tokens, width, kv_width, inner, heads, keys } = *self;
        let (weights, inputs) = (f64::from(u8::from(weights)), f64::from(u8::from(inputs)));
        let Form::Composed(w) = form else {
            let norms = 2.0 * width * (1.0 + inputs);
            let attention = 2.0 * width + 2.0 * kv_width + heads;
            return tokens * WIDE as f64 * (norms + attention + (2.0 + inputs) * inner);
        };
        let norms = 2.0 * width * (4.0 + 4.0 * weights + w * inputs);
        let attention =
            (width + 2.0 * kv_width) * w + heads * keys * (4.0 + w) + (width + heads) * 4.0 + width * w * inputs;
        tokens * (norms + attention + (4.0 + inputs) * inner * w)
    }

    /// Bytes that its backward pass needs beside what was kept.
    fn backward(&self, form: Form) -> f64 {
        match form {
            Form::Composed(_) => 3.0 * 4.0 * self.tokens * (self.heads * self.keys).max(self.inner),
            Form::Fused => {
                let attention = 2.0 * self.width + 2.0 * self.kv_width;
                WIDE as f64 * self.tokens * (attention.max(3.0 * self.inner) + self.width)
            }
        }
    }

    /// Bytes that a forward pass needs while it runs, where nothing is kept: the scores before and after softmax, or the three
    /// tensors of the MLP.
    fn passing(&self, form: Form) -> f64 {
        let w = form.width();
        let scores = if form == Form::Fused { 0.0 } else { self.tokens * self.heads * self.keys * (4.0 + w) };
        self.tokens * self.width * 6.0 * w + scores.max(3.0 * w * self.tokens * self.inner)
    }
}

/// Blocks of the tower that see windows, and those that see whole images, each with their number.
fn tower(sizes: &Sizes, micro: &Micro) -> [(f64, Block); 2] {
    let vision = &sizes.vision;
    let full = vision.full.min(vision.depth);
    [(vision.depth - full, micro.image.min(vision.window as f64)), (full, micro.image)].map(|(count, keys)| {
        let block = Block {
            tokens: micro.rows * micro.patches,
            width: vision.hidden as f64,
            kv_width: vision.hidden as f64,
            inner: vision.inner as f64,
            heads: vision.heads as f64,
            keys,
        };
        (count as f64, block)
    })
}

fn layer(sizes: &Sizes, micro: &Micro) -> Block {
    Block {
        tokens: micro.rows * micro.width,
        width: sizes.hidden as f64,
        kv_width: sizes.kv_width() as f64,
        inner: sizes.inner as f64,
        heads: sizes.heads as f64,
        keys: micro.width,
    }
}

/// Bytes of a forward pass that a backward pass follows, at their most: all that is kept, and what one layer needs besides.
///
/// `checkpointing` keeps inputs of layers only.
pub fn learning(sizes: &Sizes, micro: &Micro, learning: &Learning<'_>, form: Form, checkpointing: bool) -> f64 {
    let w = form.width();
    let mut kept = 0.0;
    let mut most: f64 = 0.0;
    let mut add = |count: f64, block: &Block, tracked: bool, part: Part| {
        if block.tokens == 0.0 || count == 0.0 {
            return;
        }
        if !tracked {
            most = most.max(block.passing(form));
            return;
        }
        let one = block.kept(form, learning.weights(part), learning.learns(part));
        if checkpointing {
            kept += count * block.tokens * block.width * w;
            most = most.max(one + block.backward(form));
        } else {
            kept += count * one;
            most = most.max(block.backward(form));
        }
    };
    for (count, block) in tower(sizes, micro) {
        add(count, &block, learning.through_vision(), Part::Vision);
    }
    add(sizes.layers as f64, &layer(sizes, micro), learning.through_text(), Part::Text);
    kept + most + patches(micro) + if learning.through_merger() { merger(sizes, micro, w) } else { 0.0 }
}

/// Bytes of a forward pass that nothing follows.
pub fn passing(sizes: &Sizes, micro: &Micro, form: Form) -> f64 {
    let blocks = tower(sizes, micro).into_iter().map(|(_, block)| block).chain([layer(sizes, micro)]);
    patches(micro) + blocks.map(|block| block.passing(form)).fold(0.0, f64::max)
}

/// The images' values, float32.
fn patches(micro: &Micro) -> f64 {
    micro.rows * micro.patches * PATCH_VALUES as f64 * 4.0
}

/// Norm, and a map before and after GELU, on a quarter of the patches at four times the width.
fn merger(sizes: &Sizes, micro: &Micro, w: f64) -> f64 {
    micro.rows * micro.patches * sizes.vision.hidden as f64 * (8.0 + w + 2.0 * w)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::sizes::small as sizes;

    const ALL: Learning<'static> = Learning { frozen: &[], lora: None, adapter: 0, images: false };
    const TEXT: Micro = Micro { rows: 2.0, width: 10.0, patches: 0.0, image: 0.0 };

    const COMPOSED: Form = Form::Composed(4.0);

    /// 20 tokens, D 8, K 4, F 20, H 4, S 10, in float32. Norms 2·8·8 = 128; q, k, v 16·4 = 64; context and sums 12·4 = 48; MLP
    /// 3·20·4 = 240: 480 bytes a token. Backward 4·(3·20 + 8) = 272. Frozen: norms 64; 64; 48; MLP 2·20·4 = 160: 336.
    #[test]
    fn every_tensor_that_an_operator_keeps_is_counted_once() {
        let kept = learning(&sizes(), &TEXT, &ALL, Form::Fused, false);
        assert!((kept - (3.0 * 20.0 * 480.0 + 20.0 * 272.0)).abs() < 1e-6, "{kept}");
        let inputs = learning(&sizes(), &TEXT, &ALL, Form::Fused, true);
        assert!((inputs - (3.0 * 20.0 * 8.0 * 4.0 + 20.0 * (480.0 + 272.0))).abs() < 1e-6, "{inputs}");
        let embed = Learning { frozen: &[Part::Vision, Part::Merger, Part::Text], ..ALL };
        let frozen = learning(&sizes(), &TEXT, &embed, Form::Fused, false);
        assert!((frozen - (3.0 * 20.0 * 336.0 + 20.0 * 272.0)).abs() < 1e-6, "{frozen}");
        assert_eq!(Form::of(Precision::F32, false), Form::Fused);
        let others = [(Precision::F32, true, 4.0), (Precision::Bf16, false, 2.0), (Precision::Bf16, true, 2.0)];
        assert!(others.into_iter().all(|(precision, gpu, w)| Form::of(precision, gpu) == Form::Composed(w)));
    }

    /// 20 tokens, D 8, K 4, F 20, H 4, S 10, in float32. Norms 2·8·12 = 192; q, k, v 16·4 = 64; scores 4·10·8 = 320; division
    /// 12·4 = 48; output map 32; MLP 5·20·4 = 400: 1,056 bytes a token. Backward 3·4·max(40, 20) = 480.
    #[test]
    fn every_operand_of_a_layer_is_counted() {
        let kept = learning(&sizes(), &TEXT, &ALL, COMPOSED, false);
        assert!((kept - (3.0 * 20.0 * 1056.0 + 20.0 * 480.0)).abs() < 1e-6, "{kept}");
        let inputs = learning(&sizes(), &TEXT, &ALL, COMPOSED, true);
        assert!((inputs - (3.0 * 20.0 * 8.0 * 4.0 + 20.0 * (1056.0 + 480.0))).abs() < 1e-6, "{inputs}");
    }

    /// In bfloat16: norms 2·8·10 = 160; 32; scores 40·6 = 240; 48; 16; 200: 696.
    #[test]
    fn narrow_numbers_are_not_half_of_it() {
        let kept = learning(&sizes(), &TEXT, &ALL, Form::Composed(2.0), false);
        assert!((kept - (3.0 * 20.0 * 696.0 + 20.0 * 480.0)).abs() < 1e-6, "{kept}");
    }

    /// A frozen text behind an embedding that learns is differentiated all the same, but keeps neither inputs of maps nor
    /// normalised inputs: norms 2·8·4 = 64; 64; 320; 48; MLP 4·20·4 = 320: 816.
    #[test]
    fn frozen_layers_keep_less_and_a_frozen_beginning_nothing() {
        let embed = Learning { frozen: &[Part::Vision, Part::Merger, Part::Text], ..ALL };
        let kept = learning(&sizes(), &TEXT, &embed, COMPOSED, false);
        assert!((kept - (3.0 * 20.0 * 816.0 + 20.0 * 480.0)).abs() < 1e-6, "{kept}");
        let head = Learning { frozen: &[Part::Vision, Part::Merger, Part::Text, Part::Embed], ..ALL };
        let passing_only = learning(&sizes(), &TEXT, &head, COMPOSED, false);
        assert!((passing_only - passing(&sizes(), &TEXT, COMPOSED)).abs() < 1e-6);
    }

    #[test]
    fn images_cost_where_there_are_some_and_more_where_the_tower_learns() {
        let micro = Micro { patches: 64.0, image: 64.0, ..TEXT };
        let of = |frozen, images| learning(&sizes(), &micro, &Learning { frozen, images, ..ALL }, COMPOSED, false);
        let (frozen, learnt) = (of(&[Part::Vision, Part::Merger], true), of(&[], true));
        let text = learning(&sizes(), &TEXT, &ALL, COMPOSED, false);
        assert!(learnt > frozen && frozen > text, "{learnt} {frozen} {text}");
        // A block on whole images keeps 64 keys' scores, one on windows 16 of them: 2 heads, 8 bytes, 128 patches.
        let [(_, windows), (_, full)] = tower(&sizes(), &micro);
        let difference = full.kept(COMPOSED, true, true) - windows.kept(COMPOSED, true, true);
        assert!((difference - 128.0 * 2.0 * 48.0 * 8.0).abs() < 1e-6, "{difference}");
    }
}
