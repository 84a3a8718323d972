//! What goes on in an application now, as the difference between two surveys.

use std::collections::{BTreeMap, BTreeSet};

use anylith_core::{Metrics, Name};
use serde::{Deserialize, Serialize};

use crate::{
    calls::Calls,
    mark::Mark,
    numbers::EdgeNumbers,
    outcome::Outcome,
    survey::{ReplicaNumbers, Survey},
    way::Way,
};

/// What went on in an application for some seconds, up to one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Moment {
    /// Which moment, in milliseconds of Unix time.
    pub at_ms: u64,
    /// For how long it was watched before that.
    pub seconds: f64,
    /// What is counted at all.
    pub metrics: Metrics,
    /// All calls between components.
    #[serde(flatten)]
    pub flow: Flow,
    /// What all processes need.
    #[serde(flatten)]
    pub need: Need,
    /// Every component that runs, was called, or has computed, by name.
    pub components: Vec<ComponentMoment>,
    /// Every edge of the dependency graph, by its names.
    pub edges: Vec<EdgeMoment>,
    /// Every replica.
    pub replicas: Vec<ReplicaMoment>,
    /// What has just happened, oldest first.
    pub marks: Vec<Mark>,
}

/// What goes along edges.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Flow {
    /// Calls that have ended.
    pub calls_per_second: f64,
    /// Those of them that went to another process.
    pub remote_per_second: f64,
    /// Those that ended otherwise than with what was asked for.
    pub failed_per_second: f64,
    /// The same by how they ended; what there was none of is not there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<Outcome, f64>,
    /// Calls that wait for their answer now.
    pub in_flight: u64,
    /// Half of them took no longer; `None` if there was none, or no times are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// Ninety-nine of a hundred took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
}

/// What processes need.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Need {
    /// How many cores are kept busy.
    pub cores: f64,
    /// How much is in memory.
    pub memory_bytes: u64,
    /// How many replicas answer.
    pub ready: u32,
    /// How many replicas there are.
    pub total: u32,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentMoment {
    /// The component.
    pub name: Name,
    /// The calls of it, as those see them who make them.
    #[serde(flatten)]
    pub flow: Flow,
    /// The cores that its own code keeps busy, and the memory of the processes that it is in, which is that of their other
    /// components, too.
    #[serde(flatten)]
    pub need: Need,
}

/// One edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeMoment {
    /// The component that calls.
    pub caller: Name,
    /// The component that is called.
    pub callee: Name,
    /// What goes along it.
    #[serde(flatten)]
    pub flow: Flow,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicaMoment {
    /// Its name.
    pub id: Name,
    /// How many cores its process keeps busy; `None` if it has not reported, or is another than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<f64>,
    /// How much of it is in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// What goes along one edge now, method by method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeDetail {
    /// The component that calls.
    pub caller: Name,
    /// The component that is called.
    pub callee: Name,
    /// Which moment, in milliseconds of Unix time.
    pub at_ms: u64,
    /// For how long it was watched before that.
    pub seconds: f64,
    /// All of its methods that were ever called, by name.
    pub methods: Vec<MethodDetail>,
}

/// What goes along one edge now to one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodDetail {
    /// The method.
    pub method: Name,
    /// What goes to it.
    #[serde(flatten)]
    pub flow: Flow,
    /// Nine of ten calls took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_us: Option<f64>,
    /// Attempts that were made after another one had failed.
    pub retries_per_second: f64,
    /// Attempts that were made beside another one that was slow.
    pub hedges_per_second: f64,
    /// Encoded arguments.
    pub sent_bytes_per_second: f64,
    /// Encoded answers.
    pub received_bytes_per_second: f64,
    /// Calls that have ended since the application began.
    pub calls: u64,
}

/// What an application is made of, and how that is divided.
#[derive(Debug, Clone)]
pub struct Makeup<'m> {
    /// Group → the components in it.
    pub groups: BTreeMap<Name, Vec<Name>>,
    /// Component → those that it calls.
    pub dependencies: &'m BTreeMap<Name, Vec<Name>>,
}

/// What has happened from one survey to another, and how long that took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'s> {
    pub(crate) before: &'s Survey,
    pub(crate) after: &'s Survey,
    pub(crate) seconds: f64,
}

/// Calls, and how many of them went to another process.
#[derive(Debug, Default, Clone)]
struct Part {
    calls: Calls,
    remote: u64,
}

impl Part {
    fn add(&mut self, way: Way, calls: &Calls) {
        self.calls.add(calls);
        if way == Way::Remote {
            self.remote += calls.all();
        }
    }

    fn merge(&mut self, other: &Self) {
        self.calls.add(&other.calls);
        self.remote += other.remote;
    }
}

impl<'s> Change<'s> {
    /// All of it.
    pub(crate) fn moment(&self, at_ms: u64, makeup: &Makeup<'_>) -> Moment {
        let mut edges = self.edges();
        for (caller, callees) in makeup.dependencies {
            for callee in callees {
                edges.entry((caller, callee)).or_default();
            }
        }
        let mut all = Part::default();
        let mut called: BTreeMap<&Name, Part> = BTreeMap::new();
        for ((_, callee), part) in &edges {
            all.merge(part);
            called.entry(callee).or_default().merge(part);
        }
        let replicas = self.after.replicas.iter();
        let replicas: Vec<ReplicaMoment> = replicas.map(|it| self.replica(it)).collect();
        Moment {
            at_ms,
            seconds: self.seconds,
            metrics: self.after.metrics,
            flow: self.flow(&all),
            need: self.need(&replicas, |_| true),
            components: self.components(&called, &replicas, &makeup.groups),
            edges: edges
                .iter()
                .map(|((caller, callee), part)| EdgeMoment {
                    caller: (*caller).clone(),
                    callee: (*callee).clone(),
                    flow: self.flow(part),
                })
                .collect(),
            replicas,
            marks: Vec::new(),
        }
    }

