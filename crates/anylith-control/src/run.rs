//! What is known of a replica's process.

use std::collections::BTreeMap;

use anylith_core::{Endpoint, Name};
use anylith_wire::control::{ComponentState, Hello};

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
    /// The calls under way in each component that has any, when it was last heard of.
    pub(crate) calls: BTreeMap<Name, u64>,
    pub(crate) pulse: Pulse,
    /// What it, or this control plane, said about its end before it came.
    last_words: Option<(Option<Name>, String)>,
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
            calls: BTreeMap::new(),
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
    pub(crate) fn greet(&mut self, hello: Hello) -> Greeting {
        self.connected = true;
        self.speaker = Some(hello.pid);
        self.components = hello.components;
        match hello.endpoint {
            Some(endpoint) => {
                self.endpoint = endpoint;
                Greeting::Again
            }
            None => Greeting::New,
        }
    }

    /// Keeps `message` for when its process has ended.
    pub(crate) fn say_last(&mut self, component: Option<Name>, message: impl Into<String>) {
        self.last_words = Some((component, message.into()));
    }

    /// Whether all of `wanted` answer.
    pub(crate) fn all_ready(&self, wanted: &[Name]) -> bool {
        wanted
            .iter()
            .all(|name| self.components.get(name) == Some(&ComponentState::Ready))
    }

    /// Where calls to `component` may be sent, if they may.
    pub(crate) fn answers(&self, component: &Name) -> Option<&Endpoint> {
        let ready = self.components.get(component) == Some(&ComponentState::Ready);
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
