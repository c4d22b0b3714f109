//! Jobs → results, on as many devices and threads as there are, combined in the order of the jobs: the number of threads
//! changes the time and not one byte. Refuses to know what a job computes.
//!
//! ```text
//! job i ──▶ device i mod n, its next free lane ──▶ result i         map, fold: in the order of the jobs
//!                                                  Σ by device ──▶ Σ on the first device      sum
//! ```
//!
//! A lane is a rayon pool of one thread. Burn's CPU back end splits each operator over the pool it is called in, and is
//! slow at it for small tensors; in a pool of one it runs straight through, and the batch is split over lanes instead.
//! A GPU has one lane. What is computed on, a model's weights say, lies on every device once ([`Copies`]); Burn moves it
//! between GPUs with NCCL. A job's device follows from its number, so that a sum has the same bits every time; that of
//! another number of devices differs in rounding.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;

use burn::module::Module;
use burn::tensor::Device;
use curricle_engine::stage::{Runtime, StageError};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::device;

/// Independent threads of work.
#[derive(Debug)]
pub struct Lanes {
    devices: Vec<Device>,
    /// Pools of one thread, each with the number of its device.
    pools: Vec<(usize, ThreadPool)>,
    /// As many threads as there are lanes, for work that is not cut.
    wide: ThreadPool,
}

/// Where a job is done.
#[derive(Debug, Clone, Copy)]
pub struct Seat<'a> {
    number: usize,
    /// The device.
    pub device: &'a Device,
}

/// A module on every device.
#[derive(Debug, Clone)]
pub struct Copies<M>(Vec<M>);

impl<M> Copies<M> {
    /// The copy on a job's device.
    pub fn at(&self, seat: Seat<'_>) -> &M {
        &self.0[seat.number]
    }

    /// The copy on the first device.
    pub fn first(&self) -> &M {
        &self.0[0]
    }
}

/// Results that add up.
pub trait Summand: Send {
    /// Both, which lie on one device.
    #[must_use]
    fn plus(self, other: Self) -> Self;

    /// The same on another device.
    #[must_use]
    fn to_device(self, device: &Device) -> Self;
}

impl<A: Summand, B: Summand> Summand for (A, B) {
    fn plus(self, other: Self) -> Self {
        (self.0.plus(other.0), self.1.plus(other.1))
    }

    fn to_device(self, device: &Device) -> Self {
        (self.0.to_device(device), self.1.to_device(device))
    }
}

impl<T: Summand, E: Send> Summand for Result<T, E> {
    /// The first error, where there is one.
    fn plus(self, other: Self) -> Self {
        Ok(self?.plus(other?))
    }

    fn to_device(self, device: &Device) -> Self {
        self.map(|sum| sum.to_device(device))
    }
}

impl Lanes {
    /// What the settings of a stage ask for.
    ///
    /// # Errors
    /// Where a device is not there, or no thread can be started.
    pub fn of(runtime: &Runtime) -> Result<Self, StageError> {
        let devices =
            device::all(&runtime.device).map_err(|error| StageError::while_doing("finding the device", error))?;
        Self::new(runtime.threads, devices).map_err(|error| StageError::while_doing("starting threads", error))
    }

    /// One lane per thread (0: per core) on a CPU, one lane on each of anything else.
    ///
    /// # Panics
    /// Without a device.
    pub fn new(threads: usize, devices: Vec<Device>) -> Result<Self, ThreadPoolBuildError> {
        let threads = if device::on_cpu(&devices[0]) { or_cores(threads) } else { 1 };
        // Shares of one CPU share its threads.
        let (count, each) = (devices.len(), threads.div_ceil(devices.len()));
        let lanes = (0..count).flat_map(|number| (0..each).map(move |_| number));
        let pools = lanes.map(|number| Ok((number, pool(1)?))).collect::<Result<_, _>>()?;
        Ok(Self { devices, pools, wide: pool(threads)? })
    }

    /// One lane per thread (0: per core), for work that is done in host memory wherever the model lies.
    pub fn of_host(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        Self::new(threads, vec![device::host()])
    }

    /// Number of lanes.
    pub fn count(&self) -> usize {
        self.pools.len()
    }

