//! What the fuzz targets do with their bytes.
//!
//! Run one with `cargo fuzz run conversation`; all of them, briefly, with `cargo xtask test`. The same
//! functions are run without a fuzzer by `crates/anylith-wire/tests/garbage.rs`.

pub mod conversation;
pub mod doors;
