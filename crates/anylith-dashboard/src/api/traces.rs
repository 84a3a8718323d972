//! The traces that are kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anylith_supervisor::{FoundTraces, TraceReader};
use anylith_telemetry::{EdgePattern, InvalidId, Trace, TraceFilter, TraceId};
use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;

use super::{Api, blocking};
use crate::refusal::Refusal;

/// How many traces are told if nobody says how many.
const TRACES: usize = 50;

/// More are not told at once.
const MOST_TRACES: usize = 1000;

/// Which traces are wanted, by the names of the flags of `anylith trace`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    edge: Option<String>,
    component: Option<String>,
    min: Option<String>,
    failed: Option<bool>,
    text: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
}

impl Asked {
    fn filter(self) -> Result<TraceFilter, Refusal> {
        let edge = self.edge.map(|edge| edge.parse::<EdgePattern>());
        let edge = edge.transpose().map_err(|why| {
            Refusal::wrong(why, "write `Frontend->Cart`, `Frontend->` or `->Cart`")
        })?;
        let filter = TraceFilter {
            edge,
            component: self.component,
            at_least: self.min.map(|min| length(&min)).transpose()?,
            failed: self.failed.unwrap_or(false),
            texts: Vec::new(),
            since_ns: self.since.map(|age| moment(&age)).transpose()?,
            until_ns: self.until.map(|age| moment(&age)).transpose()?,
        };
        let texts = self.text.iter().flat_map(|text| text.split_whitespace());
        Ok(texts.fold(filter, TraceFilter::with_text))
    }
}

fn length(text: &str) -> Result<Duration, Refusal> {
    let length = text.parse::<humantime::Duration>();
    let wrong = |error: humantime::DurationError| {
        Refusal::wrong(error.to_string(), "write `5m`, `30s` or `20ms`")
    };
    Ok(length.map_err(wrong)?.into())
}

/// The moment so long ago, in nanoseconds of Unix time.
fn moment(age: &str) -> Result<u64, Refusal> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let at = now.unwrap_or_default().saturating_sub(length(age)?);
    Ok(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))
}

/// The name of a trace.
pub(super) fn trace_id(text: &str) -> Result<TraceId, Refusal> {
    let wrong =
        |error: InvalidId| Refusal::wrong(error.to_string(), "GET /api/v1/traces has their names");
    text.parse().map_err(wrong)
}

/// The newest traces that are wanted.
pub(super) async fn traces(
    State(api): State<Api>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<FoundTraces>, Refusal> {
    let Query(asked) = asked?;
    let most = asked.limit.unwrap_or(TRACES).min(MOST_TRACES);
    let filter = asked.filter()?;
    let reader = TraceReader::of(api.control.folder());
    let found = blocking("traces", move || reader.find(&filter, most)).await?;
    Ok(Json(found))
}

/// One trace with all of its spans.
pub(super) async fn trace(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Trace>, Refusal> {
    let id = trace_id(&id)?;
    let reader = TraceReader::of(api.control.folder());
    let trace = blocking("traces", move || reader.trace(id)).await?;
    trace.map(Json).ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            "nothing is kept of a trace with this name",
            "GET /api/v1/traces has those that are kept",
        )
    })
}