    /// One edge, method by method.
    pub(crate) fn edge(&self, at_ms: u64, caller: &Name, callee: &Name) -> EdgeDetail {
        let mut methods: BTreeMap<&Name, (Part, u64)> = BTreeMap::new();
        for (edge, more) in self.lanes() {
            if edge.caller == *caller && edge.callee == *callee {
                let (part, all) = methods.entry(&edge.method).or_default();
                part.add(edge.way, &more);
                *all += edge.calls.all();
            }
        }
        let methods = methods
            .into_iter()
            .map(|(method, (part, calls))| MethodDetail {
                method: method.clone(),
                flow: self.flow(&part),
                p90_us: part.calls.took().quantile_us(0.9),
                retries_per_second: self.rate(part.calls.retries),
                hedges_per_second: self.rate(part.calls.hedges),
                sent_bytes_per_second: self.rate(part.calls.sent_bytes),
                received_bytes_per_second: self.rate(part.calls.received_bytes),
                calls,
            });
        EdgeDetail {
            caller: caller.clone(),
            callee: callee.clone(),
            at_ms,
            seconds: self.seconds,
            methods: methods.collect(),
        }
    }

    fn rate(&self, more: u64) -> f64 {
        more as f64 / self.seconds.max(0.001)
    }

    fn flow(&self, part: &Part) -> Flow {
        let (calls, took) = (&part.calls, part.calls.took());
        let failures = calls.ended.iter();
        let failures = failures.filter(|(outcome, _)| **outcome != Outcome::Answered);
        Flow {
            calls_per_second: self.rate(calls.all()),
            remote_per_second: self.rate(part.remote),
            failed_per_second: self.rate(calls.failed()),
            failures: failures
                .map(|(outcome, ended)| (*outcome, self.rate(ended.calls)))
                .collect(),
            in_flight: calls.in_flight,
            p50_us: took.quantile_us(0.5),
            p99_us: took.quantile_us(0.99),
        }
    }

    /// What was called, by edge, method and way: with what has come to it.
    fn lanes(&self) -> impl Iterator<Item = (&'s EdgeNumbers, Calls)> {
        let (before, none) = (&self.before.numbers, Calls::default());
        self.after.numbers.edges.iter().map(move |edge| {
            let EdgeNumbers { caller, callee, .. } = edge;
            let was = before.find_edge(caller, callee, &edge.method, edge.way);
            (edge, edge.calls.since(was.unwrap_or(&none)))
        })
    }

    /// The calls of all methods together, both ways.
    fn edges<'a>(&self) -> BTreeMap<(&'a Name, &'a Name), Part>
    where
        's: 'a,
    {
        let mut edges: BTreeMap<_, Part> = BTreeMap::new();
        for (edge, more) in self.lanes() {
            let own = edges.entry((&edge.caller, &edge.callee)).or_default();
            own.add(edge.way, &more);
        }
        edges
    }

    fn components(
        &self,
        called: &BTreeMap<&Name, Part>,
        replicas: &[ReplicaMoment],
        groups: &BTreeMap<Name, Vec<Name>>,
    ) -> Vec<ComponentMoment> {
        let computed = self.after.numbers.components.iter();
        let busy: BTreeMap<&Name, u64> = computed
            .map(|it| {
                let was = self.before.numbers.find_component(&it.name);
                let was = was.map_or(0, |was| was.busy_us);
                (&it.name, it.busy_us.saturating_sub(was))
            })
            .collect();
        let running = groups.values().flatten();
        let names: BTreeSet<&Name> = running
            .chain(called.keys().copied())
            .chain(busy.keys().copied())
            .collect();
        let none = Part::default();
        let of = |name: &Name| {
            let has = |group: &Name| groups.get(group).is_some_and(|all| all.contains(name));
            let busy = busy.get(name).copied().unwrap_or(0);
            ComponentMoment {
                name: name.clone(),
                flow: self.flow(called.get(name).unwrap_or(&none)),
                need: Need {
                    cores: self.rate(busy) / 1e6,
                    ..self.need(replicas, has)
                },
            }
        };
        names.into_iter().map(of).collect()
    }

    /// What those replicas need whose group is one of these.
    fn need(&self, replicas: &[ReplicaMoment], is_of: impl Fn(&Name) -> bool) -> Need {
        let mut need = Need::default();
        let all = self.after.replicas.iter().zip(replicas);
        for (numbers, replica) in all.filter(|(numbers, _)| is_of(&numbers.group)) {
            need.cores += replica.cores.unwrap_or(0.0);
            need.memory_bytes += replica.memory_bytes.unwrap_or(0);
            need.ready += u32::from(numbers.is_ready());
            need.total += u32::from(!numbers.is_stopped());
        }
        need
    }

    fn replica(&self, is: &ReplicaNumbers) -> ReplicaMoment {
        let used = is.cpu_us_since(self.before);
        ReplicaMoment {
            id: is.id.clone(),
            cores: used.map(|used| self.rate(used) / 1e6),
            memory_bytes: is.since_ms.map(|_| is.process.memory_bytes),
        }
    }
}
