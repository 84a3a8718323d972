//! The online shop, from nothing to a page in a browser.

use crate::step::{Cargo, Stop};

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
    println!("Building the `anylith` command, which then builds the online shop; the first time");
    println!(
        "takes some minutes. The shop runs as `{}`, and Ctrl-C stops it.",
        options.topology
    );
    println!("Where it is follows as `ready: web http://…`; open that in a browser.\n");
    Cargo::new(["build", "-p", "anylith-cli"]).run()?;
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
