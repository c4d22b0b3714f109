//! Matrices somewhere in slices → their products. The only place of this crate that hands out raw pointers.
//!
//! A few rows meet a row-major matrix at the speed of memory; its transpose would be rearranged for them first.

use std::mem::MaybeUninit;

use gemm::Parallelism;

use crate::simd::written;

/// A matrix `[rows, cols]` in a slice.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> View<'a> {
    /// Row after row.
    ///
    /// # Panics
    ///
    /// Where the slice is shorter than the matrix.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, [rows, cols], [cols, 1])
    }

    /// Element `(i, j)` at `i · strides[0] + j · strides[1]`.
    ///
    /// # Panics
    ///
    /// Where the last element is outside of the slice.
    pub fn strided(data: &'a [f32], shape: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(reach(shape, strides) <= data.len(), "{shape:?} by {strides:?} in {} values", data.len());
        Self { data, shape, strides }
    }

    /// The transpose, of the same values.
    #[must_use]
    pub fn transposed(self) -> Self {
        let ([rows, cols], [row, col]) = (self.shape, self.strides);
        Self { data: self.data, shape: [cols, rows], strides: [col, row] }
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }
}

/// A matrix to be written in a slice.
#[derive(Debug)]
pub struct Target<'a> {
    data: &'a mut [f32],
    shape: [usize; 2],
    row: usize,
}

impl<'a> Target<'a> {
    /// Rows of `cols` values, `row` values apart.
    ///
    /// # Panics
    ///
    /// Where the last element is outside of the slice, or rows overlap.
    pub fn new(data: &'a mut [f32], [rows, cols]: [usize; 2], row: usize) -> Self {
        assert!(reach([rows, cols], [row, 1]) <= data.len() && row >= cols, "{rows} rows of {cols}, {row} apart");
        Self { data, shape: [rows, cols], row }
    }
}

/// Values from the first to the last element, both included.
fn reach([rows, cols]: [usize; 2], [row, col]: [usize; 2]) -> usize {
    if rows * cols == 0 { 0 } else { (rows - 1) * row + (cols - 1) * col + 1 }
}

/// `a · b`, row after row.
///
/// # Panics
///
/// Where `a` has not as many columns as `b` has rows.
pub fn product(a: View<'_>, b: View<'_>) -> Vec<f32> {
    let (rows, cols) = (a.shape[0], b.shape[1]);
    // SAFETY: a product that does not read its target writes all of it.
    unsafe { written(rows * cols, |out| raw(out, cols, false, a, b)) }
}

/// `bias + a · b` where `bias` is added to every row.
///
/// # Panics
///
/// As [`product`], and where `bias` has not as many values as `b` has columns.
pub fn affine(a: View<'_>, b: View<'_>, bias: &[f32]) -> Vec<f32> {
    let (rows, cols) = (a.shape[0], b.shape[1]);
    assert_eq!(bias.len(), cols, "a bias per column");
    // SAFETY: every row is written with `bias` before the product adds to it.
    unsafe {
        written(rows * cols, |out| {
            if cols > 0 {
                for row in out.chunks_exact_mut(cols) {
                    row.write_copy_of_slice(bias);
                }
            }
            raw(out, cols, true, a, b);
        })
    }
}

/// `out = a · b`, or `out += a · b`.
///
/// # Panics
///
/// Where the shapes do not fit.
pub fn multiply(out: Target<'_>, add: bool, a: View<'_>, b: View<'_>) {
    let Target { data, shape, row } = out;
    assert_eq!(shape, [a.shape[0], b.shape[1]], "the product's shape");
    // SAFETY: `MaybeUninit<f32>` is laid out as `f32`, and `raw` writes nothing but values.
    let data = unsafe { &mut *(std::ptr::from_mut(data) as *mut [MaybeUninit<f32>]) };
    // SAFETY: the target was made from values, and its reach was checked.
    unsafe { raw(data, row, add, a, b) }
}

