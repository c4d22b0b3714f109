//! Jobs in an order → results by their number in it, worked on by threads ahead of who takes them. Refuses to know what a job is.
//!
//! Which results there are does not depend on the threads: a job's result is taken by its turn. A thread begins with a job
//! while fewer than [`Bounds::jobs`] are begun or wait to be taken, and while they weigh less than [`Bounds::bytes`], those
//! that are begun counted as the heaviest so far. A job that somebody waits for is begun in any case.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How far ahead of who takes them results are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Jobs that are begun or wait to be taken, at most.
    pub jobs: usize,
    /// Bytes of their results, with which no other job is begun.
    pub bytes: usize,
}

/// Results that come. Dropped, it ends its threads, each after the job that it has in hand.
pub struct Feed<R> {
    belt: Arc<Belt<R>>,
    threads: Vec<JoinHandle<()>>,
}

/// What threads and takers share.
struct Belt<R> {
    bounds: Bounds,
    state: Mutex<State<R>>,
    /// Rung where a job may be begun.
    room: Condvar,
    /// Rung where a result is there, or none will be.
    ready: Condvar,
}

/// A result and its weight, or what its job panicked with.
type Made<R> = Result<(R, usize), Box<dyn Any + Send>>;

struct State<R> {
    /// The next turn that a job is begun for.
    next: usize,
    /// Jobs that are begun and not done.
    begun: usize,
    /// Results that wait, by turn.
    made: BTreeMap<usize, Made<R>>,
    /// Their weight.
    bytes: usize,
    /// The heaviest result so far.
    heaviest: usize,
    /// One more than the last turn that somebody asked for.
    wanted: usize,
    /// There are no more jobs.
    all_begun: bool,
    /// Nobody takes results any more.
    closed: bool,
    /// How long takers have waited, since somebody asked.
    waited: Duration,
}

impl<R> Belt<R> {
    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room, and gives the turn of the job that is begun in it; none where nobody takes results any more.
    fn admit(&self) -> Option<usize> {
        let Bounds { jobs, bytes } = self.bounds;
        let full = |state: &mut State<R>| {
            let heavy = state.bytes + state.begun * state.heaviest >= bytes;
            let full = heavy || state.begun + state.made.len() >= jobs;
            !state.closed && full && state.next >= state.wanted
        };
        let mut state = self.room.wait_while(self.state(), full).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        state.begun += 1;
        state.next += 1;
        Some(state.next - 1)
    }

    /// The job that room was made for is not there.
    fn end(&self) {
        let mut state = self.state();
        state.begun -= 1;
        state.next -= 1;
        state.all_begun = true;
        self.ready.notify_all();
    }

    fn put(&self, turn: usize, made: Made<R>) {
        let mut state = self.state();
        state.begun -= 1;
        let weight = made.as_ref().map_or(0, |(_, bytes)| *bytes);
        state.bytes += weight;
        state.heaviest = state.heaviest.max(weight);
        state.made.insert(turn, made);
        self.ready.notify_all();
        self.room.notify_all();
    }
}

impl<R: Send + 'static> Feed<R> {
    /// Begins with the first of `jobs`, on as many threads as told, 0: as there are cores. `work` makes a job's result,
    /// `weigh` says how many bytes it holds.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn new<J: Send + 'static>(
        threads: usize,
        bounds: Bounds,
        jobs: impl Iterator<Item = J> + Send + 'static,
        work: impl Fn(J) -> R + Send + Sync + 'static,
        weigh: fn(&R) -> usize,
    ) -> std::io::Result<Self> {
        let state = State {
            next: 0,
            begun: 0,
            made: BTreeMap::new(),
            bytes: 0,
            heaviest: 0,
            wanted: 0,
            all_begun: false,
            closed: false,
            waited: Duration::ZERO,
        };
        let belt = Arc::new(Belt { bounds, state: Mutex::new(state), room: Condvar::new(), ready: Condvar::new() });
        let (jobs, work) = (Arc::new(Mutex::new(jobs.fuse())), Arc::new(work));
        let mut feed = Self { belt, threads: Vec::new() };
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..if threads == 0 { cores() } else { threads } {
            let (belt, jobs, work) = (Arc::clone(&feed.belt), Arc::clone(&jobs), Arc::clone(&work));
            let body = move || {
                loop {
                    // Held while waiting for room: turns are given in the order of the jobs.
                    let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(turn) = belt.admit() else { break };
                    let Some(job) = jobs.next() else { break belt.end() };
                    drop(jobs);
                    let made = panic::catch_unwind(AssertUnwindSafe(|| {
                        let result = work(job);
                        let bytes = weigh(&result);
                        (result, bytes)
                    }));
                    belt.put(turn, made);
                }
            };
            feed.threads.push(thread::Builder::new().name("feed".to_owned()).spawn(body)?);
        }
        Ok(feed)
    }

    /// The result of the job number `turn`, from 0, as soon as it is there; `None` where there are fewer jobs. Each is taken
    /// once, by any thread.
    ///
    /// # Panics
    /// Passes on a panic of the job.
    pub fn take(&self, turn: usize) -> Option<R> {
        let began = Instant::now();
        let mut state = self.belt.state();
        if state.wanted <= turn {
            state.wanted = turn + 1;
            self.belt.room.notify_all();
        }
        let absent = |state: &mut State<R>| {
            !state.made.contains_key(&turn) && (!state.all_begun || (turn < state.next && state.begun > 0))
        };
        state = self.belt.ready.wait_while(state, absent).unwrap_or_else(PoisonError::into_inner);
        state.waited += began.elapsed();
        let made = state.made.remove(&turn);
        state.bytes -= made.iter().flatten().map(|(_, bytes)| *bytes).sum::<usize>();
        self.belt.room.notify_all();
        drop(state);
        made.map(|made| made.unwrap_or_else(|panic| panic::resume_unwind(panic)).0)
    }

    /// How long takers have waited since this was last asked, added up over takers.
    pub fn waited(&self) -> Duration {
        std::mem::take(&mut self.belt.state().waited)
    }
}

impl<R> Drop for Feed<R> {
    fn drop(&mut self) {
        self.belt.state().closed = true;
        self.belt.room.notify_all();
        for thread in self.threads.drain(..) {
            // A thread can't panic: jobs' panics are caught.
            let _ = thread.join();
        }
    }
}

impl<R> fmt::Debug for Feed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("bounds", &self.belt.bounds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
