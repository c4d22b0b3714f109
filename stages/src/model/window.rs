//! Grids of patches → order of windows and lengths of attention segments.
//!
//! Reference: `get_window_index` and the `cu_seqlens` of `Qwen2_5_VisionTransformer`. The tower runs in window order from
//! its first block to its merger; [`super::batch`] uploads the patches in that order and reads the tokens back from it, so
//! no permutation ever runs on the device.

use burn::tensor::{Device, Int, Tensor, TensorData};
use curricle_kernels::attention::Sight;

use super::config::MERGE;
use super::seen::Seen;

/// Merged units of one picture in window order, and how the attention is cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowPlan {
    /// Unit (of 2 × 2 patches, row-major over frames, rows, columns) at each place.
    pub order: Vec<usize>,
    /// Patches of each window.
    pub windows: Vec<usize>,
    /// Patches of each frame.
    pub frames: Vec<usize>,
}

impl WindowPlan {
    /// The plan of one picture of `[t, h, w]` patches, with windows of `side` × `side` units.
    ///
    /// The reference pads a grid that the side divides by a whole row of windows; those are empty and it drops them again,
    /// so they don't appear here at all.
    pub fn new([frames, rows, columns]: [usize; 3], side: usize) -> Self {
        let (height, width) = (rows / MERGE, columns / MERGE);
        let mut plan = Self { frames: vec![rows * columns; frames], ..Self::default() };
        for frame in 0..frames {
            for top in (0..height).step_by(side) {
                for left in (0..width).step_by(side) {
                    let before = plan.order.len();
                    for y in top..height.min(top + side) {
                        plan.order.extend((left..width.min(left + side)).map(|x| (frame * height + y) * width + x));
                    }
                    plan.windows.push((plan.order.len() - before) * MERGE * MERGE);
                }
            }
        }
        plan
    }
}

/// `(row, column)` of every patch of a `[t, h, w]` grid, in merge-block order.
pub fn cells([frames, rows, columns]: [usize; 3]) -> Vec<[usize; 2]> {
    let mut cells = Vec::with_capacity(frames * rows * columns);
    for _ in 0..frames {
        for top in (0..rows).step_by(MERGE) {
            for left in (0..columns).step_by(MERGE) {
                cells.extend((0..MERGE).flat_map(|y| (0..MERGE).map(move |x| [top + y, left + x])));
            }
        }
    }
    cells
}

/// Consecutive parts of a sequence that attend only inside themselves, as a batch.
#[derive(Debug, Clone)]
pub struct Segments {
    count: usize,
    longest: usize,
    /// For unequal parts: the row for every place of the padded batch, and the place of every row.
    ragged: Option<(Tensor<1, Int>, Tensor<1, Int>)>,
    seen: Seen,
}

impl Segments {
    /// From the length of each part, in order.
    pub fn new(lengths: &[usize], device: &Device) -> Self {
        let (count, longest) = (lengths.len(), lengths.iter().copied().max().unwrap_or(0));
        if lengths.iter().all(|&n| n == longest) {
            return Self { count, longest, ragged: None, seen: Seen::from(Sight::default()) };
        }
        let (mut places, mut rows, mut start) = (Vec::new(), Vec::new(), 0);
        for (segment, &length) in lengths.iter().enumerate() {
            // A place without a row repeats the first one of its part; nobody sees it and nobody reads it.
            places.extend((0..longest).map(|i| (start + if i < length { i } else { 0 }) as i32));
            rows.extend((0..length).map(|i| (segment * longest + i) as i32));
            start += length;
        }
        let indices = |values: Vec<i32>| {
            let length = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [length]), device)
        };
        let seen = Seen::from(Sight { upto: lengths.to_vec(), ..Sight::default() });
        Self { count, longest, ragged: Some((indices(places), indices(rows))), seen }
    }

    /// `[N, H, d] → [segments, H, longest, d]`
    pub fn split(&self, x_nhd: Tensor<3>) -> Tensor<4> {
        let [_, heads, d] = x_nhd.dims();
        let x_nhd = match &self.ragged {
            None => x_nhd,
            Some((places, _)) => x_nhd.select(0, places.clone()),
        };
        x_nhd.reshape([self.count, self.longest, heads, d]).swap_dims(1, 2)
    }

    /// `[segments, H, longest, d] → [N, H, d]`
    pub fn join(&self, x_shld: Tensor<4>) -> Tensor<3> {
        let [_, heads, _, d] = x_shld.dims();
        let x_nhd = x_shld.swap_dims(1, 2).reshape([self.count * self.longest, heads, d]);
        match &self.ragged {
            None => x_nhd,
            Some((_, rows)) => x_nhd.select(0, rows.clone()),
        }
    }

    /// Hides the padding.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::{Segments, WindowPlan, cells};
    use crate::model::fixture;

    #[test]
    fn windows_are_row_major_and_cut_at_the_edges() {
        // 3 × 5 units in windows of 2: (2,2,1) wide by (2,1) high.
        let plan = WindowPlan::new([1, 6, 10], 2);
        assert_eq!(plan.order, [0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14]);
        assert_eq!(plan.windows, [16, 16, 8, 8, 8, 4]);
        assert_eq!(plan.frames, [60]);
    }

    #[test]
    fn a_divisible_grid_has_no_empty_window() {
        let plan = WindowPlan::new([2, 8, 8], 4);
        assert_eq!(plan.windows, [64, 64]);
        assert_eq!(plan.frames, [64, 64]);
        assert_eq!(plan.order, (0..32).collect::<Vec<_>>());
    }

    #[test]
    fn patches_of_a_block_stand_together() {
        assert_eq!(cells([1, 2, 4]), [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2], [0, 3], [1, 2], [1, 3]]);
    }

    #[test]
    fn unequal_parts_come_back_in_place() {
        let device = fixture::device();
        for lengths in [vec![2, 2], vec![1, 3, 2]] {
            let n = lengths.iter().sum::<usize>();
            let x = Tensor::<1, burn::tensor::Int>::arange(0..(n * 6) as i64, &device).float().reshape([n, 2, 3]);
            let segments = Segments::new(&lengths, &device);
            let back = segments.join(segments.split(x.clone()));
            assert_eq!(back.into_data(), x.into_data());
        }
    }
}
