//! What an application has counted, as Prometheus reads it.
//!
//! The format is the text format 0.0.4. Names and units follow OpenTelemetry's semantic conventions where these have one
//! (`rpc.client.call.duration`, `rpc.server.call.duration`, `process.cpu.time`, `process.memory.usage`), spelled as
//! Prometheus spells them: dots are underscores, the unit and `total` are suffixes. What they have no name for begins with
//! `anylith_`, as do our own labels.
//!
//! There are as many series as the dependency graph has edges, methods and ways, and as there are replicas: no label takes
//! a value out of a call.

use std::{fmt::Write as _, time::Duration};

use crate::{
    calls::{Calls, Ended},
    histogram::Histogram,
    outcome::Outcome,
    survey::Survey,
};

/// What the text is to be served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The borders of the buckets that are told, as powers of two nanoseconds: 1 µs, 4, 16, 65 and 262 µs, and from there each
/// doubling up to 17 s. They are borders of our own, finer buckets, so what is told is exact.
const BORDERS: [u32; 21] = [
    10, 12, 14, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
];

/// Writes `survey` down.
pub fn render(survey: &Survey) -> String {
    let mut page = Page::default();
    page.family(
        "target_info",
        "gauge",
        "The application that the other metrics are of.",
    );
    let labels = Labels::new()
        .and("service_name", survey.app.as_str())
        .and("anylith_topology", survey.topology.as_str());
    page.sample("target_info", &labels, 1);
    clients(&mut page, survey);
    servers(&mut page, survey);
    components(&mut page, survey);
    replicas(&mut page, survey);
    page.text
}

fn clients(page: &mut Page, survey: &Survey) {
    let edges: Vec<(Labels, &Calls)> = survey
        .numbers
        .edges
        .iter()
        .map(|edge| {
            let labels = Labels::rpc(edge.callee.as_str(), edge.method.as_str())
                .and("anylith_caller", edge.caller.as_str())
                .and("anylith_callee", edge.callee.as_str())
                .and("anylith_way", edge.way.word());
            (labels, &edge.calls)
        })
        .collect();
    page.durations(
        "rpc_client_call_duration_seconds",
        "How long calls between components took for those who made them.",
        &edges,
    );
    page.ended(
        "anylith_client_calls_total",
        "Calls between components that have ended, by how they ended.",
        &edges,
    );
    type Read = fn(&Calls) -> u64;
    let others: [(&str, &str, &str, Read); 5] = [
        (
            "anylith_client_calls_in_flight",
            "gauge",
            "Calls between components that wait for their answer.",
            |calls| calls.in_flight,
        ),
        (
            "anylith_client_sent_bytes_total",
            "counter",
            "Encoded arguments of calls to other processes, of all attempts.",
            |calls| calls.sent_bytes,
        ),
        (
            "anylith_client_received_bytes_total",
            "counter",
            "Encoded answers to calls to other processes.",
            |calls| calls.received_bytes,
        ),
        (
            "anylith_client_retries_total",
            "counter",
            "Attempts that were made after another one had failed.",
            |calls| calls.retries,
        ),
        (
            "anylith_client_hedges_total",
            "counter",
            "Attempts that were made beside another one that was slow.",
            |calls| calls.hedges,
        ),
    ];
    for (name, kind, help, read) in others {
        page.family(name, kind, help);
        for (labels, calls) in &edges {
            page.sample(name, labels, read(calls));
        }
    }
}

fn servers(page: &mut Page, survey: &Survey) {
    let served: Vec<(Labels, &Calls)> = survey
        .numbers
        .served
        .iter()
        .map(|served| {
            let labels = Labels::rpc(served.component.as_str(), served.method.as_str())
                .and("anylith_component", served.component.as_str());
            (labels, &served.calls)
        })
        .collect();
    page.durations(
        "rpc_server_call_duration_seconds",
        "How long components worked on calls that came from other processes.",
        &served,
    );
    page.ended(
        "anylith_server_calls_total",
        "Calls from other processes that components have served, by how they ended.",
        &served,
    );
    let name = "anylith_server_calls_in_flight";
    page.family(
        name,
        "gauge",
        "Calls from other processes that components work on.",
    );
    for (labels, calls) in &served {
        page.sample(name, labels, calls.in_flight);
    }
}

fn components(page: &mut Page, survey: &Survey) {
    let of = |name: &str| Labels::new().and("anylith_component", name);
    let all = &survey.numbers.components;
    let name = "anylith_component_queue_duration_seconds";
    page.family(
        name,
        "histogram",
        "How long calls from other processes waited before their component began them.",
    );
    for component in all.iter().filter(|it| !it.queued.is_empty()) {
        page.histogram(name, &of(component.name.as_str()), &component.queued);
    }
    let name = "anylith_component_cpu_seconds_total";
    page.family(
        name,
        "counter",
        "For how long the code of components was polled, extrapolated from a part of all polls.",
    );
    for component in all {
        let busy = Duration::from_micros(component.busy_us);
        page.sample(name, &of(component.name.as_str()), seconds(busy));
    }
    let name = "anylith_component_restarts_total";
    page.family(
        name,
        "counter",
        "How often a replica with the component was started again because it had failed.",
    );
    for (component, restarts) in &survey.restarts {
        page.sample(name, &of(component.as_str()), restarts);
    }
}

