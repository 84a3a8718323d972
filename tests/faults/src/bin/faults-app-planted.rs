//! The application on which faults are tried, with defects that an environment variable wakes.

use std::process::ExitCode;

fn main() -> ExitCode {
    faults::app::main()
}
