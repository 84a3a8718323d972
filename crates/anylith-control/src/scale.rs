//! More replicas of a group, or fewer, while it runs.
//!
//! The number is set first, and has yet to be reached. If one that is new does not get ready, the number before holds
//! again, and what is new leaves.

pub(crate) mod steps;

use std::{collections::BTreeMap, fmt, time::Instant};

use anylith_core::{Name, Scaling};

use crate::{
    action::{Cause, Change, Notice},
    defect::{Defect, planted},
    fate::Fate,
    note::not_ready,
    replica::Replica,
    roll::given_up,
    view::View,
};

/// A change of the number of replicas that is under way.
#[derive(Debug)]
pub(crate) struct Scale {
    /// Group → how many replicas it is to have, by the spec until it is taken back.
    groups: BTreeMap<Name, u32>,
    before: BTreeMap<Name, Before>,
    stage: Stage,
    /// Who is waited for.
    awaits: Option<Name>,
}

/// What a group had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    pub(crate) replicas: u32,
    pub(crate) scaling: Option<Scaling>,
}

/// Comes → Leaves → over, or Comes → Returns → over.
#[derive(Debug)]
enum Stage {
    /// Every replica up to the new number has until then to be ready, where that is not less than before.
    Comes { by: Instant },
    /// They are, and the others leave.
    Leaves,
    /// The old numbers hold again, since `replica` did not get ready, and what was new leaves.
    Returns { why: String, replica: Name },
}

/// What a change of numbers asks of the control plane.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The groups are to have what they had.
    TakeBack(BTreeMap<Name, Before>),
    /// It is over: tell people.
    Over(Notice),
}

impl Scale {
    pub(crate) fn new(
        groups: BTreeMap<Name, u32>,
        before: BTreeMap<Name, Before>,
        by: Instant,
    ) -> Self {
        Self {
            groups,
            before,
            stage: Stage::Comes { by },
            awaits: None,
        }
    }

    /// Looks at how things are; returns what is to be done about it, or `None` if something has to happen first.
    pub(crate) fn advance(&mut self, view: View<'_>) -> Option<Turn> {
        let leaves = || {
            let all = self.groups.keys();
            let mut all = all.flat_map(|group| view.replicas_of(group));
            let leaves = all.find(|replica| replica.fate != Fate::Stays);
            leaves.map(|replica| replica.name.clone())
        };
        match &self.stage {
            Stage::Comes { by } => match self.outlook(*by, view) {
                Outlook::Waits(replica) => {
                    self.awaits = Some(replica);
                    None
                }
                // Comes → Leaves.
                Outlook::Ready => {
                    self.stage = Stage::Leaves;
                    self.advance(view)
                }
                // Comes → Returns.
                Outlook::Hopeless {
                    replica,
                    why,
                    is_new: true,
                } => {
                    self.stage = Stage::Returns { replica, why };
                    let before = self.before.clone();
                    (!planted(Defect::KeepNumber)).then_some(Turn::TakeBack(before))
                }
                // It was ill before, and who wants more of them needs them all the more.
                Outlook::Hopeless {
                    replica,
                    why,
                    is_new: false,
                } => {
                    let numbers = self.groups.iter();
                    let numbers = listed(numbers.map(|(group, of)| (group, *of)));
                    let why = format!("{why}; {numbers} all the same");
                    Some(Turn::Over(failed(why, &replica)))
                }
            },
            // Those that leave have limits of their own.
            Stage::Leaves => {
                self.awaits = leaves();
                let groups = self.groups.clone();
                let is_over = self.awaits.is_none();
                is_over.then_some(Turn::Over(Notice::Scaled { groups }))
            }
            Stage::Returns { replica, why } => {
                self.awaits = leaves();
                let numbers = self.before.iter();
                let numbers = listed(numbers.map(|(group, before)| (group, before.replicas)));
                let why = format!("{why}; {numbers} again");
                let is_over = self.awaits.is_none();
                is_over.then(|| Turn::Over(failed(why, replica)))
            }
        }
    }

    /// Looks at every replica up to the new numbers: first at those that are new, and then at the others, where the number does
    /// not get less. Who was ready once may be ill.
    fn outlook(&self, by: Instant, view: View<'_>) -> Outlook {
        let all = self.groups.iter();
        let all = all.filter(|(group, of)| **of >= self.had(group));
        let all = all.flat_map(|(group, _)| view.replicas_of(group));
        let stay = all.filter(|replica| replica.fate == Fate::Stays);
        let (new, others): (Vec<&Replica>, Vec<&Replica>) =
            stay.partition(|replica| replica.ordinal > self.had(&replica.group));
        for (replicas, is_new) in [(new, true), (others, false)] {
            let mut awaited = None;
            for one in replicas {
                let replica = one.name.clone();
                if let Some(failure) = given_up(one) {
                    let why = format!("{replica} does not start: {failure}");
                    return Outlook::Hopeless {
                        replica,
                        why,
                        is_new,
                    };
                }
                if !one.was_ready() && by <= view.now {
                    let why = not_ready(&replica, view);
                    return Outlook::Hopeless {
                        replica,
                        why,
                        is_new,
                    };
                }
                if !one.was_ready() {
                    awaited.get_or_insert(replica);
                }
            }
            if let Some(replica) = awaited {
                return Outlook::Waits(replica);
            }
        }
        Outlook::Ready
    }

    /// How many replicas `group` had.
    fn had(&self, group: &Name) -> u32 {
        self.before.get(group).map_or(0, |before| before.replicas)
    }

    /// Whether what it waits for now has a limit, and it is given up after that.
    pub(crate) fn may_be_given_up(&self) -> bool {
        matches!(self.stage, Stage::Comes { .. })
    }

    /// When it wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match self.stage {
            Stage::Comes { by } => Some(by),
            Stage::Leaves | Stage::Returns { .. } => None,
        }
    }
}

/// How it looks for the replicas that are to be ready.
enum Outlook {
    Ready,
    /// This one is not yet.
    Waits(Name),
    /// This one will not be.
    Hopeless {
        replica: Name,
        why: String,
        is_new: bool,
    },
}

impl fmt::Display for Scale {
    /// What it is to lead to, and what it waits for: `scaling Cart to 3, Front to 1; Cart-3 starts`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.groups.iter();
        let groups: Vec<String> = groups
            .map(|(group, replicas)| format!("{group} to {replicas}"))
            .collect();
        write!(f, "scaling {}", groups.join(", "))?;
        match (&self.stage, &self.awaits) {
            (Stage::Returns { why, .. }, _) => write!(f, "; taken back, since {why}"),
            (Stage::Comes { .. }, Some(replica)) => write!(f, "; {replica} starts"),
            (Stage::Leaves, Some(replica)) => write!(f, "; {replica} drains"),
            (Stage::Comes { .. } | Stage::Leaves, None) => Ok(()),
        }
    }
}

/// `Cart has 2 replicas, Front has 1`.
fn listed<'a>(numbers: impl Iterator<Item = (&'a Name, u32)>) -> String {
    let each = numbers.enumerate().map(|(at, (group, of))| match (at, of) {
        (0, 1) => format!("{group} has 1 replica"),
        (0, of) => format!("{group} has {of} replicas"),
        (_, of) => format!("{group} has {of}"),
    });
    each.collect::<Vec<String>>().join(", ")
}

fn failed(why: String, replica: &Name) -> Notice {
    Notice::ChangeFailed {
        what: Change::Scale,
        cause: Cause::Obstacle,
        why,
        replica: Some(replica.clone()),
    }
}
