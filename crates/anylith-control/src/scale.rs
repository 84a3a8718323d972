//! More replicas of a group, or fewer, while it runs.

use std::{collections::BTreeMap, fmt, time::Instant};

use anylith_core::Name;

use crate::{
    action::{Change, Notice},
    fate::Fate,
    replica::Replica,
    roll::{View, given_up},
    status::ReplicaState,
};

/// A change of the number of replicas that is under way: the number is set, and has yet to be reached.
#[derive(Debug)]
pub(crate) struct Scale {
    /// Group → how many replicas it has now, by the spec.
    groups: BTreeMap<Name, u32>,
    /// Those that are new have until then to be ready; `None` once they are.
    by: Option<Instant>,
}

impl Scale {
    pub(crate) fn new(groups: BTreeMap<Name, u32>, by: Instant) -> Self {
        let by = Some(by);
        Self { groups, by }
    }

    /// Looks at how things are; returns what to tell people when it is over.
    pub(crate) fn advance(&mut self, view: View<'_>) -> Option<Notice> {
        let groups = self.groups.keys();
        let (stay, leave): (Vec<&Replica>, Vec<&Replica>) = groups
            .flat_map(|group| view.replicas_of(group))
            .partition(|replica| replica.fate == Fate::Stays);
        for replica in stay {
            let name = &replica.name;
            if let Some(failure) = given_up(replica) {
                return Some(failed(format!("{name} does not start: {failure}"), name));
            }
            if replica.state() == ReplicaState::Ready {
                continue;
            }
            let is_late = self.by.is_some_and(|by| by <= view.now);
            return is_late.then(|| failed(view.not_ready(name), name));
        }
        // Those that leave have limits of their own.
        self.by = None;
        let groups = self.groups.clone();
        leave.is_empty().then_some(Notice::Scaled { groups })
    }

    /// When it wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        self.by
    }
}

impl fmt::Display for Scale {
    /// What it is to lead to: `scaling Cart to 3, Front to 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.groups.iter();
        let groups: Vec<String> = groups
            .map(|(group, replicas)| format!("{group} to {replicas}"))
            .collect();
        write!(f, "scaling {}", groups.join(", "))
    }
}

fn failed(why: String, replica: &Name) -> Notice {
    let (what, replica) = (Change::Scale, Some(replica.clone()));
    Notice::ChangeFailed { what, why, replica }
}
