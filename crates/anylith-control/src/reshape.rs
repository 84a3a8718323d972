//! Another division of the components into groups, while they are being called.
//!
//! What is new starts beside what is there, and nobody is sent to it. Once all of it is ready the directory names the
//! new places and no others; then what was before drains. Until that one moment the old topology stands, and after it
//! the new one does. So whatever fails, and whoever is killed, leaves one of them.

pub(crate) mod footprint;
pub(crate) mod plan;

use std::{collections::BTreeMap, fmt, time::Instant};

use anylith_core::Name;
use anylith_wire::control::{ComponentState, SUCCESSION};

use crate::{
    action::{Cause, Change, Notice},
    defect::{Defect, planted},
    fate::Fate,
    note::not_ready,
    replica::Replica,
    roll::given_up,
    spec::{GroupSpec, Spec},
    view::View,
};

/// A reshape that is under way.
#[derive(Debug)]
pub(crate) struct Reshape {
    from: Name,
    /// How many replicas each group had when it began. What is woken since is new.
    before: BTreeMap<Name, u32>,
    to: Name,
    stage: Stage,
}

/// Prepares → Leaves → over, or Prepares → Returns → over.
#[derive(Debug)]
enum Stage {
    /// What is new has until then to be ready.
    Prepares { groups: Vec<GroupSpec>, by: Instant },
    /// The new topology stands, and what was before leaves. It has limits of its own; this is for what nobody thought of.
    Leaves { by: Instant },
    /// The old topology stands, because of this obstacle, and what was new leaves.
    Returns { obstacle: Obstacle, by: Instant },
}

/// What a reshape asks of the control plane.
#[derive(Debug)]
pub(crate) enum Turn {
    /// From now on the topology called `to` stands.
    Switch { to: Name, groups: Vec<GroupSpec> },
    /// What is new is to leave.
    TakeBack { why: String },
    /// It is over: tell people.
    Over(Notice),
}

impl Reshape {
    /// From what `stands` to the topology called `to`, which has `groups`.
    pub(crate) fn new(stands: &Spec, to: Name, groups: Vec<GroupSpec>, by: Instant) -> Self {
        let before = stands.groups.iter();
        let before = before.map(|group| (group.name.clone(), group.replicas));
        Self {
            from: stands.topology.clone(),
            before: before.collect(),
            to,
            stage: Stage::Prepares { groups, by },
        }
    }

    /// Looks at how things are; returns what is to be done about it, or `None` if something has to happen first.
    pub(crate) fn advance(&mut self, view: View<'_>) -> Option<Turn> {
        let timing = view.timing;
        let drains = (timing.grace + timing.margin()) * 2 + timing.reconnect;
        let patience = match view.spec.singletons.is_empty() {
            true => drains,
            false => drains + SUCCESSION,
        };
        match &mut self.stage {
            Stage::Prepares { groups, by } => match prospect(groups, &self.before, *by, view) {
                Prospect::Waits => None,
                // Prepares → Leaves.
                Prospect::Ready => {
                    let (to, groups) = (self.to.clone(), std::mem::take(groups));
                    let by = view.now + patience;
                    self.stage = Stage::Leaves { by };
                    Some(Turn::Switch { to, groups })
                }
                // Prepares → Returns.
                Prospect::Hopeless(obstacle) => {
                    let by = view.now + patience;
                    let why = obstacle.why.clone();
                    self.stage = Stage::Returns { obstacle, by };
                    Some(Turn::TakeBack { why })
                }
            },
            Stage::Leaves { by } => (view.now >= *by || has_settled(view)).then(|| {
                let to = self.to.clone();
                Turn::Over(Notice::Reshaped { to })
            }),
            Stage::Returns { obstacle, by } => (view.now >= *by || has_settled(view)).then(|| {
                let Obstacle { replica, why } = obstacle.clone();
                Turn::Over(Notice::ChangeFailed {
                    what: Change::Reshape,
                    cause: Cause::Obstacle,
                    why,
                    replica: Some(replica),
                })
            }),
        }
    }

    /// The topology that was asked for.
    pub(crate) fn to(&self) -> &Name {
        &self.to
    }

    /// The group called `name` of the new topology, if it is yet to come.
    pub(crate) fn prepares(&mut self, name: &Name) -> Option<&mut GroupSpec> {
        match &mut self.stage {
            Stage::Prepares { groups, .. } => groups.iter_mut().find(|group| group.name == *name),
            Stage::Leaves { .. } | Stage::Returns { .. } => None,
        }
    }

