//! Header, Rust constants, committed symbol list and built library tell the same story.

use crate::library::{has, libraries, successful};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use tickfuse::{
    ABI_VERSION, ARRIVAL_NONE, ARRIVAL_PREPARED, ARRIVAL_WHOLE_WINDOW, FAST_F64, FAST_PEEK, FAST_PUSH,
    FAST_RUN, HASH_SIZE, LABEL_SIZE, MAX_BATCH, MAX_DIMS, MAX_SYMBOLS, MISSING_IMPUTED, MISSING_REFUSED,
    NAME_SIZE, OPEN_COPIED, OPEN_DECLINE_GOLDEN, OPEN_DECLINE_HASH, OUTPUT_DEVIATION, OUTPUT_MEAN,
    OUTPUT_POSITION, OUTPUT_PROBABILITY, OUTPUT_QUANTILE, OUTPUT_VALUE, ROLE_KNOWN, ROLE_OBSERVED,
    ROLE_STATIC, STEP_ANSWER, STEP_WARMING_UP, Status,
};
use tickfuse_core::Flags;

const HEADER: &str = include_str!("../../include/tickfuse.h");
const SYMBOLS: &str = include_str!("../../symbols.txt");
const CONSUMERS: [&str; 7] = [
    include_str!("../c/symbols.c"),
    include_str!("../c/series.c"),
