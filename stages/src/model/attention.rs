//! Queries, keys and values → context: grouped-query attention of the text, segmented attention of the vision tower.
//!
//! Reference: `Qwen2_5_VLAttention`, `Qwen2_5_VLVisionAttention`, both eager. What a query may see is
//! [`Seen`], made by [`super::batch`] and [`super::window`].

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Tensor};

use super::adapters::Site;
use super::cache::LayerCache;
use super::config::{TextConfig, VisionConfig};
use super::dtype::to;
use super::linear::{Adapter, Linear};
use super::seen::Seen;
use super::text::Context;
use super::vision::View;
use crate::fused;

/// `softmax(q·kᵀ)·v` over what is seen; the queries are scaled already.
///
/// # Shapes
/// - `q` `[B, H, T, d]`, `k`, `v` `[B, G, S, d]` → `[B, H, T, d]`
///
/// `learning`: a backward pass follows, if not on these tensors then on their like.
fn attend(q_bhtd: Tensor<4>, k_bgsd: Tensor<4>, v_bgsd: Tensor<4>, seen: &Seen, learning: bool) -> Tensor<4> {
    if let Some(sight) = seen.sight().filter(|_| fused::here(&q_bhtd)) {
        return fused::attention(q_bhtd, k_bgsd, v_bgsd, sight.clone());
    }
    let ([b, _, t, _], [_, _, s, _]) = (q_bhtd.dims(), k_bgsd.dims());
    let bias = seen.table([b, t, s], &q_bhtd.device());
    match bias.filter(|_| t == s && seen.sight().is_some_and(|sight| sight.causal)) {
        Some(bias) => in_blocks([&q_bhtd, &k_bgsd, &v_bgsd], bias, learning, BLOCK),
        None => composed(q_bhtd, k_bgsd, v_bgsd, bias, learning),
    }
}

/// Queries of causal attention that are taken at a time.
const BLOCK: usize = 512;

/// As [`composed`] where `bias` hides every key after a query's own: some queries at a time meet the keys up to the last of
/// them, so that of long rows little more than the half is computed that counts.
fn in_blocks([q_bhtd, k_bgsd, v_bgsd]: [&Tensor<4>; 3], bias: &Tensor<3>, learning: bool, block: usize) -> Tensor<4> {
    let ([_, _, t, _], [planes, ..]) = (q_bhtd.dims(), bias.dims());
    let of = |start: usize| {
        let end = t.min(start + block);
        let bias = bias.clone().reshape([planes, t, t]).slice([0..planes, start..end, 0..end]);
        let bias = bias.reshape([planes, 1, (end - start) * end]);
        let [k_bgsd, v_bgsd] = [k_bgsd, v_bgsd].map(|all| all.clone().narrow(2, 0, end));
        composed(q_bhtd.clone().narrow(2, start, end - start), k_bgsd, v_bgsd, Some(&bias), learning)
    };
    Tensor::cat((0..t).step_by(block).map(of).collect(), 2)
}

/// `softmax(q·kᵀ + bias)·v` out of Burn's operators. Softmax runs in float32, products in the format of `v`; `bias` is
/// `[B or 1, 1, T·S]`.
pub(crate) fn composed(
    q_bhtd: Tensor<4>,
    k_bgsd: Tensor<4>,
    v_bgsd: Tensor<4>,
    bias: Option<&Tensor<3>>,
    learning: bool,
) -> Tensor<4> {
    let ([b, h, t, d], [_, g, ..]) = (q_bhtd.dims(), k_bgsd.dims());
    // The queries of one group stand under each other, so keys and values are never repeated.
    grouped(q_bhtd.reshape([b, g, h / g * t, d]), k_bgsd, v_bgsd, bias, learning).reshape([b, h, t, d])
}

