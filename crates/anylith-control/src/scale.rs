//! More replicas of a group, or fewer, while it runs.

use std::{collections::BTreeMap, fmt, time::Instant};

use anylith_core::Name;

use crate::{
    action::{Cause, Change, Notice},
    fate::Fate,
    note::not_ready,
    replica::Replica,
    roll::given_up,
    view::View,
};

/// A change of the number of replicas that is under way: the number is set, and has yet to be reached.
#[derive(Debug)]
pub(crate) struct Scale {
    /// Group → how many replicas it has now, by the spec.
    groups: BTreeMap<Name, u32>,
    /// Group → how many it had before.
    before: BTreeMap<Name, u32>,
    /// Those that are new have until then to be ready; `None` once they were. Nothing is asked of the others, which may be ill.
    by: Option<Instant>,
    /// Who is waited for.
    awaits: Option<Name>,
}

impl Scale {
    pub(crate) fn new(
        groups: BTreeMap<Name, u32>,
        before: BTreeMap<Name, u32>,
        by: Instant,
    ) -> Self {
        Self {
            groups,
            before,
            by: Some(by),
            awaits: None,
        }
    }

    /// Looks at how things are; returns what to tell people when it is over.
    pub(crate) fn advance(&mut self, view: View<'_>) -> Option<Notice> {
        let groups = self.groups.keys();
        let (stay, leave): (Vec<&Replica>, Vec<&Replica>) = groups
            .flat_map(|group| view.replicas_of(group))
            .partition(|replica| replica.fate == Fate::Stays);
        let is_new = |replica: &&Replica| {
            let before = self.before.get(&replica.group);
            before.is_none_or(|before| replica.ordinal > *before)
        };
        let by = self.by;
        for replica in stay.into_iter().filter(is_new).filter(|_| by.is_some()) {
            let name = &replica.name;
            if let Some(failure) = given_up(replica) {
                return Some(failed(format!("{name} does not start: {failure}"), name));
            }
            if replica.was_ready() {
                continue;
            }
            let is_late = by.is_some_and(|by| by <= view.now);
            self.awaits = Some(name.clone());
            return is_late.then(|| failed(not_ready(name, view), name));
        }
        // Those that leave have limits of their own.
        self.by = None;
        self.awaits = leave.first().map(|replica| replica.name.clone());
        let groups = self.groups.clone();
        leave.is_empty().then_some(Notice::Scaled { groups })
    }

    /// Whether what it waits for now has a limit, and it is given up after that.
    pub(crate) fn may_be_given_up(&self) -> bool {
        self.by.is_some()
    }

    /// When it wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        self.by
    }
}

impl fmt::Display for Scale {
    /// What it is to lead to, and what it waits for: `scaling Cart to 3, Front to 1; Cart-3 starts`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.groups.iter();
        let groups: Vec<String> = groups
            .map(|(group, replicas)| format!("{group} to {replicas}"))
            .collect();
        write!(f, "scaling {}", groups.join(", "))?;
        match (&self.awaits, self.by) {
            (Some(replica), Some(_)) => write!(f, "; {replica} starts"),
            (Some(replica), None) => write!(f, "; {replica} drains"),
            (None, _) => Ok(()),
        }
    }
}

fn failed(why: String, replica: &Name) -> Notice {
    Notice::ChangeFailed {
        what: Change::Scale,
        cause: Cause::Obstacle,
        why,
        replica: Some(replica.clone()),
    }
}