    /// Whether what it waits for now has a limit, and it is taken back after that.
    pub(crate) fn may_be_given_up(&self) -> bool {
        match &self.stage {
            Stage::Prepares { .. } => true,
            Stage::Leaves { .. } | Stage::Returns { .. } => false,
        }
    }

    /// When it wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Prepares { by, .. } | Stage::Leaves { by } | Stage::Returns { by, .. } => {
                Some(*by)
            }
        }
    }
}

impl fmt::Display for Reshape {
    /// How far it has come: `reshaping micro to monolith; what is new starts`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from, to, stage, ..
        } = self;
        write!(f, "reshaping {from} to {to}; ")?;
        match stage {
            Stage::Prepares { .. } => f.write_str("what is new starts"),
            Stage::Leaves { .. } => f.write_str("calls go to what is new, and the rest drains"),
            Stage::Returns { obstacle, .. } => write!(f, "taken back, since {}", obstacle.why),
        }
    }
}

/// Whether the new topology can stand.
enum Prospect {
    Ready,
    Waits,
    /// Never, because of this.
    Hopeless(Obstacle),
}

/// Why a new topology cannot stand, and which replica of it kept it from that.
#[derive(Debug, Clone)]
struct Obstacle {
    replica: Name,
    why: String,
}

impl Prospect {
    /// There is none, because of `replica`.
    fn hopeless(replica: Name, why: String) -> Self {
        Self::Hopeless(Obstacle { replica, why })
    }
}

/// Looks at all that is new in `groups`.
fn prospect(
    groups: &[GroupSpec],
    before: &BTreeMap<Name, u32>,
    by: Instant,
    view: View<'_>,
) -> Prospect {
    let mut missing = None;
    for group in groups {
        for ordinal in 1..=group.replicas {
            let name = group.replica_name(ordinal);
            let Some(replica) = view.replicas.get(&name) else {
                missing.get_or_insert(name);
                continue;
            };
            let is_there = |it: &Name| is_ready(replica, it) || waits(replica, it);
            let is_whole = group.components.iter().all(is_there);
            let before = before.get(&group.name).copied().unwrap_or(0);
            if is_whole || !must_be_ready(replica, group, before) {
                continue;
            }
            if let Some(failure) = given_up(replica) {
                let why = format!("{name} does not start: {failure}");
                return Prospect::hopeless(name, why);
            }
            let unable = replica.run().and_then(|run| run.unable.iter().next());
            if let Some((component, why)) = unable {
                let why = format!("{component} does not start in {name}: {why}");
                return Prospect::hopeless(name, why);
            }
            if view.now >= by {
                let why = not_ready(&name, view);
                return Prospect::hopeless(name, why);
            }
            if !planted(Defect::SwitchEarly) {
                missing.get_or_insert(name);
            }
        }
    }
    match missing {
        Some(name) if view.now >= by => {
            let why = format!("{name} was not there in time");
            Prospect::hopeless(name, why)
        }
        Some(_) => Prospect::Waits,
        None => Prospect::Ready,
    }
}

/// Whether `replica`, of `group`, which had `before` so many, has to be ready before the topology that stands is given up: it is new or takes something
/// in, or fewer others of its group will be there.
fn must_be_ready(replica: &Replica, group: &GroupSpec, before: u32) -> bool {
    let is_new = replica.ordinal > before;
    is_new || group.replicas < before || !replica.coming.is_empty()
}

/// Whether `replica` is ready for `component` but for the one of it that there is elsewhere.
fn waits(replica: &Replica, component: &Name) -> bool {
    let has_it = replica.run().is_some_and(|run| run.waits_with(component));
    replica.held.contains(component) && has_it
}

fn is_ready(replica: &Replica, component: &Name) -> bool {
    let answers = replica.life.answers(component, ComponentState::Ready);
    answers.is_some() && !replica.fate.ends_it()
}

/// Whether nothing runs any more that the topology that stands does not want, and what there is one of has come to its place.
fn has_settled(view: View<'_>) -> bool {
    view.replicas.values().all(|replica| {
        let clean = |components: &BTreeMap<Name, ComponentState>| {
            let mut running = components
                .iter()
                .filter(|(_, state)| **state != ComponentState::Stopped);
            running.all(|(component, _)| replica.components.contains(component))
        };
        let run = replica.run();
        let alone = replica.components.iter();
        let mut alone = alone.filter(|component| view.spec.singletons.contains_key(*component));
        let arrived =
            alone.all(|component| is_ready(replica, component) || waits(replica, component));
        replica.fate != Fate::Leaves && arrived && run.is_none_or(|run| clean(&run.components))
    })
}
