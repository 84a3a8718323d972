//! A restart, replica by replica.
//!
//! A group gets one replica more, a stand-in. When that is ready the others are drained, stopped and started anew, one
//! by one; in the end the stand-in is drained. So as many as are wanted are ready all the time.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    time::Instant,
};

use anylith_core::Name;

use crate::{
    action::{Cause, Change, Failure, Notice},
    fate::Fate,
    life::Life,
    note::not_ready,
    replica::{CRASH_LOOP, Replica},
    spec::GroupSpec,
    status::ReplicaState,
    view::View,
};

/// A restart that is under way.
#[derive(Debug)]
pub(crate) struct Roll {
    /// The groups that are to come, in this order.
    groups: VecDeque<Name>,
    stage: Stage,
    /// How many replicas were started anew and are ready.
    renewed: u32,
    /// How many are to be.
    all: u32,
}

/// Idle → Begins → Awaits → Chooses → Drains → Awaits → Chooses → … → Idle, once for each group; then → Ends.
#[derive(Debug)]
enum Stage {
    /// Between two groups.
    Idle,
    /// The place of the stand-in is still taken, by one that leaves; it has until then to be gone.
    Begins { group: Name, by: Instant },
    /// `replica` is new, and has until then to be ready; the ordinals in `left` are still to follow.
    Awaits {
        group: Name,
        replica: Name,
        left: BTreeSet<u32>,
        by: Instant,
    },
    /// The next one is drained as soon as enough others are ready.
    Chooses {
        group: Name,
        left: BTreeSet<u32>,
        by: Instant,
    },
    /// `replica` drains and stops.
    Drains {
        group: Name,
        replica: Name,
        left: BTreeSet<u32>,
    },
    /// All are new, and the stand-ins leave.
    Ends { by: Instant },
}

/// What a roll asks of the control plane.
#[derive(Debug)]
pub(crate) enum Move {
    /// Add a stand-in to this group.
    Add { group: Name },
    /// Drain a replica, and start it anew.
    Renew { replica: Name },
    /// Tell people.
    Tell(Notice),
    /// It is over: tell people.
    Over(Notice),
}

impl View<'_> {
    /// Who of `left` is next: one that is not ready, so that nothing is lost by it, or else the first.
    fn next(self, group: &GroupSpec, left: &BTreeSet<u32>) -> Option<(u32, Name)> {
        let named = |ordinal: &u32| (*ordinal, group.replica_name(*ordinal));
        let mut ill = left
            .iter()
            .map(named)
            .filter(|(_, name)| !self.is_ready(name));
        ill.next().or_else(|| left.first().map(named))
    }

    /// Whether `replica` may go, and as many as are wanted are still ready.
    fn can_spare(self, replica: &Name, group: &GroupSpec) -> bool {
        let own = self.replicas_of(&group.name);
        let ready = own.filter(|one| one.state() == ReplicaState::Ready).count();
        !self.is_ready(replica) || ready > group.replicas as usize
    }
}

impl Roll {
    /// A restart of `groups`, which have `all` replicas together.
    pub(crate) fn new(groups: Vec<Name>, all: u32) -> Self {
        Self {
            groups: groups.into(),
            stage: Stage::Idle,
            renewed: 0,
            all,
        }
    }

