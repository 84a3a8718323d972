//! The fault suite: builds what it needs, and passes the command line on.

use std::{os::unix::process::CommandExt as _, process::Command};

use cargo_metadata::MetadataCommand;

use crate::{
    PassedOn,
    step::{Cargo, Stop},
    transcript::{self, Show},
};

/// What the suite runs: itself, the command, and the application that faults are tried on.
const NEEDED: [&str; 4] = ["-p", "faults", "-p", "anylith-cli"];

/// Builds what the suite needs, and runs it in place of this program.
pub(crate) fn replace(passed: &PassedOn) -> Result<(), Stop> {
    Cargo::new(["build", "--quiet"]).then_all(NEEDED).run()?;
    // Only what is planted needs the application in which something can be planted.
    let plants = |it: &String| it.starts_with("--plant") || it == "--smoke";
    if passed.arguments.iter().any(plants) {
        build_planted(&NEEDED)?;
    }
    Err(suite()?.args(&passed.arguments).exec().into())
}

/// The part that everything that must pass has in it: always the same runs, and every planted defect. All programs
/// of the workspace are built.
pub(crate) fn smoke() -> Result<(), Stop> {
    build_planted(&["--workspace"])?;
    let mut suite = suite()?;
    suite.arg("--smoke");
    transcript::run(suite, Show::AsItComes)
}

/// Builds the application with defects in it, which is a program of its own.
fn build_planted(packages: &[&str]) -> Result<(), Stop> {
    Cargo::new(["build", "--quiet", "--features", "faults/defects"])
        .then_all(packages)
        .then_all(["--bin", "faults-app-planted"])
        .run()
}

fn suite() -> Result<Command, Stop> {
    let target = MetadataCommand::new().no_deps().exec()?.target_directory;
    Ok(Command::new(target.join("debug/faults")))
}
