//! Positions → cosines and sines, and their application to queries and keys.
//!
//! Text: three-axis rotary positions (M-RoPE), where each frequency follows time, height or width
//! (`apply_multimodal_rotary_pos_emb`). Vision: two-axis, half of the frequencies for the row and half for the column
//! (`Qwen2_5_VisionRotaryEmbedding`). Both turn pairs `(i, i + d/2)` ("rotate half"). Tables are made once per batch on
//! the host, in float32 as the reference does, and what they turn is turned in float32. Knows nothing of tokens and images.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::dtype::to;
use crate::fused;

/// Position of one token on the axes time, height, width.
pub type Position = [i64; 3];

/// Tables for `N` tokens of heads of width `d`.
#[derive(Debug, Clone)]
pub struct Rotary {
    cos_n1d: Tensor<3>,
    sin_n1d: Tensor<3>,
    /// The same times `1/√d`: queries carry the scale of the scores, which saves a pass over every score.
    scaled_cos_n1d: Tensor<3>,
    scaled_sin_n1d: Tensor<3>,
    /// `x · turn` puts `-x[i + d/2]` at `i` and `x[i]` at `i + d/2`; a product is one operation, forward and backward.
    turn_dd: Tensor<2>,
}

impl Rotary {
    /// From angles `[N, d/2]`, row-major.
    pub fn new(angles: &[f32], half: usize, device: &Device) -> Self {
        let (rows, width) = (angles.len() / half, half * 2);
        let scale = 1.0 / (width as f32).sqrt();
        let table = |f: fn(f32) -> f32, scale: f32| {
            let mut values = Vec::with_capacity(rows * width);
            for row in angles.chunks_exact(half) {
                for _ in 0..2 {
                    values.extend(row.iter().map(|&angle| f(angle) * scale));
                }
            }
            Tensor::<3>::from_data(TensorData::new(values, [rows, 1, width]), device)
        };
        let mut turn = vec![0.0_f32; width * width];
        for i in 0..half {
            turn[(i + half) * width + i] = -1.0;
            turn[i * width + i + half] = 1.0;
        }
        Self {
            cos_n1d: table(f32::cos, 1.0),
            sin_n1d: table(f32::sin, 1.0),
            scaled_cos_n1d: table(f32::cos, scale),
            scaled_sin_n1d: table(f32::sin, scale),
            turn_dd: Tensor::from_data(TensorData::new(turn, [width, width]), device),
        }
    }

    /// Turns queries `[N, H·d]` and scales them by `1/√d`; `[N, H, d]`.
    pub fn queries(&self, q_nd: Tensor<2>) -> Tensor<3> {
        if fused::here(&q_nd) {
            return fused::rotate(q_nd, self.scaled_cos_n1d.clone(), self.scaled_sin_n1d.clone());
        }
        self.composed_queries(q_nd)
    }

    /// [`Self::queries`] out of Burn's operators.
    pub(crate) fn composed_queries(&self, q_nd: Tensor<2>) -> Tensor<3> {
        self.composed(q_nd, &self.scaled_cos_n1d, &self.scaled_sin_n1d)
    }

    /// Turns keys `[N, H·d]`; `[N, H, d]`.
    pub fn keys(&self, k_nd: Tensor<2>) -> Tensor<3> {
        if fused::here(&k_nd) {
            return fused::rotate(k_nd, self.cos_n1d.clone(), self.sin_n1d.clone());
        }
        self.composed(k_nd, &self.cos_n1d, &self.sin_n1d)
    }

    fn composed(&self, x_nd: Tensor<2>, cos_n1d: &Tensor<3>, sin_n1d: &Tensor<3>) -> Tensor<3> {
        let ([rows, all], [width, _], dtype) = (x_nd.dims(), self.turn_dd.dims(), x_nd.dtype());
        let x_nd = to(x_nd, DType::F32);
        let heads = all / width;
        let turned = x_nd.clone().reshape([rows * heads, width]).matmul(self.turn_dd.clone());
        let x_nhd: Tensor<3> = x_nd.reshape([rows, heads, width]);
        to(x_nhd * cos_n1d.clone() + turned.reshape([rows, heads, width]) * sin_n1d.clone(), dtype)
    }
}

/// `θ^(-2i/d)` for `i < d/2`, in float32 as the reference computes them.
pub fn frequencies(theta: f64, width: usize) -> Vec<f32> {
    (0..width / 2).map(|i| 1.0 / (theta as f32).powf((2 * i) as f32 / width as f32)).collect()
}

/// Angles `[N, d/2]` of text positions: frequency `i` follows the axis of its section.
pub fn text_angles(positions: &[Position], section: [usize; 3], theta: f64) -> Vec<f32> {
    let half = section.iter().sum::<usize>();
    let frequencies = frequencies(theta, half * 2);
    let axis: Vec<usize> = section.iter().enumerate().flat_map(|(axis, &n)| std::iter::repeat_n(axis, n)).collect();
    positions
        .iter()
        .flat_map(|position| frequencies.iter().zip(&axis).map(|(f, &axis)| position[axis] as f32 * f))
        .collect()
}

/// Angles `[N, d/2]` of patches at (row, column): the row's `d/4` frequencies, then the column's.
pub fn vision_angles(cells: &[[usize; 2]], width: usize) -> Vec<f32> {
    let frequencies = frequencies(10_000.0, width / 2);
    cells.iter().flat_map(|cell| cell.iter().flat_map(|&at| frequencies.iter().map(move |f| at as f32 * f))).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::{Rotary, text_angles, vision_angles};
    use crate::model::fixture;

    /// Width 4, one frequency per pair: θ = 4 gives 1 and 1/2. Position 2 turns the pair (x0, x2) by 2 and (x1, x3) by 1.
    #[test]
    fn pairs_are_half_a_head_apart() {
        let device = fixture::device();
        let rotary = Rotary::new(&text_angles(&[[2, 2, 2]], [1, 1, 0], 4.0), 2, &device);
        let x = [0.3_f32, -0.7, 1.1, 0.2];
        let got = rotary.keys(Tensor::from_data([x], &device)).into_data().try_into_vec_as::<f32>().unwrap();
        let turn = |a: f32, b: f32, t: f32| (a * t.cos() - b * t.sin(), b * t.cos() + a * t.sin());
        let ((a, c), (b, d)) = (turn(x[0], x[2], 2.0), turn(x[1], x[3], 1.0));
        for (got, want) in got.iter().zip([a, b, c, d]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        let scaled = rotary.queries(Tensor::from_data([x], &device)).into_data().try_into_vec_as::<f32>().unwrap();
        assert!((scaled[0] - a / 2.0).abs() < 1e-6);
    }

    #[test]
    fn each_section_follows_its_axis() {
        let angles = text_angles(&[[1, 10, 100]], [1, 1, 1], 1.0);
        assert_eq!(angles, [1.0, 10.0, 100.0]);
    }

    #[test]
    fn rows_come_before_columns() {
        for (angle, want) in vision_angles(&[[3, 5]], 8).iter().zip([3.0, 0.03, 5.0, 0.05]) {
            assert!((angle - want).abs() < 1e-6, "{angle} {want}");
        }
    }
}
