//! `anylith reshape`.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use anylith_core::Name;
use anylith_supervisor::{
    Answer, AskError, Change, Group, Outcome, Request, ReshapePlan, RunFolder, ToldReshape,
    Underway, ask, what_runs,
};
use anylith_topology::{Plan, Problem, Problems, ReplicaChange, TopologyFile, suggest};
use serde::Serialize;

use super::{change, last_run, runtime};
use crate::{
    app::App,
    args::{Overriding, ReshapeArgs},
    failure::Failure,
    inspection::{Inspection, replicas},
};

/// That there is no plan, for scripts.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    to: &'a Name,
    outcome: Outcome,
    why: Option<String>,
}

/// Divides the components of an application that runs into other groups.
pub(crate) fn reshape(args: &ReshapeArgs) -> Result<(), Failure> {
    let app = super::app(&args.which)?;
    let folder = last_run(&app)?;
    super::see_record(&folder)?;
    let (topology, groups) = runtime()?.block_on(wanted(&app, &folder, args))?;
    let request = |dry_run| Request::Reshape {
        topology: topology.clone(),
        groups: groups.clone(),
        dry_run,
    };
    let socket = folder.control_socket();
    let planned = runtime()?.block_on(ask(&socket, request(true)));
    let plan = match plan(&app, &folder, planned) {
        Ok(Some(plan)) => plan,
        Ok(None) => return runs_already(&app, &folder, &topology, args.json),
        Err(failure) => {
            if args.json {
                print(&Refusal {
                    to: &topology,
                    outcome: Outcome::Failed,
                    why: failure.what(),
                })?;
            }
            return Err(failure);
        }
    };
    let told = |outcome, why| ToldReshape {
        plan: &plan,
        outcome,
        why,
        // It is said as a warning.
        left: Vec::new(),
    };
    if args.dry_run {
        return match args.json {
            false => Ok(write!(io::stdout(), "{plan}")?),
            true => print(&told(Outcome::Planned, None)),
        };
    }
    let (made, outcome) = match args.no_wait {
        true => {
            let to = topology.clone();
            let begun = change::begin(&app, request(false), &Underway::Reshape { to });
            (begun, Outcome::Begun)
        }
        false => (change::settle(&app, request(false)), Outcome::Done),
    };
    match (made, args.json) {
        (Ok(()), false) if args.no_wait => {
            let status = app.hint("status");
            let text = format!("reshaping to {topology}; `{status}` says how far it is");
            change::tell(&text);
            Ok(())
        }
        (Ok(()), false) => {
            change::tell(&format!("reshaped to {topology}"));
            Ok(())
        }
        (Ok(()), true) => {
            change::tell(&json(&told(outcome, None))?);
            Ok(())
        }
        // It goes on, and nobody waits for it.
        (Err(left @ Failure::Said(_)), true) => {
            print(&told(Outcome::Begun, None))?;
            Err(left)
        }
        (Err(failure), true) => {
            print(&told(Outcome::Failed, failure.what()))?;
            Err(failure)
        }
        (Err(failure), false) => Err(failure),
    }
}

fn runs_already(app: &App, folder: &RunFolder, topology: &Name, json: bool) -> Result<(), Failure> {
    if !json {
        return Ok(writeln!(io::stdout(), "{topology} runs already")?);
    }
    let answer = runtime()?.block_on(ask(&folder.control_socket(), Request::Status));
    let processes = match answer {
        Ok(Answer::Status(now)) => now.status.replicas().count() as u32,
        other => return change::outcome(app, folder, Change::Reshape, other).map(drop),
    };
    print(&ToldReshape {
        plan: &ReshapePlan::nothing(topology.clone(), processes),
        outcome: Outcome::Done,
        why: None,
        left: Vec::new(),
    })
}

fn print(told: &impl Serialize) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{}", json(told)?)?)
}

fn json(told: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(told).map_err(io::Error::from)?)
}

/// The topology that is asked for: that of a file, or the one that `anylith.toml` has now.
async fn wanted(
    app: &App,
    folder: &RunFolder,
    args: &ReshapeArgs,
) -> Result<(Name, Vec<Group>), Failure> {
    let file = match is_file(&args.topology) {
        true => Some(topology_file(&args.topology)?),
        false => None,
    };
    let build = what_runs(folder).ok_or_else(|| super::not_running(app))?;
    let (replicas, asked) = replicas(args.replicas.as_deref());
    let overriding = Overriding::default();
    let inspection = Inspection::of_running(app, &overriding, build, asked.clone()).await?;
    let plan = match file {
        Some(file) => planned(&file, &inspection, &replicas, asked)?,
        None => {
            see_topology(&args.topology, &inspection)?;
            inspection.plan(&args.topology, &replicas)?
        }
    };
    let group = |group: anylith_topology::GroupPlan| Group {
        name: group.name,
        components: group.components,
        replicas: group.replicas,
        scaling: group.scaling,
        bursts: group.bursts,
    };
    Ok((plan.topology, plan.groups.into_iter().map(group).collect()))
}

/// The plan that a file makes of the application; `asked` is what else was found wrong.
fn planned(
    file: &TopologyFile,
    inspection: &Inspection,
    replicas: &ReplicaChange,
    asked: Vec<Problem>,
) -> Result<Plan, Failure> {
    match file.plan(&inspection.manifest, replicas) {
        Ok(plan) => Ok(Problems::new(asked).none_or(plan)?),
        Err(problems) => Err(Failure::from(problems).with(asked)),
    }
}

/// Whether a file is meant, and no name: names have neither dots nor slashes.
fn is_file(topology: &str) -> bool {
    Name::new(topology).is_err() && topology.contains(['.', '/'])
}

/// Sees that there is a topology of this name, which may be meant as that of a file.
fn see_topology(topology: &str, inspection: &Inspection) -> Result<(), Failure> {
    let file = format!("{topology}.toml");
    let known = inspection.topologies();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if known.contains(&topology) {
        return Ok(());
    }
    let mend = match Path::new(&file).is_file() {
        true => format!("did you mean the file `{file}`? A file is named with its ending"),
        false => suggest(topology, &known, "topologies", "name a file with one"),
    };
    Err(Failure::input(
        format!("there is no topology `{topology}` in anylith.toml"),
        mend,
    ))
}

fn topology_file(path: &str) -> Result<TopologyFile, Failure> {
    let text = fs::read(Path::new(path)).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::NotFound => format!("there is no file {path}"),
            _ => format!("{path} cannot be read: {error}"),
        };
        let mend = "name a topology, or a file with one: [topologies.NAME], and \
                    groups.GROUP = { components = [\"*\"] } below it";
        Failure::input(what, mend)
    })?;
    let text = String::from_utf8(text).map_err(|error| {
        let line = crate::app::first_bad_line(&error);
        let what = format!("{path}:{line}: this line is not text in UTF-8");
        Failure::input(what, "save the file in UTF-8")
    })?;
    Ok(TopologyFile::read(path, &text))
}

/// What would be done; `None` if nothing has to be.
fn plan(
    app: &App,
    folder: &RunFolder,
    answer: Result<Answer, AskError>,
) -> Result<Option<ReshapePlan>, Failure> {
    match answer {
        Ok(Answer::Plan(plan)) => Ok(Some(plan)),
        other => change::outcome(app, folder, Change::Reshape, other).map(|_| None),
    }
}
