//! A global allocator that hands out one static block and takes nothing back.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

const SIZE: usize = 8 << 20;
/// The coarsest alignment there is: a cache line, which the core's lanes have.
const ALIGNMENT: usize = 64;

#[repr(C, align(64))]
struct Block(UnsafeCell<[u8; SIZE]>);

/// The arena.
pub struct Arena {
    block: Block,
    used: AtomicUsize,
}

impl Arena {
    /// Nothing handed out yet.
    pub const fn new() -> Self {
        Self {
            block: Block(UnsafeCell::new([0; SIZE])),
            used: AtomicUsize::new(0),
        }
    }
}

/// Where a request starts if `used` bytes are gone, or `None` if it does not fit.
fn start(used: usize, layout: Layout) -> Option<usize> {
    let start = used.next_multiple_of(layout.align());
    let end = start.checked_add(layout.size())?;
    (layout.align() <= ALIGNMENT && end <= SIZE).then_some(start)
}

// SAFETY: the block is only reached through pointers to ranges that `used` gives out once each.
unsafe impl Sync for Arena {}

// SAFETY: ranges lie inside the block, start at multiples of the layout's alignment (the block itself starts on a
// cache line) and never overlap, because `used` only grows and each range lies behind the one before.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let take = |used| start(used, layout).map(|start| start + layout.size());
        let before = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        match before.ok().and_then(|used| start(used, layout)) {
            Some(start) => self.block.0.get().cast::<u8>().wrapping_add(start),
            None => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
