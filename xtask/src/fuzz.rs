//! The fuzz targets, for some seconds each: enough to see that they run, and that no old find is back.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;

use crate::step::{Cargo, Stop, succeed};

/// The version of cargo-fuzz that is installed where there is none.
const CARGO_FUZZ: &str = "0.13.2";

/// For how long each target runs.
const SECONDS: u32 = 5;
/// How long one input may take, in seconds.
const INPUT_SECONDS: u32 = 10;

/// Runs every target in `fuzz/` on its corpus, and then on inputs of its own, the same ones each time.
pub(crate) fn smoke() -> Result<(), Stop> {
    let target = MetadataCommand::new()
        .no_deps()
        .exec()?
        .target_directory
        .into_std_path_buf();
    let tool = tool(&target)?;
    let list = tool
        .clone()
        .then_all(["list", "--fuzz-dir", "fuzz"])
        .command()
        .output();
    let list = list
        .context("cannot run cargo fuzz")
        .map_err(Stop::Because)?;
    succeed(list.status)?;
    let names = String::from_utf8_lossy(&list.stdout).into_owned();
    let mut failed = Vec::new();
    for name in names.lines() {
        println!("\nfuzz target {name}");
        if let Err(stop) = run(&tool, &target, name) {
            if let Some(message) = stop.message() {
                println!("{message}");
            }
            failed.push(name);
        }
    }
    println!(
        "\nfuzz result: {} targets, {} failed {}",
        names.lines().count(),
        failed.len(),
        failed.join(" ")
    );
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Stop::Failed { exit_code: 1 })
    }
}

fn run(tool: &Cargo, target: &Path, name: &str) -> Result<(), Stop> {
    let corpus = Path::new("fuzz/corpus").join(name);
    if !corpus.is_dir() {
        let mend = "grow one as fuzz/src/lib.rs says, and keep it";
        return Err(Stop::Because(anyhow::anyhow!(
            "{} is missing: {mend}",
            corpus.display()
        )));
    }
    // What it finds on its way stays out of the corpus that is kept in the repository: only the first folder
    // is written to. It begins empty, so that each run begins with what is kept and nothing else.
    let work = target.join("fuzz-corpus").join(name);
    if work.is_dir() {
        std::fs::remove_dir_all(&work)?;
    }
    std::fs::create_dir_all(&work)?;
    let fuzz = tool
        .clone()
        // A stable compiler has no sanitizers; it counts branches all the same.
        .then_all([
            "run",
            "--fuzz-dir",
            "fuzz",
            "--sanitizer",
            "none",
            "--target-dir",
        ])
        .then(&target.join("fuzz").display().to_string())
        .then(name)
        .then(&work.display().to_string())
        .then(&corpus.display().to_string());
    fuzz.then_all(["--", "-seed=1", "-print_final_stats=0", "-verbosity=0"])
        .then(&format!("-max_total_time={SECONDS}"))
        .then(&format!("-timeout={INPUT_SECONDS}"))
        // It prints a dictionary of what it learned, which tells nobody anything.
        .run_quietly()
}

/// A call of `cargo fuzz`, after it was installed into the target folder if it is not on this machine.
fn tool(target: &Path) -> Result<Cargo, Stop> {
    let mut there = Cargo::new(["fuzz", "--version"]).command();
    there.stdout(Stdio::null()).stderr(Stdio::null());
    if there.status().is_ok_and(|status| status.success()) {
        return Ok(Cargo::new(["fuzz"]));
    }
    let tools = target.join("tools");
    if !tools.join("bin/cargo-fuzz").is_file() {
        println!(
            "cargo-fuzz is missing; building it into {}",
            tools.display()
        );
        let install = [
            "install",
            "--quiet",
            "--locked",
            "cargo-fuzz",
            "--version",
            CARGO_FUZZ,
            "--root",
        ];
        Cargo::new(install)
            .then(&tools.display().to_string())
            .run()?;
    }
    Ok(Cargo::new(["fuzz"]).with("PATH", search_path(&tools.join("bin"))?))
}

/// The search path with `folder` before everything else.
fn search_path(folder: &Path) -> Result<String, Stop> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [PathBuf::from(folder)]
        .into_iter()
        .chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?
        .to_string_lossy()
        .into_owned())
}
