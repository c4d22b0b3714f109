//! Tokens and patches → floating-point operations, a multiplication and an addition counted as two.
//!
//! ```text
//! forward    2 · entries of the matrices, per token; per layer 4 · D · S for scores and values (2 · D · S each, over all
//!            S keys: the causal half is computed and hidden); head 2 · V · D where a token is scored
//! backward   as much again for the inputs of what is differentiated, and once more for weights that learn
//! ```
//!
//! With all weights learning and S small this is Kaplan et al. 2020 (arXiv 2001.08361, §2.1): 2N and 6N a token. Gradient
//! checkpointing adds one forward pass of the layers. Norms, rotary turns and softmax are left out: they are products of
//! a row with a row, a hundredth of this at the width of a released model.

use super::learning::Learning;
use super::sizes::Sizes;
use crate::train::freeze::Part;

/// How often what is differentiated is gone through.
#[derive(Debug, Clone, Copy)]
pub enum Way<'a> {
    /// Forward alone.
    Forward,
    /// Forward and backward; with checkpointing, the layers forward twice.
    Training(&'a Learning<'a>, bool),
}

/// Operations on `tokens` tokens that each see `keys` keys, without the head.
pub fn text(sizes: &Sizes, tokens: f64, keys: f64, way: Way<'_>) -> f64 {
    let matrices = 2.0 * sizes.text_layer().matrices as f64;
    let attention = 4.0 * sizes.hidden as f64 * keys;
    let (maps, products) = factors(way, Part::Text, Learning::through_text);
    tokens * sizes.layers as f64 * (matrices * maps + attention * products)
}

/// Operations of the head on `tokens` tokens.
pub fn head(sizes: &Sizes, tokens: f64, way: Way<'_>) -> f64 {
    let table = 2.0 * sizes.table() as f64;
    let part = if sizes.tied { Part::Embed } else { Part::Head };
    // The head is recomputed part by part only where one part does not hold all of it; counted as if it never were.
    let factor = match way {
        Way::Forward => 1.0,
        Way::Training(learning, _) => {
            1.0 + one(learning.through_text()) + one(learning.weights(part) || learning.learns(Part::Head))
        }
    };
    tokens * table * factor
}

/// Operations of the tower and its merger on `patches` patches of images of `image` patches.
pub fn vision(sizes: &Sizes, patches: f64, image: f64, way: Way<'_>) -> f64 {
    let tower = &sizes.vision;
    let full = tower.full.min(tower.depth) as f64;
    let windows = tower.depth as f64 - full;
    let matrices = 2.0 * (sizes.vision_block().matrices * tower.depth + sizes.patch_embedding()) as f64;
    let attention = 4.0 * tower.hidden as f64 * (full * image + windows * image.min(tower.window as f64));
    let (maps, products) = factors(way, Part::Vision, Learning::through_vision);
    // The merger sees a quarter as many rows.
    let (merged, _) = factors(way, Part::Merger, Learning::through_merger);
    let merger = 2.0 * sizes.merger().matrices as f64 / 4.0 * merged;
    patches * (matrices * maps + attention * products + merger)
}

/// How often matrices and products are gone through: forward, again, for the gradient of the input, for that of the weights.
fn factors<'a>(way: Way<'a>, part: Part, through: impl Fn(&Learning<'a>) -> bool) -> (f64, f64) {
    match way {
        Way::Forward => (1.0, 1.0),
        Way::Training(learning, _) if !through(learning) => (1.0, 1.0),
        Way::Training(learning, checkpointing) => {
            let forward = 1.0 + one(checkpointing);
            (forward + 1.0 + one(learning.weights(part)), forward + 2.0)
        }
    }
}

fn one(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::sizes::small as sizes;

    const ALL: Learning<'static> = Learning { frozen: &[], lora: None, adapter: 0, images: true };

    fn equal(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6 * expected, "{found} {expected}");
    }

    /// A layer's matrices: 2·64 + 2·8·4 + 3·8·20 = 672; three layers, 2 operations each: 4,032. Attention 3·4·8·10 = 960.
    #[test]
    fn a_forward_pass_is_two_operations_a_weight_and_a_backward_pass_four() {
        equal(text(&sizes(), 7.0, 10.0, Way::Forward), 7.0 * (4032.0 + 960.0));
        equal(text(&sizes(), 7.0, 10.0, Way::Training(&ALL, false)), 7.0 * 3.0 * (4032.0 + 960.0));
        equal(text(&sizes(), 7.0, 10.0, Way::Training(&ALL, true)), 7.0 * 4.0 * (4032.0 + 960.0));
        equal(head(&sizes(), 7.0, Way::Forward), 7.0 * 1600.0);
        equal(head(&sizes(), 7.0, Way::Training(&ALL, false)), 7.0 * 4800.0);
    }

    /// A block: 4·256 + 3·16·24 = 2,176; two of them and 1176·16 = 18,816: 2·23,168. Attention 4·16·(64 + 16) = 5,120; merger
    /// 2·(64² + 64·8)/4 = 2,304.
    #[test]
    fn windows_see_less_than_whole_images() {
        equal(vision(&sizes(), 64.0, 64.0, Way::Forward), 64.0 * (46_336.0 + 5_120.0 + 2_304.0));
    }

    #[test]
    fn what_is_frozen_has_no_gradient_of_its_weights() {
        let frozen = Learning { frozen: &[Part::Vision, Part::Merger, Part::Text], ..ALL };
        // The embedding learns: gradients pass through the text's layers.
        equal(text(&sizes(), 1.0, 10.0, Way::Training(&frozen, false)), 2.0 * 4032.0 + 3.0 * 960.0);
        equal(vision(&sizes(), 64.0, 64.0, Way::Training(&frozen, false)), vision(&sizes(), 64.0, 64.0, Way::Forward));
    }
}
