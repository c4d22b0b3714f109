//! Logits → log-probabilities of chosen tokens and entropies, forward and backward, without a table of probabilities.
//!
//! ```text
//! lse = ln Σ_v exp z_v       log p_y = z_y − lse        H = lse − Σ_v p_v z_v
//! ∂L/∂z_v = ∂L/∂log p_y · (1[v = y] − p_v) − ∂L/∂H · p_v · (log p_v + H)
//! ```

use crate::simd::{dot, exp, max, sum, wide, written};

/// What a row of logits says of its token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// `log p` of the token.
    pub logp: f32,
    /// Entropy in nats; 0 where it was not asked for.
    pub entropy: f32,
    /// `ln Σ exp z`.
    pub lse: f32,
}

/// A score per row of logits `[N, V]`.
///
/// # Panics
///
/// Where there are not as many tokens as rows, or one is outside of the vocabulary.
pub fn forward(logits_nv: &[f32], tokens_n: &[i32], entropies: bool) -> Vec<Score> {
    let v = width(logits_nv, tokens_n);
    let mut weights = vec![0.0; v];
    let mut scores = Vec::with_capacity(tokens_n.len());
    wide(
        #[inline(always)]
        || {
            for (z, token) in logits_nv.chunks_exact(v).zip(tokens_n) {
                let peak = max(z);
                for (weight, z) in weights.iter_mut().zip(z) {
                    *weight = exp(z - peak);
                }
                let total = sum(&weights);
                let lse = peak + total.ln();
                let entropy = if entropies { lse - dot(&weights, z) / total } else { 0.0 };
                scores.push(Score { logp: z[*token as usize] - lse, entropy, lse });
            }
        },
    );
    scores
}

/// `exp((z − peak) · scale)` of one row of logits; 0 of what is −∞ or no number.
pub fn weights(logits_v: &[f32], peak: f32, scale: f32) -> Vec<f32> {
    // SAFETY: there is a logit for every weight.
    unsafe {
        written(logits_v.len(), |weights_v| {
            wide(
                #[inline(always)]
                || {
                    for (weight, z) in weights_v.iter_mut().zip(logits_v) {
                        let value = exp((z - peak) * scale);
                        weight.write(if *z > f32::NEG_INFINITY { value } else { 0.0 });
                    }
                },
            );
        })
    }
}

/// `∂L/∂z` `[N, V]` from `∂L/∂log p` and `∂L/∂H`, `[N]` each, and what [`forward`] gave.
///
/// # Panics
///
/// As [`forward`].
pub fn backward(
    logits_nv: &[f32],
    tokens_n: &[i32],
    scores_n: &[Score],
    dlogp_n: &[f32],
    dentropy_n: Option<&[f32]>,
) -> Vec<f32> {
    let (v, n) = (width(logits_nv, tokens_n), tokens_n.len());
    assert!(scores_n.len() == n && dlogp_n.len() == n && dentropy_n.is_none_or(|by| by.len() == n), "{n} rows");
    // SAFETY: `dz` has the rows of the logits, each is written to its end, and there is a score for each.
    unsafe {
        written(logits_nv.len(), |dz_nv| {
            wide(
                #[inline(always)]
                || {
                    let rows = logits_nv.chunks_exact(v).zip(dz_nv.chunks_exact_mut(v));
                    for (row, (z, dz)) in rows.enumerate() {
                        let (Score { entropy, lse, .. }, by) = (scores_n[row], dlogp_n[row]);
                        match dentropy_n {
                            None => {
                                for (dz, z) in dz.iter_mut().zip(z) {
                                    dz.write(-by * exp(z - lse));
                                }
                            }
                            Some(dentropy_n) => {
                                let by_entropy = dentropy_n[row];
                                for (dz, z) in dz.iter_mut().zip(z) {
                                    let logp = z - lse;
                                    dz.write(-exp(logp) * (by + by_entropy * (logp + entropy)));
                                }
                            }
                        }
                        let chosen = &mut dz[tokens_n[row] as usize];
                        chosen.write(chosen.assume_init() + by);
                    }
                },
            );
        })
    }
}

fn width(logits_nv: &[f32], tokens_n: &[i32]) -> usize {
    let v = logits_nv.len() / tokens_n.len().max(1);
    assert!(v > 0 && logits_nv.len() == v * tokens_n.len(), "{} logits of {} tokens", logits_nv.len(), tokens_n.len());
    assert!(tokens_n.iter().all(|&token| (token as usize) < v), "a token outside of the {v} of the vocabulary");
    v
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_gradient, random};

    /// p = (1/4, 3/4): H = ¼ ln 4 + ¾ ln 4/3 = .562335.
    #[test]
    fn by_hand() {
        let [score] = forward(&[0.0, 3_f32.ln()], &[1], true)[..] else { panic!("one row") };
        assert!((score.logp - 0.75_f32.ln()).abs() < 1e-6 && (score.entropy - 0.562_335).abs() < 1e-6, "{score:?}");
        let far = forward(&[-1e4, 1e4], &[0], true)[0];
        assert!((far.logp + 2e4).abs() < 1e-2 && far.entropy.abs() < 1e-3, "{far:?}");
        assert!(forward(&[0.0, f32::NAN], &[0], false)[0].logp.is_nan());
    }

    #[test]
    fn weights_of_what_may_not_be_are_zero() {
        let got = weights(&[1.0, f32::NEG_INFINITY, f32::NAN, 0.0], 1.0, 2.0);
        assert_eq!(got[..3], [1.0, 0.0, 0.0]);
        assert!((got[3] - (-2_f32).exp()).abs() < 1e-7);
    }

    #[test]
    fn gradients_are_differences() {
        for (n, v) in [(1, 2), (4, 33), (3, 100)] {
            let (z, by, by_entropy) = (random(1, n * v), random(2, n), random(3, n));
            let tokens: Vec<i32> = (0..n).map(|i| (i * 7 % v) as i32).collect();
            let scores = forward(&z, &tokens, true);
            let logp = |z: &[f32]| forward(z, &tokens, false).iter().map(|score| score.logp).collect();
            check_gradient(&backward(&z, &tokens, &scores, &by, None), &z, &by, logp);
            let both: Vec<f32> = by.iter().chain(&by_entropy).copied().collect();
            check_gradient(&backward(&z, &tokens, &scores, &by, Some(&by_entropy)), &z, &both, |z| {
                let scores = forward(z, &tokens, true);
                scores.iter().map(|s| s.logp).chain(scores.iter().map(|s| s.entropy)).collect()
            });
        }
    }

    #[test]
    #[should_panic(expected = "outside of the 2")]
    fn a_token_outside_of_the_vocabulary_is_refused() {
        let _ = forward(&[0.0; 2], &[2], false);
    }
}