fn grouped(
    q_bgqd: Tensor<4>,
    k_bgsd: Tensor<4>,
    v_bgsd: Tensor<4>,
    bias: Option<&Tensor<3>>,
    learning: bool,
) -> Tensor<4> {
    let ([b, g, q, d], [_, _, s, _]) = (q_bgqd.dims(), k_bgsd.dims());
    let dtype = v_bgsd.dtype();
    let scores = to(q_bgqd.matmul(k_bgsd.swap_dims(2, 3)), DType::F32);
    let scores = match bias {
        None => scores,
        Some(bias) => {
            let [_, _, plane] = bias.dims();
            (scores.reshape([b, g * q * s / plane, plane]) + bias.clone()).reshape([b, g, q, s])
        }
    };
    if !(learning || scores.is_tracked()) {
        return to(softmax(scores, 3), dtype).matmul(v_bgsd);
    }
    // Dividing after the product, and summing the weights as one more column of values, spares the backward pass five
    // walks over `[B, G, Q, S]`.
    let peak = scores.clone().detach().max_dim(3);
    let weights = (scores - peak).exp();
    if dtype != DType::F32 {
        // A narrow sum of thousands of weights would be worth little.
        let sums = weights.clone().sum_dim(3);
        return to(to(to(weights, dtype).matmul(v_bgsd), DType::F32) / sums, dtype);
    }
    let ones = Tensor::ones([b, g, s, 1], &v_bgsd.device());
    let sums = weights.matmul(Tensor::cat(vec![v_bgsd, ones], 3));
    sums.clone().narrow(3, 0, d) / sums.narrow(3, d, 1)
}

/// Causal self-attention with grouped key and value heads.
#[derive(Module, Debug)]
pub struct TextAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    heads: usize,
    kv_heads: usize,
}

impl TextAttention {
    /// Zero weights; see [`super::weights`].
    pub fn new(config: &TextConfig, device: &Device) -> Self {
        let (width, kv) = (config.hidden_size, config.num_key_value_heads * config.head_dim());
        Self {
            q_proj: Linear::new(width, width, true, device),
            k_proj: Linear::new(width, kv, true, device),
            v_proj: Linear::new(width, kv, true, device),
            o_proj: Linear::new(width, width, false, device),
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
        }
    }

    /// `[B·T, D] → [B·T, D]`; with a cache, the keys and values are added to it and all of it is seen.
    pub fn forward(
        &self,
        x_nd: Tensor<2>,
        Context { rows, rotary, seen, learning }: Context<'_>,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<2> {
        let [n, width] = x_nd.dims();
        let (t, d) = (n / rows, width / self.heads);
        let q_nhd = rotary.queries(self.q_proj.forward(x_nd.clone()));
        let k_nhd = rotary.keys(self.k_proj.forward(x_nd.clone()));
        let v_nd = self.v_proj.forward(x_nd);
        let q_bhtd = q_nhd.reshape([rows, t, self.heads, d]).swap_dims(1, 2);
        let k_bgsd = k_nhd.reshape([rows, t, self.kv_heads, d]).swap_dims(1, 2);
        let v_bgsd = v_nd.reshape([rows, t, self.kv_heads, d]).swap_dims(1, 2);
        let (k_bgsd, v_bgsd) = match cache {
            Some(cache) => cache.extend(k_bgsd, v_bgsd),
            None => (k_bgsd, v_bgsd),
        };
        let context_bhtd = attend(q_bhtd, k_bgsd, v_bgsd, seen, learning);
        self.o_proj.forward(context_bhtd.swap_dims(1, 2).reshape([n, width]))
    }

    /// Its linear layers below `name`.
    pub(super) fn sites(&mut self, name: &str) -> Vec<Site<'_>> {
        vec![
            self.q_proj.site(format!("{name}.q_proj")),
            self.k_proj.site(format!("{name}.k_proj")),
            self.v_proj.site(format!("{name}.v_proj")),
            self.o_proj.site(format!("{name}.o_proj")),
        ]
    }
}

