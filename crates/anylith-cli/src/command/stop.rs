//! `anylith stop`.

use std::{
    io::{self, Write},
    time::Duration,
};

use anylith_core::with_causes;
use anylith_supervisor::{Answer, AskError, Overview, Request, Timing, stop_orphans};

use super::{last_run, not_running, patience::ask_patiently, runtime};
use crate::{
    app::App, args::StopArgs, failure::Failure, paint::Paint, screen::Screen, waiting::Waiting,
};

/// How often it is asked how far the stop has come.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Drains and stops an application, and comes back when nothing of it runs any more.
pub(crate) fn stop(args: &StopArgs) -> Result<(), Failure> {
    let app = super::app(&args.which)?;
    let folder = last_run(&app)?;
    let request = if args.kill {
        Request::Kill
    } else {
        Request::Stop
    };
    let screen = Screen::start(None);
    let mut waiting = Waiting::new(format!(
        "`{}` does not wait for it",
        app.hint("stop --kill")
    ));
    let stopped = runtime()?.block_on(async {
        let socket = folder.control_socket();
        let mut show = |now: Overview| {
            waiting.begin();
            waiting.show(&screen, &now);
        };
        let mut answer = ask_patiently(&socket, request.clone(), ASK_EVERY, &mut show).await;
        if answer.as_ref().is_err_and(has_ended) {
            answer = ask_patiently(&socket, request, ASK_EVERY, show).await;
        }
        match answer {
            Ok(Answer::Stopped { left }) => {
                let warning = Paint::for_stderr().bold_yellow("warning");
                for left in left {
                    screen.say(format!("{warning}: {left}"));
                }
                Ok(())
            }
            Ok(_) => Ok(()),
            // Its supervisor is gone, but its replicas may not be.
            Err(AskError::NotRunning(_)) => {
                let tell = |retiring| waiting.show_retiring(&screen, &retiring);
                match stop_orphans(&folder, Timing::default(), tell).await {
                    Ok(0) => Err(not_running(&app)),
                    Ok(_) => Ok(()),
                    Err(error) => Err(Failure::new(with_causes(&error), "try it again")),
                }
            }
            Err(error) => Err(unanswered(&app, &error)),
        }
    });
    screen.progress("");
    screen.end();
    stopped?;
    writeln!(io::stdout(), "stopped")?;
    Ok(())
}

/// Whether the supervisor ended while it was asked, as one does that was just killed. What it leaves is still to be
/// stopped.
fn has_ended(error: &AskError) -> bool {
    matches!(error, AskError::Lost(error) if error.kind() != io::ErrorKind::TimedOut)
}

fn unanswered(app: &App, error: &AskError) -> Failure {
    Failure::new(
        with_causes(error),
        format!(
            "see with `{}` whether it still runs; a supervisor that hangs can be ended with `kill -9`, and \
             `{}` then stops what it leaves",
            app.hint("status"),
            app.hint("stop")
        ),
    )
}
