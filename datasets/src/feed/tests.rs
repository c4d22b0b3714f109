use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;

use super::*;

const WIDE: Bounds = Bounds { jobs: 8, bytes: 1 << 20 };

/// Long enough for what must not happen to happen.
const WHILE: Duration = Duration::from_millis(30);

#[test]
fn results_come_by_turn_whatever_the_threads() {
    // Later jobs are done sooner.
    let work = |job: u64| {
        thread::sleep(Duration::from_micros(2000 - 100 * job));
        job * job
    };
    for threads in [0, 1, 3, 7] {
        let feed = Feed::new(threads, WIDE, 0..20, work, |_| 1).unwrap();
        let taken: Vec<Option<u64>> = (0..22).map(|turn| feed.take(turn)).collect();
        let expected: Vec<Option<u64>> = (0..20).map(|job| Some(job * job)).chain([None, None]).collect();
        assert_eq!(taken, expected, "{threads} threads");
    }
}

#[test]
fn turns_may_be_taken_by_several_and_far_ahead() {
    let feed = Feed::new(2, Bounds { jobs: 2, bytes: 1 }, 0..10, |job: usize| job, |_| 1).unwrap();
    assert_eq!(feed.take(9), Some(9), "nobody has taken the nine before it, which fill the queue");
    let taken = |mut turns: std::iter::StepBy<std::ops::Range<usize>>| turns.all(|turn| feed.take(turn) == Some(turn));
    thread::scope(|scope| {
        let odd = scope.spawn(|| taken((1..9).step_by(2)));
        assert!(taken((0..9).step_by(2)) && odd.join().unwrap());
    });
}

/// Asserts how many jobs are begun where each result weighs `weight`, before one is taken; with it one more is.
fn begun(bounds: Bounds, weight: usize, most: usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let work = move |_| {
        counted.fetch_add(1, SeqCst);
        weight
    };
    let feed = Feed::new(1, bounds, 0..100, work, |weight| *weight).unwrap();
    let reached = |most: usize| {
        let began = Instant::now();
        while count.load(SeqCst) < most && began.elapsed() < Duration::from_secs(20) {
            thread::sleep(WHILE / 10);
        }
        thread::sleep(WHILE);
        assert_eq!(count.load(SeqCst), most, "{bounds:?}, {weight} bytes each");
    };
    reached(most);
    feed.take(0);
    reached(most + 1);
}

#[test]
fn results_that_wait_are_bounded_in_number_and_in_bytes() {
    begun(Bounds { jobs: 5, bytes: 1000 }, 1, 5);
    begun(Bounds { jobs: 50, bytes: 1000 }, 100, 10);
    // One alone may be heavier, and what is asked for is made.
    begun(Bounds { jobs: 50, bytes: 1000 }, 5000, 1);
    begun(Bounds { jobs: 0, bytes: 0 }, 1, 0);
}

#[test]
fn what_threads_have_in_hand_counts_as_the_heaviest() {
    let (begun, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let work = {
        let (begun, most) = (Arc::clone(&begun), Arc::clone(&most));
        move |_| {
            most.fetch_max(begun.fetch_add(1, SeqCst) + 1, SeqCst);
            thread::sleep(WHILE / 10);
        }
    };
    // The first is alone until its weight is known.
    let (know, known) = mpsc::channel();
    let jobs = (0..30).inspect(move |job| {
        if *job == 1 {
            known.recv().unwrap();
        }
    });
    let feed = Feed::new(8, Bounds { jobs: 100, bytes: 1000 }, jobs, work, |()| 600).unwrap();
    for turn in 0..30 {
        feed.take(turn);
        if turn == 0 {
            know.send(()).unwrap();
        }
        thread::sleep(WHILE / 10);
        begun.fetch_sub(1, SeqCst);
    }
    // One that waits, one in hand, and one that was taken and is not yet subtracted.
    assert!(most.load(SeqCst) <= 3, "{most:?}");
}

#[test]
fn an_error_arrives_at_the_turn_of_its_job() {
    let work = |job: usize| if job == 3 { Err(format!("row `{job}`")) } else { Ok(job) };
    let feed = Feed::new(4, WIDE, 0..6, work, |_| 1).unwrap();
    let taken: Vec<_> = (0..6).map(|turn| feed.take(turn).unwrap()).collect();
    assert_eq!(taken, [Ok(0), Ok(1), Ok(2), Err("row `3`".to_owned()), Ok(4), Ok(5)]);
}

#[test]
fn a_panic_reaches_who_takes_the_result() {
    let feed = Feed::new(2, WIDE, 0..3, |job: usize| assert_ne!(job, 1, "job one"), |()| 1).unwrap();
    assert!(feed.take(0).is_some() && feed.take(2).is_some());
    let caught = panic::catch_unwind(AssertUnwindSafe(|| feed.take(1))).unwrap_err();
    assert!(caught.downcast_ref::<String>().unwrap().contains("job one"));
}

#[test]
fn dropped_it_ends_its_threads_and_what_they_hold() {
    let held = Arc::new(());
    let (began, begun) = mpsc::channel();
    let jobs = std::iter::repeat_with({
        let held = Arc::clone(&held);
        move || Arc::clone(&held)
    });
    let work = move |job| {
        let _ = began.send(());
        job
    };
    let feed = Feed::new(3, Bounds { jobs: 4, bytes: 1000 }, jobs, work, |_| 1).unwrap();
    (0..4).for_each(|_| begun.recv().unwrap());
    assert!(Arc::strong_count(&held) > 4);
    drop(feed);
    assert_eq!(Arc::strong_count(&held), 1, "jobs, results and threads are gone");
    assert!(begun.recv().is_err(), "and with them the work");
}

#[test]
fn waiting_is_counted_where_nothing_is_ready_and_only_there() {
    let slow = |job: usize| {
        thread::sleep(WHILE);
        job
    };
    let feed = Feed::new(1, WIDE, 0..2, slow, |_| 1).unwrap();
    feed.take(0);
    assert!(feed.waited() >= WHILE / 2);
    assert_eq!(feed.waited(), Duration::ZERO, "told once");
    thread::sleep(10 * WHILE);
    feed.take(1);
    assert!(feed.waited() < WHILE / 2, "it was made in the meantime");
}
