//! What an application has counted, as families of samples: what is rendered for Prometheus, and sent to collectors.
//!
//! Names and units follow OpenTelemetry's semantic conventions where these have one (`rpc.client.call.duration`,
//! `rpc.server.call.duration`, `process.cpu.time`, `process.memory.usage`). What they have no name for begins with `anylith.`, as
//! do our own labels.
//!
//! There are as many samples as the dependency graph has edges, methods and ways, and as there are replicas: no label takes
//! a value out of a call.

use std::time::Duration;

use crate::{
    calls::{Calls, Ended},
    histogram::Histogram,
    outcome::Outcome,
    survey::Survey,
};

/// The borders of the buckets that are told, as powers of two nanoseconds: 1 µs, 4, 16, 65 and 262 µs, and from there each
/// doubling up to 17 s. They are borders of our own, finer buckets, so what is told is exact.
const BORDERS: [u32; 21] = [
    10, 12, 14, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
];

/// The borders of the buckets that are told of a histogram.
pub fn borders() -> impl Iterator<Item = Duration> {
    BORDERS
        .into_iter()
        .map(|border| Duration::from_nanos(1 << border))
}

/// All samples of one name.
#[derive(Debug, Clone)]
pub struct Family {
    /// Its name, with dots.
    pub name: &'static str,
    /// In words.
    pub help: &'static str,
    /// The unit after UCUM: `s`, `By`, or a word in braces for what is counted.
    pub unit: &'static str,
    /// What is done with its samples.
    pub kind: Kind,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// What is done with the samples of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, and sums of them say something.
    Counter,
    /// They grow and shrink, and sums of them say something.
    Level,
    /// They are as they are.
    Gauge,
    /// They are histograms.
    Histogram,
}

/// One number, or histogram.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Names and values, in the order in which they are to be told.
    pub labels: Labels,
    /// The number.
    pub value: Value,
}

/// What a sample says.
#[derive(Debug, Clone)]
pub enum Value {
    /// How many.
    Count(u64),
    /// How long.
    Length(Duration),
    /// How long each of many.
    Lengths(Histogram),
}

/// The labels of a sample: names with dots, and values.
#[derive(Debug, Clone, Default)]
pub struct Labels(pub Vec<(&'static str, String)>);

impl Labels {
    /// Those that the conventions ask of each call.
    fn rpc(component: &str, method: &str) -> Self {
        Self::default()
            .and("rpc.system.name", "anylith")
            .and("rpc.method", &format!("{component}/{method}"))
    }

    pub(crate) fn and(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.to_owned()));
        self
    }

    /// With how a call failed, as the conventions have it: a call that did not has no such label.
    fn failed(&self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered => self.clone(),
            failed => self.clone().and("error.type", failed.word()),
        }
    }
}

/// All that `survey` says.
pub fn families(survey: &Survey) -> Vec<Family> {
    let mut all = clients(survey);
    all.extend(servers(survey));
    all.extend(components(survey));
    all.extend(replicas(survey));
    all.extend(spans(survey));
    all
}

fn clients(survey: &Survey) -> Vec<Family> {
    let edges: Vec<(Labels, &Calls)> = survey
        .numbers
        .edges
        .iter()
        .map(|edge| {
            let labels = Labels::rpc(edge.callee.as_str(), edge.method.as_str())
                .and("anylith.caller", edge.caller.as_str())
                .and("anylith.callee", edge.callee.as_str())
                .and("anylith.way", edge.way.word());
            (labels, &edge.calls)
        })
        .collect();
    let counts = |name, help, unit, kind, read: fn(&Calls) -> u64| {
        let samples = edges.iter();
        let samples = samples.map(|(labels, calls)| (labels.clone(), Value::Count(read(calls))));
        Family::of(name, help, unit, kind, samples)
    };
    vec![
        durations(
            "rpc.client.call.duration",
            "How long calls between components took for those who made them.",
            &edges,
        ),
        ended(
            "anylith.client.calls",
            "Calls between components that have ended, by how they ended.",
            &edges,
        ),
        counts(
            "anylith.client.calls.in_flight",
            "Calls between components that wait for their answer.",
            "{call}",
            Kind::Level,
            |calls| calls.in_flight,
        ),
        counts(
            "anylith.client.sent",
            "Encoded arguments of calls to other processes, of all attempts.",
            "By",
            Kind::Counter,
            |calls| calls.sent_bytes,
        ),
        counts(
            "anylith.client.received",
            "Encoded answers to calls to other processes.",
            "By",
            Kind::Counter,
            |calls| calls.received_bytes,
        ),
        counts(
            "anylith.client.retries",
            "Attempts that were made after another one had failed.",
            "{attempt}",
            Kind::Counter,
            |calls| calls.retries,
        ),
        counts(
            "anylith.client.hedges",
            "Attempts that were made beside another one that was slow.",
            "{attempt}",
            Kind::Counter,
            |calls| calls.hedges,
        ),
    ]
}

fn servers(survey: &Survey) -> Vec<Family> {
    let served: Vec<(Labels, &Calls)> = survey
        .numbers
        .served
        .iter()
        .map(|served| {
            let labels = Labels::rpc(served.component.as_str(), served.method.as_str())
                .and("anylith.component", served.component.as_str());
            (labels, &served.calls)
        })
        .collect();
    let in_flight = served.iter();
    let in_flight =
        in_flight.map(|(labels, calls)| (labels.clone(), Value::Count(calls.in_flight)));
    vec![
        durations(
            "rpc.server.call.duration",
            "How long components worked on calls that came from other processes.",
            &served,
        ),
        ended(
            "anylith.server.calls",
            "Calls from other processes that components have served, by how they ended.",
            &served,
        ),
        Family::of(
            "anylith.server.calls.in_flight",
            "Calls from other processes that components work on.",
            "{call}",
            Kind::Level,
            in_flight,
        ),
    ]
}

