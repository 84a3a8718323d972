//! Every chore of this repository, as one program: `cargo xtask --help`.

mod demo;
mod faults;
mod fuzz;
mod machine;
mod manifests;
mod page;
mod step;
mod suite;
mod tidy;
mod transcript;

use std::{path::Path, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::step::{Cargo, Stop};

/// The chores of this repository.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run everything that must pass: format, lints, rules, tests, end to end, fuzz targets.
    Test(suite::Options),
    /// Check the rules of this repository that no compiler knows.
    Tidy,
    /// Build the page of the dashboard anew, from its sources.
    Page,
    /// Build the online shop and run it; Ctrl-C stops it.
    Demo(demo::Options),
    /// Put the load of many shoppers on a shop that runs; `cargo xtask load --help` has the options.
    #[command(disable_help_flag = true)]
    Load(PassedOn),
    /// Measure, and print a line for each ratio; `cargo xtask bench --help` has the options.
    #[command(disable_help_flag = true)]
    Bench(PassedOn),
    /// Try faults on real processes, and judge what callers are told; `cargo xtask faults --help` has the options.
    #[command(disable_help_flag = true)]
    Faults(PassedOn),
    /// Try the model of the control plane in many more orders than the tests do, and with every fault at every moment.
    Interleavings(Interleavings),
}

/// How many orders are tried.
#[derive(clap::Args)]
struct Interleavings {
    /// So many of a reshape, half of them with a singleton, and a quarter of an upgrade.
    #[arg(default_value_t = 1_000_000)]
    number: u64,
}

/// Arguments for another program.
#[derive(clap::Args)]
struct PassedOn {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Wherever it was called from, a chore works on the whole repository.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the root");
    let done = std::env::set_current_dir(root)
        .map_err(Stop::from)
        .and_then(|()| match arguments.chore {
            Chore::Test(options) => suite::run(&options),
            Chore::Tidy => tidy::run(),
            Chore::Page => page::build(),
            Chore::Demo(options) => demo::run(&options),
            Chore::Load(passed) => {
                Cargo::new(["run", "--quiet", "--release", "-p", "boutique-load"])
                    .then("--")
                    .then_all(&passed.arguments)
                    .replace()
            }
            Chore::Bench(passed) => Cargo::new(["run", "--profile", "bench", "-p", "bench"])
                .then("--")
                .then_all(&passed.arguments)
                .replace(),
            Chore::Faults(passed) => faults::replace(&passed),
            Chore::Interleavings(Interleavings { number }) => {
                Cargo::new(["test", "--release", "-p", "anylith-control", "--lib"])
                    .then_all(["model::", "--", "--nocapture"])
                    .with("ANYLITH_INTERLEAVINGS", number)
                    .replace()
            }
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if let Some(message) = stop.message() {
                eprintln!("error: {message}");
            }
            ExitCode::from(stop.exit_code())
        }
    }
}
