//! A guard under which the CPU takes denormal numbers for zeros.
//!
//! Nothing here needs it: answers with denormal numbers are right, and `bench/benches/streams.rs` compares their time with others'.
//! It is for threads that run other code beside, for which denormals are slow.

use core::marker::PhantomData;

/// Flush-to-zero and denormals-are-zero in MXCSR.
#[cfg(target_arch = "x86_64")]
const FLUSH: u32 = (1 << 15) | (1 << 6);

/// Denormal results and operands of this thread are zeros until the guard is dropped, which gives the control word back as it
/// was. On targets other than x86-64 it does nothing.
#[derive(Debug)]
#[must_use = "dropped at once, it has no effect"]
pub struct FlushDenormals {
    #[cfg(target_arch = "x86_64")]
    before: u32,
    /// The control word belongs to the thread.
    _thread: PhantomData<*const ()>,
}

impl FlushDenormals {
    /// Whether this target has such a control word.
    pub const HAS_EFFECT: bool = cfg!(target_arch = "x86_64");

    /// Sets both bits for this thread.
    ///
    /// # Safety
    /// Rust takes the control word to be in its initial state, and may compute a constant with denormals that the same expression would
    /// have flushed when run. While the guard lives the caller's code must not depend on which of both a denormal number becomes,
    /// and guards of one thread must be dropped in reverse order. The answers of this library do not.
    #[allow(
        clippy::missing_const_for_fn,
        reason = "it changes the state of the CPU where it has an effect"
    )]
    pub unsafe fn new() -> Self {
        #[cfg(target_arch = "x86_64")]
        let before = control();
        #[cfg(target_arch = "x86_64")]
        set_control(before | FLUSH);
        Self {
            #[cfg(target_arch = "x86_64")]
            before,
            _thread: PhantomData,
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for FlushDenormals {
    fn drop(&mut self) {
        set_control(self.before);
    }
}

/// MXCSR of this thread.
#[cfg(target_arch = "x86_64")]
fn control() -> u32 {
    let mut word = 0_u32;
    // SAFETY: stores four bytes to where `word` lies; every x86-64 has the instruction.
    unsafe { core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack, preserves_flags)) };
    word
}

#[cfg(target_arch = "x86_64")]
fn set_control(word: u32) {
    // SAFETY: loads four bytes from where `word` lies. The bits are those this thread had, or two more whose effect the caller of
    // `new` has answered for.
    unsafe { core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack, preserves_flags)) };
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use core::hint::black_box;

    /// A quarter of the smallest normal number, computed when run.
    fn quarter() -> f32 {
        black_box(f32::MIN_POSITIVE) * black_box(0.25)
    }

    #[test]
    fn denormals_are_zeros_under_the_guard_and_numbers_behind_it() {
        let before = control();
        {
            // SAFETY: what depends on it is what is tested.
            let _guard = unsafe { FlushDenormals::new() };
            assert_eq!(quarter().to_bits(), 0);
            // SAFETY: as above; dropped before the other.
            let inner = unsafe { FlushDenormals::new() };
            drop(inner);
            assert_eq!(control() & FLUSH, FLUSH);
        }
        // Flags of what happened stay; everything that was set does too.
        assert_eq!(control() & !0x3f, before & !0x3f);
        assert!(quarter() > 0.0);
    }
}
