//! Asks a supervisor for a change, shows how far it comes, and says how it ends.

use std::{io::Write as _, path::Path, time::Duration};

use anylith_core::{Name, with_causes};
use anylith_supervisor::{Answer, AskError, Cause, Request, RunFolder, Underway, ask};
use anylith_topology::suggest;
use tokio::pin;

use super::{last_run, runtime, status};
use crate::{app::App, failure::Failure, paint::Paint, screen::Screen, signals::Signals};

/// How often it is asked how far the change has come.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Asks for a change, and comes back when it is made: then `done` is printed.
pub(super) fn make(app: &App, request: Request, done: &str) -> Result<(), Failure> {
    settle(app, request)?;
    writeln!(std::io::stdout(), "{done}")?;
    Ok(())
}

/// Asks for a change, and comes back when it is `the_one` that is under way, or if it is over.
pub(super) fn begin(app: &App, request: Request, the_one: &Underway) -> Result<(), Failure> {
    let folder = last_run(app)?;
    let over = runtime()?.block_on(async {
        let socket = folder.control_socket();
        let changed = ask(&socket, request);
        pin!(changed);
        loop {
            tokio::select! {
                answer = &mut changed => return Some(answer),
                status = ask(&socket, Request::Status) => {
                    if let Ok(Answer::Status(now)) = status
                        && now.underway.as_ref() == Some(the_one)
                    {
                        return None;
                    }
                }
            }
            tokio::select! {
                answer = &mut changed => return Some(answer),
                () = tokio::time::sleep(ASK_EVERY / 10) => {}
            }
        }
    });
    over.map_or(Ok(()), |answer| outcome(app, &folder, answer).map(drop))
}

/// Asks for a change, shows how far it comes, and comes back when it is made.
pub(super) fn settle(app: &App, request: Request) -> Result<(), Failure> {
    let folder = last_run(app)?;
    let answer = wait(app, &folder, request)?;
    finish(app, &folder, answer)
}

/// Asks for a change, shows how far it comes, and returns the answer.
pub(super) fn wait(
    app: &App,
    folder: &RunFolder,
    request: Request,
) -> Result<Result<Answer, AskError>, Failure> {
    let screen = Screen::start(None);
    let answer = runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let socket = folder.control_socket();
        tokio::select! {
            answer = ask_patiently(&socket, request, &screen) => Ok(answer),
            _ = signals.next() => Err(left_alone(app)),
        }
    });
    screen.progress("");
    screen.end();
    answer
}

/// Says what a change that is made has left undone.
pub(super) fn finish(
    app: &App,
    folder: &RunFolder,
    answer: Result<Answer, AskError>,
) -> Result<(), Failure> {
    let left = outcome(app, folder, answer)?;
    let warning = Paint::for_stderr().bold_yellow("warning");
    for left in left {
        writeln!(std::io::stderr(), "{warning}: {left}")?;
    }
    Ok(())
}

/// Asks, and shows how far it has come as long as there is no answer.
async fn ask_patiently(
    socket: &Path,
    request: Request,
    screen: &Screen,
) -> Result<Answer, AskError> {
    let changed = ask(socket, request);
    pin!(changed);
    loop {
        tokio::select! {
            answer = &mut changed => return answer,
            () = tokio::time::sleep(ASK_EVERY) => {}
        }
        tokio::select! {
            answer = &mut changed => return answer,
            status = ask(socket, Request::Status) => match status {
                Ok(Answer::Status(now)) => screen.progress(now.change.unwrap_or_default()),
                Err(error @ AskError::Lost(_)) => return Err(error),
                Ok(
                    Answer::Stopped { .. }
                    | Answer::Changed { .. }
                    | Answer::Plan(_)
                    | Answer::UpgradePlan(_)
                    | Answer::Paused { .. }
                    | Answer::Stuck { .. }
                    | Answer::Refused { .. }
                    | Answer::GivenUp { .. },
                )
                | Err(AskError::NotRunning(_) | AskError::Malformed(_)) => {}
            }
        }
    }
}

/// What drains left undone, or why the change was not made.
pub(super) fn outcome(
    app: &App,
    folder: &RunFolder,
    answer: Result<Answer, AskError>,
) -> Result<Vec<String>, Failure> {
    match answer {
        Ok(Answer::Changed { left }) => Ok(left),
        // Only upgrades do, which know what to say of it.
        Ok(Answer::Paused { .. }) => Ok(Vec::new()),
        Ok(Answer::Stuck { how, replica }) => Err(stuck(app, &how, replica.as_ref())),
        Ok(Answer::Refused {
            why,
            group: Some(wanted),
            known,
            ..
        }) => {
            let known: Vec<&str> = known.iter().map(Name::as_str).collect();
            Err(Failure::input(
                why,
                suggest(wanted.as_str(), &known, "groups", "leave it out"),
            ))
        }
        Ok(Answer::Refused { why, mend, .. }) => {
            let look = || format!("see with `{}` how things are", app.hint("status"));
            Err(Failure::new(why, mend.unwrap_or_else(look)))
        }
        Ok(Answer::GivenUp {
            cause: Cause::Stop,
            why,
            ..
        }) => Err(Failure::new(
            why,
            format!(
                "wait until `{}` comes back, and run it again",
                app.hint("stop")
            ),
        )),
        Ok(Answer::GivenUp {
            cause: Cause::Obstacle,
            why,
            replica,
        }) => {
            let mend = format!(
                "the replicas that were there serve on; see `{}` and `{}`",
                app.hint("status"),
                app.hint(&logs_of(replica.as_ref()))
            );
            Err(Failure::new(why, mend))
        }
        Ok(Answer::Stopped { .. }) => Err(super::not_running(app)),
        Ok(Answer::Status(_) | Answer::Plan(_) | Answer::UpgradePlan(_)) => Err(Failure::new(
            "the supervisor is of an older version, which cannot do that",
            format!("`{}` and run it again", app.hint("stop")),
        )),
        Err(error @ AskError::NotRunning(_)) => Err(status::no_answer(app, folder, &error)),
        Err(error) => Err(Failure::new(
            with_causes(&error),
            format!("see with `{}` whether it still runs", app.hint("status")),
        )),
    }
}

/// The command that shows why `replica` has failed.
fn logs_of(replica: Option<&Name>) -> String {
    match replica {
        Some(replica) => format!("logs --replica {replica} -n 20"),
        None => "logs -n 20".to_owned(),
    }
}

/// Neither of two builds runs alone, and somebody has to say which is to.
fn stuck(app: &App, how: &str, replica: Option<&Name>) -> Failure {
    let mend = format!(
        "what is ready serves on, and the old build comes back as soon as it starts; see why it does not with `{}`. \
         `{}` tries it again at once, and `{}` rolls the new build in all the same",
        app.hint(&logs_of(replica)),
        app.hint("upgrade --rollback"),
        app.hint("upgrade --resume")
    );
    Failure::new(how, mend)
}

fn left_alone(app: &App) -> Failure {
    Failure::new(
        "nobody waits for the change any more, and it goes on",
        format!("see with `{}` how far it has come", app.hint("status")),
    )
}
