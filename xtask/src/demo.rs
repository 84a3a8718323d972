//! The online shop, from nothing to a page in a browser.

use std::process::Stdio;

use crate::step::{Cargo, Stop, succeed};

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
    println!(
        "Building the `anylith` command and the online shop; the first time takes some minutes."
    );
    Cargo::new(["build", "-p", "anylith-cli", "-p", "boutique"]).run()?;
    println!(
        "Starting the shop as `{}`. Ctrl-C drains and stops it.",
        options.topology
    );
    println!("Its address follows as a line `ready: web http://…`; open that in a browser.\n");
    // An interrupt from the terminal reaches the whole foreground: the command drains, and we wait for it.
    let mut shop = Cargo::new([
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
    .command();
    succeed(shop.stdin(Stdio::null()).status()?)
}
