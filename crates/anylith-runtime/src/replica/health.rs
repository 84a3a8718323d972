//! How a component is: asked again and again, from the end of its start until it is drained.
//!
//! What it says is a hint to others, and no gate: calls that come all the same are served. See
//! `docs/design/0016-unhealthy-is-not-dead.md`.

use std::{sync::Arc, time::Duration};

use anylith_core::Name;
use anylith_wire::control::ComponentState;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{Standing, States, tell};
use crate::{
    ambient::Frame,
    component::{Hooks, StartError},
    framed::Framed,
    task::Task,
};

/// The pause between an answer and the next question.
const EVERY: Duration = Duration::from_secs(1);

/// What a component gets to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// After so many failures in a row a component that was ready is unhealthy. One alone may be bad luck.
const FAILURES: u32 = 2;

/// The most that is told of a reason, in bytes: it goes to the control plane, and on people's screens.
const REASON_BYTES: usize = 500;

/// Asks one component.
pub(super) struct Monitor {
    pub(super) name: Name,
    /// The same, as frames have it.
    pub(super) component: &'static str,
    pub(super) hooks: Arc<dyn Hooks>,
    pub(super) states: watch::Sender<States>,
}

/// Awaited → Well ↔ Ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// It has not agreed yet.
    Awaited,
    /// It has agreed, and then failed so often in a row.
    Well { failures: u32 },
    /// It has failed too often.
    Ill { since: Instant },
}

impl Health {
    /// Takes an answer.
    fn on(self, is_well: bool, now: Instant) -> Self {
        match (self, is_well) {
            (Self::Awaited | Self::Well { .. } | Self::Ill { .. }, true) => {
                Self::Well { failures: 0 }
            }
            (Self::Well { failures }, false) if failures + 1 < FAILURES => Self::Well {
                failures: failures + 1,
            },
            (Self::Well { .. }, false) => Self::Ill { since: now },
            (Self::Awaited, false) => Self::Awaited,
            (Self::Ill { since }, false) => Self::Ill { since },
        }
    }

    /// What others are told.
    fn state(self) -> ComponentState {
        match self {
            Self::Awaited => ComponentState::Starting,
            Self::Well { .. } => ComponentState::Ready,
            Self::Ill { .. } => ComponentState::Unhealthy,
        }
    }
}

impl Monitor {
    /// Asks for as long as it is polled. One question ends before the next begins.
    pub(super) async fn watch(self) {
        let mut health = Health::Awaited;
        loop {
            let Some(check) = self.hooks.check_health() else {
                return;
            };
            let frame = Frame::of(self.component);
            let mut looking = Task::spawn(Framed {
                future: check,
                frame,
            });
            loop {
                let answer = match timeout(LIMIT, &mut looking).await {
                    Ok(Ok(answer)) => verdict(answer),
                    // It was dropped below.
                    Ok(Err(_)) => break,
                    Err(_) => {
                        // One that blocks its thread goes on, and is waited for.
                        looking.abort();
                        health = self.turn(health, Err(format!("no answer within {LIMIT:?}")));
                        continue;
                    }
                };
                health = self.turn(health, answer);
                break;
            }
            sleep(EVERY).await;
        }
    }

    /// Takes an answer, tells others what it leads to, and writes down what is new.
    fn turn(&self, before: Health, answer: Result<(), String>) -> Health {
        let now = Instant::now();
        let health = before.on(answer.is_ok(), now);
        let reason = answer.err();
        let component = &self.name;
        match (before, health) {
            (Health::Well { .. }, Health::Ill { .. }) => tracing::warn!(
                target: "anylith",
                %component,
                reason,
                "unhealthy: until it is well again it is called only if no other replica is healthy"
            ),
            (Health::Ill { since }, Health::Well { .. }) => {
                let ill_for = now.duration_since(since);
                tracing::info!(target: "anylith", %component, "healthy again, after {ill_for:.1?}");
            }
            (Health::Awaited, Health::Awaited) if self.is_news(reason.as_ref()) => {
                tracing::warn!(target: "anylith", %component, reason, "not healthy yet");
            }
            (Health::Well { .. }, Health::Well { failures }) if failures > 0 => {
                tracing::info!(target: "anylith", %component, reason, "it says once that it is not healthy");
            }
            (Health::Awaited | Health::Well { .. } | Health::Ill { .. }, _) => {}
        }
        let state = health.state();
        let reason = reason.filter(|_| state != ComponentState::Ready);
        tell(&self.states, &self.name, &Standing::new(state, reason));
        health
    }

    /// Whether this is not the reason that was told last.
    fn is_news(&self, reason: Option<&String>) -> bool {
        let states = self.states.borrow();
        states
            .get(&self.name)
            .is_none_or(|known| known.reason.as_ref() != reason)
    }
}

/// What an answer says.
fn verdict(answer: Result<Result<(), StartError>, String>) -> Result<(), String> {
    let mut reason = match answer {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => anylith_core::with_causes(&error),
        Err(panic) => format!("its `healthy` panicked: {panic}"),
    };
    if reason.len() > REASON_BYTES {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        reason.push('…');
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_bad_luck_and_two_in_a_row_are_not() {
        let now = Instant::now();
        let after = |answers: &[bool]| {
            answers
                .iter()
                .fold(Health::Awaited, |health, well| health.on(*well, now))
                .state()
        };
        assert_eq!(after(&[]), ComponentState::Starting);
        assert_eq!(after(&[false, false, false]), ComponentState::Starting);
        assert_eq!(after(&[false, true]), ComponentState::Ready);
        assert_eq!(after(&[true, false, true, false]), ComponentState::Ready);
        assert_eq!(after(&[true, false, false]), ComponentState::Unhealthy);
        assert_eq!(
            after(&[true, false, false, false, true]),
            ComponentState::Ready
        );
    }
}
