//! What hot paths cost, in numbers that are the same on every machine: allocations, bytes and instructions. Time is measured
//! by `make bench`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use curricle_engine::graph::{self, Graph};
use curricle_engine::plan::{Options, plan};
use curricle_engine::recipe::{Overrides, Recipe};
use curricle_engine::store::Store;
use curricle_stages::KINDS;

use crate::support::curriculum::curriculum;

/// Counts what each thread asks for: tests that run beside a count are no part of it.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ASKED: Cell<Cost> = const { Cell::new(Cost { allocations: 0, bytes: 0 }) };
}

#[derive(Debug, Clone, Copy)]
struct Cost {
    allocations: u64,
    bytes: u64,
}

fn count(bytes: usize) {
    // A thread that is ending has nowhere to count.
    let _ = ASKED.try_with(|asked| {
        let Cost { allocations, bytes: before } = asked.get();
        asked.set(Cost { allocations: allocations + 1, bytes: before + bytes as u64 });
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps what this function asks for, which is what that one asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.saturating_sub(layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

fn cost<T>(work: impl FnOnce() -> T) -> (Cost, T) {
    let before = ASKED.get();
    let result = work();
    let after = ASKED.get();
    (Cost { allocations: after.allocations - before.allocations, bytes: after.bytes - before.bytes }, result)
}

fn checked(file: &Path) -> Graph {
    let recipe = Recipe::load(file, &Overrides::default()).unwrap();
    graph::check(&recipe, KINDS).unwrap().graph
}

/// Costs of so many stages: of the check, and of the plan.
fn of(stages: usize) -> [Cost; 2] {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("large.toml");
    std::fs::write(&file, curriculum(stages)).unwrap();
    let (check, graph) = cost(|| checked(&file));
    let (plan, _) = cost(|| plan(&graph, &Store::open(dir.path()), &Options::default()).unwrap());
    [check, plan]
}

#[test]
fn check_and_plan_allocate_in_proportion_to_the_stages() {
    // What is made once for a process is no part of it.
    of(10);
    let (one, two) = (of(1_000), of(2_000));
    // Per stage: a tenth above what they were when this was written.
    let bounds = [("check", 217, 79_000), ("plan", 170, 43_000)];
    for (((what, allocations, bytes), one), two) in bounds.into_iter().zip(one).zip(two) {
        let each = Cost { allocations: one.allocations / 1_000, bytes: one.bytes / 1_000 };
        assert!(each.allocations <= allocations && each.bytes <= bytes, "{what}, for each stage: {each:?}");
        for (two, one) in [(two.allocations, one.allocations), (two.bytes, one.bytes)] {
            assert!(two as f64 / (one as f64) < 2.2, "{what}: {one} with 1,000 stages, {two} with 2,000");
        }
    }
}

/// Instructions of a call of the binary, by callgrind; none where there is no valgrind.
fn instructions(dir: &Path, args: &[&str]) -> Option<u64> {
    let call = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_curricle")])
        .args(args)
        .current_dir(dir)
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&call.stderr);
    assert!(call.status.success(), "{told}");
    let (_, count) = told.split_once("Collected : ")?;
    Some(count.split_whitespace().next()?.parse().unwrap())
}

/// Work that copies nothing, such as a search through all stages for each, allocates nothing either.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn check_and_plan_take_instructions_in_proportion_to_the_stages() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let Some(start) = instructions(dir, &["--version"]) else {
        eprintln!("SKIPPED: instructions are not counted, because there is no valgrind");
        return;
    };
    for verb in ["check", "plan"] {
        let [one, two] = [500, 1_000].map(|stages| {
            let file = format!("{stages}.toml");
            std::fs::write(dir.join(&file), curriculum(stages)).unwrap();
            instructions(dir, &[verb, &file]).unwrap() - start
        });
        assert!(two as f64 / (one as f64) < 2.2, "{verb}: {one} with 500 stages, {two} with 1,000");
    }
}
