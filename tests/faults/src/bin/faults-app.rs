//! The application on which faults are tried.

use std::process::ExitCode;

fn main() -> ExitCode {
    faults::app::main()
}
