//! What is counted of calls and processes: now, along one edge, and in the last hour.

use anylith_core::{EdgeSettings, Name};
use anylith_telemetry::{EdgeDetail, Past, Period, Subject};
use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};

use super::Api;
use crate::{now::Now, refusal::Refusal};

/// What goes on now, over the last five seconds.
pub(super) async fn now(State(api): State<Api>) -> Result<Json<Now>, Refusal> {
    Ok(Json(api.control.now().await?.into()))
}

/// What goes along an edge, and what is set for it.
#[derive(Debug, Serialize)]
pub(super) struct Edge {
    #[serde(flatten)]
    detail: EdgeDetail,
    /// What `anylith.toml` has for it: first for all of its methods, then for one alone.
    settings: Vec<EdgeSettings>,
}

/// One edge, method by method.
pub(super) async fn edge(
    State(api): State<Api>,
    Path((caller, callee)): Path<(String, String)>,
) -> Result<Json<Edge>, Refusal> {
    let name = |text: &str| {
        Name::new(text).map_err(|error| {
            let mend = "GET /api/v1/graph has the names of components";
            Refusal::new(StatusCode::NOT_FOUND, error.to_string(), mend)
        })
    };
    let (caller, callee) = (name(&caller)?, name(&callee)?);
    let own = api.premises.settings.edges();
    let own = own.filter(|it| it.caller == caller && it.callee == callee);
    let mut settings: Vec<EdgeSettings> = own.cloned().collect();
    settings.sort_by(|one, other| one.method.cmp(&other.method));
    let detail = api.control.edge(caller, callee).await?;
    Ok(Json(Edge { detail, settings }))
}

/// Whose past is wanted: a component's, an edge's, or that of all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    component: Option<Name>,
    caller: Option<Name>,
    callee: Option<Name>,
    /// `hour`, or `minutes`.
    #[serde(default)]
    period: Period,
}

/// How it went.
pub(super) async fn history(
    State(api): State<Api>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Past>, Refusal> {
    let Query(asked) = asked?;
    let subject = match (asked.component, asked.caller, asked.callee) {
        (None, None, None) => Subject::Application,
        (Some(component), None, None) => Subject::Component { component },
        (None, Some(caller), Some(callee)) => Subject::Edge { caller, callee },
        _ => {
            return Err(Refusal::wrong(
                "it is not clear whose history is wanted",
                "write component=Cart, or caller=Web&callee=Cart, or neither",
            ));
        }
    };
    Ok(Json(api.control.past(subject, asked.period).await?))
}
