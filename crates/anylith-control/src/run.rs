//! What is known of a replica's process.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anylith_core::{Counters, Endpoint, Name};
use anylith_wire::control::{ComponentState, Hello, Load, Outcomes};

use crate::{action::Failure, event::Exit, pulse::Pulse};

/// What is known of a replica that runs.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its process; `None` if it is external.
    pub(crate) pid: Option<u32>,
    pub(crate) endpoint: Endpoint,
    pub(crate) connected: bool,
    /// The process that introduced itself to this control plane. It may be a child of `pid`, if that is a script.
    pub(crate) speaker: Option<u32>,
    pub(crate) components: BTreeMap<Name, ComponentState>,
    /// Those of them that it has told of itself, over the connection that it has.
    pub(crate) told: BTreeSet<Name>,
    /// The calls under way in each component that has any, when it was last heard of.
    pub(crate) calls: BTreeMap<Name, u64>,
    /// What its process has counted, when it was last heard of.
    pub(crate) counters: Counters,
    /// How the calls ended that its process has answered, when it was last heard of.
    pub(crate) outcomes: Outcomes,
    /// How often it has said that.
    pub(crate) accounts: u64,
    /// What it bore, when it was last asked for it.
    pub(crate) load: Option<Load>,
    /// The same for those of its components alone of which replicas may be started alone. What is said first of one does not
    /// count: it is of a time in which others may still have borne the same.
    pub(crate) each: BTreeMap<Name, Option<Load>>,
    /// Component → how many calls of it were under way from its process to others on average then, in thousandths.
    pub(crate) outgoing: BTreeMap<Name, u64>,
    /// Whether that was said since somebody looked.
    pub(crate) load_is_new: bool,
    /// Of which of these components it was said since somebody looked.
    pub(crate) new_each: BTreeSet<Name>,
    /// For which components it has said that it calls them since somebody looked.
    pub(crate) new_outgoing: BTreeSet<Name>,
    /// The components that were ready and are unhealthy.
    pub(crate) ill: BTreeMap<Name, Illness>,
    /// What keeps components that start from agreeing that they are healthy.
    pub(crate) doubts: BTreeMap<Name, String>,
    /// Why components could not start that it was to start beside others.
    pub(crate) unable: BTreeMap<Name, String>,
    pub(crate) pulse: Pulse,
    /// What it, or this control plane, said about its end before it came.
    last_words: Option<(Option<Name>, String)>,
}

/// Why a component is unhealthy.
#[derive(Debug, Clone)]
pub(crate) struct Illness {
    /// Since when this control plane knows of it.
    pub(crate) since: Instant,
    /// What its `healthy` said last; empty if that was not told yet.
    pub(crate) reason: String,
}

/// What a greeting asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// It knows nothing yet.
    New,
    /// It runs already.
    Again,
}

impl Run {
    pub(crate) fn new(pid: Option<u32>, endpoint: Endpoint) -> Self {
        Self {
            pid,
            endpoint,
            connected: false,
            speaker: None,
            components: BTreeMap::new(),
            told: BTreeSet::new(),
            calls: BTreeMap::new(),
            counters: Counters::default(),
            outcomes: Outcomes::default(),
            accounts: 0,
            load: None,
            each: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            load_is_new: false,
            new_each: BTreeSet::new(),
            new_outgoing: BTreeSet::new(),
            ill: BTreeMap::new(),
            doubts: BTreeMap::new(),
            unable: BTreeMap::new(),
            pulse: Pulse::default(),
            last_words: None,
        }
    }

    /// Whether `hello` comes from another process, which an earlier control plane has started and this one
    /// remembers nothing of. `is_new` if this control plane has started its own.
    pub(crate) fn is_mistaken_in(&self, hello: &Hello, is_new: bool) -> bool {
        match self.speaker {
            Some(speaker) => speaker != hello.pid,
            // A new process was never welcomed before.
            None => is_new && hello.endpoint.is_some(),
        }
    }

