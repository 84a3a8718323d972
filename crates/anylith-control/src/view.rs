//! How things are at one moment, for those who look and change nothing.

use std::{collections::BTreeMap, time::Instant};

use anylith_core::{Directory, Name};

use crate::{
    listener::ListenerSocket,
    replica::Replica,
    spec::{GroupSpec, Spec},
    status::ReplicaState,
    timing::Timing,
};

/// What is wanted and what was seen, at `now`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) replicas: &'a BTreeMap<Name, Replica>,
    pub(crate) timing: &'a Timing,
    pub(crate) directory: &'a Directory,
    pub(crate) listeners: &'a BTreeMap<Name, ListenerSocket>,
    pub(crate) now: Instant,
}

impl<'a> View<'a> {
    pub(crate) fn is_ready(self, replica: &Name) -> bool {
        let replica = self.replicas.get(replica);
        replica.is_some_and(|replica| replica.state() == ReplicaState::Ready)
    }

    pub(crate) fn group(self, name: &Name) -> Option<&'a GroupSpec> {
        self.spec.group(name)
    }

    /// The replicas of `group`, those that are no more wanted among them.
    pub(crate) fn replicas_of(self, group: &Name) -> impl Iterator<Item = &'a Replica> {
        let all = self.replicas.values();
        all.filter(move |replica| replica.group == *group)
    }
}
