//! What people and scripts are told of how things are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anylith_core::Name;

use super::ControlPlane;
use crate::{
    note::{self, Scene},
    replica::Replica,
    spec::GroupSpec,
    status::{GroupStatus, Note, ReplicaStatus, Status},
};

impl ControlPlane {
    /// The application as it is now, with its listeners at `urls`.
    pub fn status(&self, urls: &BTreeMap<Name, String>) -> Status {
        let group_status = |group: &GroupSpec| {
            let mut replicas: Vec<&Replica> = self
                .replicas
                .values()
                .filter(|one| one.group == group.name)
                .collect();
            replicas.sort_by_key(|replica| replica.ordinal);
            GroupStatus {
                name: group.name.clone(),
                components: group.components.clone(),
                replicas: replicas.into_iter().map(replica_status).collect(),
            }
        };
        Status {
            app: self.spec.app.clone(),
            topology: self.spec.topology.clone(),
            epoch: self.directory.epoch,
            groups: self.spec.groups.iter().map(group_status).collect(),
            listeners: urls.clone(),
        }
    }

    /// Why replicas are not ready or not stopped, one line for each that is not and has a reason.
    pub fn notes(&self, now: Instant) -> Vec<Note> {
        let scene = Scene {
            spec: &self.spec,
            timing: &self.timing,
            directory: &self.directory,
            listeners: &self.listeners,
            now,
        };
        let of = |replica: &Replica| {
            let text = note::about(replica, scene)?;
            Some(Note {
                replica: replica.name.clone(),
                text,
            })
        };
        self.replicas.values().filter_map(of).collect()
    }

    /// The group of a replica that is wanted, or still there.
    pub fn group_of(&self, replica: &Name) -> Option<&GroupSpec> {
        let group = &self.replicas.get(replica)?.group;
        self.spec.groups.iter().find(|one| one.name == *group)
    }

    /// The names of all groups.
    pub(super) fn groups(&self) -> BTreeSet<Name> {
        let groups = self.spec.groups.iter();
        groups.map(|group| group.name.clone()).collect()
    }
}

fn replica_status(replica: &Replica) -> ReplicaStatus {
    let run = replica.run();
    let reasons = |run: &crate::run::Run| {
        let ill = run.ill.iter();
        ill.map(|(component, ill)| (component.clone(), ill.reason.clone()))
            .collect()
    };
    ReplicaStatus {
        id: replica.name.clone(),
        pid: run.and_then(|run| run.pid),
        address: run.map(|run| run.endpoint.clone()),
        state: replica.state(),
        restarts: replica.restarts,
        counters: replica.counters(),
        unhealthy: run.map(reasons).unwrap_or_default(),
        silent: run.is_some_and(|run| run.pulse.is_silent()),
    }
}