    /// It introduced itself.
    pub(crate) fn greet(&mut self, hello: Hello, now: Instant) -> Greeting {
        self.connected = true;
        self.speaker = Some(hello.pid);
        self.components.clear();
        self.told = hello.components.keys().cloned().collect();
        for (component, state) in hello.components {
            self.enter(component, state, None, now);
        }
        match hello.endpoint {
            Some(endpoint) => {
                self.endpoint = endpoint;
                Greeting::Again
            }
            None => Greeting::New,
        }
    }

    /// A component is in `state` now.
    pub(crate) fn enter(
        &mut self,
        component: Name,
        state: ComponentState,
        reason: Option<String>,
        now: Instant,
    ) {
        self.doubts.remove(&component);
        let before = self.ill.remove(&component);
        match state {
            ComponentState::Unhealthy => {
                let known = before.unwrap_or(Illness {
                    since: now,
                    reason: String::new(),
                });
                let reason = reason.unwrap_or(known.reason);
                let since = known.since;
                self.ill
                    .insert(component.clone(), Illness { since, reason });
            }
            ComponentState::Starting => {
                self.doubts
                    .extend(reason.map(|reason| (component.clone(), reason)));
            }
            ComponentState::Waiting
            | ComponentState::Ready
            | ComponentState::Draining
            | ComponentState::Stopped => {}
        }
        self.components.insert(component, state);
    }

    /// Whether it has `component`, and waits with it until it may begin.
    pub(crate) fn waits_with(&self, component: &Name) -> bool {
        let state = self.components.get(component);
        state == Some(&ComponentState::Waiting) && self.told.contains(component)
    }

    /// Keeps `message` for when its process has ended.
    pub(crate) fn say_last(&mut self, component: Option<Name>, message: impl Into<String>) {
        self.last_words = Some((component, message.into()));
    }

    /// Whether it has `component`, and that has not stopped.
    pub(crate) fn has(&self, component: &Name) -> bool {
        let state = self.components.get(component);
        state.is_some_and(|state| *state != ComponentState::Stopped)
    }

    /// Whether all of `wanted` answer, or are held back as they are to be, or have left for where they are to be.
    pub(crate) fn all_ready(&self, wanted: &[Name], held: &BTreeSet<Name>) -> bool {
        wanted.iter().all(|name| match self.components.get(name) {
            Some(ComponentState::Ready) => true,
            Some(ComponentState::Waiting) => held.contains(name) && self.told.contains(name),
            Some(ComponentState::Stopped) => held.contains(name) && !self.unable.contains_key(name),
            _ => false,
        })
    }

    /// Whether it is about to end, by what it has said.
    pub(crate) fn is_ending(&self) -> bool {
        self.last_words.is_some()
    }

    /// Whether none of `wanted` is on its way out: each answers, be it ill, or has yet to begin.
    pub(crate) fn none_ends(&self, wanted: &[Name]) -> bool {
        let stays = |name| match self.components.get(name) {
            Some(
                ComponentState::Ready
                | ComponentState::Unhealthy
                | ComponentState::Waiting
                | ComponentState::Starting,
            ) => true,
            Some(ComponentState::Draining | ComponentState::Stopped) | None => false,
        };
        wanted.iter().all(stays)
    }

    /// Where calls to `component` may be sent, if it is in `state` and they may.
    pub(crate) fn answers(&self, component: &Name, state: ComponentState) -> Option<&Endpoint> {
        let ready = self.components.get(component) == Some(&state);
        // Without a port nobody can call it: its second hello, which says it, is on its way.
        let callable = !matches!(&self.endpoint, Endpoint::Tcp(at) if at.port() == 0);
        (ready && callable && !self.pulse.is_silent()).then_some(&self.endpoint)
    }

    /// What it died of.
    pub(crate) fn into_failure(self, exit: Exit) -> Failure {
        let (component, message) = self
            .last_words
            .map_or((None, None), |(who, what)| (who, Some(what)));
        Failure {
            component,
            message,
            exit: Some(exit),
        }
    }
}
