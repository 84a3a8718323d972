//! Another division of the components into groups, while they are being called.
//!
//! What is new starts beside what is there, and nobody is sent to it. When all of it is ready, those components come of
//! which there is one at a time. Once they have begun in their new places, too, the directory names the new places and no
//! others; then what was before drains. Until that one moment the old topology stands, and after it the new one does. So
//! whatever fails, and whoever is killed, leaves one of them.

pub(crate) mod footprint;
pub(crate) mod plan;

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use anylith_core::Name;
use anylith_wire::control::{ComponentState, SUCCESSION};

use crate::{
    action::{Cause, Change, Notice},
    defect::{Defect, planted},
    fate::Fate,
    note::{about, not_ready},
    replica::Replica,
    roll::given_up,
    spec::{GroupSpec, Spec},
    timing::Timing,
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

/// Prepares → Moves → Decided → Leaves → over, where nothing has to move without the second; or Prepares | Moves → Returns →
/// over.
#[derive(Debug)]
enum Stage {
    /// What is new has until then to be ready.
    Prepares { groups: Vec<GroupSpec>, by: Instant },
    /// It is, and what there is one of has until then to begin there.
    Moves { groups: Vec<GroupSpec>, by: Instant },
    /// It has begun there, too: the new topology stands as soon as that is written down. Who comes after a control plane that
    /// was killed from here on has it stand.
    Decided { groups: Vec<GroupSpec> },
    /// The new topology stands, and what was before leaves. It has limits of its own; this is for what nobody thought of.
    Leaves { by: Instant },
    /// The old topology stands, because of this obstacle, and what was new leaves.
    Returns { obstacle: Obstacle, by: Instant },
}

/// What a reshape asks of the control plane.
#[derive(Debug)]
pub(crate) enum Turn {
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
        match &mut self.stage {
            Stage::Prepares { groups, by } => {
                match prospect(groups, &self.before, *by, Alone::Waits, view) {
                    Prospect::Waits => None,
                    // Prepares → Moves.
                    Prospect::Ready => {
                        let groups = std::mem::take(groups);
                        let by = view.now + patience(view.spec, view.timing) + view.timing.ready;
                        self.stage = Stage::Moves { groups, by };
                        self.advance(view)
                    }
                    Prospect::Hopeless(obstacle) => Some(self.take_back(obstacle, view)),
                }
            }
            Stage::Moves { groups, by } => {
                match prospect(groups, &self.before, *by, Alone::Begins, view) {
                    Prospect::Waits => None,
                    // Moves → Decided.
                    Prospect::Ready => {
                        let groups = std::mem::take(groups);
                        self.stage = Stage::Decided { groups };
                        None
                    }
                    Prospect::Hopeless(obstacle) => Some(self.take_back(obstacle, view)),
                }
            }
            Stage::Decided { .. } => None,
            Stage::Leaves { by } => (view.now >= *by || has_settled(view)).then(|| {
                let to = self.to.clone();
                Turn::Over(match absent(view) {
                    None => Notice::Reshaped { to },
                    Some((replica, what)) => Notice::ChangeFailed {
                        what: Change::Reshape,
                        cause: Cause::Unsettled,
                        why: format!("calls go to what {to} has, but {what}"),
                        replica: Some(replica),
                    },
                })
            }),
            Stage::Returns { obstacle, by } => (view.now >= *by || has_settled(view)).then(|| {
                let Obstacle { replica, why } = obstacle.clone();
                let and = absent(view).map_or(String::new(), |(_, what)| format!("; and {what}"));
                Turn::Over(Notice::ChangeFailed {
                    what: Change::Reshape,
                    cause: Cause::Obstacle,
                    why: why + &and,
                    replica: Some(replica),
                })
            }),
        }
    }

    /// It is written down what was decided, if anything was: returns the groups of the topology that stands from now on.
    pub(crate) fn kept(
        &mut self,
        spec: &Spec,
        timing: &Timing,
        now: Instant,
    ) -> Option<Vec<GroupSpec>> {
        let Stage::Decided { groups } = &mut self.stage else {
            return None;
        };
        // Decided → Leaves.
        let groups = std::mem::take(groups);
        let by = now + patience(spec, timing);
        self.stage = Stage::Leaves { by };
        Some(groups)
    }

    /// Prepares | Moves → Returns.
    fn take_back(&mut self, obstacle: Obstacle, view: View<'_>) -> Turn {
        let why = obstacle.why.clone();
        let patience = patience(view.spec, view.timing);
        // What was to come elsewhere begins once more where it was.
        let by = view.now
            + match &self.stage {
                Stage::Moves { .. } => patience + view.timing.ready,
                Stage::Prepares { .. }
                | Stage::Decided { .. }
                | Stage::Leaves { .. }
                | Stage::Returns { .. } => patience,
            };
        self.stage = Stage::Returns { obstacle, by };
        Turn::TakeBack { why }
    }

    /// The groups to which those components come now of which there is one at a time.
    pub(crate) fn come_to(&self) -> &[GroupSpec] {
        match &self.stage {
            Stage::Moves { groups, .. } | Stage::Decided { groups } => groups,
            Stage::Prepares { .. } | Stage::Leaves { .. } | Stage::Returns { .. } => &[],
        }
    }

    /// Whether what was to come elsewhere comes back if it cannot begin there, or is about to.
    pub(crate) fn may_go_back(&self) -> bool {
        match &self.stage {
            Stage::Moves { .. } | Stage::Returns { .. } => true,
            Stage::Prepares { .. } | Stage::Decided { .. } | Stage::Leaves { .. } => false,
        }
    }

    /// The topology that was asked for.
    pub(crate) fn to(&self) -> &Name {
        &self.to
    }

    /// The groups of the new topology, if it is decided that it stands, and it does not yet.
    pub(crate) fn decided(&self) -> Option<&[GroupSpec]> {
        match &self.stage {
            Stage::Decided { groups } => Some(groups),
            Stage::Prepares { .. }
            | Stage::Moves { .. }
            | Stage::Leaves { .. }
            | Stage::Returns { .. } => None,
        }
    }

    /// The group called `name` of the new topology, if it is yet to come.
    pub(crate) fn prepares(&mut self, name: &Name) -> Option<&mut GroupSpec> {
        match &mut self.stage {
            Stage::Prepares { groups, .. }
            | Stage::Moves { groups, .. }
            | Stage::Decided { groups } => groups.iter_mut().find(|group| group.name == *name),
            Stage::Leaves { .. } | Stage::Returns { .. } => None,
        }
    }

    /// Whether what it waits for now has a limit, and it is taken back after that.
    pub(crate) fn may_be_given_up(&self) -> bool {
        match &self.stage {
            Stage::Prepares { .. } => true,
            // That takes as long as calls take to end besides.
            Stage::Moves { .. } => false,
            Stage::Decided { .. } | Stage::Leaves { .. } | Stage::Returns { .. } => false,
        }
    }

    /// When it wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Prepares { by, .. }
            | Stage::Moves { by, .. }
            | Stage::Leaves { by }
            | Stage::Returns { by, .. } => Some(*by),
            // Time changes nothing about it.
            Stage::Decided { .. } => None,
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
            Stage::Moves { .. } => {
                f.write_str("all that is new is ready, and what there is one of moves")
            }
            Stage::Decided { .. } => {
                f.write_str("what is new is ready, and the state has yet to be written")
            }
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

/// What is asked of components of which there is one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alone {
    /// Their new places wait for them.
    Waits,
    /// They are ready there.
    Begins,
}

