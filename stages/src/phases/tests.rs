use curricle_engine::exec::StageEvent;
use curricle_engine::stage::{Counted, Kind, Runtime};
use serde_json::{Value, json};

use super::*;
use crate::kinds::evaluate::Evaluate;
use crate::kinds::grpo::Grpo;
use crate::kinds::sft::Sft;
use crate::testing::{Bench, seen};

const MIB: u64 = 1 << 20;

/// The phases of a stage, as its events say them: name, peak, held.
fn phases(events: &[StageEvent]) -> Vec<(String, u64, u64)> {
    let mut told = events.iter().filter_map(|event| match event {
        StageEvent::Memory { phases } => Some(phases),
        _ => None,
    });
    let phases = told.next().expect("said once");
    assert!(told.next().is_none() && phases.iter().all(|phase| phase.of == Counted::Heap));
    phases.iter().map(|phase| (phase.phase.clone(), phase.peak, phase.held)).collect()
}

#[test]
fn a_phase_has_what_was_in_use_at_the_most_while_it_had_its_turn() {
    let phases = Phases::on(&[crate::device::resolve("cpu").unwrap()]);
    let kept = phases.during(Phase::Backward, || {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(300 << 20)));
        std::hint::black_box(Vec::<u8>::with_capacity(100 << 20))
    });
    let [StageEvent::Memory { phases: told }, lines @ ..] = &phases.told()[..] else { panic!("nothing told") };
    // Other tests hold some too.
    assert!(told[0].peak >= 300 * MIB && told[0].held >= 100 * MIB, "{told:?}");
    assert!(phases.step().is_some_and(|gib| gib >= 300.0 / 1024.0) && phases.step().is_none());
    assert_eq!(lines.len(), 2);
    drop(kept);
}

#[test]
fn turns_of_a_phase_are_one_and_in_the_order_of_the_first() {
    let mut seen = Seen::default();
    let reading = |peak, held| Reading { peak, held };
    for (phase, peak, held) in
        [(Phase::Rollout, 5, 4), (Phase::Update, 9, 1), (Phase::Rollout, 7, 2), (Phase::LogProbs, 3, 3)]
    {
        seen.add(phase, reading(peak, held));
    }
    let expected = [(Phase::Rollout, reading(7, 4)), (Phase::Update, reading(9, 1)), (Phase::LogProbs, reading(3, 3))];
    assert_eq!((seen.phases.as_slice(), seen.step), (&expected[..], Some(9)));
}

#[test]
fn pools_are_emptied_between_writing_and_learning_only() {
    use Phase::{Answering, Backward, LogProbs, Look, Optimizer, Rollout, Update};
    // A step of reinforcement learning with two rounds and two updates passes two borders, one of supervised training none.
    let borders = |turns: &[Phase]| turns.windows(2).filter(|pair| pair[1].empties_after(Some(pair[0]))).count();
    assert_eq!(borders(&[Rollout, Rollout, LogProbs, Update, Update, Rollout]), 2);
    assert_eq!(borders(&[Backward, Optimizer, Backward, Optimizer, Look, Backward]), 0);
    assert_eq!(borders(&[Answering, Answering]), 0);
    assert!(!Update.empties_after(None), "there is nothing yet");
    let all = [Rollout, Answering, LogProbs, Backward, Optimizer, Update, Look];
    let names: std::collections::BTreeSet<&str> = all.iter().map(|phase| phase.name()).collect();
    assert_eq!(names.len(), all.len());
}

#[test]
fn the_table_is_aligned() {
    let phase = |name: &str, peak: u64, held: u64| PhaseMemory {
        phase: name.to_owned(),
        peak: peak * MIB,
        held: held * MIB,
        of: Counted::Device,
    };
    let table = table(&[phase("rollout", 1500, 12), phase("log-probabilities", 7, 3)]);
    let expected = [
        "memory by phase (device, MiB): at most, at its end",
        "  rollout               1500.0       12.0",
        "  log-probabilities        7.0        3.0",
    ];
    assert_eq!(table, expected);
}

#[test]
fn stages_say_what_their_phases_had() {
    let bench = Bench::sums();
    let run = |kind: &dyn curricle_engine::stage::AnyKind, params: Value, name: &str| {
        bench.run(kind, &params, name, &Runtime::default(), None).unwrap()
    };
    let names = |events: &[StageEvent]| {
        let all = phases(events);
        assert!(all.iter().all(|(_, peak, held)| peak >= held && *held > 0), "{all:?}");
        all.into_iter().map(|(name, ..)| name).collect::<Vec<_>>()
    };
    let sft = run(&Kind::<Sft>::NEW, json!({ "steps": 3, "batch": 2, "micro_batch": 1, "lr": 1e-3 }), "sft");
    assert_eq!(names(&sft), ["backward", "optimizer", "look"]);
    let logged =
        |event: &&StageEvent| matches!(event, StageEvent::Log { message } if message.contains("memory by phase"));
    assert_eq!(sft.iter().filter(logged).count(), 1);
    let grpo = json!({
        "steps": 2, "prompts": 2, "group": 4, "max_new_tokens": 4, "lr": 1e-3, "select": { "kind": "none" },
        "kl": { "coef": 0.1 },
    });
    let grpo = run(&Kind::<Grpo>::NEW, grpo, "grpo");
    assert_eq!(names(&grpo), ["rollout", "log-probabilities", "update"]);
    for events in [&sft, &grpo] {
        let steps = seen(events, "memory_gib");
        let most = phases(events).iter().map(|(_, peak, _)| *peak).max().unwrap() as f64 / f64::from(1 << 30);
        assert!(steps.len() > 1 && steps.iter().all(|gib| *gib > 0.0 && *gib <= most), "{steps:?} {most}");
    }
    let evaluate = run(&Kind::<Evaluate>::NEW, json!({ "max_new_tokens": 4, "limit": 4 }), "score");
    assert_eq!(names(&evaluate), ["answering"]);
}
