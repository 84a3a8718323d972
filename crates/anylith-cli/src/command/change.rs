//! Asks a supervisor for a change, shows how far it comes, and says how it ends.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anylith_core::{Name, with_causes};
use anylith_supervisor::{
    Answer, AskError, Cause, Change, GroupStatus, Overview, Request, RunFolder, Underway, ask,
    living_replicas,
};
use anylith_topology::suggest;
use tokio::pin;

use super::{last_run, patience::ask_patiently, runtime, status};
use crate::{app::App, failure::Failure, paint::Paint, screen::Screen, signals::Signals};

/// How often it is asked how far the change has come.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Asks for a change, and comes back when it is made: then `done` is printed.
pub(super) fn make(app: &App, request: Request, done: &str) -> Result<(), Failure> {
    settle(app, request)?;
    tell(done);
    Ok(())
}

/// Prints how a change has ended. Where that cannot be printed it has been made all the same.
pub(super) fn tell(how: &str) {
    if let Err(error) = writeln!(io::stdout(), "{how}") {
        let warning = Paint::for_stderr().bold_yellow("warning");
        // Where nobody can be told, nobody is.
        let _ = writeln!(
            io::stderr(),
            "{warning}: the output cannot be written: {error}; {how}"
        );
    }
}

/// The groups that there are now; none if that is not answered: the change says why it cannot be asked for.
pub(super) fn groups(app: &App) -> Result<Vec<GroupStatus>, Failure> {
    let folder = last_run(app)?;
    let answer = runtime()?.block_on(ask(&folder.control_socket(), Request::Status));
    Ok(match answer {
        Ok(Answer::Status(now)) => now.status.groups,
        Ok(_) | Err(_) => Vec::new(),
    })
}

/// The group that is meant by its own name, or by that of a component in it.
pub(super) fn meant<'g>(groups: &'g [GroupStatus], name: &Name) -> Option<&'g GroupStatus> {
    let named = groups.iter().find(|group| group.name == *name);
    named.or_else(|| groups.iter().find(|group| group.components.contains(name)))
}

/// Asks for a change, and comes back when it is `the_one` that is under way, or if it is over.
pub(super) fn begin(app: &App, request: Request, the_one: &Underway) -> Result<(), Failure> {
    let folder = last_run(app)?;
    let kind = kind(&request);
    let over = runtime()?.block_on(async {
        let socket = folder.control_socket();
        let changed = ask(&socket, request);
        pin!(changed);
        loop {
            tokio::select! {
                answer = &mut changed => return Some(answer),
                status = ask(&socket, Request::Status) => match status {
                    Ok(Answer::Status(now)) if now.underway.as_ref() == Some(the_one) => return None,
                    Err(error) if is_silent(&error) => return Some(Err(error)),
                    Ok(_) | Err(_) => {}
                },
            }
            tokio::select! {
                answer = &mut changed => return Some(answer),
                () = tokio::time::sleep(ASK_EVERY / 10) => {}
            }
        }
    });
    match over {
        None => Ok(()),
        Some(Err(error)) if is_silent(&error) => Err(silent(app, &folder, kind)),
        Some(answer) => outcome(app, &folder, kind, answer).map(drop),
    }
}

/// Whether a supervisor is there, and says nothing.
fn is_silent(error: &AskError) -> bool {
    matches!(error, AskError::Lost(cause) if cause.kind() == io::ErrorKind::TimedOut)
}

/// A change was asked for, and the supervisor says nothing: it may make it all the same, as soon as it goes on.
fn silent(app: &App, folder: &RunFolder, kind: Change) -> Failure {
    let who = folder.supervisor();
    let who = who.map_or(String::new(), |pid| format!(", process {pid},"));
    Failure::new(
        format!(
            "the supervisor{who} does not answer; the {kind} was asked for, and may yet be made"
        ),
        format!(
            "is it stopped, or is this host busy? `{}` says how things are as soon as it answers",
            app.hint("status")
        ),
    )
}

/// Asks for a change, shows how far it comes, and comes back when it is made.
pub(super) fn settle(app: &App, request: Request) -> Result<(), Failure> {
    let folder = last_run(app)?;
    let kind = kind(&request);
    let answer = wait(app, &folder, request)?;
    finish(app, &folder, kind, answer)
}