/// For how long what drains may do so, before nobody waits for it any more.
fn patience(spec: &Spec, timing: &Timing) -> Duration {
    let drains = (timing.grace + timing.margin()) * 2 + timing.reconnect;
    match spec.singletons.is_empty() {
        true => drains,
        false => drains + SUCCESSION,
    }
}

/// Looks at all that is new in `groups`.
fn prospect(
    groups: &[GroupSpec],
    before: &BTreeMap<Name, u32>,
    by: Instant,
    alone: Alone,
    view: View<'_>,
) -> Prospect {
    let may_wait = alone == Alone::Waits || planted(Defect::SwitchUnseated);
    let mut missing = None;
    for group in groups {
        for ordinal in 1..=group.replicas {
            let name = group.replica_name(ordinal);
            let Some(replica) = view.replicas.get(&name) else {
                missing.get_or_insert(name);
                continue;
            };
            let is_there = |it: &Name| is_ready(replica, it) || (may_wait && waits(replica, it));
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
                let why = match alone {
                    Alone::Waits => not_ready(&name, view),
                    Alone::Begins => not_begun(replica, group, view),
                };
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

/// That what there is one of did not begin in `replica` in time, and what keeps it.
fn not_begun(replica: &Replica, group: &GroupSpec, view: View<'_>) -> String {
    let mut missing = group.components.iter();
    let missing = missing.find(|component| !is_ready(replica, component));
    let (what, name) = (missing.map_or("what is new", Name::as_str), &replica.name);
    let reason = about(replica, view).map_or(String::new(), |reason| format!(": {reason}"));
    format!("{what} was not ready in {name} in time{reason}")
}

/// A component of which there is one at a time and that does not run where it is to, and what keeps it.
fn absent(view: View<'_>) -> Option<(Name, String)> {
    let replicas = view.replicas.values().filter(|one| !one.fate.ends_it());
    replicas.into_iter().find_map(|replica| {
        let alone = replica.components.iter();
        let mut alone = alone.filter(|component| view.spec.singletons.contains_key(*component));
        let component = alone.find(|it| !is_ready(replica, it) && !waits(replica, it))?;
        let name = replica.name.clone();
        let unable = replica
            .run()
            .and_then(|run| run.unable.get(component).cloned());
        let failed = || replica.last_failure.as_ref().map(ToString::to_string);
        let reason = unable.or_else(|| about(replica, view)).or_else(failed);
        let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
        Some((
            name.clone(),
            format!("{component} does not run in {name} yet{reason}"),
        ))
    })
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
