//! Where the sockets of the listeners are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anylith_core::Name;
use anylith_wire::control::{ComponentState, ToReplica};

use crate::{action::Action, life::Life, replica::Replica, spec::Spec, timing::Timing};

/// The socket of one listener. Lost → Held, by way of a replica that has it; or Lost → Binding → Held, if
/// nobody has it any more. When everything stops, Held → Shutting → Shut, and all others → Shut.
#[derive(Debug)]
pub(crate) enum ListenerSocket {
    /// The engine has it.
    Held,
    /// Replicas of an earlier control plane may have it.
    Lost {
        asked: Option<(Name, Instant)>,
        refused: BTreeSet<Name>,
    },
    /// The engine binds it at this moment.
    Binding,
    /// It could not be bound, and is tried again at this instant.
    Unbindable { retry_at: Instant },
    /// No connection comes any more, and those that wait are taken in, or given up at this instant.
    Shutting { by: Instant },
    /// No connection waits.
    Shut,
}

impl ListenerSocket {
    /// Nobody was asked for it yet.
    pub(crate) fn lost() -> Self {
        Self::Lost {
            asked: None,
            refused: BTreeSet::new(),
        }
    }

    /// Takes the next step towards holding the socket.
    pub(crate) fn settle(
        &mut self,
        listener: &Name,
        spec: &Spec,
        replicas: &BTreeMap<Name, Replica>,
        timing: &Timing,
        now: Instant,
    ) -> Option<Action> {
        let bind = |socket: &mut Self| {
            *socket = Self::Binding;
            Some(Action::Bind {
                listener: listener.clone(),
            })
        };
        match self {
            Self::Held | Self::Binding | Self::Shutting { .. } | Self::Shut => None,
            Self::Unbindable { retry_at } => (*retry_at <= now).then(|| bind(self))?,
            Self::Lost { asked, refused } => {
                if let Some((replica, until)) = asked {
                    if now < *until && replicas.get(replica).is_some_and(can_hand_over) {
                        return None;
                    }
                    refused.insert(replica.clone());
                    *asked = None;
                }
                let served_by = &spec.listeners[listener];
                let mut group = replicas
                    .values()
                    .filter(|one| one.components.contains(served_by));
                let next = |one: &&Replica| can_hand_over(one) && !refused.contains(&one.name);
                if let Some(replica) = group.clone().find(next) {
                    *asked = Some((replica.name.clone(), now + timing.hand_over));
                    let message = ToReplica::HandOver {
                        listener: listener.clone(),
                    };
                    return Some(Action::Send {
                        replica: replica.name.clone(),
                        message,
                    });
                }
                if group.any(|one| matches!(one.life, Life::Adopting { .. })) {
                    return None;
                }
                bind(self)
            }
        }
    }

    /// Everything stops: what waits there is still to be served, if anybody can.
    pub(crate) fn shut(
        &mut self,
        listener: &Name,
        spec: &Spec,
        replicas: &BTreeMap<Name, Replica>,
        timing: &Timing,
        now: Instant,
    ) -> Option<Action> {
        let served_by = &spec.listeners[listener];
        let mut replicas = replicas.values();
        let is_served = replicas.any(|replica| {
            let states = [ComponentState::Ready, ComponentState::Unhealthy];
            let mut answers = states
                .map(|state| replica.life.answers(served_by, state))
                .into_iter();
            answers.any(|endpoint| endpoint.is_some())
        });
        if !(matches!(self, Self::Held) && is_served) {
            return None;
        }
        let by = now + timing.take_in;
        *self = Self::Shutting { by };
        Some(Action::Shut {
            listener: listener.clone(),
        })
    }

    /// Everything stops: gives up what still waits, once its time is over, and a socket that is not held.
    pub(crate) fn expire(&mut self, now: Instant) {
        *self = match std::mem::replace(self, Self::Shut) {
            Self::Shutting { by } if by <= now => Self::Shut,
            Self::Lost { .. } | Self::Unbindable { .. } => Self::Shut,
            socket @ (Self::Held | Self::Binding | Self::Shutting { .. } | Self::Shut) => socket,
        };
    }

    /// When it wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match self {
            Self::Held | Self::Binding | Self::Lost { asked: None, .. } | Self::Shut => None,
            Self::Shutting { by } => Some(*by),
            Self::Lost {
                asked: Some((_, until)),
                ..
            } => Some(*until),
            Self::Unbindable { retry_at } => Some(*retry_at),
        }
    }
}

fn can_hand_over(replica: &Replica) -> bool {
    replica.run().is_some_and(|run| run.connected)
        && matches!(replica.life, Life::Serving { .. } | Life::Starting { .. })
}
