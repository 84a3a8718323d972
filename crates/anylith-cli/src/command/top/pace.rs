//! What goes on in an application, as the difference between two looks.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anylith_core::Name;
use anylith_telemetry::{Calls, ComponentNumbers, Histogram, ReplicaNumbers, Survey, Way};
use serde::Serialize;

/// What goes on in an application.
#[derive(Debug, Serialize)]
pub(super) struct Pace {
    pub(super) app: Name,
    pub(super) topology: Name,
    /// For how long it was watched; 0 in the first moment.
    pub(super) seconds: f64,
    pub(super) components: Vec<ComponentPace>,
    pub(super) edges: Vec<EdgePace>,
    pub(super) replicas: Vec<ReplicaPace>,
}

/// What goes on in a component, in all of its replicas.
#[derive(Debug, Serialize)]
pub(super) struct ComponentPace {
    pub(super) name: Name,
    /// Calls that were made of it where it is, and that it served from elsewhere.
    pub(super) calls_per_second: f64,
    /// How many cores its code keeps busy.
    pub(super) cores: f64,
    /// How long calls from elsewhere waited: 99 of 100 no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue_p99_us: Option<f64>,
    pub(super) restarts: u64,
}

/// What goes along an edge, one way.
#[derive(Debug, Serialize)]
pub(super) struct EdgePace {
    pub(super) caller: Name,
    pub(super) callee: Name,
    pub(super) way: Way,
    pub(super) calls_per_second: f64,
    /// Calls that ended otherwise than with what was asked for.
    pub(super) failed_per_second: f64,
    pub(super) in_flight: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p50_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p99_us: Option<f64>,
    /// Since its application began.
    pub(super) calls: u64,
}

/// What a replica needs.
#[derive(Debug, Serialize)]
pub(super) struct ReplicaPace {
    pub(super) id: Name,
    pub(super) group: Name,
    pub(super) state: String,
    pub(super) restarts: u64,
    /// How many cores its process keeps busy; `None` if it has not reported, or is another than before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cores: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory_bytes: Option<u64>,
}

impl Pace {
    /// What has happened between two surveys that are so long apart.
    pub(super) fn between(before: &Survey, after: &Survey, length: Duration) -> Self {
        let seconds = length.as_secs_f64();
        let rate = |more: u64| more as f64 / seconds.max(0.001);
        Self {
            app: after.app.clone(),
            topology: after.topology.clone(),
            seconds,
            components: components(before, after, rate),
            edges: edges(before, after, rate),
            replicas: replicas(before, after, rate),
        }
    }
}

/// The busiest first.
fn components(before: &Survey, after: &Survey, rate: impl Fn(u64) -> f64) -> Vec<ComponentPace> {
    let called = after.numbers.edges.iter().map(|edge| &edge.callee);
    let computed = after.numbers.components.iter().map(|it| &it.name);
    let names: BTreeSet<&Name> = called.chain(computed).collect();
    let mut paces: Vec<ComponentPace> = names
        .into_iter()
        .map(|name| {
            let none = ComponentNumbers {
                name: name.clone(),
                queued: Histogram::new(),
                busy_us: 0,
            };
            let [was, is] =
                [before, after].map(|survey| survey.numbers.find_component(name).unwrap_or(&none));
            let calls = after.calls_of(name).saturating_sub(before.calls_of(name));
            ComponentPace {
                name: name.clone(),
                calls_per_second: rate(calls),
                cores: rate(is.busy_us.saturating_sub(was.busy_us)) / 1e6,
                queue_p99_us: is.queued.since(&was.queued).quantile_us(0.99),
                restarts: after.restarts.get(name).copied().unwrap_or(0),
            }
        })
        .collect();
    paces.sort_by(|one, other| other.calls_per_second.total_cmp(&one.calls_per_second));
    paces
}

/// The busiest first.
fn edges(before: &Survey, after: &Survey, rate: impl Fn(u64) -> f64) -> Vec<EdgePace> {
    let (before, after) = (by_edge(before), by_edge(after));
    let none = Calls::default();
    let mut paces: Vec<EdgePace> = after
        .iter()
        .map(|((caller, callee, way), all)| {
            let was = before.get(&(*caller, *callee, *way)).unwrap_or(&none);
            let calls = all.since(was);
            let took = calls.took();
            EdgePace {
                caller: (*caller).clone(),
                callee: (*callee).clone(),
                way: *way,
                calls_per_second: rate(calls.all()),
                failed_per_second: rate(calls.failed()),
                in_flight: all.in_flight,
                p50_us: took.quantile_us(0.5),
                p99_us: took.quantile_us(0.99),
                calls: all.all(),
            }
        })
        .collect();
    paces.sort_by(|one, other| other.calls_per_second.total_cmp(&one.calls_per_second));
    paces
}

/// The calls of all methods together.
fn by_edge(survey: &Survey) -> BTreeMap<(&Name, &Name, Way), Calls> {
    let mut edges: BTreeMap<_, Calls> = BTreeMap::new();
    for edge in &survey.numbers.edges {
        let own = edges.entry((&edge.caller, &edge.callee, edge.way));
        own.or_default().add(&edge.calls);
    }
    edges
}

fn replicas(before: &Survey, after: &Survey, rate: impl Fn(u64) -> f64) -> Vec<ReplicaPace> {
    let of = |is: &ReplicaNumbers| {
        let used = is.cpu_us_since(before);
        ReplicaPace {
            id: is.id.clone(),
            group: is.group.clone(),
            state: is.state.clone(),
            restarts: is.restarts,
            cores: used.map(|used| rate(used) / 1e6),
            memory_bytes: is.since_ms.map(|_| is.process.memory_bytes),
        }
    };
    after.replicas.iter().map(of).collect()
}
