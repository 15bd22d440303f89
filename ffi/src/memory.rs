//! Where a handle lives: on the heap, or in a block of the caller's memory of which all of its own is carved.
//!
//! While an object is made for a block, this library's allocator hands out pieces of the block, one behind the other, and
//! takes none back; whatever the block cannot hold comes from the heap and is counted, so that a dry run tells how long a
//! block must be. When the object goes, its pieces go with the block. In between it allocates nothing, which is why only
//! making and freeing need to know the block.

use crate::error::UseError;
use crate::pointer;
use core::cell::Cell;
use core::ptr;
use std::alloc::{GlobalAlloc, Layout, System};

/// Alignment that a block must have, and the start of every piece.
pub(crate) const ALIGNMENT: usize = 64;

/// A block of memory, NULL and 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    base: *mut u8,
    len: usize,
}

// SAFETY: an address and a length; whoever uses the memory behind them says why it may.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    const NONE: Self = Self {
        base: ptr::null_mut(),
        len: 0,
    };

    /// # Safety
    /// A pointer that is neither NULL nor misaligned leads to `len` writable bytes that are the library's until the
    /// object made in them is freed.
    pub(crate) unsafe fn new(memory: *mut u8, len: usize) -> Result<Self, UseError> {
        pointer::check(memory, "memory")?;
        if !memory.addr().is_multiple_of(ALIGNMENT) {
            return Err(UseError::Alignment {
                parameter: "memory",
                expected: ALIGNMENT,
                found: memory.addr(),
            });
        }
        Ok(Self { base: memory, len })
    }

    fn holds(self, at: *mut u8) -> bool {
        at.addr().wrapping_sub(self.base.addr()) < self.len
    }
}

/// A block under way of being filled.
struct Carving {
    block: Block,
    /// Bytes asked for, more than the block's where it is too short.
    n_used: Cell<usize>,
}

impl Carving {
    /// A piece of the block, if it has one left.
    fn piece(&self, layout: Layout) -> Option<*mut u8> {
        let slack = layout.align().saturating_sub(ALIGNMENT);
        let at = self.n_used.get().next_multiple_of(layout.align().min(ALIGNMENT));
        self.n_used.set(at + layout.size() + slack);
        if self.n_used.get() > self.block.len {
            return None;
        }
        let start = self.block.base.wrapping_add(at);
        Some(start.wrapping_add(start.align_offset(layout.align())))
    }
}

thread_local! {
    /// What is being filled, or emptied, on this thread.
    static CARVING: Cell<*const Carving> = const { Cell::new(ptr::null()) };
    static N_HEAP_CALLS: Cell<usize> = const { Cell::new(0) };
}

/// Calls that this thread made to the heap through this library.
#[doc(hidden)]
#[must_use]
pub fn n_heap_calls() -> usize {
    N_HEAP_CALLS.get()
}

fn count_one() {
    N_HEAP_CALLS.set(N_HEAP_CALLS.get() + 1);
}

/// Runs `work` with a block to carve from. A panic's own memory comes from the heap.
fn carving<T>(carving: &Carving, work: impl FnOnce() -> T) -> T {
    struct Restore(*const Carving);
    impl Drop for Restore {
        fn drop(&mut self) {
            CARVING.set(self.0);
        }
    }
    let _restore = Restore(CARVING.replace(carving));
    work()
}

/// What [`carving`] is at work on.
fn current<T>(ask: impl FnOnce(&Carving) -> T) -> Option<T> {
    let at = CARVING.get();
    // SAFETY: NULL, or set by `carving`, whose borrow lasts until it has set the pointer back.
    let carving = unsafe { at.as_ref() }?;
    Some(ask(carving))
}

/// The heap, or the block under way on this thread.
struct Allocator;

