//! The `anylith` command: parses, calls, prints.
fn main() {}
