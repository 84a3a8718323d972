//! The online shop, from nothing to a page in a browser.

use crate::{
    machine,
    step::{Cargo, Stop},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How to run it: `monolith`, `micro`, or a topology of examples/boutique/anylith.toml.
    #[arg(long, default_value = "micro")]
    topology: String,
    /// More for `anylith run`, after `--`: `-- --replicas Catalog=3`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Builds the command, and lets it build and run the shop until it is interrupted.
pub(crate) fn run(options: &Options) -> Result<(), Stop> {
    println!("1/4 What it needs besides Rust: a C++ compiler, for SQLite.");
    machine::provide(&machine::COMPILER.iter().collect::<Vec<_>>())?;
    println!(
        "2/4 Building the `anylith` command. The first time this and the next step take some minutes;"
    );
    println!("    everything goes into this folder, and nothing is installed.");
    Cargo::new(["build", "-p", "anylith-cli"]).run()?;
    println!("3/4 Building the online shop.");
    Cargo::new(["build", "-p", "boutique"]).run()?;
    println!(
        "4/4 Running it as `{}`. Where it is follows as `ready: web http://…`: open that in a browser.",
        options.topology
    );
    println!(
        "    In another terminal, `target/debug/anylith status examples/boutique` says what runs."
    );
    println!("    Ctrl-C drains and stops it.\n");
    Cargo::new([
        "run",
        "--quiet",
        "-p",
        "anylith-cli",
        "--",
        "run",
        "examples/boutique",
    ])
    .then("--topology")
    .then(&options.topology)
    .then_all(&options.more)
    .replace()
}
