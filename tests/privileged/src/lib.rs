//! Tests that need what only root may do, such as a disk or a network of their own.
//!
//! Where the machine does not permit it they are skipped, in words. Where they have to run, as in `cargo xtask test` by
//! root, a skip is a failure: else nobody would notice that they have not run for a year.

use std::{env, fmt::Display};

/// Where it is set to `required`, what cannot be done fails its test.
pub const ENV_PRIVILEGED: &str = "ANYLITH_TEST_PRIVILEGED";

/// Says that a test is skipped, for `reason`. To be followed by its return.
///
/// # Panics
///
/// Where it has to run: [`ENV_PRIVILEGED`].
pub fn skip(reason: impl Display) {
    let required = env::var_os(ENV_PRIVILEGED).is_some_and(|value| value == "required");
    assert!(
        !required,
        "{reason}: run it as root, or without `{ENV_PRIVILEGED}=required`"
    );
    eprintln!("skipped: {reason}");
}