/// Writes `a · b`, or adds it.
///
/// # Safety
///
/// `out` reaches over `[a.rows, b.cols]` with rows `row` apart, and holds values where `add`.
unsafe fn raw(out: &mut [MaybeUninit<f32>], row: usize, add: bool, a: View<'_>, b: View<'_>) {
    let ([m, k], [inner, n]) = (a.shape, b.shape);
    assert_eq!(k, inner, "as many columns as rows");
    if m * n == 0 {
        return;
    }
    if k == 0 {
        if !add {
            (0..m).for_each(|i| out[i * row..i * row + n].fill(MaybeUninit::new(0.0)));
        }
        return;
    }
    let threads = if rayon::current_num_threads() > 1 { Parallelism::Rayon(0) } else { Parallelism::None };
    let signed = |strides: [usize; 2]| strides.map(|stride| stride as isize);
    let ([a_row, a_col], [b_row, b_col]) = (signed(a.strides), signed(b.strides));
    let dst = out.as_mut_ptr().cast::<f32>();
    // SAFETY: the reach of every matrix was checked against its slice when it was made; `dst` is not read unless it holds
    // values, and overlaps with nothing because it is borrowed alone.
    unsafe {
        let (lhs, rhs) = (a.data.as_ptr(), b.data.as_ptr());
        let row = row as isize;
        gemm::gemm(
            m, n, k, dst, 1, row, add, lhs, a_col, a_row, rhs, b_col, b_row, 1.0, 1.0, false, false, false, threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, random};

    fn plain(a: View<'_>, b: View<'_>) -> Vec<f32> {
        let at = |m: View<'_>, i: usize, j: usize| f64::from(m.data[i * m.strides[0] + j * m.strides[1]]);
        let ([m, k], [_, n]) = (a.shape, b.shape);
        let cell = |i, j| (0..k).map(|p| at(a, i, p) * at(b, p, j)).sum::<f64>() as f32;
        (0..m).flat_map(|i| (0..n).map(move |j| cell(i, j))).collect()
    }

    #[test]
    fn products_of_every_orientation() {
        for [m, k, n] in [[1, 1, 1], [1, 40, 3], [5, 17, 9], [16, 32, 64], [40, 33, 21], [3, 0, 2]] {
            let (a, b) = (random(1, m * k), random(2, k * n));
            let (a_t, b_t) = (View::new(&a, k, m).transposed(), View::new(&b, n, k).transposed());
            for a in [View::new(&a, m, k), a_t] {
                for b in [View::new(&b, k, n), b_t] {
                    assert_close(&product(a, b), &plain(a, b), 1e-5);
                    let bias = random(3, n);
                    let want: Vec<f32> = plain(a, b).iter().enumerate().map(|(i, y)| y + bias[i % n]).collect();
                    assert_close(&affine(a, b, &bias), &want, 1e-5);
                }
            }
        }
    }

    #[test]
    fn a_target_keeps_what_is_beside_it() {
        let (a, b) = (random(1, 6), random(2, 6));
        for b in [View::new(&b, 3, 2), View::new(&b, 2, 3).transposed()] {
            let want = plain(View::new(&a, 2, 3), b);
            let mut out = vec![7.0; 8];
            multiply(Target::new(&mut out, [2, 2], 4), true, View::new(&a, 2, 3), b);
            assert_close(&out, &[want[0] + 7.0, want[1] + 7.0, 7.0, 7.0, want[2] + 7.0, want[3] + 7.0, 7.0, 7.0], 1e-6);
            multiply(Target::new(&mut out, [2, 2], 4), false, View::new(&a, 2, 3), b);
            assert_close(&out, &[want[0], want[1], 7.0, 7.0, want[2], want[3], 7.0, 7.0], 1e-6);
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for [m, k, n] in [[1, 600, 900], [32, 576, 1536], [300, 200, 256], [257, 1100, 129]] {
            let (a, b) = (random(1, m * k), random(2, k * n));
            for b in [View::new(&b, k, n), View::new(&b, n, k).transposed()] {
                let one = pool(1).install(|| product(View::new(&a, m, k), b));
                assert_eq!(one, pool(2).install(|| product(View::new(&a, m, k), b)), "{m} {k} {n}");
                assert_eq!(one, pool(3).install(|| product(View::new(&a, m, k), b)), "{m} {k} {n}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "in 5 values")]
    fn a_matrix_beyond_its_slice_is_refused() {
        let _ = View::new(&[0.0; 5], 2, 3);
    }
}
