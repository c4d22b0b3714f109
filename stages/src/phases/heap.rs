//! An allocator → the same, whose large blocks are counted: how many bytes of them are in use, and were at the most since a
//! mark. One count for the whole process, since one thread's tensors are given back by others. Knows no phase.
//!
//! A block of a page or more costs two or three atomic operations, beside which writing it costs hundreds; the many small ones
//! cost a comparison. Resident memory would be no substitute: allocators keep pages that nobody uses, so it only grows.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicIsize, Ordering};

/// Bytes of the smallest block that is counted.
const LEAST: usize = 4096;

static NOW: AtomicIsize = AtomicIsize::new(0);
static MOST: AtomicIsize = AtomicIsize::new(0);

/// An allocator that counts for [`super::Phases`]; for `#[global_allocator]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator<A>(pub A);

fn more(block: *mut u8, size: usize) -> *mut u8 {
    if size >= LEAST && !block.is_null() {
        let now = NOW.fetch_add(size.cast_signed(), Ordering::Relaxed) + size.cast_signed();
        if now > MOST.load(Ordering::Relaxed) {
            MOST.fetch_max(now, Ordering::Relaxed);
        }
    }
    block
}

fn less(size: usize) {
    if size >= LEAST {
        NOW.fetch_sub(size.cast_signed(), Ordering::Relaxed);
    }
}

// SAFETY: every call goes to `A` as it came, and its answer back; counting allocates nothing.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `A` asks for.
        more(unsafe { self.0.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        more(unsafe { self.0.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; `block` came from `A`.
        let moved = unsafe { self.0.realloc(block, layout, size) };
        if !moved.is_null() {
            less(layout.size());
        }
        more(moved, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        less(layout.size());
        // SAFETY: as above; `block` came from `A`.
        unsafe { self.0.dealloc(block, layout) }
    }
}

/// Begins to look for the most anew.
pub(super) fn mark() {
    MOST.store(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Bytes at the most since the last mark, and now; none where no allocator counts.
pub(super) fn read() -> Option<(u64, u64)> {
    let bytes = |count: &AtomicIsize| u64::try_from(count.load(Ordering::Relaxed)).unwrap_or_default();
    let (most, now) = (bytes(&MOST), bytes(&NOW));
    (most > 0).then(|| (most.max(now), now))
}
