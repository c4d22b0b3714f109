use super::*;
use crate::testing::{assert_close, check_gradient, random};

struct Case {
    shape: [usize; 4],
    keys: [usize; 2],
    sight: Sight,
}

fn cases() -> Vec<Case> {
    let causal = |from: &[usize]| Sight { causal: true, from: from.to_vec(), upto: vec![] };
    let case = |shape, keys, sight| Case { shape, keys, sight };
    vec![
        case([1, 1, 1, 2], [1, 1], causal(&[])),
        case([2, 4, 5, 6], [2, 5], causal(&[])),
        case([2, 2, 5, 8], [2, 5], causal(&[0, 3])),
        case([1, 2, 130, 16], [1, 130], causal(&[])),
        case([1, 2, 3, 4], [1, 9], causal(&[2])),
        case([3, 6, 1, 32], [2, 70], causal(&[0, 5, 69])),
        case([2, 2, 4, 5], [2, 4], Sight { causal: false, from: vec![], upto: vec![4, 2] }),
        case([1, 3, 70, 8], [3, 70], Sight::default()),
    ]
}

/// Softmax over every key, in `f64`.
fn plain(case: &Case, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
    let ([b, h, t, d], [g, s]) = (case.shape, case.keys);
    let (q, k, v) =
        (Heads::of_tokens(q, case.shape), Heads::of_tokens(k, [b, g, s, d]), Heads::of_tokens(v, [b, g, s, d]));
    let mut out = vec![0.0; b * t * h * d];
    for (at, out) in out.chunks_exact_mut(d).enumerate() {
        let (row, i, head) = (at / (t * h), at / h % t, at % h);
        let [start, end] = case.sight.range(row, i, [t, s]);
        let score = |j: usize| -> f64 {
            let (q, k) = (q.row([row, head, i]), k.row([row, head / (h / g), j]));
            q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum()
        };
        let weights: Vec<f64> = (start..end).map(|j| score(j).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (j, weight) in (start..end).zip(&weights) {
            for (out, v) in out.iter_mut().zip(v.row([row, head / (h / g), j])) {
                *out += (weight / total * f64::from(*v)) as f32;
            }
        }
    }
    out
}

#[test]
fn equals_the_softmax_over_what_is_seen() {
    for case in cases() {
        let ([b, h, t, d], [g, s]) = (case.shape, case.keys);
        let (q, k, v) = (random(1, b * h * t * d), random(2, b * g * s * d), random(3, b * g * s * d));
        let heads = |x| Heads::of_tokens(x, [b, g, s, d]);
        let (o, lse) = forward(Heads::of_tokens(&q, case.shape), heads(&k), heads(&v), &case.sight);
        assert_close(&o, &plain(&case, &q, &k, &v), 1e-5);
        assert!(lse.iter().all(|lse| lse.is_finite()));
    }
}

#[test]
fn gradients_are_differences() {
    for case in cases() {
        let ([b, h, t, d], [g, s]) = (case.shape, case.keys);
        let (q, k, v) = (random(1, b * h * t * d), random(2, b * g * s * d), random(3, b * g * s * d));
        let dout = random(4, b * h * t * d);
        let heads = |x| Heads::of_tokens(x, [b, g, s, d]);
        let all = [Heads::of_tokens(&q, case.shape), heads(&k), heads(&v)];
        let (o, lse) = forward(all[0], all[1], all[2], &case.sight);
        let [dq, dk, dv] = backward(Heads::of_tokens(&dout, case.shape), all, (&o, &lse), &case.sight);
        check_gradient(&dq, &q, &dout, |q| plain(&case, q, &k, &v));
        check_gradient(&dk, &k, &dout, |k| plain(&case, &q, k, &v));
        check_gradient(&dv, &v, &dout, |v| plain(&case, &q, &k, v));
    }
}

#[test]
fn strides_do_not_matter() {
    // [B, H, T, d] in memory instead of [B, T, H, d].
    let [b, h, t, d] = [2, 3, 4, 5];
    let x = random(1, b * h * t * d);
    let mut turned = vec![0.0; x.len()];
    for (at, chunk) in x.chunks_exact(d).enumerate() {
        let (row, i, head) = (at / (t * h), at / h % t, at % h);
        turned[((row * h + head) * t + i) * d..][..d].copy_from_slice(chunk);
    }
    let sight = Sight { causal: true, ..Sight::default() };
    let tokens = Heads::of_tokens(&x, [b, h, t, d]);
    let heads = Heads::new(&turned, [b, h, t, d], [h * t * d, t * d, d, 1]);
    assert_eq!(forward(tokens, tokens, tokens, &sight), forward(heads, heads, heads, &sight));
    // Keys as [B, H, d, T].
    let mut columns = vec![0.0; x.len()];
    for (at, x) in turned.iter().enumerate() {
        let (head, i, value) = (at / (t * d), at / d % t, at % d);
        columns[(head * d + value) * t + i] = *x;
    }
    let columns = Heads::new(&columns, [b, h, t, d], [h * t * d, t * d, 1, t]);
    let (o, _) = forward(heads, columns, heads, &sight);
    assert_close(&o, &forward(heads, heads, heads, &sight).0, 1e-6);
}

#[test]
fn a_number_that_is_none_is_not_hidden() {
    let mut k = random(1, 8);
    k[2] = f32::NAN;
    let (q, v) = (random(2, 8), random(3, 8));
    let heads = |x| Heads::of_tokens(x, [1, 1, 4, 2]);
    let (o, _) = forward(heads(&q), heads(&k), heads(&v), &Sight { causal: true, ..Sight::default() });
    assert!(o[..2].iter().all(|o| o.is_finite()) && o[2..].iter().all(|o| o.is_nan()), "{o:?}");
}
