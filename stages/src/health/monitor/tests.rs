use super::*;

/// A step that no detector minds.
const WELL: Reading = Reading {
    reward: 0.5,
    right: 0.5,
    all_right: 0.2,
    all_wrong: 0.2,
    length: 100.0,
    truncated: 0.0,
    entropy: Some(0.4),
    clipped: Some(0.05),
};

fn health() -> Health {
    Health { window: 2, ..Health::default() }
}

/// Detectors that speak at each of these steps.
fn spoken(health: &Health, readings: &[Reading]) -> Vec<Vec<&'static str>> {
    let mut monitor = Monitor::default();
    let step = |reading| {
        monitor.learn(health.window, reading);
        monitor.findings(health).into_iter().map(|finding| finding.detector).collect()
    };
    readings.iter().map(step).collect()
}

/// The detector speaks at the end of the bad steps, not again while they last, not near the threshold, and again after good
/// ones.
fn an_episode(detector: &str, bad: Reading, near: Reading) {
    let steps = [WELL, WELL, bad, bad, bad, near, near, bad, bad, WELL, WELL, WELL, bad, bad];
    let said: Vec<usize> = spoken(&health(), &steps)
        .iter()
        .enumerate()
        .filter(|(_, names)| names.contains(&detector))
        .map(|(at, _)| at)
        .collect();
    assert_eq!(said.len(), 2, "{detector}: {said:?}");
    assert!((2..=3).contains(&said[0]) && (12..=13).contains(&said[1]), "{detector}: {said:?}");
}

#[test]
fn every_detector_speaks_once_per_episode() {
    let flat = |differing: f64| Reading { all_right: 1.0 - differing, all_wrong: 0.0, ..WELL };
    an_episode("stagnation", flat(0.0), flat(0.105));
    an_episode("reward_collapse", Reading { reward: 0.1, ..WELL }, Reading { reward: 0.26, ..WELL });
    an_episode("entropy_collapse", Reading { entropy: Some(0.001), ..WELL }, Reading { entropy: Some(0.021), ..WELL });
    an_episode("entropy_blow_up", Reading { entropy: Some(5.8), ..WELL }, Reading { entropy: Some(1.19), ..WELL });
    an_episode("length_blow_up", Reading { length: 900.0, ..WELL }, Reading { length: 290.0, ..WELL });
    an_episode("length_blow_up", Reading { truncated: 1.0, ..WELL }, Reading { truncated: 0.48, ..WELL });
    an_episode("clip_ratio", Reading { clipped: Some(0.9), ..WELL }, Reading { clipped: Some(0.29), ..WELL });
}

#[test]
fn nothing_is_said_of_a_healthy_run_or_before_a_window_is_full() {
    assert!(spoken(&health(), &[WELL; 20]).iter().all(Vec::is_empty));
    let bad = Reading { all_right: 1.0, all_wrong: 0.0, right: 1.0, entropy: Some(0.0), truncated: 1.0, ..WELL };
    assert!(spoken(&Health::default(), &[bad; 9]).iter().all(Vec::is_empty));
    assert_eq!(spoken(&health(), &[bad; 3])[1], ["stagnation", "entropy_collapse", "length_blow_up", "solved"]);
}

#[test]
fn what_is_off_is_silent() {
    let mut off = health();
    off.stagnation.action = Action::Off;
    let flat = Reading { all_right: 0.0, all_wrong: 1.0, ..WELL };
    assert!(spoken(&off, &[flat; 5]).iter().all(Vec::is_empty));
    assert_eq!(spoken(&health(), &[flat; 5]).concat(), ["stagnation"]);
}

#[test]
fn solved_is_a_question_of_the_start() {
    let easy = Reading { right: 0.9, ..WELL };
    assert_eq!(spoken(&health(), &[easy, easy, WELL, easy, easy]).concat(), ["solved"]);
    assert!(spoken(&health(), &[WELL, WELL, easy, easy, easy]).concat().is_empty(), "learning is no fault");
}

#[test]
fn steps_without_an_update_say_nothing_of_entropy() {
    let idle = Reading { entropy: None, clipped: None, ..WELL };
    let low = Reading { entropy: Some(0.0), ..WELL };
    assert_eq!(spoken(&health(), &[idle, low, idle, idle, low])[4], ["entropy_collapse"]);
}

#[test]
fn messages_have_the_numbers() {
    let mut monitor = Monitor::default();
    for _ in 0..2 {
        monitor.learn(2, &Reading { all_right: 0.25, all_wrong: 0.75, ..WELL });
    }
    let findings = monitor.findings(&health());
    let wanted = "in 2 steps 0 % of the groups have answers that differ; 25 % are all right, 75 % all wrong";
    assert_eq!(findings[0].message, wanted);
    assert_eq!(findings[0].action, Action::Warn);
}

#[test]
fn a_checkpoint_brings_everything_back() {
    let mut monitor = Monitor::default();
    for step in 0..5 {
        let third = f64::from(step) / 3.0;
        monitor.learn(2, &Reading { reward: third, right: third, all_wrong: 1.0, ..WELL });
        monitor.findings(&health());
        let text = serde_json::to_string(&monitor).unwrap();
        assert_eq!(serde_json::from_str::<Monitor>(&text).unwrap(), monitor);
    }
    assert!(!monitor.episodes.is_empty());
}
