//! `anylith upgrade`.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use anylith_core::{Manifest, with_causes};
use anylith_supervisor::{
    Answer, AskError, Cause, Change, KeepError, NewBuild, Request, RunFolder, Steer, Upgrade,
    UpgradePlan, WayBack, ask, living_replicas,
};
use anylith_topology::Settings;
use serde_json::Value;

use super::{change, runtime};
use crate::{
    app::App,
    args::{Overriding, UpgradeArgs},
    binary, describe,
    failure::Failure,
};

/// How an upgrade ends: for scripts, and for people.
const UPGRADED: (&str, &str) = ("upgraded", "upgraded; the new build runs alone");
const ROLLED_BACK: (&str, &str) = ("rolled_back", "rolled back; the old build runs alone");

/// Rolls another build into an application that runs, or steers the upgrade that is under way.
pub(crate) fn upgrade(args: &UpgradeArgs) -> Result<(), Failure> {
    let done = change(args);
    if args.json
        && let Err(Some(why)) = done.as_ref().map_err(Failure::what)
    {
        let fields = BTreeMap::from([("state", "failed"), ("why", why.as_str())]);
        let json = serde_json::to_string(&fields).map_err(io::Error::from)?;
        writeln!(io::stdout(), "{json}")?;
    }
    done
}

fn change(args: &UpgradeArgs) -> Result<(), Failure> {
    let app = super::app(&args.which)?;
    let answers = |it: &RunFolder| UnixStream::connect(it.control_socket()).is_ok();
    let runs = |it: &RunFolder| answers(it) || !living_replicas(it).is_empty();
    let folder = app.last_run()?.filter(runs);
    let folder = folder.ok_or_else(|| nothing_runs(&app))?;
    super::see_record(&folder)?;
    match (args.pause, args.resume, args.rollback) {
        (true, _, _) => steer(&app, &folder, Steer::Pause, args.json),
        (_, true, _) => steer(&app, &folder, Steer::Resume, args.json),
        (_, _, true) => roll_back(&app, &folder, args),
        (false, false, false) => roll_in(&app, &folder, args, args.binary.clone(), UPGRADED),
    }
}

/// Brings the old build back: that of the upgrade which is under way, or of the last one.
fn roll_back(app: &App, folder: &RunFolder, args: &UpgradeArgs) -> Result<(), Failure> {
    match WayBack::of(folder) {
        WayBack::Old => steer(app, folder, Steer::Rollback, args.json),
        WayBack::Before(build) => roll_in(app, folder, args, Some(build), ROLLED_BACK),
        WayBack::Nowhere => Err(Failure::new(
            "there is no build to go back to: the first one runs, or one that was gone back to",
            format!(
                "`{}` rolls another one in",
                app.hint("upgrade --binary FILE")
            ),
        )),
    }
}

fn steer(app: &App, folder: &RunFolder, steer: Steer, json: bool) -> Result<(), Failure> {
    let answer = change::wait(app, folder, Request::Steer(steer))?;
    match answer {
        // That is what was asked for, if nothing came between.
        Ok(Answer::GivenUp {
            cause: Cause::Obstacle,
            ..
        }) if steer == Steer::Rollback => say(json, ROLLED_BACK),
        other => end(app, folder, other, json, UPGRADED),
    }
}

fn roll_in(
    app: &App,
    folder: &RunFolder,
    args: &UpgradeArgs,
    binary: Option<PathBuf>,
    done: (&str, &str),
) -> Result<(), Failure> {
    let prepared = prepare(app, folder, args, binary);
    let Some((build, manifest)) = runtime()?.block_on(prepared)? else {
        return say(args.json, ("same", "that build runs already"));
    };
    let request = |binary: PathBuf, dry_run| {
        Request::Upgrade(Box::new(Upgrade {
            binary,
            source: build.source.clone(),
            manifest: manifest.clone(),
            canary: args.canary,
            observe_ms: args.observe.as_millis() as u64,
            dry_run,
        }))
    };
    let asked = request(build.source.clone(), true);
    let planned = runtime()?.block_on(ask(&folder.control_socket(), asked));
    let plan = match planned {
        Ok(Answer::UpgradePlan(plan)) => plan,
        other => return change::outcome(app, folder, Change::Upgrade, other).map(drop),
    };
    if args.dry_run {
        return show(&plan, args.json);
    }
    let kept = build.keep(folder);
    let kept = kept.map_err(|error| not_kept(app, &error))?;
    let answer = change::wait(app, folder, request(kept, false))?;
    end(app, folder, answer, args.json, done)
}

fn show(plan: &UpgradePlan, json: bool) -> Result<(), Failure> {
    match json {
        true => {
            let json = serde_json::to_string_pretty(plan).map_err(io::Error::from)?;
            writeln!(io::stdout(), "{json}")?;
        }
        false => write!(io::stdout(), "{plan}")?,
    }
    Ok(())
}

/// Says how it has ended, or where it waits.
fn end(
    app: &App,
    folder: &RunFolder,
    answer: Result<Answer, AskError>,
    json: bool,
    done: (&str, &str),
) -> Result<(), Failure> {
    if let Ok(Answer::Paused { how }) = answer {
        let mend = format!(
            "{how}\ngo on with `{}`, or back with `{}`",
            app.hint("upgrade --resume"),
            app.hint("upgrade --rollback")
        );
        return say(json, ("paused", &mend));
    }
    let done = words(json, done)?;
    change::finish(app, folder, Change::Upgrade, answer)?;
    change::tell(&done);
    Ok(())
}

