//! The `anylith` command: parses, calls, prints.
//!
//! Each command is a function in `command/`. What goes wrong comes back as a [`failure::Failure`], which
//! knows the exit code; only this file ends the process.

mod app;
mod args;
mod binary;
mod command;
mod describe;
mod doorway;
mod failure;
mod inspection;
mod log_format;
mod paint;
mod screen;
mod secrets;
mod signals;
mod sources;
mod waiting;

use std::{io::Write, process::ExitCode};

use clap::Parser;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::{
    args::{Args, Command, Render},
    failure::Failure,
    paint::Paint,
};

fn main() -> ExitCode {
    keep_secrets();
    let args = Args::parse();
    let outcome = match args.command {
        Command::Run(args) => command::run::run(&args),
        Command::Dev(args) => command::dev::dev(&args),
        Command::Check(args) => command::check::check(&args),
        Command::Graph(args) => command::graph::graph(&args),
        Command::Status(args) => command::status::status(&args),
        Command::Metrics(args) => command::metrics::metrics(&args),
        Command::Top(args) => command::top::top(&args),
        Command::Dashboard(args) => command::dashboard::dashboard(&args),
        Command::Logs(args) => command::logs::logs(&args),
        Command::Trace(args) => command::trace::trace(&args),
        Command::Restart(args) => command::restart::restart(&args),
        Command::Scale(args) => command::scale::scale(&args),
        Command::Reshape(args) => command::reshape::reshape(&args),
        Command::Upgrade(args) => command::upgrade::upgrade(&args),
        Command::Stop(args) => command::stop::stop(&args),
        Command::Render(Render::Static(args)) => command::render_static::render(args),
        Command::Render(Render::Kubernetes(args)) => command::render_kubernetes::render(args),
        Command::Diff(args) => command::diff::diff(args),
        Command::Image(args) => command::image::image(args),
        Command::Certs(args) => command::certs::certs(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has read enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let text = failure.text(&Paint::for_stderr());
            // If nobody can be told, the exit code tells.
            let _ = std::io::stderr().write_all(text.as_bytes());
            failure.exit_code()
        }
    }
}

/// Writes no core dump of this process, which knows the application's config with its secrets, whatever the system does
/// with core dumps. The replicas are the application's own: theirs are as `ulimit -c` says.
fn keep_secrets() {
    // Where the system does not know how, it goes on as it would without.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
