//! Encoded rows → the tensors of one forward pass: ids, rotary tables, mask, patches and where their tokens go.
//!
//! Everything that depends only on lengths and grids is computed here once, on the host: positions, window order, masks.
//! Knows nothing of weights.

use burn::tensor::{Device, Int, Tensor, TensorData};
use curricle_datasets::{Encoded, ImagePatches};
use curricle_kernels::attention::Sight;

use super::config::{MERGE, ModelConfig, PATCH_VALUES};
use super::position::positions;
use super::rope::{Position, Rotary, text_angles, vision_angles};
use super::seen::Seen;
use super::sizes::Sizes;
use super::window::{Segments, WindowPlan, cells};

/// Where short rows are filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Before the row: for generation, so that every row ends in the last column.
    Left,
    /// After the row: for training; one causal mask then serves all rows.
    Right,
}

/// Position of tokens that fill up; the reference's value, without effect.
const FILLED: Position = [0; 3];

/// `B` rows of `T` tokens, ready for a forward pass.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Rows, `B`.
    pub rows: usize,
    /// Tokens per row after padding, `T`.
    pub width: usize,
    /// Ids on the host, `[B·T]`.
    pub ids: Vec<u32>,
    /// Which tokens are not padding, `[B·T]`.
    pub real: Vec<bool>,
    /// Which tokens are to be learnt (as successors of the tokens before them), `[B·T]`.
    pub target: Vec<bool>,
    /// Three-axis positions, `[B·T]`.
    pub positions: Vec<Position>,
    /// Position of the token after each row, minus the row's tokens (the reference's `rope_deltas`), `[B]`.
    pub deltas: Vec<i64>,
    /// Ids on the device.
    pub ids_bt: Tensor<2, Int>,
    pub(super) rotary: Rotary,
    pub(super) seen: Seen,
    /// The images; none in a batch of text, which then never touches the vision tower.
    pub vision: Option<VisionBatch>,
}

/// All images of a batch, in window order.
#[derive(Debug, Clone)]
pub struct VisionBatch {
    pub(super) patches_np: Tensor<2>,
    pub(super) rotary: Rotary,
    pub(super) windows: Segments,
    pub(super) frames: Segments,
    /// Token (of `B·T`) that each merged unit becomes.
    pub(super) slots: Tensor<1, Int>,
    /// 0 for the tokens that the images replace, else 1, `[B·T, 1]`.
    pub(super) keep_n1: Tensor<2>,
    /// Place of every merged unit in window order, over all images.
    pub order: Vec<usize>,
}

impl Batch {
    /// Packs rows into one batch, as wide as suits the device.
    ///
    /// # Panics
    /// Where there is no row, or where a row's pad tokens of images don't match its images.
    pub fn new(rows: &[&Encoded], padding: Padding, pad_id: u32, config: &ModelConfig, device: &Device) -> Self {
        Self::sized(rows, padding, pad_id, Sizes::of(device), config, device)
    }