fn components(survey: &Survey) -> Vec<Family> {
    let of = |name: &str| Labels::default().and("anylith.component", name);
    let all = &survey.numbers.components;
    let queued = all.iter().filter(|it| !it.queued.is_empty());
    let busy = |busy_us| Value::Length(Duration::from_micros(busy_us));
    let restarts = survey.restarts.iter();
    vec![
        Family::of(
            "anylith.component.queue.duration",
            "How long calls from other processes waited before their component began them.",
            "s",
            Kind::Histogram,
            queued.map(|it| (of(it.name.as_str()), Value::Lengths(it.queued.clone()))),
        ),
        Family::of(
            "anylith.component.cpu",
            "For how long the code of components was polled, extrapolated from a part of all polls.",
            "s",
            Kind::Counter,
            all.iter()
                .map(|it| (of(it.name.as_str()), busy(it.busy_us))),
        ),
        Family::of(
            "anylith.component.restarts",
            "How often a replica with the component was started again because it had failed.",
            "{restart}",
            Kind::Counter,
            restarts.map(|(component, times)| (of(component.as_str()), Value::Count(*times))),
        ),
    ]
}

fn replicas(survey: &Survey) -> Vec<Family> {
    let all = survey.replicas.iter().map(|replica| {
        let labels = Labels::default()
            .and("anylith.group", replica.group.as_str())
            .and("anylith.replica", replica.id.as_str());
        (labels, replica)
    });
    let all: Vec<_> = all.collect();
    let heard = || all.iter().filter(|(_, it)| it.since_ms.is_some());
    vec![
        Family::of(
            "anylith.replica.ready",
            "Whether all components of a replica answer.",
            "1",
            Kind::Gauge,
            all.iter().map(|(labels, it)| {
                let ready = Value::Count(u64::from(it.is_ready()));
                (labels.clone(), ready)
            }),
        ),
        Family::of(
            "anylith.replica.restarts",
            "How often a replica was started again because it had failed.",
            "{restart}",
            Kind::Counter,
            all.iter()
                .map(|(labels, it)| (labels.clone(), Value::Count(it.restarts))),
        ),
        Family::of(
            "process.cpu.time",
            "What the process of a replica has used of all cores.",
            "s",
            Kind::Counter,
            heard().map(|(labels, it)| {
                let cpu = Value::Length(Duration::from_micros(it.process.cpu_us));
                (labels.clone(), cpu)
            }),
        ),
        Family::of(
            "process.memory.usage",
            "How much of the process of a replica is in memory.",
            "By",
            Kind::Level,
            heard().map(|(labels, it)| (labels.clone(), Value::Count(it.process.memory_bytes))),
        ),
    ]
}

fn spans(survey: &Survey) -> Vec<Family> {
    let Some(spans) = survey.spans else {
        return Vec::new();
    };
    let by = |name| {
        move |(word, count): (&str, u64)| (Labels::default().and(name, word), Value::Count(count))
    };
    let fates = [("store", spans.kept), ("otlp", spans.exported)];
    let dropped = [
        ("replica", spans.dropped_by_replicas),
        ("store", spans.dropped_by_store),
        ("otlp", spans.dropped_by_export),
    ];
    vec![
        Family::of(
            "anylith.spans",
            "Spans that were kept on the disk, and sent to a collector.",
            "{span}",
            Kind::Counter,
            fates.into_iter().map(by("anylith.to")),
        ),
        Family::of(
            "anylith.spans.dropped",
            "Spans that were lost, by where: there was no room for them, or they could not be sent.",
            "{span}",
            Kind::Counter,
            dropped.into_iter().map(by("anylith.by")),
        ),
    ]
}

impl Family {
    fn of(
        name: &'static str,
        help: &'static str,
        unit: &'static str,
        kind: Kind,
        samples: impl Iterator<Item = (Labels, Value)>,
    ) -> Self {
        let samples = samples.map(|(labels, value)| Sample { labels, value });
        Self {
            name,
            help,
            unit,
            kind,
            samples: samples.collect(),
        }
    }
}

/// A histogram for each way in which calls of one kind have ended.
fn durations(name: &'static str, help: &'static str, of: &[(Labels, &Calls)]) -> Family {
    let samples = of.iter().flat_map(|(labels, calls)| {
        let ended = calls.ended.iter();
        let taken = ended.filter(|(_, Ended { took, .. })| !took.is_empty());
        taken.map(|(outcome, Ended { took, .. })| {
            (labels.failed(*outcome), Value::Lengths(took.clone()))
        })
    });
    Family::of(name, help, "s", Kind::Histogram, samples)
}

/// A counter for each way in which calls of one kind can end, those that none has taken included: a rate over one that
/// appears with its first failure would miss that.
fn ended(name: &'static str, help: &'static str, of: &[(Labels, &Calls)]) -> Family {
    let samples = of.iter().flat_map(|(labels, calls)| {
        Outcome::ALL.into_iter().map(|outcome| {
            let labels = labels.clone().and("anylith.outcome", outcome.word());
            (labels, Value::Count(calls.count(outcome)))
        })
    });
    Family::of(name, help, "{call}", Kind::Counter, samples)
}
