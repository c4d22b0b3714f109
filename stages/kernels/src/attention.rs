//! Attention with grouped key and value heads, forward and backward, a block of queries at a time: the scores of a whole
//! head are never in memory (Dao et al. 2022, arXiv 2205.14135, with a softmax per block of whole rows).
//!
//! ```text
//! s = q kᵀ         p = exp(s − lse)        lse = ln Σ exp s        o = p v             queries are scaled already
//! δ = Σ_d ∂o · o   ∂s = p · (∂o vᵀ − δ)    ∂q = ∂s k        ∂k = ∂sᵀ q        ∂v = pᵀ ∂o
//! ```
//!
//! What a query sees is a range of keys ([`Sight`]); the others cost nothing but the corners of blocks. Forward, the rows of
//! the batch are shared among the threads of the pool.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::matrix::{Target, View, multiply};
use crate::simd::{dot, exp, max, sum, wide};

/// Queries of a block: its scores against a thousand keys stay in a level-two cache.
const BLOCK: usize = 64;

/// Heads `[B, H, T, d]` somewhere in a slice.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a> {
    data: &'a [f32],
    shape: [usize; 4],
    /// From row to row, from head to head, from token to token, from value to value.
    strides: [usize; 4],
}

impl<'a> Heads<'a> {
    /// Value `(b, h, t, i)` at `b · strides[0] + h · strides[1] + t · strides[2] + i · strides[3]`.
    ///
    /// # Panics
    ///
    /// Where the last value is outside of the slice.
    pub fn new(data: &'a [f32], shape: [usize; 4], strides: [usize; 4]) -> Self {
        let last: usize = shape.iter().zip(strides).map(|(n, stride)| n.saturating_sub(1) * stride).sum();
        let empty = shape.contains(&0);
        assert!(empty || last < data.len(), "{shape:?} by {strides:?} in {} values", data.len());
        Self { data, shape, strides }
    }

    /// The heads of rows of tokens, `[B, T, H, d]` one after the other.
    ///
    /// # Panics
    ///
    /// As [`Self::new`].
    pub fn of_tokens(data: &'a [f32], [b, h, t, d]: [usize; 4]) -> Self {
        Self::new(data, [b, h, t, d], [t * h * d, d, h * d, 1])
    }

    /// `count` rows of `d` values from `(b, h, t)` on, `stride` apart.
    fn rows(&self, [b, h, t]: [usize; 3], count: usize, stride: usize) -> View<'a> {
        let start = b * self.strides[0] + h * self.strides[1] + t * self.strides[2];
        View::strided(&self.data[start..], [count, self.shape[3]], [stride, self.strides[3]])
    }

    /// Tokens `t..t + count` of one head.
    fn tokens(&self, at: [usize; 3], count: usize) -> View<'a> {
        self.rows(at, count, self.strides[2])
    }

    /// The values of one head of one token, where they stand together.
    fn row(&self, [b, h, t]: [usize; 3]) -> &'a [f32] {
        &self.data[b * self.strides[0] + h * self.strides[1] + t * self.strides[2]..][..self.shape[3]]
    }
}

/// Which keys a query may see: a range that follows from its place. The last query stands at the last key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// No key after the query's own place.
    pub causal: bool,
    /// First key of each row of the batch; empty: the first. A query before it sees its own place alone.
    pub from: Vec<usize>,
    /// Keys of each row of the batch; empty: all.
    pub upto: Vec<usize>,
}

impl Sight {
    /// First and one past the last key that query `i` of `t` sees in row `b`, of `s` keys.
    pub fn range(&self, b: usize, i: usize, [t, s]: [usize; 2]) -> [usize; 2] {
        let place = s - t + i;
        let end = if self.causal { place + 1 } else { self.upto.get(b).copied().unwrap_or(s).min(s) };
        let start = self.from.get(b).copied().unwrap_or(0).min(place);
        [start, end]
    }
}

/// Shapes that belong together.
#[derive(Clone, Copy)]
struct Plan<'a> {
    q: Heads<'a>,
    k: Heads<'a>,
    sight: &'a Sight,
}

/// Queries whose scores are made at once: of one head, or the only query of every head of a group.
struct Block {
    b: usize,
    /// Group of keys and values.
    g: usize,
    /// First head.
    h: usize,
    /// First query.
    i: usize,
    rows: usize,
    /// Keys that any of them sees.
    keys: [usize; 2],
}

