//! `anylith stop`.

use std::{
    convert::Infallible,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use anylith_supervisor::{
    Answer, AskError, Overview, ReplicaState, Request, Timing, ask, stop_orphans,
};

use super::{last_run, not_running, runtime};
use crate::{
    args::StopArgs,
    failure::{Failure, with_causes},
};

/// Drains and stops an application, and comes back when nothing of it runs any more.
pub(crate) fn stop(args: &StopArgs) -> Result<(), Failure> {
    let app = super::app(args.app.as_ref(), args.app_flag.as_ref())?;
    let folder = last_run(&app)?;
    let request = if args.kill {
        Request::Kill
    } else {
        Request::Stop
    };
    runtime()?.block_on(async {
        let socket = folder.control_socket();
        let answer = tokio::select! {
            answer = ask(&socket, request) => answer,
            never = tell_what_is_awaited(&socket) => match never {},
        };
        match answer {
            Ok(_) => Ok(()),
            // Its supervisor is gone, but its replicas may not be.
            Err(AskError::NotRunning(_)) => match stop_orphans(&folder, Timing::default()).await {
                Ok(0) => Err(not_running(&app)),
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::new(with_causes(&error), "try it again")),
            },
            Err(error) => Err(Failure::new(
                with_causes(&error),
                format!("see with `{}` whether it still runs", app.hint("status")),
            )),
        }
    })?;
    writeln!(io::stdout(), "stopped")?;
    Ok(())
}

/// How long a stop may take before people want to know why.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says on standard error what a stop waits for, whenever that changes.
async fn tell_what_is_awaited(socket: &Path) -> Infallible {
    let mut said = String::new();
    loop {
        tokio::time::sleep(PATIENCE).await;
        let Ok(Answer::Status(overview)) = ask(socket, Request::Status).await else {
            continue;
        };
        let text = awaited(&overview);
        if text != said && !text.is_empty() {
            // Where nobody reads it, the stop goes on all the same.
            let _ = writeln!(io::stderr(), "{text}");
        }
        said = text;
    }
}

/// `waiting for Front-1 and 2 more to finish what they have begun; --kill does not wait`
fn awaited(overview: &Overview) -> String {
    let left: Vec<&str> = overview
        .status
        .replicas()
        .filter(|one| one.state != ReplicaState::Stopped)
        .map(|one| one.id.as_str())
        .collect();
    let names = match left.as_slice() {
        [] => return String::new(),
        [only] => (*only).to_owned(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    };
    format!("waiting for {names} to finish what was begun; `--kill` does not wait")
}
