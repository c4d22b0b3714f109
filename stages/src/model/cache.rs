//! Keys and values of the tokens seen so far, so that a new token costs one column and not a triangle.
//!
//! Room for the whole generation is taken at once; a step writes its column in place. Knows nothing of tokens.

use burn::tensor::{DType, Device, Int, Tensor};

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
    /// Room for `capacity` tokens of `rows` rows, in the number format of the model.
    pub fn new(config: &TextConfig, rows: usize, capacity: usize, device: &Device, dtype: DType) -> Self {
        let shape = [rows, config.num_key_value_heads, capacity, config.head_dim()];
        let zeros = || Tensor::zeros(shape, (device, dtype));
        let layer = || LayerCache { k_bgsd: zeros(), v_bgsd: zeros(), length: 0 };
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

    /// Rows of several caches, one below the other: of each cache the rows named, often or never, with their last tokens
    /// in the last of `length` columns. Room for `capacity` tokens.
    ///
    /// # Panics
    /// Where there is no part.
    #[must_use]
    pub fn stack(parts: Vec<(Self, Tensor<1, Int>)>, length: usize, capacity: usize) -> Self {
        let rows: Vec<Tensor<1, Int>> = parts.iter().map(|(_, rows)| rows.clone()).collect();
        let mut caches: Vec<_> = parts.into_iter().map(|(cache, _)| cache.layers.into_iter()).collect();
        let mut layers = Vec::new();
        // Layer by layer, so that only one of them is there twice.
        while let Some(parts) = caches.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
            let all = |part: fn(&LayerCache) -> &Tensor<4>| {
                let parts = parts.iter().zip(&rows).map(|(cache, rows)| (part(cache), cache.length, rows));
                stacked(parts.collect(), length, capacity)
            };
            layers.push(LayerCache { k_bgsd: all(|layer| &layer.k_bgsd), v_bgsd: all(|layer| &layer.v_bgsd), length });
        }
        Self { layers }
    }
}

fn stacked(parts: Vec<(&Tensor<4>, usize, &Tensor<1, Int>)>, length: usize, capacity: usize) -> Tensor<4> {
    let [_, g, _, d] = parts[0].0.dims();
    let rows = parts.iter().map(|(_, _, rows)| rows.dims()[0]).sum::<usize>();
    let mut all = Tensor::zeros([rows, g, capacity, d], (&parts[0].0.device(), parts[0].0.dtype()));
    let mut first = 0;
    for (part, had, rows) in parts {
        let (count, kept) = (rows.dims()[0], had.min(length));
        let tail = part.clone().narrow(2, had - kept, kept).select(0, rows.clone());
        all = all.slice_assign([first..first + count, 0..g, length - kept..length, 0..d], tail);
        first += count;
    }
    all
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
