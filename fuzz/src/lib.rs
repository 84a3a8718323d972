//! What the fuzz targets do with their bytes.
//!
//! Run one with `cargo fuzz run conversation`; all of them, briefly, with `cargo xtask test`, which begins with what is
//! kept in `corpus/`. The functions of [`doors`] are also run without a fuzzer, by
//! `crates/anylith-wire/tests/garbage.rs`.
//!
//! The corpus is small on purpose: one input for each branch that was ever reached, and some by hand with a name, one for each
//! kind of frame and of message. After a change of what is read, let a target run for some minutes, and keep what it
//! takes to get everywhere:
//!
//! ```text
//! mkdir -p fuzz/corpus-run/control
//! cargo fuzz run --sanitizer none control fuzz/corpus-run/control fuzz/corpus/control -- -max_total_time=300 -max_len=1500
//! cargo fuzz run --sanitizer none control fuzz/corpus/control fuzz/corpus-run/control -- -set_cover_merge=1 -use_counters=0
//! ```

pub mod conversation;
pub mod doors;
pub mod settings;
pub mod values;
