//! `anylith run --detach`: the process that waits, while another one becomes the supervisor.

use std::{
    env,
    io::{self, Write},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    signal::unix::SignalKind,
};

use super::runtime;
use crate::{app::App, args::RunArgs, failure::Failure, signals::Signals};

/// The last line that the supervisor's process prints: from here on it is alone.
pub(crate) const IN_BACKGROUND: &str = "anylith: in background";

/// Starts this command again as the supervisor, and waits until it is ready or has failed.
pub(crate) fn run_in_background(args: &RunArgs) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let app = App::find(&args.running.app)?;
        let own = env::current_exe().map_err(|error| cannot(&error))?;
        let mut child = Command::new(own)
            .args(env::args_os().skip(1))
            .arg("--in-background")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot(&error))?;
        let pid = child.id();
        let waiting = wait(&mut child, &app);
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                end = &mut waiting => return end,
                // It answers a signal better than we could. Those of a terminal it gets by itself.
                signal = signals.next() => if signal == SignalKind::terminate() {
                    pass_on(pid);
                },
            }
        }
    })
}

async fn wait(child: &mut Child, app: &App) -> Result<(), Failure> {
    let pid = child.id().unwrap_or_default();
    if let Some(lines) = child.stdout.take() {
        let mut lines = BufReader::new(lines).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line == IN_BACKGROUND {
                let (stop, logs) = (app.hint("stop"), app.hint("logs -f"));
                writeln!(
                    io::stderr(),
                    "runs in the background as process {pid}; `{stop}` stops it, `{logs}` follows its logs"
                )?;
                return Ok(());
            }
            writeln!(io::stdout(), "{line}")?;
        }
    }
    // It has failed, and has said why.
    let status = child.wait().await.map_err(|error| cannot(&error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Err(Failure::Said(code.unwrap_or(1).max(1)))
}

fn cannot(error: &io::Error) -> Failure {
    Failure::new(
        format!("the supervisor cannot be started: {error}"),
        "is memory left?",
    )
}

fn pass_on(pid: Option<u32>) {
    let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    if let Some(pid) = pid {
        // It may be gone by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
}
