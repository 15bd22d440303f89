//! The `tickfuse` program.
fn main() {}
