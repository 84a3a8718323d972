//! One module for each command, and what several of them do alike.

pub(crate) mod certs;
mod change;
pub(crate) mod check;
pub(crate) mod dashboard;
pub(crate) mod detach;
pub(crate) mod dev;
pub(crate) mod diff;
mod figures;
pub(crate) mod graph;
pub(crate) mod image;
pub(crate) mod logs;
pub(crate) mod metrics;
mod output;
mod patience;
pub(crate) mod render_kubernetes;
pub(crate) mod render_static;
pub(crate) mod reshape;
pub(crate) mod restart;
pub(crate) mod run;
pub(crate) mod scale;
pub(crate) mod status;
pub(crate) mod stop;
mod terminal;
pub(crate) mod top;
pub(crate) mod trace;
pub(crate) mod upgrade;

use std::path::{Path, PathBuf};

use anylith_core::Name;
use anylith_supervisor::{Answer, Elsewhere, Request, RunFolder, ask, what_runs};
use rustix::process::getuid;
use tokio::runtime::Runtime;

use crate::{app::App, args::Which, failure::Failure};

/// One thread is enough for a command, and a supervisor is smaller with it.
fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| {
        Failure::new(
            format!("this process has no event loop: {error}"),
            "are file descriptors left?",
        )
    })
}

/// The application that is meant by an argument, by `--app`, or by neither.
fn app(which: &Which) -> Result<App, Failure> {
    let named = which.app.as_ref().or(which.app_flag.as_ref());
    App::find(named.map_or(Path::new("."), PathBuf::as_path))
}

/// The run folder of the application, which must have been started some time.
fn last_run(app: &App) -> Result<RunFolder, Failure> {
    app.last_run()?.ok_or_else(|| not_running(app))
}

/// Sees that it is written down what runs, which a change has to know.
fn see_record(folder: &RunFolder) -> Result<(), Failure> {
    if what_runs(folder).is_some() {
        return Ok(());
    }
    match runtime()?.block_on(ask(&folder.control_socket(), Request::Status)) {
        Ok(Answer::Status(now)) if !now.troubles.is_empty() => {
            let path = folder.path().join("state.json");
            Err(Failure::new(
                format!("{} ({})", now.troubles[0], path.display()),
                "nothing was changed; make room on that disk, and ask again",
            ))
        }
        // Whoever needs it says what is wrong.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What was typed as the name of a group or component.
fn name(kind: &str, text: &str) -> Result<Name, Failure> {
    Name::new(text).map_err(|error| {
        let what = format!("no {kind} can be called so: {error}");
        Failure::input(what, "see the names with `anylith status`")
    })
}

fn not_running(app: &App) -> Failure {
    match app.elsewhere() {
        Some(elsewhere) => runs_elsewhere(app, &elsewhere),
        None => Failure::new(
            format!("{} is not running", app.title()),
            format!("start it with `{}`", app.hint("run")),
        ),
    }
}

/// Somebody else runs it, or this user does with another `XDG_RUNTIME_DIR`.
fn runs_elsewhere(app: &App, elsewhere: &Elsewhere) -> Failure {
    let Elsewhere {
        folder,
        uid,
        user,
        runtime,
    } = elsewhere;
    let own = getuid().as_raw();
    let number = format!("#{uid}");
    let name = user.as_deref().unwrap_or(&number);
    let looked = RunFolder::root().map_or_else(
        |_| String::new(),
        |root| format!(" (looked in {})", root.display()),
    );
    let who = match *uid == own {
        true => format!(
            "this user runs it with another XDG_RUNTIME_DIR, in {}",
            folder.path().display()
        ),
        false => format!("user {name} runs it"),
    };
    let mut words = Vec::new();
    if *uid != own {
        words.extend(["sudo".to_owned(), "-u".to_owned(), name.to_owned()]);
    }
    match runtime {
        Some(runtime) => words.push(format!("XDG_RUNTIME_DIR={}", runtime.display())),
        None if *uid == own => words.push("XDG_RUNTIME_DIR=".to_owned()),
        None => {}
    }
    words.push(app.hint("status"));
    Failure::new(
        format!("{} does not run here{looked}; {who}", app.title()),
        format!("ask as he does: `{}`", words.join(" ")),
    )
}
