use super::*;

fn of(kind: AdvantageKind, rewards: &[f32], group: usize) -> Vec<f32> {
    Advantage { kind, ..Advantage::default() }.of(&Rewarded::alone(rewards.to_vec()), group)
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?}, not {expected:?}");
}

/// Binary rewards, G = 8, k correct. With p = k/8: std² = 8p(1−p)/7, A⁺ = (1−p)/std, A⁻ = −p/std.
#[test]
fn binary_rewards_of_eight() {
    for (correct, plus, minus) in [
        (1, 2.4749, -0.3536),
        (2, 1.6202, -0.5401),
        (3, 1.2076, -0.7246),
        (4, 0.9354, -0.9354),
        (5, 0.7246, -1.2076),
        (6, 0.5401, -1.6202),
        (7, 0.3536, -2.4749),
    ] {
        let rewards: Vec<f32> = (0..8).map(|i| if i < correct { 1.0 } else { 0.0 }).collect();
        let advantages = of(AdvantageKind::Group, &rewards, 8);
        close(&[advantages[0], advantages[7]], &[plus, minus]);
    }
}

/// Rewards 1 0 0 0 | 1 1 0 0. Group means ¼ and ½.
/// group: unbiased std² = (.5625 + 3 · .0625)/3 = .25, so 1.5 and −.5; (4 · .25)/3 = 1/3, so ±.8660.
/// batch: mean 3/8, squares 3 · .390625 + 5 · .140625 = 1.875, std² = 1.875/7, so apart / .517549.
/// leave-one-out: 1 − 0 = 1 and 0 − 1/3; 1 − 1/3 = 2/3 and −2/3.
#[test]
fn by_hand() {
    let rewards = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    for (kind, expected) in [
        (AdvantageKind::Group, [1.5, -0.5, -0.5, -0.5, 0.866, 0.866, -0.866, -0.866]),
        (AdvantageKind::Batch, [1.4491, -0.4830, -0.4830, -0.4830, 0.9661, 0.9661, -0.9661, -0.9661]),
        (AdvantageKind::Centred, [0.75, -0.25, -0.25, -0.25, 0.5, 0.5, -0.5, -0.5]),
        (AdvantageKind::LeaveOneOut, [1.0, -0.3333, -0.3333, -0.3333, 0.6667, 0.6667, -0.6667, -0.6667]),
    ] {
        close(&of(kind, &rewards, 4), &expected);
    }
}

/// The biased std of 1 0 0 0 is √(3/16) = .4330: 1.7321 and −.5774.
#[test]
fn the_biased_standard_deviation_is_smaller() {
    let biased = Advantage { std: Std::Biased, ..Advantage::default() };
    close(&biased.of(&Rewarded::alone(vec![1.0, 0.0, 0.0, 0.0]), 4), &[1.7321, -0.5774, -0.5774, -0.5774]);
}

/// TRL's fixture: rewards 1 0 .5 0 | 1 1 0 .2 with ε = 1e-4.
#[test]
fn epsilon_is_added_to_the_deviation() {
    let trl = Advantage { epsilon: 1e-4, ..Advantage::default() };
    let found = trl.of(&Rewarded::alone(vec![1.0, 0.0, 0.5, 0.0]), 4);
    let expected = [1.305_309_8, -0.783_185_9, 0.261_061_97, -0.783_185_9];
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
}

/// Two rewards with weight 1 in one group of 2: 1 0 and 10 0. Each alone is ±.7071, so B = ±1.4142 and std(B) = 2.
/// With the second 0 1 they cancel. With 0 10 at weight ½, half of the first's advantage is left, and scaled up again.
#[test]
fn every_reward_has_its_own_scale() {
    let gdpo = Advantage { kind: AdvantageKind::PerReward, ..Advantage::default() };
    let two = |second: [f32; 2]| Rewarded {
        total: vec![1.0 + second[0], second[1]],
        each: vec![(1.0, vec![1.0, 0.0]), (1.0, second.to_vec())],
    };
    let half = std::f32::consts::FRAC_1_SQRT_2;
    close(&gdpo.of(&two([10.0, 0.0]), 2), &[half, -half]);
    assert_eq!(gdpo.of(&two([0.0, 1.0]), 2), [0.0, 0.0]);
    let weighed = Rewarded { each: vec![(1.0, vec![1.0, 0.0]), (0.5, vec![0.0, 10.0])], ..two([0.0, 10.0]) };
    close(&gdpo.of(&weighed, 2), &[half, -half]);
}

const ALL: [AdvantageKind; 5] = [
    AdvantageKind::Group,
    AdvantageKind::Batch,
    AdvantageKind::Centred,
    AdvantageKind::LeaveOneOut,
    AdvantageKind::PerReward,
];

#[test]
fn equal_rewards_have_no_advantage_at_all() {
    for kind in ALL {
        let advantages = of(kind, &[0.1, 0.1, 0.1, 1.0, 0.0, 1.0], 3);
        assert_eq!(&advantages[..3], &[0.0; 3], "{kind:?}");
        assert!((effective_groups(&advantages, 3) - 0.5).abs() < 1e-12);
        assert_eq!(of(kind, &[0.7], 1), [0.0], "{kind:?}");
        assert!(of(kind, &[], 4).is_empty());
    }
}

#[test]
fn groups_sum_to_zero_and_an_offset_does_not_matter() {
    for kind in ALL {
        let advantages = of(kind, &[0.0, 0.5, 1.0, 0.25, 1.0, 0.0, 0.0, 0.0], 4);
        assert!(advantages.chunks(4).all(|group| group.iter().sum::<f32>().abs() < 1e-5), "{kind:?}");
        let moved = of(kind, &[10.0, 10.5, 11.0, 10.25, 11.0, 10.0, 10.0, 10.0], 4);
        assert!(advantages.iter().zip(&moved).all(|(a, b)| (a - b).abs() < 1e-5), "{kind:?}");
    }
}

#[test]
fn recipes_spell_it() {
    let found: Advantage = serde_json::from_str(r#"{"kind":"leave-one-out","std":"biased"}"#).unwrap();
    assert_eq!(found, Advantage { kind: AdvantageKind::LeaveOneOut, std: Std::Biased, epsilon: 1e-6 });
    assert!(serde_json::from_str::<Advantage>(r#"{"eps":1}"#).is_err());
}
