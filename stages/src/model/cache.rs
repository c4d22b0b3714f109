//! Keys and values of the tokens seen so far, so that a new token costs one column and not a triangle.
//!
//! Room for the whole generation is taken at once; a step writes its column in place. Knows nothing of tokens.

use burn::tensor::{Device, Int, Tensor};

use super::config::TextConfig;

/// One layer's keys and values.
#[derive(Debug, Clone)]
pub struct LayerCache {
    k_bgsd: Tensor<4>,
    v_bgsd: Tensor<4>,
    length: usize,
}

/// All layers' keys and values; all rows are equally long.
#[derive(Debug, Clone)]
pub struct KvCache {
    pub(super) layers: Vec<LayerCache>,
}

impl KvCache {
    /// Room for `capacity` tokens of `rows` rows.
    pub fn new(config: &TextConfig, rows: usize, capacity: usize, device: &Device) -> Self {
        let shape = [rows, config.num_key_value_heads, capacity, config.head_dim()];
        let layer =
            || LayerCache { k_bgsd: Tensor::zeros(shape, device), v_bgsd: Tensor::zeros(shape, device), length: 0 };
        Self { layers: (0..config.num_hidden_layers).map(|_| layer()).collect() }
    }

    /// Tokens per row.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.length)
    }

    /// Whether no token was added yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row `i` becomes the former row `rows[i]`; a row may be named often or never.
    #[must_use]
    pub fn select(self, rows: &Tensor<1, Int>) -> Self {
        let pick = |layer: LayerCache| LayerCache {
            k_bgsd: layer.k_bgsd.select(0, rows.clone()),
            v_bgsd: layer.v_bgsd.select(0, rows.clone()),
            length: layer.length,
        };
        Self { layers: self.layers.into_iter().map(pick).collect() }
    }
}

impl LayerCache {
    /// Adds the keys and values of new tokens, `[B, G, T, d]`, and returns all so far.
    pub(super) fn extend(&mut self, k_bgtd: Tensor<4>, v_bgtd: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [b, g, t, d] = k_bgtd.dims();
        let range = [0..b, 0..g, self.length..self.length + t, 0..d];
        self.k_bgsd.inplace(|k| k.slice_assign(range.clone(), k_bgtd));
        self.v_bgsd.inplace(|v| v.slice_assign(range, v_bgtd));
        self.length += t;
        (self.k_bgsd.clone().narrow(2, 0, self.length), self.v_bgsd.clone().narrow(2, 0, self.length))
    }
}
