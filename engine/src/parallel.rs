//! A list → what some work makes of every item, on all cores, in the list's order. It refuses to know what the work is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `work` makes of every item; of several errors the one of the first item that met one. Where one item failed, no
/// further one is begun.
pub fn each<T: Sync, R: Send, E: Send>(items: &[T], work: impl Fn(&T) -> Result<R, E> + Sync) -> Result<Vec<R>, E> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            let result = work(item);
            if result.is_err() {
                next.store(items.len(), Ordering::Relaxed);
            }
            done.push((index, result));
        }
    };
    let mut all: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<_>>| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    });
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled = each(&items, |item| Ok::<_, ()>(item * 2)).unwrap();
        assert!(doubled.iter().zip(&items).all(|(double, item)| *double == item * 2));
        assert_eq!(doubled.len(), items.len());
        assert_eq!(each(&[] as &[u32], |_| Err::<u32, _>("not reached")), Ok(vec![]));
    }

    #[test]
    fn the_first_error_is_the_one_that_is_told() {
        let items: Vec<u32> = (0..1000).collect();
        // Whatever runs beside it: items before the third are done, and are no errors.
        let failed = each(&items, |item| if *item < 3 { Ok(()) } else { Err(*item) });
        assert_eq!(failed, Err(3));
    }
}