/// `text`, or `state` as JSON.
fn words(json: bool, (state, text): (&str, &str)) -> Result<String, Failure> {
    if !json {
        return Ok(text.to_owned());
    }
    let fields = BTreeMap::from([("state", state)]);
    Ok(serde_json::to_string(&fields).map_err(io::Error::from)?)
}

fn say(json: bool, what: (&str, &str)) -> Result<(), Failure> {
    writeln!(io::stdout(), "{}", words(json, what)?)?;
    Ok(())
}

/// Finds the new build, and hears what it says of itself and of the config that runs. `None` if it is the one that runs.
async fn prepare(
    app: &App,
    folder: &RunFolder,
    args: &UpgradeArgs,
    binary: Option<PathBuf>,
) -> Result<Option<(NewBuild, Manifest)>, Failure> {
    let path = find(app, args, binary).await?;
    let build = NewBuild::find(folder, &path).map_err(|error| not_kept(app, &error))?;
    if build.runs_already {
        return Ok(None);
    }
    let described = describe::manifest(&build.source, &app.folder).await;
    let manifest = match args.binary {
        Some(_) => described.map_err(Failure::of_input)?,
        None => described?,
    };
    if manifest.app != build.app {
        let path = build.source.display();
        let what = format!(
            "{path} is a build of {}, and {} runs",
            manifest.app, build.app
        );
        return Err(Failure::input(
            what,
            "name a build of the application that runs",
        ));
    }
    let known = |name: &anylith_core::Name| manifest.component(name.as_str()).is_some();
    let config = build.config.iter().filter(|(name, _)| known(name));
    let configs = config.map(|(name, value)| (name.to_string(), value));
    let complaints = describe::complaints(&build.source, &app.folder, &configs.collect()).await?;
    if complaints.is_empty() {
        return Ok(Some((build, manifest)));
    }
    let written = app.read(&Overriding::default(), Some(&manifest)).settings;
    let complaints = complaints.into_iter();
    let problems: Vec<String> = complaints
        .filter_map(|it| problem(it, &written, &build))
        .collect();
    Err(Failure::new(
        format!(
            "the new build does not accept the config that runs, which an upgrade keeps\n\n{}\n",
            problems.join("\n\n")
        ),
        format!(
            "nothing was started; let the new build accept it, or mend it, `{}`, and run the new build",
            app.hint("stop")
        ),
    ))
}

/// What the new build says against the config that runs, at its place in `anylith.toml`, if it is still the same there.
fn problem(complaint: describe::Complaint, written: &Settings, build: &NewBuild) -> Option<String> {
    let describe::Complaint {
        component,
        key,
        message,
    } = complaint;
    let runs = build.config.get(component.as_str());
    if written.config(&component) == runs {
        let problem = written.complaint(&component, &key, &message)?;
        return Some(problem.to_string());
    }
    let place = match key.as_str() {
        "" => format!("[components.{component}]"),
        key => format!("components.{component}.{key}"),
    };
    let message = runs.map_or(message.clone(), |runs| without_texts(message, runs));
    Some(format!(
        "{place} as it runs, and no longer stands in anylith.toml: {message}"
    ))
}

/// `message` without the texts of `config`, some of which may be secrets.
fn without_texts(message: String, config: &Value) -> String {
    match config {
        Value::String(text) if !text.is_empty() => message.replace(text.as_str(), "…"),
        Value::Array(values) => values.iter().fold(message, without_texts),
        Value::Object(fields) => fields.values().fold(message, without_texts),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => message,
    }
}

async fn find(app: &App, args: &UpgradeArgs, binary: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match binary {
        Some(path) if path.is_file() => Ok(path),
        Some(path) => Err(Failure::input(
            format!("there is no file {}", path.display()),
            "name the binary of the new build, as in `--binary target/release/shop`",
        )),
        None => {
            let reading = app.read(&Overriding::default(), None);
            binary::find(app, &reading.settings, &args.building).await
        }
    }
}

/// Nothing runs here; what runs elsewhere is not upgraded by this command.
fn nothing_runs(app: &App) -> Failure {
    let hosts = app.beside("hosts.toml");
    if !hosts.is_file() {
        return super::not_running(app);
    }
    Failure::new(
        format!(
            "{} is not running under `anylith run` on this host, and the replicas on the hosts of {} are upgraded there",
            app.title(),
            hosts.display()
        ),
        format!(
            "build it, `{}`, copy binary and orders to all hosts, and restart the units there one by one: see the guide, \
             several hosts, another build",
            app.hint("render static")
        ),
    )
}

fn not_kept(app: &App, error: &KeepError) -> Failure {
    let mend = match error {
        KeepError::NothingRuns => return nothing_runs(app),
        KeepError::New { folder, .. } => {
            format!(
                "is it a program for this machine, and is there room in {}?",
                folder.display()
            )
        }
        KeepError::Old(_) => format!(
            "see with `{}` whether a replica runs; or `{}`, and run the new build",
            app.hint("status"),
            app.hint("stop")
        ),
    };
    Failure::new(with_causes(error), mend)
}
