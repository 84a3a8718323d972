//! Whether a component may start, of which there is one at a time; and how it makes room for the next.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use anylith_core::{Name, with_causes};
use anylith_wire::control::{HAND_OVER, Handed, MAX_STATE_BYTES};
use tokio::{sync::watch, time::timeout};

use super::{Hosted, Replica};
use crate::{ambient::Frame, component::Hooks, framed::Framed};

/// What a component has handed over, or why it could not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bequest {
    pub(crate) state: Option<Handed>,
    pub(crate) lost: Option<String>,
}

/// Whether it is the turn of a component.
#[derive(Debug)]
pub(super) struct Turn {
    stage: watch::Sender<Stage>,
    /// What the one before it has handed over.
    handed: Mutex<Option<Handed>>,
    /// Another one waits for what it hands over.
    yields: AtomicBool,
    /// Whether somebody starts it.
    starts: watch::Sender<bool>,
}

/// Somebody starts a component, for as long as this lives: until calls are let in, or the start has failed, or is dropped
/// half-way.
pub(super) struct Attempt<'t>(&'t Turn);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.starts.send_replace(false);
    }
}

/// Held → Given → Over; a component that nobody holds back begins at Given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Another one may still be at work.
    Held,
    Given,
    /// It was drained.
    Over,
}

impl Turn {
    pub(super) fn new(held: bool) -> Self {
        let stage = if held { Stage::Held } else { Stage::Given };
        Self {
            stage: watch::Sender::new(stage),
            handed: Mutex::default(),
            yields: AtomicBool::new(false),
            starts: watch::Sender::new(false),
        }
    }

    /// Somebody begins to start it.
    pub(super) fn attempt(&self) -> Attempt<'_> {
        self.starts.send_replace(true);
        Attempt(self)
    }

    /// Waits until nobody starts it any more.
    pub(super) async fn rests(&self) {
        let mut starts = self.starts.subscribe();
        let _ = starts.wait_for(|starts| !starts).await;
    }

    /// Waits until it may start, or is not to any more.
    pub(super) async fn comes(&self) {
        // The sender is here.
        let mut stage = self.stage.subscribe();
        let _ = stage.wait_for(|stage| *stage != Stage::Held).await;
    }

    /// Waits until it is not to start any more.
    pub(super) async fn is_over(&self) {
        let mut stage = self.stage.subscribe();
        let _ = stage.wait_for(|stage| *stage == Stage::Over).await;
    }

    /// It is not to start any more.
    pub(super) fn end(&self) {
        self.stage.send_replace(Stage::Over);
    }

    /// What the one before it has handed over. It stays, for when it is started again.
    pub(super) fn handed(&self) -> Option<Handed> {
        let handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        handed.clone()
    }

    /// Whether another one waits for what it hands over.
    pub(super) fn yields(&self) -> bool {
        self.yields.load(SeqCst)
    }

    /// Returns whether it was held back until now.
    fn give(&self, handed: Option<Handed>) -> bool {
        self.stage.send_if_modified(|stage| {
            let is_held = *stage == Stage::Held;
            if is_held {
                *stage = Stage::Given;
                *self.handed.lock().unwrap_or_else(PoisonError::into_inner) = handed;
            }
            is_held
        })
    }
}

impl Replica {
    /// Lets a component start that was held back, with what the one before it has handed over.
    pub(crate) fn grant(&self, component: &Name, handed: Option<Handed>) {
        let Some(hosted) = self.hosted(component.as_str()) else {
            return;
        };
        if hosted.turn.give(handed) {
            self.states.send_modify(|states| {
                if let Some(standing) = states.get_mut(component) {
                    standing.held = false;
                }
            });
        }
    }

    /// Another one waits for this component: it hands its state over when it is drained, which is to come next.
    pub(crate) fn make_yield(&self, component: &Name) {
        if let Some(hosted) = self.hosted(component.as_str()) {
            hosted.turn.yields.store(true, SeqCst);
        }
    }

    /// Whether a component has handed something over.
    pub(crate) fn has_will(&self) -> bool {
        let states = self.states.borrow();
        states.values().any(|standing| standing.bequest.is_some())
    }

    /// What a component leaves to the next one, after its last call; `None` if nobody waits for it. A panic, and an
    /// end that does not come, lose it.
    pub(super) async fn bequeath(
        &self,
        hosted: &Hosted,
        hooks: &dyn Hooks,
    ) -> Option<Arc<Bequest>> {
        if !hosted.turn.yields() {
            return None;
        }
        let Some(future) = hooks.hand_over() else {
            let (state, lost) = (None, None);
            return Some(Arc::new(Bequest { state, lost }));
        };
        let framed = Framed {
            future,
            frame: Frame::of(hosted.registration.name),
        };
        let state = match timeout(HAND_OVER, framed).await {
            Ok(Ok(Ok(state))) if state.len() <= MAX_STATE_BYTES => Ok(state),
            Ok(Ok(Ok(state))) => Err(format!(
                "its state has {} bytes, and at most {MAX_STATE_BYTES} are handed over",
                state.len()
            )),
            Ok(Ok(Err(error))) => Err(format!("its hand_over failed: {}", with_causes(&error))),
            Ok(Err(panic)) => Err(format!("its hand_over panicked: {panic}")),
            Err(_) => Err(format!("its hand_over did not end within {HAND_OVER:?}")),
        };
        if let Err(why) = &state {
            tracing::error!(component = %hosted.name, %why, "the component could not hand its state over");
        }
        Some(Arc::new(match state {
            Ok(state) => Bequest {
                state: Some(Handed(state)),
                lost: None,
            },
            Err(why) => Bequest {
                state: None,
                lost: Some(why),
            },
        }))
    }
}
