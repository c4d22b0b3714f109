//! Rows that coming steps need → encoded before they need them, on all cores. Refuses to know what a step does with them.

use std::ops::Range;
use std::time::Duration;

use curricle_datasets::Encoded;
use curricle_datasets::feed::{Bounds, Feed};
use curricle_engine::stage::StageError;

/// Rows that are encoded before they are needed, at most.
const ROWS: usize = 512;
/// Their bytes, about.
const BYTES: usize = 256 << 20;

/// Rows in the order in which steps need them, some at a time: a job's rows.
#[derive(Debug)]
pub struct Ahead(Feed<Result<Vec<Encoded>, StageError>>);

impl Ahead {
    /// Begins to encode the first of `jobs`, of `each` rows at most, on so many threads (0: per core).
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn new<J: Send + 'static>(
        threads: usize,
        each: usize,
        jobs: impl Iterator<Item = J> + Send + 'static,
        encode: impl Fn(J) -> Result<Vec<Encoded>, StageError> + Send + Sync + 'static,
    ) -> Result<Self, StageError> {
        let bounds = Bounds { jobs: ROWS.div_ceil(each.max(1)), bytes: BYTES };
        let weigh = |rows: &Result<Vec<Encoded>, _>| rows.iter().flatten().map(Encoded::bytes).sum();
        let feed = Feed::new(threads, bounds, jobs, encode, weigh);
        feed.map(Self).map_err(|error| StageError::while_doing("starting threads", error))
    }

    /// The rows of the job number `turn`, from 0, each once.
    ///
    /// # Errors
    /// Where one of them can't be encoded.
    ///
    /// # Panics
    /// Where there are fewer jobs.
    pub fn take(&self, turn: usize) -> Result<Vec<Encoded>, StageError> {
        self.0.take(turn).expect("every turn that is taken has a job")
    }

    /// The rows of several jobs, one after the other.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_all(&self, turns: Range<usize>) -> Result<Vec<Encoded>, StageError> {
        let mut all = Vec::with_capacity(turns.len());
        for turn in turns {
            all.extend(self.take(turn)?);
        }
        Ok(all)
    }

    /// The share of `time` in which `takers` threads waited for rows, since this was last asked.
    pub fn waited(&self, takers: usize, time: Duration) -> f64 {
        self.0.waited().as_secs_f64() / (takers as f64 * time.as_secs_f64()).max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Instant;

    use super::*;

    fn row(id: u32) -> Encoded {
        Encoded { ids: vec![id], target: vec![true], images: Vec::new() }
    }

    #[test]
    fn rows_come_by_turn_and_an_error_stands_at_its_own() {
        let encode = |id: u32| {
            if id == 2 { Err(StageError::Failed("row `2`: no".to_owned())) } else { Ok(vec![row(id), row(10 * id)]) }
        };
        let ahead = Ahead::new(3, 2, 0..5, encode).unwrap();
        let ids = |rows: Vec<Encoded>| rows.iter().map(|row| row.ids[0]).collect::<Vec<_>>();
        assert_eq!(ids(ahead.take_all(0..2).unwrap()), [0, 0, 1, 10]);
        assert!(ahead.take(2).unwrap_err().to_string().contains("row `2`: no"));
        assert_eq!(ids(ahead.take_all(3..5).unwrap()), [3, 30, 4, 40]);
    }

    /// Rows that take longer to encode than a tenth of the step that they are for.
    #[test]
    fn a_step_waits_for_its_rows_only_where_nothing_was_made_ahead() {
        let slow = |id: u32| {
            sleep(Duration::from_millis(10));
            Ok(vec![row(id)])
        };
        let ahead = Ahead::new(1, 1, 0..12, slow).unwrap();
        let mut shares: Vec<f64> = (0..12)
            .map(|turn| {
                let began = Instant::now();
                ahead.take(turn).unwrap();
                sleep(Duration::from_millis(if turn == 0 { 0 } else { 40 }));
                ahead.waited(1, began.elapsed())
            })
            .collect();
        assert!(shares[0] > 0.5, "the first had nobody before it: {shares:?}");
        shares.sort_by(f64::total_cmp);
        assert!(shares[6] < 0.2, "{shares:?}");
    }
}
