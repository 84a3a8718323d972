//! What the replicas have counted, and how often their components were started again.

use std::collections::BTreeMap;

use anylith_control::{GroupStatus, Notice, Status};
use anylith_core::{Metrics, Name};
use anylith_telemetry::{Book, ReplicaNumbers, Report, Survey};

/// What the replicas have counted, and how often their components were started again.
///
/// It lives as long as its supervisor. The next one hears again of all that the replicas which still run have counted.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    book: Book,
    /// Component → how often a replica with it was started again because it had failed.
    restarts: BTreeMap<Name, u64>,
}

impl Measures {
    /// Those of an application that stands like this, of which no replica has reported yet.
    pub(crate) fn of(status: &Status) -> Self {
        let mut measures = Self::default();
        for group in &status.groups {
            let restarts = group.replicas.iter().map(|replica| replica.restarts).sum();
            measures.restarted(&group.components, restarts);
        }
        measures
    }

    /// A replica has reported.
    pub(crate) fn reported(&mut self, replica: &Name, report: Report) {
        self.book.reported(replica, report);
    }

    /// The connection of a replica is over. If its process is not, it says all again.
    pub(crate) fn cut_off(&mut self, replica: &Name) {
        self.book.cut_off(replica);
    }

    /// Takes what the control plane tells people of a replica with `components`.
    pub(crate) fn hear(&mut self, notice: &Notice, components: impl Fn(&Name) -> Vec<Name>) {
        if let Notice::Failed { replica, .. } | Notice::CrashLoop { replica, .. } = notice {
            self.restarted(&components(replica), 1);
        }
    }

    fn restarted(&mut self, components: &[Name], times: u64) {
        for component in components {
            *self.restarts.entry(component.clone()).or_default() += times;
        }
    }

    /// All of it, for an application that stands like this and counts `metrics`.
    pub(crate) fn survey(&self, status: &Status, metrics: Metrics) -> Survey {
        Survey {
            app: status.app.clone(),
            topology: status.topology.clone(),
            metrics,
            numbers: self.book.sum(),
            restarts: self.restarts.clone(),
            replicas: status
                .groups
                .iter()
                .flat_map(|group| self.replicas(group))
                .collect(),
            spans: None,
        }
    }

    fn replicas(&self, group: &GroupStatus) -> Vec<ReplicaNumbers> {
        let replicas = group.replicas.iter().map(|replica| {
            let last = self.book.last(&replica.id);
            ReplicaNumbers {
                id: replica.id.clone(),
                group: group.name.clone(),
                state: replica.state.to_string(),
                restarts: replica.restarts,
                since_ms: last.map(|last| last.since_ms),
                process: last.map(|last| last.process).unwrap_or_default(),
            }
        });
        replicas.collect()
    }
}
