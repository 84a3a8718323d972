//! The logs of all replicas as one.

use std::{convert::Infallible, time::Duration};

use anylith_supervisor::{Level, LogFilter, LogLine, LogReader};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{
        IntoResponse,
        sse::{Event, Sse},
    },
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::{Api, blocking, events::alive, traces::trace_id};
use crate::{hub::event, refusal::Refusal};

/// How many lines are told if nobody says how many.
const LINES: usize = 200;

/// More are not told at once.
const MOST_LINES: usize = 5000;

/// How often the logs are looked at for new lines.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// So many lots of lines may wait to be sent. Where more would, the logs are read later: they are kept in their files.
const MOST_WAITING: usize = 4;

/// Which lines are wanted, by the names of the flags of `anylith logs`. Several names are joined with commas.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    component: Option<String>,
    replica: Option<String>,
    level: Option<String>,
    text: Option<String>,
    trace: Option<String>,
    since: Option<String>,
    lines: Option<usize>,
}

/// A line, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    source: String,
    /// Where it stands among the others, in UTC after RFC 3339.
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    text: String,
}

impl From<LogLine> for Told {
    fn from(line: LogLine) -> Self {
        Self {
            at: line.stands_at().to_owned(),
            source: line.source.to_string(),
            level: line.level.map(Level::as_str),
            component: line.component,
            trace: line.trace,
            text: line.text,
        }
    }
}

impl Asked {
    fn filter(&self) -> Result<LogFilter, Refusal> {
        let names = |list: &Option<String>| -> Vec<String> {
            let names = list.iter().flat_map(|list| list.split(','));
            let names = names.map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        let mut filter = LogFilter::default()
            .of_components(&names(&self.component))
            .of_replicas(&names(&self.replica));
        if let Some(level) = &self.level {
            let wrong = |what: String| {
                Refusal::wrong(what, format!("there are {}", Level::NAMES.join(", ")))
            };
            filter = filter.at_least(level.parse().map_err(wrong)?);
        }
        if let Some(trace) = &self.trace {
            filter = filter.of_trace(trace_id(trace)?);
        }
        if let Some(age) = &self.since {
            let wrong = |error: humantime::DurationError| {
                Refusal::wrong(error.to_string(), "write `5m`, `2h` or `30s`")
            };
            let age = age.parse::<humantime::Duration>().map_err(wrong)?;
            filter = filter.younger_than(age.into());
        }
        let texts = self.text.iter().flat_map(|text| text.split_whitespace());
        Ok(texts.fold(filter, LogFilter::with_text))
    }

    fn lines(&self) -> usize {
        self.lines.unwrap_or(LINES).min(MOST_LINES)
    }
}

/// The last lines that are wanted, oldest first.
pub(super) async fn logs(
    State(api): State<Api>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Vec<Told>>, Refusal> {
    let Query(asked) = asked?;
    let (mut reader, lines) = (reader(&api, &asked)?, asked.lines());
    let lines = blocking("logs", move || reader.skim(lines)).await?;
    Ok(Json(lines.into_iter().map(Told::from).collect()))
}

/// The same as one event `lines`, and then another for each lot of lines that come.
pub(super) async fn follow(
    State(api): State<Api>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let Query(asked) = asked?;
    let (mut reader, lines) = (reader(&api, &asked)?, asked.lines());
    let skim = move || reader.skim(lines).map(|first| (reader, first));
    let (reader, first) = blocking("logs", skim).await?;
    let (outbox, events) = mpsc::channel(MOST_WAITING);
    tokio::spawn(pass_on(reader, first, outbox));
    let events = ReceiverStream::new(events).map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(alive()))
}

fn reader(api: &Api, asked: &Asked) -> Result<LogReader, Refusal> {
    Ok(LogReader::from_start(api.control.folder()).only(asked.filter()?))
}

/// Sends what comes until nobody takes it any more, or it cannot be read. Nobody waits for it: with the answer that it fills
/// it ends by itself.
async fn pass_on(mut reader: LogReader, first: Vec<LogLine>, outbox: mpsc::Sender<Event>) {
    let mut lines = first;
    // The first is sent however few they are: it says that those are all.
    let mut is_first = true;
    loop {
        if is_first || !lines.is_empty() {
            let told: Vec<Told> = lines.into_iter().map(Told::from).collect();
            if outbox.send(event("lines", &told)).await.is_err() {
                return;
            }
            is_first = false;
        }
        tokio::select! {
            () = outbox.closed() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let poll = move || reader.poll().map(|more| (reader, more));
        match blocking("logs", poll).await {
            Ok((same, more)) => (reader, lines) = (same, more),
            Err(_) => return,
        }
    }
}
