//! Who is to blame where calls fail: those who are called are asked before anybody is named.
//!
//! Replicas say once a second how their calls have ended, each at its own moment. So who calls the one that fails may say so
//! before it does.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anylith_core::Name;

use super::judgement::Complaint;
use crate::{replica::Replica, view::View};

/// How long it may take: many times what an answer takes from a replica that is well.
const PATIENCE: Duration = Duration::from_secs(1);

/// The question that was put to those who are called.
#[derive(Debug)]
pub(crate) struct Inquiry {
    /// What was found first.
    complaint: Complaint,
    /// Those who were asked, and how often each had said how its calls end by then.
    asked: BTreeMap<Name, u64>,
    until: Instant,
}

impl Inquiry {
    /// Asks the replicas of `build` in the groups that those who fail call.
    pub(super) fn begin(complaint: Complaint, build: u32, view: View<'_>) -> Self {
        let called = complaint.called_by(view.spec);
        let there = view.replicas.values();
        let there = there.filter(|one| one.build == build && called.contains(&one.group));
        let asked = there.filter_map(|one| Some((one.name.clone(), accounts(one)?)));
        Self {
            asked: asked.collect(),
            complaint,
            until: view.now + PATIENCE,
        }
    }

    /// Those who are asked.
    pub(super) fn asked(&self) -> Vec<Name> {
        self.asked.keys().cloned().collect()
    }

    /// Whether all have answered that can, or it takes too long.
    pub(super) fn is_over(&self, view: View<'_>) -> bool {
        let waits = |(name, before): (&Name, &u64)| {
            let accounts = view.replicas.get(name).and_then(accounts);
            accounts.is_some_and(|now| now <= *before)
        };
        view.now >= self.until || !self.asked.iter().any(waits)
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// What was found first.
    pub(super) fn into_complaint(self) -> Complaint {
        self.complaint
    }
}

/// How often `replica` has said how its calls end; `None` if it cannot be asked.
fn accounts(replica: &Replica) -> Option<u64> {
    let run = replica.run().filter(|run| run.connected)?;
    Some(run.accounts)
}
