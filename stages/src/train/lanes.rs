//! Jobs → results, on as many threads as there are, combined in the order of the jobs: the number of threads changes the
//! time and not one byte. Refuses to know what a job computes.
//!
//! A lane is a rayon pool of one thread. Burn's CPU back end splits each operator over the pool it is called in, and is
//! slow at it for small tensors; in a pool of one it runs straight through, and the batch is split over lanes instead.
//! On a GPU there is one lane, and it only keeps the order.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;

use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Independent threads of work.
#[derive(Debug)]
pub struct Lanes {
    pools: Vec<ThreadPool>,
    /// As many threads as there are lanes, for work that is not cut.
    wide: ThreadPool,
}

impl Lanes {
    /// One lane per thread (0: per core) on a CPU, one lane on anything else.
    pub fn new(threads: usize, device: &Device) -> Result<Self, ThreadPoolBuildError> {
        Self::of_host(if crate::device::on_cpu(device) { threads } else { 1 })
    }

    /// One lane per thread (0: per core), for work that is done in host memory wherever the model lies.
    pub fn of_host(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let count = if threads == 0 { cores() } else { threads };
        Ok(Self { pools: (0..count).map(|_| pool(1)).collect::<Result<_, _>>()?, wide: pool(count)? })
    }

    /// Number of lanes.
    pub fn count(&self) -> usize {
        self.pools.len()
    }

    /// Runs `work` where its matrix products are cut over all threads.
    pub fn together<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.wide.install(work)
    }

    /// Runs `work` on every job and folds the results in the order of the jobs, each as soon as its turn has come.
    ///
    /// # Panics
    ///
    /// Passes on a panic of `work`.
    pub fn fold<T: Send, R: Send, A>(
        &self,
        jobs: impl IntoIterator<Item = T>,
        work: impl Fn(T) -> R + Sync,
        start: A,
        mut join: impl FnMut(A, R) -> A,
    ) -> A {
        let queue = Mutex::new(jobs.into_iter().collect::<Vec<_>>().into_iter().enumerate());
        let (done, results) = mpsc::channel();
        thread::scope(|scope| {
            for pool in &self.pools {
                let (queue, work, done) = (&queue, &work, done.clone());
                scope.spawn(move || {
                    pool.install(|| {
                        loop {
                            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                            let Some((index, job)) = next else { break };
                            if done.send((index, work(job))).is_err() {
                                break;
                            }
                        }
                    });
                });
            }
            drop(done);
            let (mut all, mut turn, mut early) = (start, 0, BTreeMap::new());
            for (index, result) in results {
                early.insert(index, result);
                while let Some(result) = early.remove(&turn) {
                    all = join(all, result);
                    turn += 1;
                }
            }
            all
        })
    }

    /// Runs `work` on every job; results in the order of the jobs.
    ///
    /// # Panics
    ///
    /// Passes on a panic of `work`.
    pub fn map<T: Send, R: Send>(&self, jobs: impl IntoIterator<Item = T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
        self.fold(jobs, work, Vec::new(), |mut all, result| {
            all.push(result);
            all
        })
    }
}

/// A pool of one thread: operators called in it run straight through.
pub fn single() -> Result<ThreadPool, ThreadPoolBuildError> {
    pool(1)
}

fn pool(threads: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    ThreadPoolBuilder::new().num_threads(threads).stack_size(8 << 20).build()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lanes(threads: usize) -> Lanes {
        Lanes::new(threads, &crate::device::resolve("cpu").unwrap()).unwrap()
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let slow_first = |job: u64| {
            thread::sleep(Duration::from_millis(20 - 2 * job));
            job
        };
        assert_eq!(lanes(4).map(0..10, slow_first), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_fold_over_floats_does_not_depend_on_the_number_of_lanes() {
        let sum = |threads| lanes(threads).fold(1..1000_u32, |job| 1.0 / f64::from(job), 0.0, |sum, term| sum + term);
        assert_eq!(sum(1).to_bits(), sum(3).to_bits());
    }

    #[test]
    fn operators_stay_in_their_lane() {
        assert_eq!(lanes(2).map([(), ()], |()| rayon::current_num_threads()), [1, 1]);
        assert_eq!(lanes(2).together(rayon::current_num_threads), 2);
    }

    #[test]
    fn no_jobs_no_results() {
        assert_eq!(lanes(2).map(Vec::<u8>::new(), |job| job), Vec::<u8>::new());
    }
}