    /// The devices; on the first lies what there is only one of.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The first device.
    pub fn first(&self) -> Seat<'_> {
        Seat { number: 0, device: &self.devices[0] }
    }

    /// A module of the first device on every device.
    pub fn copies<M: Module>(&self, module: M) -> Copies<M> {
        let others: Vec<M> = self.devices[1..].iter().map(|device| module.clone().to_device(device)).collect();
        Copies(std::iter::once(module).chain(others).collect())
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
    fn fold<T: Send, R: Send, A>(
        &self,
        jobs: impl IntoIterator<Item = T>,
        work: impl Fn(Seat<'_>, T) -> R + Sync,
        start: A,
        mut join: impl FnMut(A, R) -> A,
    ) -> A {
        let mut queues: Vec<Vec<(usize, T)>> = self.devices.iter().map(|_| Vec::new()).collect();
        for (index, job) in jobs.into_iter().enumerate() {
            queues[index % self.devices.len()].push((index, job));
        }
        let queues: Vec<_> = queues.into_iter().map(|queue| Mutex::new(queue.into_iter())).collect();
        let (done, results) = mpsc::channel();
        thread::scope(|scope| {
            for (number, pool) in &self.pools {
                let (queue, work, done) = (&queues[*number], &work, done.clone());
                let seat = Seat { number: *number, device: &self.devices[*number] };
                scope.spawn(move || {
                    pool.install(|| {
                        loop {
                            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                            let Some((index, job)) = next else { break };
                            if done.send((index, work(seat, job))).is_err() {
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
    pub fn map<T: Send, R: Send>(
        &self,
        jobs: impl IntoIterator<Item = T>,
        work: impl Fn(Seat<'_>, T) -> R + Sync,
    ) -> Vec<R> {
        self.fold(jobs, work, Vec::new(), |mut all, result| {
            all.push(result);
            all
        })
    }

    /// Runs `work` on every job and adds up the results, on each device in the order of its jobs, then over the devices;
    /// `None` without a job. The sum is on the first device.
    ///
    /// # Panics
    ///
    /// Passes on a panic of `work`.
    pub fn sum<T: Send, R: Summand>(
        &self,
        jobs: impl IntoIterator<Item = T>,
        work: impl Fn(Seat<'_>, T) -> R + Sync,
    ) -> Option<R> {
        let (mut turn, count) = (0, self.devices.len());
        let none: Vec<Option<R>> = self.devices.iter().map(|_| None).collect();
        let parts = self.fold(jobs, work, none, |mut parts, more| {
            let part = &mut parts[turn % count];
            *part = Some(match part.take() {
                Some(sum) => sum.plus(more),
                None => more,
            });
            turn += 1;
            parts
        });
        let first = &self.devices[0];
        parts.into_iter().flatten().map(|part| part.to_device(first)).reduce(Summand::plus)
    }
}

fn or_cores(threads: usize) -> usize {
    if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads }
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
        Lanes::of_host(threads).unwrap()
    }

    /// Letters in the order in which they were added, and the devices that they were moved to.
    impl Summand for String {
        fn plus(self, other: Self) -> Self {
            self + &other
        }

        fn to_device(self, _: &Device) -> Self {
            format!("[{self}]")
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let slow_first = |_: Seat<'_>, job: u64| {
            thread::sleep(Duration::from_millis(20 - 2 * job));
            job
        };
        assert_eq!(lanes(4).map(0..10, slow_first), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_fold_over_floats_does_not_depend_on_the_number_of_lanes() {
        let sum =
            |threads| lanes(threads).fold(1..1000_u32, |_, job| 1.0 / f64::from(job), 0.0, |sum, term| sum + term);
        assert_eq!(sum(1).to_bits(), sum(3).to_bits());
    }

    #[test]
    fn operators_stay_in_their_lane() {
        assert_eq!(lanes(2).map([(), ()], |_, ()| rayon::current_num_threads()), [1, 1]);
        assert_eq!(lanes(2).together(rayon::current_num_threads), 2);
    }

    #[test]
    fn no_jobs_no_results() {
        assert_eq!(lanes(2).map(Vec::<u8>::new(), |_, job| job), Vec::<u8>::new());
        assert_eq!(lanes(2).sum(Vec::<String>::new(), |_, job| job), None);
    }

    #[test]
    fn a_job_is_done_where_its_number_says_and_sums_meet_on_the_first_device() {
        let three = Lanes::new(6, vec![device::host(); 3]).unwrap();
        assert_eq!(three.count(), 6);
        assert_eq!(three.map(0..7, |seat, _| seat.number), [0, 1, 2, 0, 1, 2, 0]);
        let sum = three.sum("abcdefg".chars(), |seat, letter| {
            thread::sleep(Duration::from_millis(6 - 3 * seat.number as u64));
            letter.to_string()
        });
        assert_eq!(sum.as_deref(), Some("[adg][be][cf]"));
        assert_eq!(Lanes::new(1, vec![device::host(); 3]).unwrap().count(), 3, "each share has a thread");
    }

    #[test]
    fn the_first_error_is_the_sum() {
        let work = |_: Seat<'_>, job: usize| if job == 3 || job == 5 { Err(job) } else { Ok(job.to_string()) };
        assert_eq!(lanes(2).sum(0..8, work), Some(Err(3)));
    }
}