impl<'a> Plan<'a> {
    fn new(q: Heads<'a>, k: Heads<'a>, v: Heads<'a>, sight: &'a Sight) -> Self {
        let ([b, h, t, d], [rows, g, s, wide]) = (q.shape, k.shape);
        assert!(k.shape == v.shape && b == rows && d == wide, "{:?} against {:?} and {:?}", q.shape, k.shape, v.shape);
        assert!(g > 0 && h.is_multiple_of(g) && s >= t, "{:?} against {:?}", q.shape, k.shape);
        Self { q, k, sight }
    }

    fn group(&self) -> usize {
        self.q.shape[1] / self.k.shape[1]
    }

    /// One query per head: the heads of a group stand under each other.
    fn stacked(&self) -> bool {
        self.q.shape[2] == 1
    }

    /// The blocks of one row of the batch.
    fn blocks(&self, b: usize) -> Vec<Block> {
        let ([_, h, t, _], [_, _, s, _], group) = (self.q.shape, self.k.shape, self.group());
        let keys = |i, count| {
            let [start, _] = self.sight.range(b, i, [t, s]);
            let [_, end] = self.sight.range(b, i + count - 1, [t, s]);
            [start, end]
        };
        if self.stacked() {
            return (0..h / group).map(|g| Block { b, g, h: g * group, i: 0, rows: group, keys: keys(0, 1) }).collect();
        }
        let starts = (0..h).flat_map(|h| (0..t).step_by(BLOCK).map(move |i| (h, i)));
        let block = |(h, i)| {
            let rows = BLOCK.min(t - i);
            Block { b, g: h / group, h, i, rows, keys: keys(i, rows) }
        };
        starts.map(block).collect()
    }

    /// Head and query of one row of a block.
    fn place(&self, block: &Block, row: usize) -> [usize; 2] {
        if self.stacked() { [block.h + row, 0] } else { [block.h, block.i + row] }
    }

    /// Where a row of a block is among `[T, H]`.
    fn token(&self, block: &Block, row: usize) -> usize {
        let [h, i] = self.place(block, row);
        i * self.q.shape[1] + h
    }

    /// From row to row of a block, in heads of `[T, H]`.
    fn pitch(&self) -> usize {
        if self.stacked() { 1 } else { self.q.shape[1] }
    }

