//! Keys and values of the tokens seen so far, so that a new token costs one column and not a triangle.
//!
//! Room for the whole generation is taken at once; a step writes its column in place. Knows nothing of tokens.

use burn::tensor::{DType, Device, Int, Tensor};

use super::config::TextConfig;
use super::sizes::Sizes;

/// One layer's keys and values.
#[derive(Debug, Clone)]
pub struct LayerCache {
    /// Tokens stand together here: a query meets one value of all keys at a time.
    k_bgds: Tensor<4>,
    v_bgsd: Tensor<4>,
    length: usize,
    sizes: Sizes,
}

/// All layers' keys and values; all rows are equally long.
#[derive(Debug, Clone)]
pub struct KvCache {
    pub(super) layers: Vec<LayerCache>,
}

impl KvCache {
    /// Room for `[rows, tokens]`, in the number format of the model.
    pub fn new(config: &TextConfig, [rows, capacity]: [usize; 2], sizes: Sizes, device: &Device, dtype: DType) -> Self {
        let (heads, width) = (config.num_key_value_heads, config.head_dim());
        let zeros = |shape| Tensor::zeros(shape, (device, dtype));
        let layer = || LayerCache {
            k_bgds: zeros([rows, heads, width, capacity]),
            v_bgsd: zeros([rows, heads, capacity, width]),
            length: 0,
            sizes,
        };
        Self { layers: (0..config.num_hidden_layers).map(|_| layer()).collect() }
    }

    /// Tokens per row.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.length)
    }

    /// Columns that [`LayerCache::extend`] returns once there are `length` tokens.
    pub fn shown(&self, length: usize) -> usize {
        self.layers.first().map_or(length, |layer| layer.shown(length))
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
            let all = |dim, part: fn(&LayerCache) -> &Tensor<4>| {
                let parts = parts.iter().zip(&rows).map(|(cache, rows)| (part(cache), cache.length, rows));
                stacked(parts.collect(), dim, length, capacity)
            };
            let (k_bgds, v_bgsd) = (all(3, |layer| &layer.k_bgds), all(2, |layer| &layer.v_bgsd));
            let sizes = parts.first().map_or(Sizes::Exact, |layer| layer.sizes);
            layers.push(LayerCache { k_bgds, v_bgsd, length, sizes });
        }
        Self { layers }
    }
}

/// Tokens are in dimension `dim`.
fn stacked(parts: Vec<(&Tensor<4>, usize, &Tensor<1, Int>)>, dim: usize, length: usize, capacity: usize) -> Tensor<4> {
    let mut shape = parts[0].0.dims();
    shape[0] = parts.iter().map(|(_, _, rows)| rows.dims()[0]).sum::<usize>();
    shape[dim] = capacity;
    let mut all = Tensor::zeros(shape, (&parts[0].0.device(), parts[0].0.dtype()));
    let mut first = 0;
    for (part, had, rows) in parts {
        let (count, kept) = (rows.dims()[0], had.min(length));
        let tail = part.clone().narrow(dim, had - kept, kept).select(0, rows.clone());
        let mut place = shape.map(|size| 0..size);
        (place[0], place[dim]) = (first..first + count, length - kept..length);
        all = all.slice_assign(place, tail);
        first += count;
    }
    all
}

impl LayerCache {
    fn shown(&self, length: usize) -> usize {
        self.sizes.columns(length).min(self.v_bgsd.dims()[2])
    }

    /// Adds the keys and values of new tokens, `[B, G, T, d]`, and returns all so far, with columns of zeros behind them up
    /// to one of few sizes.
    pub(super) fn extend(&mut self, k_bgtd: Tensor<4>, v_bgtd: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [b, g, t, d] = k_bgtd.dims();
        let new = self.length..self.length + t;
        self.k_bgds.inplace(|k| k.slice_assign([0..b, 0..g, 0..d, new.clone()], k_bgtd.swap_dims(2, 3)));
        self.v_bgsd.inplace(|v| v.slice_assign([0..b, 0..g, new, 0..d], v_bgtd));
        self.length += t;
        let shown = self.shown(self.length);
        let k_bgsd = self.k_bgds.clone().narrow(3, 0, shown).swap_dims(2, 3);
        (k_bgsd, self.v_bgsd.clone().narrow(2, 0, shown))
    }
}
