//! An application as a whole, and what it has counted.

use std::collections::BTreeMap;

use anylith_core::{Metrics, Name};
use serde::{Deserialize, Serialize};

use crate::{
    numbers::Numbers,
    report::{ProcessNumbers, Report},
    way::Way,
};

/// An application as a whole, and what it has counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// The application.
    pub app: Name,
    /// The topology that it runs in.
    pub topology: Name,
    /// What is counted.
    pub metrics: Metrics,
    /// What all replicas have counted, those that are gone included.
    pub numbers: Numbers,
    /// Component → how often a replica with it was started again because it had failed.
    pub restarts: BTreeMap<Name, u64>,
    /// The replicas that there are, by name.
    pub replicas: Vec<ReplicaNumbers>,
    /// What became of the spans of its traces; `None` where nobody collects them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanCounts>,
}

/// What became of spans, since the supervisor began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpanCounts {
    /// Kept on the disk.
    pub kept: u64,
    /// Lost in replicas, which had no room for them.
    pub dropped_by_replicas: u64,
    /// Lost because they came too fast, or could not be written.
    pub dropped_by_store: u64,
    /// Sent to a collector.
    pub exported: u64,
    /// Lost because no collector took them.
    pub dropped_by_export: u64,
}

/// A replica, and what its process needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaNumbers {
    /// Its name.
    pub id: Name,
    /// Its group.
    pub group: Name,
    /// What it does, in a word: `ready`.
    pub state: String,
    /// How often it was started again because it had failed.
    pub restarts: u64,
    /// When its process began to count, in milliseconds of Unix time; `None` before it has reported.
    #[serde(default)]
    pub since_ms: Option<u64>,
    /// What its process needs; nothing before it has reported.
    #[serde(default)]
    pub process: ProcessNumbers,
}

/// The states of a replica that numbers depend on, as a status has them.
const READY: &str = "ready";
const STOPPED: &str = "stopped";

impl ReplicaNumbers {
    /// Whether all of its components answer.
    pub fn is_ready(&self) -> bool {
        self.state == READY
    }

    /// Whether it has no process and gets none.
    pub fn is_stopped(&self) -> bool {
        self.state == STOPPED
    }

    /// What its process has used of all cores since `before`, in microseconds; `None` if that is another process, or nothing is
    /// known of one of them.
    pub fn cpu_us_since(&self, before: &Survey) -> Option<u64> {
        self.since_ms?;
        let mut all = before.replicas.iter();
        let was = all.find(|was| was.id == self.id && was.since_ms == self.since_ms)?;
        Some(self.process.cpu_us.saturating_sub(was.process.cpu_us))
    }
}

impl Survey {
    /// That of a process which is the whole application, and has reported this to itself.
    pub fn of_one(app: Name, replica: Name, group: Name, report: Report) -> Self {
        let replica = ReplicaNumbers {
            id: replica,
            group: group.clone(),
            state: READY.to_owned(),
            restarts: 0,
            since_ms: Some(report.since_ms),
            process: report.process,
        };
        Self {
            app,
            topology: group,
            metrics: report.metrics,
            numbers: report.numbers,
            restarts: BTreeMap::new(),
            replicas: vec![replica],
            spans: None,
        }
    }

    /// How many calls of `component` have ended that were made within its process, and that other processes have made and
    /// it has served.
    pub fn calls_of(&self, component: &Name) -> u64 {
        let edges = self.numbers.edges.iter();
        let local = edges.filter(|edge| edge.callee == *component && edge.way == Way::Local);
        let served = self.numbers.served.iter();
        let served = served.filter(|served| served.component == *component);
        let local = local.map(|edge| edge.calls.all());
        let all = local.chain(served.map(|served| served.calls.all()));
        all.fold(0, u64::saturating_add)
    }
}