    /// The rows of a block in heads `x` that are shaped as the queries.
    fn rows_of(&self, x: &Heads<'a>, block: &Block) -> View<'a> {
        let stride = if self.stacked() { x.strides[1] } else { x.strides[2] };
        x.rows([block.b, block.h, block.i], block.rows, stride)
    }

    /// Keys or values that a block sees.
    fn seen(x: &Heads<'a>, block: &Block) -> View<'a> {
        x.tokens([block.b, block.g, block.keys[0]], block.keys[1] - block.keys[0])
    }

    /// The part of a block's row that its query sees.
    fn window(&self, block: &Block, row: usize) -> [usize; 2] {
        let [_, i] = self.place(block, row);
        let range = self.sight.range(block.b, i, [self.q.shape[2], self.k.shape[2]]);
        range.map(|key| key - block.keys[0])
    }
}

/// `o` `[B, T, H, d]` and `lse` `[B, T, H]`, from queries `[B, H, T, d]` and keys and values `[B, G, S, d]`. A few queries
/// are fastest against keys whose tokens stand together.
///
/// # Panics
///
/// Where the shapes do not fit, or a query sees no key.
pub fn forward(q: Heads<'_>, k: Heads<'_>, v: Heads<'_>, sight: &Sight) -> (Vec<f32>, Vec<f32>) {
    let plan = Plan::new(q, k, v, sight);
    let [b, h, t, d] = q.shape;
    let (mut o, mut lse) = (vec![0.0; b * t * h * d], vec![0.0; b * t * h]);
    if o.is_empty() {
        return (o, lse);
    }
    let rows = o.par_chunks_mut(t * h * d).zip(lse.par_chunks_mut(t * h)).enumerate();
    rows.for_each(|(b, (o, lse))| attend(&plan, v, b, o, lse));
    (o, lse)
}

/// One row of the batch: `o` `[T, H, d]`, `lse` `[T, H]`.
fn attend(plan: &Plan<'_>, v: Heads<'_>, b: usize, o: &mut [f32], lse: &mut [f32]) {
    let d = plan.q.shape[3];
    let (mut scores, mut sums) = (Vec::new(), Vec::new());
    for block in plan.blocks(b) {
        let width = block.keys[1] - block.keys[0];
        scores.resize(block.rows * width, 0.0);
        sums.resize(block.rows, 0.0);
        let seen = Plan::seen(&plan.k, &block).transposed();
        multiply(Target::new(&mut scores, [block.rows, width], width), false, plan.rows_of(&plan.q, &block), seen);
        wide(
            #[inline(always)]
            || {
                for (row, (p, sum)) in scores.chunks_exact_mut(width).zip(&mut sums).enumerate() {
                    let (peak, total) = soften(p, plan.window(&block, row));
                    lse[plan.token(&block, row)] = peak + total.ln();
                    *sum = total;
                }
            },
        );
        let (first, pitch) = (plan.token(&block, 0), plan.pitch() * d);
        let out = &mut o[first * d..];
        let p = View::new(&scores, block.rows, width);
        multiply(Target::new(out, [block.rows, d], pitch), false, p, Plan::seen(&v, &block));
        wide(
            #[inline(always)]
            || {
                for (row, sum) in sums.iter().enumerate() {
                    let factor = 1.0 / *sum;
                    for o in &mut out[row * pitch..][..d] {
                        *o *= factor;
                    }
                }
            },
        );
    }
}

/// Scores → `exp(s − peak)` in the window and 0 outside; the peak, and the sum.
#[inline(always)]
fn soften(s: &mut [f32], [start, end]: [usize; 2]) -> (f32, f32) {
    assert!(start < end, "a query must see a key");
    let peak = max(&s[start..end]);
    s[..start].fill(0.0);
    s[end..].fill(0.0);
    let window = &mut s[start..end];
    for s in &mut *window {
        *s = exp(*s - peak);
    }
    (peak, sum(window))
}

/// Gradients of queries `[B, T, H, d]`, keys and values `[B, S, G, d]`, from `∂L/∂o` and what [`forward`] gave.
///
/// # Panics
///
/// Where the shapes do not fit, or the values of a head of `dout` do not stand together.
pub fn backward(
    dout: Heads<'_>,
    [q, k, v]: [Heads<'_>; 3],
    (o, lse): (&[f32], &[f32]),
    sight: &Sight,
) -> [Vec<f32>; 3] {
    let plan = Plan::new(q, k, v, sight);
    let ([b, h, t, d], [_, g, s, _]) = (q.shape, k.shape);
    assert_eq!(dout.strides[3], 1, "the values of a head stand together");
    assert!(dout.shape == q.shape && o.len() == b * t * h * d && lse.len() == b * t * h, "of another forward pass");
    let mut dq = vec![0.0; o.len()];
    let (mut dk, mut dv) = (vec![0.0; b * s * g * d], vec![0.0; b * s * g * d]);
    let (mut p, mut ds) = (Vec::new(), Vec::new());
    for block in (0..b).flat_map(|b| plan.blocks(b)) {
        let width = block.keys[1] - block.keys[0];
        let shape = [block.rows, width];
        let (keys, values) = (Plan::seen(&k, &block), Plan::seen(&v, &block));
        let (queries, gradients) = (plan.rows_of(&q, &block), plan.rows_of(&dout, &block));
        p.resize(block.rows * width, 0.0);
        ds.resize(block.rows * width, 0.0);
        multiply(Target::new(&mut p, shape, width), false, queries, keys.transposed());
        multiply(Target::new(&mut ds, shape, width), false, gradients, values.transposed());
        wide(
            #[inline(always)]
            || {
                for (row, (p, ds)) in p.chunks_exact_mut(width).zip(ds.chunks_exact_mut(width)).enumerate() {
                    let (token, [head, i]) = (block.b * t * h + plan.token(&block, row), plan.place(&block, row));
                    let delta = dot(dout.row([block.b, head, i]), &o[token * d..][..d]);
                    differentiate(p, ds, plan.window(&block, row), lse[token], delta);
                }
            },
        );
        let (p, ds) = (View::new(&p, block.rows, width), View::new(&ds, block.rows, width));
        let (first, pitch) = ((block.b * t * h + plan.token(&block, 0)) * d, plan.pitch() * d);
        multiply(Target::new(&mut dq[first..], [block.rows, d], pitch), false, ds, keys);
        let first = ((block.b * s + block.keys[0]) * g + block.g) * d;
        multiply(Target::new(&mut dk[first..], [width, d], g * d), true, ds.transposed(), queries);
        multiply(Target::new(&mut dv[first..], [width, d], g * d), true, p.transposed(), gradients);
    }
    [dq, dk, dv]
}

/// `s` → `p` and `∂o vᵀ` → `∂s`, both 0 outside of the window.
#[inline(always)]
fn differentiate(s: &mut [f32], ds: &mut [f32], [start, end]: [usize; 2], lse: f32, delta: f32) {
    for row in [&mut *s, &mut *ds] {
        row[..start].fill(0.0);
        row[end..].fill(0.0);
    }
    for (s, ds) in s[start..end].iter_mut().zip(&mut ds[start..end]) {
        *s = exp(*s - lse);
        *ds = *s * (*ds - delta);
    }
}

#[cfg(test)]
mod tests;
