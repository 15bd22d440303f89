//! `tickfuse_open_options`: the structure as C hands it in, checked and turned into the core's options.

use crate::error::UseError;
use crate::pointer;
use crate::sized;
use core::ffi::c_char;
use tickfuse_core::{Level, OpenOptions};

/// `TICKFUSE_OPEN_COPIED`.
pub const OPEN_COPIED: u32 = 1;
/// `TICKFUSE_OPEN_DECLINE_HASH`.
pub const OPEN_DECLINE_HASH: u32 = 2;
/// `TICKFUSE_OPEN_DECLINE_GOLDEN`.
pub const OPEN_DECLINE_GOLDEN: u32 = 4;

const KNOWN_FLAGS: u32 = OPEN_COPIED | OPEN_DECLINE_HASH | OPEN_DECLINE_GOLDEN;

/// `tickfuse_open_options` of the header.
///
/// Fields are added at the end; then the shorter structure of an older caller is completed with zeros.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CallerOptions {
    /// Bytes of the caller's structure.
    pub size: usize,
    /// Name of a level, or NULL.
    pub level: *const c_char,
    /// `TICKFUSE_OPEN_*`.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

impl sized::SizeLed for CallerOptions {}

impl CallerOptions {
    /// What `TICKFUSE_OPEN_OPTIONS_INIT` gives.
    pub const INIT: Self = Self {
        size: size_of::<Self>(),
        level: core::ptr::null(),
        flags: 0,
        reserved: 0,
    };
}

/// Options understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Opening {
    pub(crate) copied: bool,
    pub(crate) core: OpenOptions,
}

/// Reads the caller's structure; NULL is the default.
///
/// # Safety
/// A pointer that is neither NULL nor misaligned leads to a structure of the size it states; its level is NULL or
/// text that ends with a zero.
pub(crate) unsafe fn read(options: *const CallerOptions) -> Result<Opening, UseError> {
    if options.is_null() {
        return Ok(Opening::default());
    }
    // SAFETY: the caller's promise is passed on; the structure has no padding that could be uninitialised.
    let fields = unsafe { sized::read(options, "options") }?;
    // SAFETY: the caller's promise about the level is passed on.
    unsafe { understand(fields) }
}

/// # Safety
/// `fields.level` is NULL or text that ends with a zero.
unsafe fn understand(fields: &CallerOptions) -> Result<Opening, UseError> {
    let unknown = fields.flags & !KNOWN_FLAGS;
    if unknown != 0 {
        return Err(UseError::OptionsFlags { unknown });
    }
    if fields.reserved != 0 {
        return Err(UseError::OptionsReserved {
            found: fields.reserved,
        });
    }
    // SAFETY: the caller's promise is passed on.
    let level = unsafe { level(fields.level) }?;
    Ok(Opening {
        copied: fields.flags & OPEN_COPIED != 0,
        core: OpenOptions {
            level,
            verify_hash: fields.flags & OPEN_DECLINE_HASH == 0,
            verify_golden: fields.flags & OPEN_DECLINE_GOLDEN == 0,
        },
    })
}

/// # Safety
/// `name` is NULL or text that ends with a zero.
unsafe fn level(name: *const c_char) -> Result<Option<Level>, UseError> {
    if name.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise is passed on.
    let name = unsafe { pointer::text(name, "options.level") }?;
    let level = name.to_str().ok().and_then(Level::from_name);
    level.map(Some).ok_or(UseError::OptionsLevel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(options: &CallerOptions) -> Result<Opening, UseError> {
        // SAFETY: the tests' structures are as long as they say, their levels are C literals.
        unsafe { read(options) }
    }

    #[test]
    fn null_and_the_initialiser_are_the_defaults() {
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { read(core::ptr::null()) }, Ok(Opening::default()));
        assert_eq!(understood(&CallerOptions::INIT), Ok(Opening::default()));
    }

    #[test]
    fn each_flag_turns_one_default_round() {
        let with = |flags| {
            understood(&CallerOptions {
                flags,
                ..CallerOptions::INIT
            })
            .unwrap()
        };
        let base = Opening::default();
        assert_eq!(with(OPEN_COPIED), Opening { copied: true, ..base });
        assert!(!with(OPEN_DECLINE_HASH).core.verify_hash && with(OPEN_DECLINE_HASH).core.verify_golden);
        assert!(!with(OPEN_DECLINE_GOLDEN).core.verify_golden && with(OPEN_DECLINE_GOLDEN).core.verify_hash);
        let unknown = understood(&CallerOptions {
            flags: 0x8000_0001,
            ..CallerOptions::INIT
        });
        assert_eq!(unknown, Err(UseError::OptionsFlags { unknown: 0x8000_0000 }));
    }

    #[test]
    fn a_level_is_known_by_its_name_only() {
        let with = |level| {
            understood(&CallerOptions {
                level,
                ..CallerOptions::INIT
            })
        };
        assert_eq!(
            with(c"portable".as_ptr()).unwrap().core.level,
            Some(Level::Portable)
        );
        for name in [c"", c"Portable", c"avx1024", c"\xff"] {
            assert_eq!(with(name.as_ptr()), Err(UseError::OptionsLevel));
        }
    }

    #[test]
    fn a_reserved_value_is_refused() {
        let found = understood(&CallerOptions {
            reserved: 3,
            ..CallerOptions::INIT
        });
        assert_eq!(found, Err(UseError::OptionsReserved { found: 3 }));
    }
}
