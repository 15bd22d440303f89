//! Memory that belongs to this process alone, as Linux counts it.

/// Private dirty bytes of the process (`/proc/self/smaps_rollup`), or `None` where the system does not tell.
///
/// Pages of a mapped file are not among them until somebody writes to them.
#[must_use]
pub fn private_dirty() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn written_memory_is_counted() {
        let Some(before) = private_dirty() else {
            eprintln!("no smaps_rollup here: nothing to check");
            return;
        };
        let block = std::hint::black_box(vec![1_u8; 16 << 20]);
        let grown = private_dirty().unwrap() - before;
        assert!(grown >= 15 << 20, "grew by {grown}");
        drop(block);
    }
}
