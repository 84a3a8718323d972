//! How things are at one moment, for those who look and change nothing.

use std::{collections::BTreeMap, time::Instant};

use anylith_core::{Directory, Name};
use anylith_wire::control::ComponentState;

use crate::{
    life::Life,
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

    /// Whether `replica` serves: it is ready, or is but for what there is one of, which begins in it.
    pub(crate) fn is_whole(self, replica: &Replica) -> bool {
        let begins = |component: &Name, state: Option<&ComponentState>| {
            let is_alone = self.spec.singletons.contains_key(component);
            match state {
                Some(ComponentState::Ready) => true,
                Some(ComponentState::Waiting | ComponentState::Starting) => is_alone,
                Some(_) | None => false,
            }
        };
        let (Life::Starting { run, .. } | Life::Serving { run, .. }) = &replica.life else {
            return false;
        };
        let own = replica.settled_in();
        let mut states = own.iter().map(|it| (it, run.components.get(it)));
        let is_all_but_ready = states.all(|(component, state)| begins(component, state));
        replica.state() == ReplicaState::Ready || (is_all_but_ready && !run.pulse.is_silent())
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