    /// Looks at how things are; returns what is to be done about it. Asked again and again, it returns `None` in the
    /// end: something has to happen first.
    pub(crate) fn advance(&mut self, view: View<'_>) -> Option<Move> {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => self.next_group(view),
            Stage::Begins { group, by } => self.begin(group, by, view),
            Stage::Awaits {
                group,
                replica,
                left,
                by,
            } => self.await_ready(group, replica, left, by, view),
            Stage::Chooses { group, left, by } => self.choose(group, left, by, view),
            Stage::Drains {
                group,
                replica,
                left,
            } => self.await_stopped(group, replica, left, view),
            Stage::Ends { by } => self.end(by, view),
        }
    }

    /// Idle → Begins, or → Ends after the last.
    fn next_group(&mut self, view: View<'_>) -> Option<Move> {
        match self.groups.pop_front() {
            Some(group) => self.begin(group, view.now + view.timing.ready, view),
            None => {
                let by = view.now + view.timing.ready;
                self.stage = Stage::Ends { by };
                self.advance(view)
            }
        }
    }

    /// Ends → over, when the stand-ins are gone. If one is needed for long, the restart is over all the same.
    fn end(&mut self, by: Instant, view: View<'_>) -> Option<Move> {
        let mut replicas = view.replicas.values();
        if view.now < by && replicas.any(|replica| replica.fate != Fate::Stays) {
            self.stage = Stage::Ends { by };
            return None;
        }
        let replicas = self.renewed;
        Some(Move::Over(Notice::Restarted { replicas }))
    }

    /// Begins → Awaits with the stand-in, once it has a place, or with one that an earlier control plane has left
    /// there; → the end of all if the place is not given up.
    fn begin(&mut self, group: Name, by: Instant, view: View<'_>) -> Option<Move> {
        let wanted = view.group(&group)?;
        let replica = wanted.replica_name(wanted.replicas + 1);
        let there = view.replicas.get(&replica).map(|found| found.fate);
        if there.is_some_and(|fate| fate != Fate::StandsIn) {
            if view.now >= by {
                let why = format!("{replica} has not left within {:?}", view.timing.ready);
                return Some(failed(why, Some(replica)));
            }
            self.stage = Stage::Begins { group, by };
            return None;
        }
        self.stage = Stage::Awaits {
            group: group.clone(),
            replica,
            left: (1..=wanted.replicas).collect(),
            by: view.now + view.timing.ready,
        };
        match there {
            Some(_) => self.advance(view),
            None => Some(Move::Add { group }),
        }
    }

    /// Awaits → Chooses, or the end of all if there is no hope.
    fn await_ready(
        &mut self,
        group: Name,
        replica: Name,
        left: BTreeSet<u32>,
        by: Instant,
        view: View<'_>,
    ) -> Option<Move> {
        let found = view.replicas.get(&replica);
        if view.is_ready(&replica) {
            let by = view.now + view.timing.ready;
            self.stage = Stage::Chooses { group, left, by };
            if found.is_some_and(|one| one.fate == Fate::StandsIn) {
                return self.advance(view);
            }
            self.renewed += 1;
            return Some(Move::Tell(Notice::Renewed { replica }));
        }
        let why = match found.and_then(given_up) {
            Some(failure) => format!("{replica} does not start: {failure}"),
            None if view.now >= by => not_ready(&replica, view),
            None => {
                self.stage = Stage::Awaits {
                    group,
                    replica,
                    left,
                    by,
                };
                return None;
            }
        };
        Some(failed(why, Some(replica)))
    }

    /// Chooses → Drains, or → Idle after the last.
    fn choose(
        &mut self,
        group: Name,
        mut left: BTreeSet<u32>,
        by: Instant,
        view: View<'_>,
    ) -> Option<Move> {
        let wanted = view.group(&group)?;
        let Some((ordinal, replica)) = view.next(wanted, &left) else {
            // The stand-in leaves by itself, when all others are ready.
            return self.next_group(view);
        };
        if view.can_spare(&replica, wanted) {
            left.remove(&ordinal);
            self.stage = Stage::Drains {
                group,
                replica: replica.clone(),
                left,
            };
            return Some(Move::Renew { replica });
        }
        if view.now >= by {
            let why = format!(
                "fewer replicas of {group} than are wanted would be ready without {replica}"
            );
            // One that is ready is not what keeps the group from being whole.
            let mut others = view.replicas_of(&group).map(|one| &one.name);
            let ill = others.find(|name| !view.is_ready(name));
            let and = ill.map_or(String::new(), |ill| {
                format!(", and {}", not_ready(ill, view))
            });
            return Some(failed(why + &and, ill.cloned()));
        }
        self.stage = Stage::Chooses { group, left, by };
        None
    }

    /// Drains → Awaits, when the replica has stopped and is started anew.
    fn await_stopped(
        &mut self,
        group: Name,
        replica: Name,
        left: BTreeSet<u32>,
        view: View<'_>,
    ) -> Option<Move> {
        let found = view.replicas.get(&replica);
        self.stage = if found.is_some_and(|one| one.fate == Fate::Stays) {
            Stage::Awaits {
                group,
                replica,
                left,
                by: view.now + view.timing.ready,
            }
        } else {
            Stage::Drains {
                group,
                replica,
                left,
            }
        };
        None
    }

    /// When it wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Begins { by, .. }
            | Stage::Awaits { by, .. }
            | Stage::Chooses { by, .. }
            | Stage::Ends { by } => Some(*by),
            Stage::Idle | Stage::Drains { .. } => None,
        }
    }

    /// Whether what it waits for now has a limit, and it is given up after that.
    pub(crate) fn may_be_given_up(&self) -> bool {
        match &self.stage {
            Stage::Begins { .. } | Stage::Awaits { .. } | Stage::Chooses { .. } => true,
            // A replica that drains has a limit of its own, and after the last one it is over.
            Stage::Idle | Stage::Drains { .. } | Stage::Ends { .. } => false,
        }
    }

    /// Whether the stand-in of `of` is still needed.
    pub(crate) fn needs_stand_in(&self, of: &Name) -> bool {
        match &self.stage {
            Stage::Awaits { group, .. }
            | Stage::Chooses { group, .. }
            | Stage::Drains { group, .. } => group == of,
            Stage::Idle | Stage::Begins { .. } | Stage::Ends { .. } => false,
        }
    }
}

impl fmt::Display for Roll {
    /// How far it has come: `restarted 2 of 6 replicas; Cart-1 drains`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "restarted {} of {} replicas", self.renewed, self.all)?;
        match &self.stage {
            Stage::Idle => Ok(()),
            Stage::Begins { group, .. } => write!(f, "; {group} has no room for one more yet"),
            Stage::Awaits { replica, .. } => write!(f, "; {replica} starts"),
            Stage::Chooses { group, .. } => {
                write!(f, "; more replicas of {group} have to be ready")
            }
            Stage::Drains { replica, .. } => write!(f, "; {replica} drains"),
            Stage::Ends { .. } => write!(f, "; what stood in for them leaves"),
        }
    }
}

/// The end of it, for `replica` where one is to blame.
fn failed(why: String, replica: Option<Name>) -> Move {
    Move::Over(Notice::ChangeFailed {
        what: Change::Restart,
        cause: Cause::Obstacle,
        why,
        replica,
    })
}

/// What a replica died of that has failed so often that nobody should wait for it.
pub(crate) fn given_up(replica: &Replica) -> Option<&Failure> {
    match &replica.life {
        Life::Backoff { .. } if replica.failures >= CRASH_LOOP => replica.last_failure.as_ref(),
        Life::Due
        | Life::Awaited
        | Life::Spawning
        | Life::Adopting { .. }
        | Life::Starting { .. }
        | Life::Serving { .. }
        | Life::Draining { .. }
        | Life::Dying { .. }
        | Life::Backoff { .. }
        | Life::Stopped => None,
    }
}
