//! What happens to one replica, and what follows from it.

use std::{collections::BTreeMap, time::Instant};

use anylith_core::{Endpoint, Name};
use anylith_wire::control::{ComponentState, Hello};

use crate::{action::Notice, event::Exit, run::Run, timing::Timing};

/// What happens to one replica.
#[derive(Debug)]
pub(crate) enum Input {
    Spawned {
        run: Run,
    },
    SpawnFailed {
        error: String,
    },
    /// With where it answers if it is external and does not know yet.
    Hello {
        hello: Hello,
        endpoint: Endpoint,
    },
    Said(Word),
    Disconnected,
    Examined {
        traced: bool,
    },
    Exited {
        exit: Exit,
    },
    Stop,
    Kill,
    Tick,
}

/// What a replica says besides who it is.
#[derive(Debug)]
pub(crate) enum Word {
    /// A component changed its state.
    Component { name: Name, state: ComponentState },
    /// It is about to exit, and why.
    Last {
        component: Option<Name>,
        message: String,
    },
    /// It lives, with so many calls under way.
    Alive { calls: BTreeMap<Name, u64> },
}

/// What follows for the control plane.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send it its bootstrap.
    Welcome,
    /// Send it the directory.
    Resume,
    /// Ask it for a sign of life.
    Ask,
    /// Tell it to stop, all of it.
    Stop,
    /// See whether a debugger holds it.
    Examine,
    Dismiss,
    Kill,
    Report(Notice),
}

/// What a replica must know of its surroundings.
pub(crate) struct Surroundings<'a> {
    pub(crate) now: Instant,
    pub(crate) timing: &'a Timing,
    /// Whether the whole application is being stopped.
    pub(crate) stopping: bool,
}
