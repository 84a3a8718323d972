//! What people and scripts are told of how things are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anylith_core::Name;

use super::ControlPlane;
use crate::{
    note,
    replica::Replica,
    status::{GroupStatus, Note, ReplicaStatus, Status},
    view::View,
};

impl ControlPlane {
    /// The application as it is now, with its listeners at `urls`.
    pub fn status(&self, urls: &BTreeMap<Name, String>) -> Status {
        let group_status = |(name, components): (&Name, &Vec<Name>)| {
            let group = self.spec.group(name);
            let replicas = self.replicas.values();
            let mut replicas: Vec<&Replica> = replicas.filter(|one| one.group == *name).collect();
            replicas.sort_by_key(|replica| replica.ordinal);
            GroupStatus {
                name: name.clone(),
                components: components.clone(),
                scaling: group.and_then(|group| self.scaling_status(group)),
                replicas: replicas.into_iter().map(replica_status).collect(),
            }
        };
        let wanted = self.spec.groups.iter();
        let wanted = wanted.map(|group| (&group.name, &group.components));
        let others = self.replicas.values();
        let others = others.filter(|one| self.spec.group(&one.group).is_none());
        // What a reshape has started, or has not stopped yet.
        let others: BTreeMap<&Name, &Vec<Name>> =
            others.map(|one| (&one.group, &one.components)).collect();
        Status {
            app: self.spec.app.clone(),
            topology: self.spec.topology.clone(),
            epoch: self.directory.epoch,
            groups: wanted.chain(others).map(group_status).collect(),
            listeners: urls.clone(),
        }
    }

    /// What can be seen at `now`.
    pub(super) fn view(&self, now: Instant) -> View<'_> {
        View {
            spec: &self.spec,
            replicas: &self.replicas,
            timing: &self.timing,
            directory: &self.directory,
            listeners: &self.listeners,
            now,
        }
    }

    /// Why replicas are not ready or not stopped, one line for each that is not and has a reason.
    pub fn notes(&self, now: Instant) -> Vec<Note> {
        let view = self.view(now);
        let of = |replica: &Replica| {
            let text = note::about(replica, view)?;
            Some(Note {
                replica: replica.name.clone(),
                text,
            })
        };
        self.replicas.values().filter_map(of).collect()
    }

    /// The group of a replica that is wanted, or still there.
    pub fn group_of(&self, replica: &Name) -> Option<&Name> {
        self.replicas.get(replica).map(|replica| &replica.group)
    }

    /// All components that a replica has or is to have; none if there is no such replica.
    pub fn components_of(&self, replica: &Name) -> Vec<Name> {
        let replica = self.replicas.get(replica);
        replica.map(Replica::all_components).unwrap_or_default()
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
        build: replica.build,
        counters: replica.counters(),
        unhealthy: run.map(reasons).unwrap_or_default(),
        silent: run.is_some_and(|run| run.pulse.is_silent()),
    }
}
