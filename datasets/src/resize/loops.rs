//! The two passes as loops over arrays of a fixed length, which compilers turn into vector instructions. Refuses to know which.

use super::{PRECISION_BITS, Rgb, Taps};

/// Rows that the horizontal pass works on at once.
const LANES: usize = 16;
/// Values that the vertical pass works on at once.
const BLOCK: usize = 64;

/// Half of the last place, from which sums start, so that cutting rounds.
pub const HALF: i32 = 1 << (PRECISION_BITS - 1);

#[inline(always)]
fn add<const N: usize>(sums: &mut [i32; N], values: &[u8; N], weight: i32) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += i32::from(*value) * weight;
    }
}

#[inline(always)]
fn rounded<const N: usize>(sums: &[i32; N]) -> [u8; N] {
    sums.map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8)
}

/// Works on strips of rows, turned so that the same column of every row stands together.
#[inline(always)]
pub fn horizontal(image: &Rgb, columns: &[Taps]) -> Rgb {
    let (from, to) = (image.width * 3, columns.len() * 3);
    let mut pixels = vec![0; to * image.height];
    let mut turned = vec![[0u8; LANES]; from];
    let mut done = vec![[0u8; LANES]; to];
    for (rows, out) in image.pixels.chunks(from * LANES).zip(pixels.chunks_mut(to * LANES)) {
        for (lane, row) in rows.chunks_exact(from).enumerate() {
            for (column, value) in turned.iter_mut().zip(row) {
                column[lane] = *value;
            }
        }
        for (pixel, taps) in done.chunks_exact_mut(3).zip(columns) {
            let (mut red, mut green, mut blue) = ([HALF; LANES], [HALF; LANES], [HALF; LANES]);
            for (pixel, &weight) in turned[taps.first * 3..].chunks_exact(3).zip(&taps.weights) {
                add(&mut red, &pixel[0], weight);
                add(&mut green, &pixel[1], weight);
                add(&mut blue, &pixel[2], weight);
            }
            pixel.copy_from_slice(&[rounded(&red), rounded(&green), rounded(&blue)]);
        }
        for (lane, row) in out.chunks_exact_mut(to).enumerate() {
            for (value, column) in row.iter_mut().zip(&done) {
                *value = column[lane];
            }
        }
    }
    Rgb { width: columns.len(), height: image.height, pixels }
}

#[inline(always)]
pub fn vertical(image: &Rgb, rows: &[Taps]) -> Rgb {
    let stride = image.width * 3;
    let whole = stride / BLOCK * BLOCK;
    let mut pixels = vec![0; stride * rows.len()];
    for (out, taps) in pixels.chunks_exact_mut(stride).zip(rows) {
        let input = &image.pixels[taps.first * stride..];
        for at in (0..whole).step_by(BLOCK) {
            out[at..at + BLOCK].copy_from_slice(&block::<BLOCK>(input, stride, at, &taps.weights));
        }
        for (at, value) in out.iter_mut().enumerate().skip(whole) {
            [*value] = block(input, stride, at, &taps.weights);
        }
    }
    Rgb { width: image.width, height: rows.len(), pixels }
}

/// `N` neighbouring values of one output row.
#[inline(always)]
fn block<const N: usize>(input: &[u8], stride: usize, at: usize, weights: &[i32]) -> [u8; N] {
    let mut sums = [HALF; N];
    for (row, &weight) in input.chunks(stride).zip(weights) {
        if let Some(values) = row[at..].first_chunk() {
            add(&mut sums, values, weight);
        }
    }
    rounded(&sums)
}