    /// As [`Self::new`], with the width of the longest row met as `sizes` says.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn sized(
        rows: &[&Encoded],
        padding: Padding,
        pad_id: u32,
        sizes: Sizes,
        config: &ModelConfig,
        device: &Device,
    ) -> Self {
        assert!(!rows.is_empty(), "a batch needs a row");
        let width = sizes.columns(rows.iter().map(|row| row.ids.len()).max().unwrap_or(0));
        let cells = rows.len() * width;
        let (mut ids, mut real, mut target) = (vec![pad_id; cells], vec![false; cells], vec![false; cells]);
        let (mut places, mut deltas) = (vec![FILLED; cells], Vec::with_capacity(rows.len()));
        let (mut images, mut slots) = (Vec::new(), Vec::new());
        for (index, row) in rows.iter().enumerate() {
            let length = row.ids.len();
            let start = index * width + if padding == Padding::Left { width - length } else { 0 };
            let grids: Vec<[usize; 3]> = row.images.iter().map(|image| image.grid).collect();
            let (found, next) = positions(&row.ids, &grids, config.tokens.image);
            ids[start..start + length].copy_from_slice(&row.ids);
            real[start..start + length].fill(true);
            target[start..start + row.target.len().min(length)]
                .copy_from_slice(&row.target[..row.target.len().min(length)]);
            places[start..start + length].copy_from_slice(&found);
            deltas.push(next - length as i64);
            images.extend(row.images.iter().map(AsRef::as_ref));
            slots.extend((0..length).filter(|&i| row.ids[i] == config.tokens.image).map(|i| start + i));
        }
        let text = &config.text;
        let angles = text_angles(&places, text.mrope_section, text.rope_theta);
        let device_ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        Self {
            rows: rows.len(),
            width,
            ids_bt: Tensor::from_data(TensorData::new(device_ids, [rows.len(), width]), device),
            rotary: Rotary::new(&angles, text.head_dim() / 2, device),
            seen: Seen::from(sight(&real, width)),
            vision: (!images.is_empty()).then(|| VisionBatch::new(&images, &slots, cells, config, device)),
            ids,
            real,
            target,
            positions: places,
            deltas,
        }
    }

    /// First column of a row's own tokens.
    pub fn start(&self, row: usize) -> usize {
        self.real[row * self.width..(row + 1) * self.width].iter().position(|&real| real).unwrap_or(0)
    }

    /// Lets a token of the padding see every token alike, as the reference's mask does where it hides all. Only for the
    /// comparison with its loss, which may count the first token of a row after padding: nothing here asks for that one.
    pub(crate) fn with_blind_padding(mut self, device: &Device) -> Self {
        let Some(bias) = self.seen.table([self.rows, self.width, self.width], device) else { return self };
        let mut bias: Vec<f32> = bias.to_data().iter::<f32>().collect();
        let planes = bias.len() / (self.width * self.width);
        for (query, _) in self.real.iter().take(planes * self.width).enumerate().filter(|(_, real)| !**real) {
            // So low that adding a score changes nothing: to what hides others a large one still would.
            bias[query * self.width..(query + 1) * self.width].fill(f32::MIN);
        }
        let bias = TensorData::new(bias, [planes, 1, self.width * self.width]);
        self.seen = Seen::only(Tensor::from_data(bias, device));
        self
    }

    /// Tokens of a row without padding.
    pub fn length(&self, row: usize) -> usize {
        self.real[row * self.width..(row + 1) * self.width].iter().filter(|&&real| real).count()
    }
}

/// Causal, and blind to padding before a row; padding after a row is in nobody's past.
fn sight(real: &[bool], width: usize) -> Sight {
    let starts = || real.chunks_exact(width).map(|row| row.iter().position(|&real| real).unwrap_or(0));
    let from = if starts().any(|start| start > 0) { starts().collect() } else { vec![] };
    Sight { causal: true, from, upto: vec![] }
}

impl VisionBatch {
    fn new(images: &[&ImagePatches], slots: &[usize], tokens: usize, config: &ModelConfig, device: &Device) -> Self {
        let unit = MERGE * MERGE;
        let side = config.vision.window_units();
        let (mut patches, mut places, mut order) = (Vec::new(), Vec::new(), Vec::new());
        let (mut windows, mut frames, mut first) = (Vec::new(), Vec::new(), 0);
        for image in images {
            assert_eq!(
                image.patches.len(),
                image.grid.iter().product::<usize>() * PATCH_VALUES,
                "an image's values are not those of its grid {:?}",
                image.grid
            );
            let (plan, cells) = (WindowPlan::new(image.grid, side), cells(image.grid));
            for &at in &plan.order {
                patches.extend_from_slice(&image.patches[at * unit * PATCH_VALUES..(at + 1) * unit * PATCH_VALUES]);
                places.extend_from_slice(&cells[at * unit..(at + 1) * unit]);
            }
            order.extend(plan.order.iter().map(|at| first + at));
            first += plan.order.len();
            windows.extend(plan.windows);
            frames.extend(plan.frames);
        }
        let mut keep = vec![1.0_f32; tokens];
        for &slot in slots {
            keep[slot] = 0.0;
        }
        let slots: Vec<i32> = order.iter().map(|&at| slots[at] as i32).collect();
        let width = config.vision.head_dim();
        Self {
            rotary: Rotary::new(&vision_angles(&places, width), width / 2, device),
            patches_np: Tensor::from_data(TensorData::new(patches, [places.len(), PATCH_VALUES]), device),
            windows: Segments::new(&windows, device),
            frames: Segments::new(&frames, device),
            slots: Tensor::from_data(TensorData::new(slots, [order.len()]), device),
            keep_n1: Tensor::from_data(TensorData::new(keep, [tokens, 1]), device),
            order,
        }
    }
}