/// Attention inside segments of a sequence of patches.
#[derive(Module, Debug)]
pub struct VisionAttention {
    // The checkpoint's fused `qkv`, kept apart: slicing its output would cost a zero-filled gradient per slice.
    q: Linear,
    k: Linear,
    v: Linear,
    /// The adapter of the fused `qkv`: one `A` for all three, and the columns of `B` in thirds.
    lora: Option<Adapter>,
    proj: Linear,
    heads: usize,
}

impl VisionAttention {
    /// Zero weights; see [`super::weights`].
    pub fn new(config: &VisionConfig, device: &Device) -> Self {
        let map = || Linear::new(config.hidden_size, config.hidden_size, true, device);
        Self { q: map(), k: map(), v: map(), lora: None, proj: map(), heads: config.num_heads }
    }

    /// `[N, D] → [N, D]`
    pub fn forward(&self, x_nd: Tensor<2>, View { rotary, segments, learning }: View<'_>) -> Tensor<2> {
        let [n, width] = x_nd.dims();
        let d = width / self.heads;
        let [q_nd, k_nd, v_nd] = self.qkv(x_nd);
        let (q_nhd, k_nhd) = (rotary.queries(q_nd), rotary.keys(k_nd));
        let v_nhd: Tensor<3> = v_nd.reshape([n, self.heads, d]);
        let [q, k, v] = [q_nhd, k_nhd, v_nhd].map(|x_nhd| segments.split(x_nhd));
        let context_shld = attend(q, k, v, segments.seen(), learning);
        self.proj.forward(segments.join(context_shld).reshape([n, width]))
    }

    /// Queries, keys and values, `[N, D]` each.
    fn qkv(&self, x_nd: Tensor<2>) -> [Tensor<2>; 3] {
        let maps = [&self.q, &self.k, &self.v];
        let base = maps.map(|map| map.forward(x_nd.clone()));
        let Some(adapter) = &self.lora else { return base };
        let low_nr = adapter.lower(x_nd);
        let mut part = 0..;
        base.map(|y_nd| y_nd + adapter.raise_part(low_nr.clone(), part.next().unwrap_or_default(), maps.len()))
    }

    /// Its linear layers below `name`.
    pub(super) fn sites(&mut self, name: &str) -> Vec<Site<'_>> {
        let weights = vec![&mut self.q.weight, &mut self.k.weight, &mut self.v.weight];
        let fused = Site { name: format!("{name}.qkv"), weights, adapter: &mut self.lora };
        vec![fused, self.proj.site(format!("{name}.proj"))]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;
    use curricle_kernels::attention::Sight;

    use super::*;
    use crate::fused::testing::{Random, equal};
    use crate::model::fixture;

    #[test]
    fn blocks_of_queries_are_all_queries() {
        for ([b, h, g, t, d], from, block) in [
            ([1, 1, 1, 1, 2], vec![], 4),
            ([2, 4, 2, 7, 6], vec![], 3),
            ([1, 8, 1, 33, 4], vec![], 8),
            ([3, 2, 2, 9, 8], vec![0, 4, 8], 4),
        ] {
            let inputs = Random(31);
            let seen = Seen::from(Sight { causal: true, from, upto: vec![] });
            let bias = seen.table([b, t, t], &fixture::device());
            let split = |[q, k, v]: [Tensor<2>; 3]| {
                let heads = |x: Tensor<2>, h| x.reshape([b, t, h, d]).swap_dims(1, 2);
                [heads(q, h), heads(k, g), heads(v, g)]
            };
            let flat = |o: Tensor<4>| o.swap_dims(1, 2).reshape([b * t, h * d]);
            let hides_none = Tensor::zeros([1, 1, t * t], &fixture::device());
            equal(
                &[inputs.shaped([b * t, h * d]), inputs.shaped([b * t, g * d]), inputs.shaped([b * t, g * d])],
                |all| {
                    let [q, k, v] = split(all);
                    flat(in_blocks([&q, &k, &v], bias.unwrap_or(&hides_none), true, block))
                },
                |all| {
                    let [q, k, v] = split(all);
                    flat(composed(q, k, v, bias, true))
                },
            );
        }
    }
}
