//! The text of a thread's last failure.
//!
//! A refused row leaves only a small `Copy` value behind; its text is made when somebody asks. Nothing here
//! allocates, and the thread's storage has no destructor, so that touching it for the first time does not either.

use crate::error::{Failure, UseError};
use crate::pointer::OutSlice;
use crate::status::Status;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::ffi::c_char;
use core::fmt::{self, Write as _};
use tickfuse_core::error::RunError;

/// A text of limited length that ends in "..." where it was cut.
struct Text {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl Text {
    const CAPACITY: usize = 1024;
    const CUT: &str = "...";
    const EMPTY: Self = Self {
        bytes: [0; Self::CAPACITY],
        len: 0,
    };

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    fn set(&mut self, what: impl fmt::Display) {
        self.len = 0;
        if write!(self, "{what}").is_err() {
            let kept = floor_boundary(self.as_str(), Self::CAPACITY - Self::CUT.len());
            self.len = kept + Self::CUT.len();
            self.bytes[kept..self.len].copy_from_slice(Self::CUT.as_bytes());
        }
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let kept = floor_boundary(s, Self::CAPACITY - self.len);
        self.bytes[self.len..][..kept].copy_from_slice(&s.as_bytes()[..kept]);
        self.len += kept;
        if kept < s.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// The largest end of a character in `s` at or below `limit`.
pub(crate) fn floor_boundary(s: &str, limit: usize) -> usize {
    let limit = limit.min(s.len());
    (0..=limit).rev().find(|i| s.is_char_boundary(*i)).unwrap_or(0)
}

/// What the text of the last failure is made from.
#[derive(Clone, Copy)]
enum Cause {
    Nothing,
    Use(UseError),
    Run(RunError),
    Poisoned,
    /// It stands in [`Last::text`].
    Text,
}

struct Last {
    cause: Cell<Cause>,
    text: RefCell<Text>,
}

thread_local! {
    static LAST: Last = const {
        Last { cause: Cell::new(Cause::Nothing), text: RefCell::new(Text::EMPTY) }
    };
}

/// Keeps the failure for [`tickfuse_last_error`] and gives its number.
pub(crate) fn record(failure: &Failure) -> i32 {
    match failure {
        Failure::Use(e) => LAST.with(|last| last.cause.set(Cause::Use(*e))),
        Failure::Run(e) => LAST.with(|last| last.cause.set(Cause::Run(*e))),
        Failure::Poisoned => LAST.with(|last| last.cause.set(Cause::Poisoned)),
        Failure::Open(e) => keep_text(e),
        Failure::Stream(e) => keep_text(e),
        Failure::State(e) => keep_text(e),
        Failure::System(e) => keep_text(e),
        Failure::Foreign => keep_text("source: expected a stream of the same opened model"),
    }
    failure.status().number()
}

/// Keeps what a panic says, and lets go of it.
#[cold]
#[inline(never)]
pub(crate) fn record_panic(payload: Box<dyn Any + Send>) -> i32 {
    let said = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(said), _) => said,
        (None, Some(said)) => said.as_str(),
        (None, None) => "without a message",
    };
    keep_text(format_args!("defect of the library, please report: {said}"));
    drop(payload);
    Status::Panic.number()
}

fn keep_text(what: impl fmt::Display) {
    LAST.with(|last| {
        last.text.borrow_mut().set(what);
        last.cause.set(Cause::Text);
    });
}

/// Hands the text of the last failure to `reader`.
fn with_last<R>(reader: impl FnOnce(&str) -> R) -> R {
    LAST.with(|last| {
        let mut text = last.text.borrow_mut();
        match last.cause.get() {
            Cause::Nothing => text.set(""),
            Cause::Use(e) => text.set(e),
            Cause::Run(e) => text.set(e),
            Cause::Poisoned => {
                text.set("this handle met a defect of the library in an earlier call: free it");
            }
            Cause::Text => {}
        }
        reader(text.as_str())
    })
}

/// `tickfuse_last_error` of the header.
///
/// # Safety
/// `buf` is NULL or leads to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_last_error(buf: *mut c_char, len: usize) -> usize {
    with_last(|text| {
        // SAFETY: the caller promises `len` writable bytes behind a pointer that is not NULL.
        let out = unsafe { OutSlice::new(buf.cast::<u8>(), len, "buf") };
        if let (Ok(out), Some(room)) = (out, len.checked_sub(1)) {
            out.write_text(&text[..floor_boundary(text, room)]);
        }
        text.len() + 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickfuse_core::error::OpenError;

    fn last() -> String {
        with_last(str::to_owned)
    }

    #[test]
    fn a_failure_gives_its_number_and_leaves_its_text() {
        assert_eq!(last(), "");
        assert_eq!(record(&UseError::Null("window").into()), 100);
        assert_eq!(last(), "window: expected a pointer, found NULL");
        assert_eq!(record(&RunError::Batch { limit: 3, found: 4 }.into()), 303);
        assert_eq!(last(), "batch: expected 1 to 3 windows, found 4");
        assert_eq!(record(&OpenError::NotABundle.into()), 206);
        assert!(last().starts_with("safetensors file without"), "{}", last());
        assert_eq!(record(&Failure::Poisoned), 901);
        assert!(last().ends_with("free it"));
    }

    #[test]
    fn a_failure_stays_on_its_thread() {
        record(&UseError::Busy("session").into());
        let other = std::thread::spawn(last).join().unwrap();
        assert_eq!(other, "");
        assert!(last().starts_with("session: "));
    }

    #[test]
    fn a_text_at_the_limit_stays_and_a_longer_one_is_cut_between_characters() {
        let mut text = Text::EMPTY;
        let full = "x".repeat(Text::CAPACITY);
        text.set(&full);
        assert_eq!(text.as_str(), full);
        text.set(format_args!("{full}x"));
        assert_eq!(text.as_str(), format!("{}...", &full[3..]));
        for ahead in 0..3 {
            let wide = format!("{}{}", &full[..ahead], "\u{20ac}".repeat(Text::CAPACITY / 3 + 1));
            text.set(&wide);
            let kept = text.as_str().strip_suffix("...").unwrap();
            assert!(
                wide.starts_with(kept) && kept.len() + 6 > Text::CAPACITY,
                "{}",
                kept.len()
            );
        }
        text.set("short");
        assert_eq!(text.as_str(), "short");
    }

    #[test]
    fn a_panic_is_told_in_its_own_words_whatever_carries_them() {
        assert_eq!(record_panic(Box::new("static")), 900);
        assert_eq!(last(), "defect of the library, please report: static");
        record_panic(Box::new(String::from("owned")));
        assert!(last().ends_with(": owned"));
        record_panic(Box::new(7_u8));
        assert!(last().ends_with(": without a message"));
    }
}
