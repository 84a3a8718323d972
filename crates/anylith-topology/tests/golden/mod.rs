//! Files of expected output.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{env, fs, path::Path};

/// Compares `actual` with the file at `path`, or writes it there if the variable `UPDATE` is set:
///
/// ```text
/// UPDATE=1 cargo test -p anylith-topology
/// ```
pub(crate) fn compare(path: &Path, actual: &str) {
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == actual,
        "{} differs; run with UPDATE=1 if this is right\n--- expected\n{expected}\n--- actual\n{actual}",
        path.display()
    );
}
