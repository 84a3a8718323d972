//! `anylith status`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
};

use anylith_core::{Name, with_causes};
use anylith_supervisor::{
    Answer, AskError, Overview, ReplicaState, ReplicaStatus, Request, RunFolder, ScalingStatus,
    Status, ToldStatus, ask, living_replicas,
};

use super::{last_run, not_running, runtime};
use crate::{app::App, args::StatusArgs, failure::Failure, paint::Paint};

/// Prints what runs of an application.
pub(crate) fn status(args: &StatusArgs) -> Result<(), Failure> {
    let app = super::app(&args.which)?;
    let folder = last_run(&app)?;
    let answer = runtime()?.block_on(ask(&folder.control_socket(), Request::Status));
    let overview = match answer {
        Ok(Answer::Status(overview)) => overview,
        Ok(_) => return Err(not_running(&app)),
        Err(error) => return Err(no_answer(&app, &folder, &error)),
    };
    let text = match args.json {
        true => {
            serde_json::to_string_pretty(&ToldStatus::from(&overview)).map_err(io::Error::other)?
                + "\n"
        }
        false => table(&overview, Paint::for_stdout()),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// Why the supervisor does not answer, and what still runs without one.
pub(super) fn no_answer(app: &App, folder: &RunFolder, error: &AskError) -> Failure {
    match error {
        AskError::Lost(cause) if cause.kind() == io::ErrorKind::TimedOut => silent(app, folder),
        // It is gone, or went while it was asked.
        AskError::NotRunning(_) | AskError::Lost(_) => {
            let living = living_replicas(folder);
            if living.is_empty() {
                return not_running(app);
            }
            Failure::new(
                serve_on(&living),
                format!(
                    "`{}` in the same topology takes over what is left; `{}` stops it",
                    app.hint("run"),
                    app.hint("stop")
                ),
            )
        }
        AskError::Malformed(_) => Failure::new(
            with_causes(error),
            "use the same version of this command as the one that runs the application",
        ),
    }
}

/// `the supervisor is gone, and 2 replicas serve on without it: Cart-1 (process 4711), Web-1 (process 4712)`
fn serve_on(living: &BTreeMap<Name, u32>) -> String {
    let serve = match living.len() {
        1 => "1 replica serves".to_owned(),
        several => format!("{several} replicas serve"),
    };
    let replicas: Vec<String> = living
        .iter()
        .map(|(replica, process)| format!("{replica} (process {process})"))
        .collect();
    let replicas = replicas.join(", ");
    format!("the supervisor is gone, and {serve} on without it: {replicas}")
}

/// What is said of a supervisor that takes a connection and says nothing.
fn silent(app: &App, folder: &RunFolder) -> Failure {
    let run = app.hint("run");
    match folder.supervisor() {
        Some(pid) => Failure::new(
            format!(
                "the supervisor, process {pid}, lives and does not answer: it is stopped, or hangs"
            ),
            format!(
                "`kill -CONT {pid}` lets one go on that was stopped; `kill -9 {pid}` ends one that hangs, \
                 and `{run}` in the same topology takes its replicas over"
            ),
        ),
        None => Failure::new(
            "the supervisor lives and does not answer: it is stopped, or hangs",
            format!("end its process, and `{run}` in the same topology takes its replicas over"),
        ),
    }
}

/// ```text
/// boutique in topology micro, all 10 replicas are ready
///
/// REPLICA     STATE   PID   RESTARTS  COMPONENTS
/// Cart-1      ready   4711  0         Cart
///
/// web  http://127.0.0.1:8080
/// ```
fn table(overview: &Overview, paint: Paint) -> String {
    let status = &overview.status;
    let all = status.replicas().count();
    let ready = status
        .replicas()
        .filter(|one| one.state == ReplicaState::Ready)
        .count();
    let how = match (ready, all) {
        (0, 0) => "nothing of it runs until it is called".to_owned(),
        (1, 1) => "its replica is ready".to_owned(),
        (ready, all) if ready == all => format!("all {all} replicas are ready"),
        (ready, all) => format!("{ready} of {all} replicas are ready"),
    };
    let (app, topology) = (paint.bold(status.app.as_str()), &status.topology);
    let mut text = format!("{app} in topology {topology}: {how}\n\n");
    text += &rows(overview, paint);
    text += &scaled(status, paint);
    if !overview.notes.is_empty() {
        text.push('\n');
        for note in &overview.notes {
            let _ = writeln!(
                text,
                "{}: {}",
                paint.yellow(note.replica.as_str()),
                note.text
            );
        }
    }
    let counts = counts(status, paint);
    if !counts.is_empty() {
        text.push('\n');
        text += &counts;
    }
    if !overview.troubles.is_empty() {
        text.push('\n');
        let warning = paint.bold_yellow("warning");
        for trouble in &overview.troubles {
            let _ = writeln!(text, "{warning}: {trouble}");
        }
    }
    if let Some(change) = &overview.change {
        let _ = writeln!(text, "\n{}", paint.yellow(change));
    }
    if !status.listeners.is_empty() {
        text.push('\n');
        for (name, url) in &status.listeners {
            let _ = writeln!(text, "{name}  {}", paint.bold(url));
        }
    }
    let more = format!(
        "supervisor {}, directory epoch {}",
        overview.supervisor, status.epoch
    );
    let _ = writeln!(text, "\n{}", paint.dim(&more));
    text
}

/// How many replicas the groups want that are scaled, and why, a line for each:
/// `Catalog: 4 replicas wanted, of 1 to 6: 61.3 calls under way, for each 16`
fn scaled(status: &Status, paint: Paint) -> String {
    let mut text = String::new();
    for group in &status.groups {
        let Some(scaling) = &group.scaling else {
            continue;
        };
        if text.is_empty() {
            text.push('\n');
        }
        let ScalingStatus {
            wanted,
            min,
            max,
            why,
            ..
        } = scaling;
        let replicas = match wanted {
            1 => "replica",
            _ => "replicas",
        };
        let name = paint.bold(group.name.as_str());
        let _ = writeln!(
            text,
            "{name}: {wanted} {replicas} wanted, of {min} to {max}: {why}"
        );
    }
    text
}

/// What people call the state of a replica: they need not know which words scripts were promised.
fn word(replica: &ReplicaStatus, components: &[Name]) -> String {
    match replica.state {
        ReplicaState::Starting if replica.silent => "silent".to_owned(),
        ReplicaState::Starting if !replica.unhealthy.is_empty() => "unhealthy".to_owned(),
        ReplicaState::Ready if components.iter().all(|it| replica.standby.contains(it)) => {
            "standby".to_owned()
        }
        state => state.to_string(),
    }
}

/// What replicas have counted, a line for each that has counted anything.
fn counts(status: &Status, paint: Paint) -> String {
    let mut text = String::new();
    for replica in status.replicas() {
        let counts = replica.counters.named().into_iter();
        let counts = counts.filter(|(_, _, count)| *count > 0);
        let words: Vec<String> = counts
            .map(|(_, what, count)| format!("{count} {what}"))
            .collect();
        if !words.is_empty() {
            let _ = writeln!(
                text,
                "{}: {}",
                paint.dim(replica.id.as_str()),
                words.join(", ")
            );
        }
    }
    text
}

/// A line for each replica, below a head.
fn rows(overview: &Overview, paint: Paint) -> String {
    let status = &overview.status;
    let mut text = String::new();
    let width =
        |least: usize, lengths: &mut dyn Iterator<Item = usize>| lengths.fold(least, usize::max);
    let names = width(
        "REPLICA".len(),
        &mut status.replicas().map(|one| one.id.as_str().len()),
    );
    let pid = |pid: Option<u32>| pid.map_or("-".to_owned(), |pid| pid.to_string());
    let pids = width(
        "PID".len(),
        &mut status.replicas().map(|one| pid(one.pid).len()),
    );
    let mut builds = status.replicas().map(|one| one.build);
    let first = builds.next();
    let are_several = builds.any(|build| Some(build) != first);
    let build = |text: String| match are_several {
        true => format!("{text:5}  "),
        false => String::new(),
    };
    let head = format!(
        "{:names$}  STATE      {:pids$}  RESTARTS  {}COMPONENTS",
        "REPLICA",
        "PID",
        build("BUILD".to_owned())
    );
    let _ = writeln!(text, "{}", paint.dim(&head));
    for group in &status.groups {
        for replica in &group.replicas {
            let state = format!("{:9}", word(replica, &group.components));
            let state = match replica.state {
                ReplicaState::Ready if state.starts_with("standby") => paint.yellow(&state),
                ReplicaState::Ready => paint.green(&state),
                ReplicaState::Backoff => paint.red(&state),
                ReplicaState::Starting | ReplicaState::Draining => paint.yellow(&state),
                ReplicaState::Stopped => paint.dim(&state),
            };
            let _ = writeln!(
                text,
                "{:names$}  {state}  {:pids$}  {:<8}  {}{}",
                replica.id,
                pid(replica.pid),
                replica.restarts,
                build(replica.build.to_string()),
                components(replica, &group.components)
            );
        }
    }
    text
}

/// The components of a replica, and which of them wait until they are over elsewhere, if others do not: `Web, Counter (standby)`.
fn components(replica: &ReplicaStatus, all: &[Name]) -> String {
    let waits = |name: &Name| replica.standby.contains(name);
    let mixed = all.iter().any(waits) && !all.iter().all(waits);
    let name = |name: &Name| match mixed && waits(name) {
        true => format!("{name} (standby)"),
        false => name.to_string(),
    };
    let names: Vec<String> = all.iter().map(name).collect();
    names.join(", ")
}
