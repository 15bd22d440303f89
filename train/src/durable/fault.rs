//! Fault points: places where a test can end the program, or let the disk fail, between two file changes.
//!
//! `TICKFUSE_FAULT=kill:<n>` aborts the process at the `n`-th step it passes (no destructors, no flushing, as with
//! `kill -9`); `TICKFUSE_FAULT=fail:<n>` lets that step return an error, as a full disk does. A test counts `n` up until
//! the program comes through, so a step added later is covered without being listed anywhere. Builds without
//! `debug_assertions` contain none of this: [`point`] is then an empty function.

use std::io;

/// Declares the steps and the list of all of them in one place.
macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Kind of file change a fault point stands before.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step {
            $($(#[$doc])* $name),+
        }

        impl Step {
            /// Every step, for tests that check that each was met.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

steps! {
    /// A new file is opened.
    CreateFile,
    /// Bytes are added to a file.
    Append,
    /// Half of the bytes are written.
    WriteHalf,
    /// A file is flushed.
    FlushFile,
    /// A file is cut.
    Truncate,
    /// A folder is created.
    CreateFolder,
    /// A file, folder or symlink gets its final name.
    Rename,
    /// A symlink is created under a temporary name.
    CreateSymlink,
    /// A file or folder is removed.
    Remove,
    /// The permission to write is taken away.
    Protect,
    /// A folder is flushed.
    FlushFolder,
}

/// Passes a fault point.
///
/// # Errors
/// Only when a test asked for it.
#[cfg(debug_assertions)]
pub fn point(step: Step) -> io::Result<()> {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Some(plan) = PLAN.get_or_init(Plan::from_environment) else {
        return Ok(());
    };
    if PASSED.fetch_add(1, Ordering::Relaxed) + 1 != plan.at {
        return Ok(());
    }
    plan.strike(step)
}

/// Passes a fault point: nothing in this build.
///
/// # Errors
/// None.
#[cfg(not(debug_assertions))]
#[inline]
pub fn point(_step: Step) -> io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    kill: bool,
    at: u64,
}

#[cfg(debug_assertions)]
impl Plan {
    fn from_environment() -> Option<Self> {
        let text = std::env::var("TICKFUSE_FAULT").ok()?;
        Some(Self::parse(&text).unwrap_or_else(|| {
            panic!("TICKFUSE_FAULT: expected kill:<n> or fail:<n> with n >= 1, found `{text}`")
        }))
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, at) = text.split_once(':')?;
        let kill = match kind {
            "kill" => true,
            "fail" => false,
            _ => return None,
        };
        let at = at.parse().ok().filter(|&n| n > 0)?;
        Some(Self { kill, at })
    }

    fn strike(&self, step: Step) -> io::Result<()> {
        let text = format!("TICKFUSE_FAULT step {}: {step:?}", self.at);
        if self.kill {
            // Written past the test harness's capture and past any buffer: the process is gone afterwards.
            let _ = io::Write::write_all(&mut io::stderr(), format!("{text}\n").as_bytes());
            std::process::abort();
        }
        Err(io::Error::other(text))
    }
}

#[cfg(test)]
#[cfg(debug_assertions)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_kill_or_fail_at_a_step_from_one() {
        assert_eq!(Plan::parse("kill:3"), Some(Plan { kill: true, at: 3 }));
        assert_eq!(Plan::parse("fail:1"), Some(Plan { kill: false, at: 1 }));
        for wrong in ["", "kill", "kill:", "kill:0", "kill:-1", "die:1", "fail:x"] {
            assert_eq!(Plan::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_failing_step_says_which_it_was() {
        let error = Plan { kill: false, at: 7 }.strike(Step::Rename).unwrap_err();
        assert_eq!(error.to_string(), "TICKFUSE_FAULT step 7: Rename");
    }
}
