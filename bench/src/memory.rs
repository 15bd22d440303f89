//! Memory that belongs to this process alone, as Linux counts it.

/// Anonymous bytes of the process (`/proc/self/smaps_rollup`), or `None` where the system does not tell.
///
/// They belong to no file: heap, stack, and pages of a private mapping that were written to. Private dirty memory would
/// be the wrong measure here, for it counts pages of a file that was written a moment ago and has not reached the disk.
#[must_use]
pub fn anonymous() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn written_memory_is_counted() {
        let Some(before) = anonymous() else {
            eprintln!("no smaps_rollup here: nothing to check");
            return;
        };
        let block = std::hint::black_box(vec![1_u8; 16 << 20]);
        let grown = anonymous().unwrap() - before;
        assert!(grown >= 15 << 20, "grew by {grown}");
        drop(block);
    }
}