fn replicas(page: &mut Page, survey: &Survey) {
    let of = |group: &str, replica: &str| {
        Labels::new()
            .and("anylith_group", group)
            .and("anylith_replica", replica)
    };
    let name = "anylith_replica_ready";
    page.family(name, "gauge", "Whether all components of a replica answer.");
    for replica in &survey.replicas {
        let labels = of(replica.group.as_str(), replica.id.as_str());
        page.sample(name, &labels, u8::from(replica.state == "ready"));
    }
    let name = "anylith_replica_restarts_total";
    page.family(
        name,
        "counter",
        "How often a replica was started again because it had failed.",
    );
    for replica in &survey.replicas {
        let labels = of(replica.group.as_str(), replica.id.as_str());
        page.sample(name, &labels, replica.restarts);
    }
    let heard = survey.replicas.iter().filter(|it| it.since_ms.is_some());
    let heard: Vec<_> = heard.collect();
    let name = "process_cpu_time_seconds_total";
    page.family(
        name,
        "counter",
        "What the process of a replica has used of all cores.",
    );
    for replica in &heard {
        let labels = of(replica.group.as_str(), replica.id.as_str());
        let cpu = Duration::from_micros(replica.process.cpu_us);
        page.sample(name, &labels, seconds(cpu));
    }
    let name = "process_memory_usage_bytes";
    page.family(
        name,
        "gauge",
        "How much of the process of a replica is in memory.",
    );
    for replica in &heard {
        let labels = of(replica.group.as_str(), replica.id.as_str());
        page.sample(name, &labels, replica.process.memory_bytes);
    }
}

/// The labels of a sample, written: `a="1",b="2"`.
#[derive(Debug, Clone, Default)]
struct Labels(String);

impl Labels {
    fn new() -> Self {
        Self::default()
    }

    /// Those that the conventions ask of each call.
    fn rpc(component: &str, method: &str) -> Self {
        Self::new()
            .and("rpc_system_name", "anylith")
            .and("rpc_method", &format!("{component}/{method}"))
    }

    fn and(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0 += name;
        self.0 += "=\"";
        for letter in value.chars() {
            match letter {
                '\\' => self.0 += "\\\\",
                '"' => self.0 += "\\\"",
                '\n' => self.0 += "\\n",
                other => self.0.push(other),
            }
        }
        self.0.push('"');
        self
    }

    /// With how a call failed, as the conventions have it: a call that did not has no such label.
    fn failed(&self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered => self.clone(),
            failed => self.clone().and("error_type", failed.word()),
        }
    }
}

/// The text as far as it is written.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

// Writing into a string cannot fail.
impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &Labels, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{name}{{{}}} {value}", labels.0);
    }

    /// A histogram for each way in which calls of one kind have ended.
    fn durations(&mut self, name: &str, help: &str, of: &[(Labels, &Calls)]) {
        self.family(name, "histogram", help);
        for (labels, calls) in of {
            for (outcome, Ended { took, .. }) in &calls.ended {
                if !took.is_empty() {
                    self.histogram(name, &labels.failed(*outcome), took);
                }
            }
        }
    }

    fn histogram(&mut self, name: &str, labels: &Labels, histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        for border in BORDERS {
            let border = Duration::from_nanos(1 << border);
            let labels = labels.clone().and("le", &seconds(border));
            self.sample(&bucket, &labels, histogram.below(border));
        }
        let all = histogram.count();
        self.sample(&bucket, &labels.clone().and("le", "+Inf"), all);
        let sum = seconds(histogram.sum());
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, all);
    }

    /// A counter for each way in which calls of one kind can end, those that none has taken included: a rate over one that
    /// appears with its first failure would miss that.
    fn ended(&mut self, name: &str, help: &str, of: &[(Labels, &Calls)]) {
        self.family(name, "counter", help);
        for (labels, calls) in of {
            for outcome in Outcome::ALL {
                let labels = labels.clone().and("anylith_outcome", outcome.word());
                self.sample(name, &labels, calls.count(outcome));
            }
        }
    }
}

/// A length in seconds, exact, without zeros at its end.
fn seconds(length: Duration) -> String {
    let (whole, nanoseconds) = (length.as_secs(), length.subsec_nanos());
    match nanoseconds {
        0 => format!("{whole}"),
        part => {
            let part = format!("{part:09}");
            format!("{whole}.{}", part.trim_end_matches('0'))
        }
    }
}
