//! `anylith reshape`.

use std::io::{self, Write as _};

use anylith_core::Name;
use anylith_supervisor::{
    Answer, AskError, Group, Request, ReshapePlan, RunFolder, ask, what_runs,
};

use super::{change, last_run, runtime};
use crate::{
    app::App,
    args::ReshapeArgs,
    failure::Failure,
    inspection::{Inspection, replicas},
};

/// Divides the components of an application that runs into other groups.
pub(crate) fn reshape(args: &ReshapeArgs) -> Result<(), Failure> {
    let app = super::app(args.app.as_ref(), args.app_flag.as_ref())?;
    let folder = last_run(&app)?;
    let (topology, groups) = runtime()?.block_on(wanted(&app, &folder, args))?;
    let request = |dry_run| Request::Reshape {
        topology: topology.clone(),
        groups: groups.clone(),
        dry_run,
    };
    let socket = folder.control_socket();
    let planned = runtime()?.block_on(ask(&socket, request(true)));
    let Some(plan) = plan(&app, &folder, planned)? else {
        writeln!(io::stdout(), "{topology} runs already")?;
        return Ok(());
    };
    let json = || serde_json::to_string_pretty(&plan).map_err(io::Error::from);
    match (args.dry_run, args.json) {
        (true, false) => write!(io::stdout(), "{plan}")?,
        (true, true) => writeln!(io::stdout(), "{}", json()?)?,
        (false, false) => {
            change::make(&app, request(false), &format!("reshaped to {topology}"))?;
        }
        (false, true) => change::make(&app, request(false), &json()?)?,
    }
    Ok(())
}

/// The topology that is asked for, as `anylith.toml` has it now.
async fn wanted(
    app: &App,
    folder: &RunFolder,
    args: &ReshapeArgs,
) -> Result<(Name, Vec<Group>), Failure> {
    let program = what_runs(folder).ok_or_else(|| super::not_running(app))?;
    let (replicas, asked) = replicas(args.replicas.as_deref());
    let inspection = Inspection::of_running(app, program.path, asked).await?;
    let plan = inspection.plan(&args.topology, &replicas)?;
    let group = |group: anylith_topology::GroupPlan| Group {
        name: group.name,
        components: group.components,
        replicas: group.replicas,
        scaling: group.scaling,
    };
    Ok((plan.topology, plan.groups.into_iter().map(group).collect()))
}

/// What would be done; `None` if nothing has to be.
fn plan(
    app: &App,
    folder: &RunFolder,
    answer: Result<Answer, AskError>,
) -> Result<Option<ReshapePlan>, Failure> {
    match answer {
        Ok(Answer::Plan(plan)) => Ok(Some(plan)),
        other => change::outcome(app, folder, other).map(|_| None),
    }
}
