//! Status numbers: one table of number, C name and text.

use core::ffi::{CStr, c_char};

macro_rules! statuses {
    ($($name:ident = $number:literal, $c_name:literal, $text:literal;)*) => {
        /// What a call came to. Numbers, names and meanings are the header's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(i32)]
        #[non_exhaustive]
        pub enum Status {
            $(#[doc = $c_name] $name = $number,)*
        }

        impl Status {
            /// Every status in ascending order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Name of the macro in the header.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $c_name,)*
                }
            }

            /// The meaning in a few words.
            #[must_use]
            pub const fn text(self) -> &'static CStr {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

statuses! {
    Ok = 0, "TICKFUSE_OK", c"success";
    WarmingUp = 1, "TICKFUSE_WARMING_UP", c"no answer yet: too little was seen";
    Null = 100, "TICKFUSE_ERR_NULL", c"a pointer is NULL";
    Alignment = 101, "TICKFUSE_ERR_ALIGNMENT", c"a pointer is not aligned for its type";
    Length = 102, "TICKFUSE_ERR_LENGTH", c"a length is out of range";
    Buffer = 103, "TICKFUSE_ERR_BUFFER", c"the buffer is too small";
    Options = 104, "TICKFUSE_ERR_OPTIONS", c"the options are not understood";
    Path = 105, "TICKFUSE_ERR_PATH", c"the path cannot be expressed on this system";
    Busy = 106, "TICKFUSE_ERR_BUSY", c"the handle is running another call";
    Structure = 107, "TICKFUSE_ERR_STRUCTURE", c"a structure is not understood";
    Choice = 108, "TICKFUSE_ERR_CHOICE", c"a number that stands for none of the choices";
    System = 109, "TICKFUSE_ERR_SYSTEM", c"the system refused";
    OpenIo = 200, "TICKFUSE_ERR_OPEN_IO", c"the model file could not be read";
    OpenSize = 201, "TICKFUSE_ERR_OPEN_SIZE", c"the model file is too short or too long";
    OpenHeader = 202, "TICKFUSE_ERR_OPEN_HEADER", c"the model file has a malformed header";
    OpenLayout = 203, "TICKFUSE_ERR_OPEN_LAYOUT", c"the model file's tensors are misplaced";
    OpenTensor = 204, "TICKFUSE_ERR_OPEN_TENSOR", c"the model file's tensors are not those of its network";
    OpenValue = 205, "TICKFUSE_ERR_OPEN_VALUE", c"a weight or statistic is NaN or infinite";
    OpenNotABundle = 206, "TICKFUSE_ERR_OPEN_NOT_A_BUNDLE", c"the file is not a Tickfuse model";
    OpenVersion = 207, "TICKFUSE_ERR_OPEN_VERSION", c"the model file's format version is unknown";
    OpenSchema = 208, "TICKFUSE_ERR_OPEN_SCHEMA", c"the model's description is malformed";
    OpenScaler = 209, "TICKFUSE_ERR_OPEN_SCALER", c"an input has no scaler";
    OpenHash = 210, "TICKFUSE_ERR_OPEN_HASH", c"the content hash does not match";
    OpenGolden = 211, "TICKFUSE_ERR_OPEN_GOLDEN", c"the model does not reproduce its golden outputs";
    OpenLevel = 212, "TICKFUSE_ERR_OPEN_LEVEL", c"this CPU cannot run the level asked for";
    OpenOther = 299, "TICKFUSE_ERR_OPEN_OTHER", c"the model file was refused";
    RunInputLength = 300, "TICKFUSE_ERR_RUN_INPUT_LENGTH", c"the number of input values is wrong";
    RunOutputLength = 301, "TICKFUSE_ERR_RUN_OUTPUT_LENGTH", c"the number of output values is wrong";
    RunNonFinite = 302, "TICKFUSE_ERR_RUN_NON_FINITE", c"an input is NaN or infinite";
    RunBatch = 303, "TICKFUSE_ERR_RUN_BATCH", c"the number of windows is wrong";
    RunCategory = 304, "TICKFUSE_ERR_RUN_CATEGORY", c"an input is no code of its categories";
    RunRows = 305, "TICKFUSE_ERR_RUN_ROWS", c"the number of past or future rows is out of range";
    RunContextCount = 306, "TICKFUSE_ERR_RUN_CONTEXT_COUNT", c"the number of contexts is out of range";
    RunNoContexts = 307, "TICKFUSE_ERR_RUN_NO_CONTEXTS", c"the model attends to no contexts";
    RunForeignContexts = 308, "TICKFUSE_ERR_RUN_FOREIGN_CONTEXTS", c"the contexts are those of another model";
    RunAhead = 309, "TICKFUSE_ERR_RUN_AHEAD", c"the model reads rows of the future, which are missing";
    RunNoBars = 310, "TICKFUSE_ERR_RUN_NO_BARS", c"the model does not make its rows from bars";
    RunBar = 311, "TICKFUSE_ERR_RUN_BAR", c"a bar's field is out of range";
    RunBarTime = 312, "TICKFUSE_ERR_RUN_BAR_TIME", c"a bar is not later than the one before it";
    RunState = 313, "TICKFUSE_ERR_RUN_STATE", c"no saved state, or one that was changed";
    RunForeignState = 314, "TICKFUSE_ERR_RUN_FOREIGN_STATE", c"a state or stream of another model";
    RunSymbol = 315, "TICKFUSE_ERR_RUN_SYMBOL", c"the streams have no symbol of this number";
    RunOther = 399, "TICKFUSE_ERR_RUN_OTHER", c"the window was refused";
    Panic = 900, "TICKFUSE_ERR_PANIC", c"the library has a defect";
    Poisoned = 901, "TICKFUSE_ERR_POISONED", c"an earlier call met a defect of the library on this handle";
}

impl Status {
    /// The number that crosses the boundary.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }

    fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.number() == number)
    }
}

/// `tickfuse_status_text` of the header.
#[unsafe(no_mangle)]
pub extern "C" fn tickfuse_status_text(status: i32) -> *const c_char {
    Status::from_number(status)
        .map_or(c"no status of this library", Status::text)
        .as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_lie_in_their_blocks() {
        assert!(Status::ALL.is_sorted_by(|a, b| a.number() < b.number()));
        for status in Status::ALL {
            let block = match status.number() / 100 {
                0 => ["TICKFUSE_OK", "TICKFUSE_WARMING_UP"][status.number() as usize],
                2 => "TICKFUSE_ERR_OPEN_",
                3 => "TICKFUSE_ERR_RUN_",
                _ => "TICKFUSE_ERR_",
            };
            assert!(status.name().starts_with(block), "{status:?}");
        }
    }

    #[test]
    fn every_number_has_a_text_of_its_own_and_others_a_fixed_one() {
        let text = |number| {
            // SAFETY: the function returns static text that ends with a zero.
            let text = unsafe { CStr::from_ptr(tickfuse_status_text(number)) };
            text.to_str().unwrap()
        };
        let mut texts: Vec<&str> = Status::ALL.iter().map(|s| text(s.number())).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Status::ALL.len());
        for number in [-1, 2, 99, 400, i32::MIN, i32::MAX] {
            assert_eq!(text(number), "no status of this library");
        }
    }
}
