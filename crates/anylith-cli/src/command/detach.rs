//! `anylith run --detach`: the process that waits, while another one becomes the supervisor.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use crate::{app::App, args::RunArgs, failure::Failure};

/// The last line that the supervisor's process prints: from here on it is alone.
pub(crate) const IN_BACKGROUND: &str = "anylith: in background";

/// Starts this command again as the supervisor, and waits until it is ready or has failed.
pub(crate) fn run_in_background(args: &RunArgs) -> Result<(), Failure> {
    let app = App::find(&args.app)?;
    let cannot = |error: io::Error| {
        Failure::new(
            format!("the supervisor cannot be started: {error}"),
            "is memory left?",
        )
    };
    let own = env::current_exe().map_err(cannot)?;
    let mut child = Command::new(own)
        .args(env::args_os().skip(1))
        .arg("--in-background")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let mut out = io::stdout().lock();
    if let Some(lines) = child.stdout.take() {
        for line in BufReader::new(lines).lines().map_while(Result::ok) {
            if line == IN_BACKGROUND {
                let (stop, logs) = (app.hint("stop"), app.hint("logs -f"));
                let pid = child.id();
                writeln!(
                    io::stderr(),
                    "runs in the background as process {pid}; `{stop}` stops it, `{logs}` follows its logs"
                )?;
                return Ok(());
            }
            writeln!(out, "{line}")?;
        }
    }
    // It has failed, and has said why.
    let status = child.wait().map_err(cannot)?;
    Err(Failure::Said(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1)
            .max(1),
    ))
}