// SAFETY: pieces of a block do not overlap, fit their layout and live until the block is given back; all else is the system's.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let piece = match std::thread::panicking() {
            true => None,
            false => current(|carving| carving.piece(layout)).flatten(),
        };
        piece.unwrap_or_else(|| {
            count_one();
            // SAFETY: the caller's promise is passed on.
            unsafe { System.alloc(layout) }
        })
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if current(|carving| carving.block.holds(at)) == Some(true) {
            return;
        }
        count_one();
        // SAFETY: no piece of a block: those are let go of by `carving` only; the rest is the caller's promise.
        unsafe { System.dealloc(at, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if CARVING.get().is_null() {
            count_one();
            // SAFETY: the caller's promise is passed on.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's promise is passed on.
        let at = unsafe { self.alloc(layout) };
        if !at.is_null() {
            // SAFETY: just allocated with this size.
            unsafe { at.write_bytes(0, layout.size()) };
        }
        at
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if CARVING.get().is_null() {
            count_one();
            // SAFETY: no piece of a block, as in `dealloc`; the rest is the caller's promise.
            return unsafe { System.realloc(at, layout, new_size) };
        }
        // SAFETY: the caller promises that the new size with this alignment is a layout.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller's promise is passed on.
        let to = unsafe { self.alloc(new) };
        if !to.is_null() {
            // SAFETY: both are as long as is copied, and the new one overlaps nothing.
            unsafe { ptr::copy_nonoverlapping(at, to, layout.size().min(new_size)) };
            // SAFETY: the caller's promise is passed on.
            unsafe { self.dealloc(at, layout) };
        }
        to
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// A handle that knows where it lives.
pub(crate) trait Housed: Sized {
    /// Says where: a new one lives on the heap.
    fn move_in(&mut self, block: Block);
    /// The block, where it lives in one.
    fn block(&self) -> Option<Block>;
}

/// Makes a handle in a block, or says how many bytes that takes.
pub(crate) fn in_block<T: Housed, E: Clone>(
    block: Block,
    make: impl FnOnce() -> Result<T, E>,
) -> Result<Result<*mut T, UseError>, E> {
    const { assert!(align_of::<T>() <= ALIGNMENT) };
    let way = Carving {
        block,
        n_used: Cell::new(size_of::<T>()),
    };
    match carving(&way, make) {
        Ok(mut made) if way.n_used.get() <= block.len => {
            made.move_in(block);
            let at = block.base.cast::<T>();
            // SAFETY: the block is the library's by the promise to `Block::new`, aligned for `T` by the assertion, and its
            // first bytes were left for the handle.
            unsafe { at.write(made) };
            Ok(Ok(at))
        }
        Ok(made) => {
            carving(&way, || drop(made));
            Ok(Err(UseError::Memory {
                needed: way.n_used.get(),
                found: block.len,
            }))
        }
        Err(error) => {
            let copy = error.clone();
            carving(&way, || drop(error));
            Err(copy)
        }
    }
}

/// Bytes of the block that the same `make` needs. Makes the object once on the heap.
pub(crate) fn size_in_block<T: Housed, E: Clone>(make: impl FnOnce() -> Result<T, E>) -> Result<usize, E> {
    match in_block(Block::NONE, make)? {
        Err(UseError::Memory { needed, .. }) => Ok(needed),
        _ => unreachable!("every handle has a size"),
    }
}

/// Lets go of a handle wherever it lives; the block, if any, is the caller's again.
///
/// # Safety
/// A pointer that is neither NULL nor misaligned came from `Box::into_raw` or [`in_block`], and was not freed before.
pub(crate) unsafe fn free<T: Housed>(handle: *mut T) {
    // SAFETY: the caller's promise is passed on.
    let Ok(living) = (unsafe { pointer::borrow(handle, "handle") }) else {
        return;
    };
    let Some(block) = living.block() else {
        // SAFETY: not in a block, so it came from `Box::into_raw`; the rest is the caller's promise.
        unsafe { crate::guard::free(handle) };
        return;
    };
    let way = Carving {
        block,
        n_used: Cell::new(block.len),
    };
    crate::guard::value((), || {
        // SAFETY: made by `in_block`, and not freed before by the caller's promise.
        carving(&way, || unsafe { ptr::drop_in_place(handle) });
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Thing {
        lists: Vec<Vec<u64>>,
        zeros: Vec<u32>,
        block: Option<Block>,
    }

    impl Housed for Thing {
        fn move_in(&mut self, block: Block) {
            self.block = Some(block);
        }
        fn block(&self) -> Option<Block> {
            self.block
        }
    }

    /// Grows, shrinks and asks for zeros, as constructions do.
    fn thing() -> Result<Thing, String> {
        let lists = (0..9).map(|n| (0..n).collect()).collect();
        let mut zeros = vec![0; 100];
        zeros.truncate(70);
        zeros.shrink_to_fit();
        Ok(Thing {
            lists,
            zeros,
            block: None,
        })
    }

    #[repr(C, align(64))]
    struct Memory([u8; 8192]);

    fn block(memory: &mut Memory, len: usize) -> Block {
        assert!(len <= memory.0.len());
        // SAFETY: as long as is said, and nobody else's during the test.
        unsafe { Block::new(memory.0.as_mut_ptr(), len) }.unwrap()
    }

    #[test]
    fn a_handle_in_a_block_of_the_size_told_never_meets_the_heap() {
        let size = size_in_block(thing).unwrap();
        let mut memory = Memory([0xab; 8192]);
        let before = n_heap_calls();
        let at = in_block(block(&mut memory, size), thing).unwrap().unwrap();
        // SAFETY: just made.
        let made = unsafe { &*at };
        assert!(made.lists.iter().enumerate().all(|(n, list)| list.len() == n));
        assert_eq!(made.zeros, [0; 70]);
        // SAFETY: made in a block, freed once.
        unsafe { free(at) };
        assert_eq!(n_heap_calls() - before, 0);
        assert!(memory.0[size..].iter().all(|byte| *byte == 0xab));
    }

    #[test]
    fn a_block_that_is_too_short_is_refused_with_the_size_it_should_have() {
        let size = size_in_block(thing).unwrap();
        let mut memory = Memory([0; 8192]);
        for len in [0, 1, size_of::<Thing>(), size - 1] {
            let refused = in_block(block(&mut memory, len), thing).unwrap().unwrap_err();
            let expected = UseError::Memory {
                needed: size,
                found: len,
            };
            assert_eq!(refused, expected);
        }
    }

    #[test]
    fn a_failure_outlives_the_block_its_text_was_made_in() {
        let mut memory = Memory([0; 8192]);
        let fails = || -> Result<Thing, String> { Err(format!("no {}", "thing")) };
        let error = in_block(block(&mut memory, 8192), fails).unwrap_err();
        memory.0.fill(0xff);
        assert_eq!(error, "no thing");
    }

    #[test]
    fn a_panic_in_the_making_is_caught_and_leaves_the_allocator_as_it_was() {
        let mut memory = Memory([0; 8192]);
        let block = block(&mut memory, 8192);
        let status = crate::guard::status(|| {
            let make = || -> Result<Thing, String> { panic!("made for {}", "this test") };
            let _ = in_block(block, make);
            Ok(())
        });
        assert_eq!(status, 900);
        assert!(CARVING.get().is_null());
    }

    #[test]
    fn pieces_have_the_alignment_they_were_asked_for() {
        let mut memory = Memory([0; 8192]);
        let way = Carving {
            block: block(&mut memory, 8192),
            n_used: Cell::new(1),
        };
        for align in [1, 8, 64, 256, 2, 1024] {
            let layout = Layout::from_size_align(3, align).unwrap();
            assert_eq!(way.piece(layout).unwrap().addr() % align, 0);
        }
        assert!(way.piece(Layout::from_size_align(8192, 1).unwrap()).is_none());
    }
}
