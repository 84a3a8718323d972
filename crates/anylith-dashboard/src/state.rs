//! The application as the page shows it.

use std::collections::BTreeMap;

use anylith_core::Name;
use anylith_supervisor::Overview;
use serde::Serialize;

/// The application as the page shows it: how the supervisor says it is, and what goes along the edges.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// How the supervisor says it is.
    #[serde(flatten)]
    pub overview: Overview,
    /// What goes along the edges now; `None` where that is not known. Whoever shows it does without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
}

impl State {
    /// What `overview` says. It has no numbers of calls, so there is no traffic: where it gets some, they come in here.
    pub fn of(overview: Overview) -> Self {
        Self {
            overview,
            traffic: None,
        }
    }
}

/// What goes along the edges now, and what it costs who is called.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traffic {
    /// The edges along which anything was called.
    pub edges: Vec<EdgeTraffic>,
    /// Replica → what it bears, from 0 to 1 of what it can.
    pub load: BTreeMap<Name, f64>,
}

/// What goes along one edge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EdgeTraffic {
    /// The caller.
    pub from: Name,
    /// The callee.
    pub to: Name,
    /// Calls in a second.
    pub calls_per_second: f64,
    /// Those of them that fail.
    pub errors_per_second: f64,
    /// Half of them are answered within so many milliseconds.
    pub p50_ms: f64,
    /// And 99 of 100 within so many.
    pub p99_ms: f64,
}
