//! Runs the fault suite: `cargo xtask faults`.

use std::process::ExitCode;

fn main() -> ExitCode {
    faults::suite::main()
}
