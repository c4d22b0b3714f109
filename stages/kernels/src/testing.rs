//! Random values, and gradients against central differences in `f64` sums.

/// Values in −1..1 that follow from `seed`.
pub fn random(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    };
    (0..len).map(|_| (next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// `Σ y · dy` moves with each of (at most 200 of) `x` as its gradient says.
pub fn check_gradient(got: &[f32], x: &[f32], dy: &[f32], forward: impl Fn(&[f32]) -> Vec<f32>) {
    const STEP: f32 = 1e-2;
    assert_eq!(got.len(), x.len());
    let loss = |x: &[f32]| forward(x).iter().zip(dy).map(|(y, dy)| f64::from(*y) * f64::from(*dy)).sum::<f64>();
    let largest = got.iter().fold(0.1, |largest: f32, value| largest.max(value.abs()));
    for i in (0..x.len()).step_by(x.len().div_ceil(200)) {
        let mut moved = x.to_vec();
        moved[i] = x[i] + STEP;
        let above = (moved[i], loss(&moved));
        moved[i] = x[i] - STEP;
        let below = (moved[i], loss(&moved));
        let want = ((above.1 - below.1) / f64::from(above.0 - below.0)) as f32;
        assert!((got[i] - want).abs() < 3e-3 * largest, "{i} of {}: {} and by differences {want}", x.len(), got[i]);
    }
}

/// Every value within `bound` of the largest.
pub fn assert_close(got: &[f32], want: &[f32], bound: f32) {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(1e-3, |largest: f32, value| largest.max(value.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= bound * largest, "{i}: {got} instead of {want}");
    }
}
