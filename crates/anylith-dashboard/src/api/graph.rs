//! What the application is made of: who is dependent on whom, how it can be divided, and what it is told.

use anylith_core::Name;
use anylith_topology::{BUILT_IN, GroupPlan, ReplicaChange, draw};
use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::Api;
use crate::{premises::Looked, refusal::Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    topology: Option<String>,
}

/// What `anylith graph --format json` prints, with `--topology` if that is asked for.
pub(super) async fn graph(
    State(api): State<Api>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(asked) = asked?;
    let looked = api.look().await?;
    let plan = asked.topology.map(|topology| plan(&looked, &topology));
    let json = draw::json(&looked.manifest, plan.transpose()?.as_ref());
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// The graph, laid out.
pub(super) async fn picture(State(api): State<Api>) -> Result<Json<draw::Picture>, Refusal> {
    let looked = api.look().await?;
    // Some hundred components take some milliseconds, which nobody has to wait for.
    let drawn = tokio::task::spawn_blocking(move || draw::picture(&looked.manifest)).await;
    let failed = |_| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the graph could not be drawn",
            "",
        )
    };
    Ok(Json(drawn.map_err(failed)?))
}

/// A topology that can be asked for.
#[derive(Debug, Serialize)]
pub(super) struct Topology {
    name: String,
    /// Its groups; empty if there is a problem.
    groups: Vec<GroupPlan>,
    /// Why it cannot be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The topologies that there are: the two that always exist, and the application's own.
pub(super) async fn topologies(State(api): State<Api>) -> Result<Json<Vec<Topology>>, Refusal> {
    let looked = api.look().await?;
    let own = looked.settings.topologies().map(Name::as_str);
    let names = BUILT_IN.into_iter().chain(own);
    let topology = |name: &str| {
        let (groups, problem) = match plan(&looked, name) {
            Ok(plan) => (plan.groups, None),
            Err(refusal) => (Vec::new(), Some(refusal.into_what())),
        };
        Topology {
            name: name.to_owned(),
            groups,
            problem,
        }
    };
    Ok(Json(names.map(topology).collect()))
}

/// A plan of the application in `topology`.
pub(super) fn plan(looked: &Looked, topology: &str) -> Result<anylith_topology::Plan, Refusal> {
    replanned(looked, topology, &ReplicaChange::NONE)
}

/// The same, with other numbers of replicas.
pub(super) fn replanned(
    looked: &Looked,
    topology: &str,
    replicas: &ReplicaChange,
) -> Result<anylith_topology::Plan, Refusal> {
    let mut problems = looked.problems.clone();
    problems.extend(looked.settings.check(&looked.manifest));
    let plan = looked.settings.plan(&looked.manifest, topology, replicas);
    let plan = plan.map_err(|more| problems.extend(more)).ok();
    match plan.filter(|_| problems.is_empty()) {
        Some(plan) => Ok(plan),
        None => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let what = problems.join("\n\n");
            Err(Refusal::wrong(what, "mend it, and ask again"))
        }
    }
}

/// One component, for people.
#[derive(Debug, Serialize)]
pub(super) struct Component {
    name: Name,
    /// What it was told at its start, without secrets; `null` if that was nothing.
    config: Option<serde_json::Value>,
}

/// One component: what it was told at its start, without secrets.
pub(super) async fn component(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Component>, Refusal> {
    let looked = api.look().await?;
    let Some(component) = looked.manifest.component(&name) else {
        let mend = "GET /api/v1/graph has their names";
        let what = "the application has no component of this name";
        return Err(Refusal::new(StatusCode::NOT_FOUND, what, mend));
    };
    Ok(Json(Component {
        name: component.name.clone(),
        config: api.premises.settings.config_for_people(&name),
    }))
}