/// Asks for a change, shows how far it comes, and returns the answer.
pub(super) fn wait(
    app: &App,
    folder: &RunFolder,
    request: Request,
) -> Result<Result<Answer, AskError>, Failure> {
    let kind = kind(&request);
    let screen = Screen::start(None);
    let answer = runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let socket = folder.control_socket();
        let show = |now: Overview| screen.progress(now.change.unwrap_or_default());
        Ok::<_, Failure>(tokio::select! {
            answer = ask_patiently(&socket, request, ASK_EVERY, show) => Some(answer),
            _ = signals.next() => None,
        })
    });
    screen.progress("");
    screen.end();
    match answer? {
        None => Err(leave(app, kind)),
        Some(Err(error)) if is_silent(&error) => Err(silent(app, folder, kind)),
        Some(answer) => Ok(answer),
    }
}

/// Which change is asked for.
fn kind(request: &Request) -> Change {
    match request {
        Request::Restart { .. } => Change::Restart,
        Request::Scale { .. } => Change::Scale,
        Request::Upgrade(_) | Request::Steer(_) => Change::Upgrade,
        // Of all others only this one changes anything that goes on.
        Request::Reshape { .. }
        | Request::Stop
        | Request::Kill
        | Request::Status
        | Request::Metrics
        | Request::Look(_)
        | Request::Unknown => Change::Reshape,
    }
}

/// Says what a change that is made has left undone.
pub(super) fn finish(
    app: &App,
    folder: &RunFolder,
    kind: Change,
    answer: Result<Answer, AskError>,
) -> Result<(), Failure> {
    let left = outcome(app, folder, kind, answer)?;
    let warning = Paint::for_stderr().bold_yellow("warning");
    for left in left {
        writeln!(io::stderr(), "{warning}: {left}")?;
    }
    Ok(())
}

/// What drains left undone, or why the change was not made.
pub(super) fn outcome(
    app: &App,
    folder: &RunFolder,
    kind: Change,
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
                suggest(
                    wanted.as_str(),
                    &known,
                    "groups and components",
                    "leave it out",
                ),
            ))
        }
        Ok(Answer::Refused {
            why,
            mend,
            is_wrong,
            ..
        }) => {
            let look = || format!("see with `{}` how things are", app.hint("status"));
            let refused = Failure::new(why, mend.unwrap_or_else(look));
            Err(match is_wrong {
                true => refused.of_input(),
                false => refused,
            })
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
            cause: Cause::Unsettled,
            why,
            replica,
        }) => {
            let mend = format!(
                "it is started again and again; see why it does not with `{}`, or reshape to a topology in which it runs",
                app.hint(&logs_of(replica.as_ref()))
            );
            Err(Failure::new(why, mend))
        }
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
        Ok(
            Answer::Status(_)
            | Answer::Plan(_)
            | Answer::UpgradePlan(_)
            | Answer::Metrics(_)
            | Answer::Seen(_),
        ) => Err(Failure::new(
            "the supervisor is of an older version, which cannot do that",
            format!("`{}` and run it again", app.hint("stop")),
        )),
        Err(error @ AskError::NotRunning(_)) => Err(status::no_answer(app, folder, &error)),
        // It was to say what it would do, and no more.
        Err(error) if is_silent(&error) => Err(Failure::new(
            "the supervisor does not answer, and nothing was changed",
            format!("see with `{}` whether it still runs", app.hint("status")),
        )),
        Err(AskError::Lost(_)) => Err(interrupted(app, folder, kind)),
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

/// The supervisor was killed, or has failed itself.
fn interrupted(app: &App, folder: &RunFolder, kind: Change) -> Failure {
    let serve = match living_replicas(folder).len() {
        0 => return super::not_running(app),
        1 => "1 replica serves on".to_owned(),
        several => format!("{several} replicas serve on"),
    };
    let then = match kind {
        Change::Restart => "; what it has not restarted by then runs as it is",
        Change::Scale => ", with the new numbers",
        Change::Reshape => {
            ": it takes the reshape back, or completes it where calls go to the new places, and says which"
        }
        Change::Upgrade => ", and goes on with the upgrade",
    };
    Failure::new(
        format!("the supervisor ended in the middle of the {kind}; {serve} without it"),
        format!(
            "`{}` with the same arguments as before takes them over{then}",
            app.hint("run")
        ),
    )
}

/// Says that the change goes on, though nobody waits for it any more.
fn leave(app: &App, kind: Change) -> Failure {
    let mut text = format!(
        "left; the {kind} goes on: `{}` says how far it has come",
        app.hint("status")
    );
    if kind == Change::Upgrade {
        text += &format!(
            ", and `{}` brings the old build back",
            app.hint("upgrade --rollback")
        );
    }
    // Where nobody can be told, the exit code tells.
    let _ = writeln!(io::stderr(), "{text}");
    Failure::Said(1)
}
