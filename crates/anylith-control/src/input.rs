//! What happens to one replica, and what follows from it.

use std::{collections::BTreeMap, time::Instant};

use anylith_core::{Counters, Endpoint, Name};
use anylith_wire::control::{ComponentState, Hello, Load, Outcomes};

use crate::{action::Notice, event::Exit, fate::Ending, run::Run, timing::Timing};

/// What happens to one replica.
#[derive(Debug)]
pub(crate) enum Input {
    /// The sockets that it serves are there.
    Launch,
    Spawned {
        run: Box<Run>,
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
    /// It is sent its bootstrap, with these components.
    Welcomed {
        components: Vec<Name>,
    },
    /// These components are to start in it while it runs.
    Come {
        components: Vec<Name>,
    },
    /// These are to drain in it while it runs: others have them.
    Go {
        components: Vec<Name>,
    },
    /// This component has stopped in it, and is to start again.
    Revive {
        component: Name,
    },
    /// Another replica is ready to come for this component, of which there is one.
    Yield {
        component: Name,
    },
    Stop,
    /// It leaves alone, and the directory does not name it any more. Others stay that serve the same listeners, or not.
    SendOff {
        others_stay: bool,
    },
    /// Everything stops, and nobody calls these components any more.
    Drain {
        due: Vec<Name>,
    },
    /// If it waits after a failure it begins now, and what it has failed before does not count.
    Retry,
    /// It has stopped as it was told, and begins anew, from this build.
    Renew {
        build: u32,
    },
    Kill,
    Tick,
}

/// What a replica says besides who it is.
#[derive(Debug)]
pub(crate) enum Word {
    /// A component changed its state.
    Component {
        name: Name,
        state: ComponentState,
        reason: Option<String>,
    },
    /// A component that it was to start beside others cannot, and why.
    NotStarted { component: Name, message: String },
    /// It is about to exit, and why.
    Last {
        component: Option<Name>,
        message: String,
    },
    /// It lives, with so many calls under way, and so much counted; and with what it bears, if it was asked for that.
    Alive {
        calls: BTreeMap<Name, u64>,
        counters: Counters,
        outcomes: Outcomes,
        load: Option<Load>,
        each: BTreeMap<Name, Load>,
        outgoing: BTreeMap<Name, u64>,
    },
}

/// What follows for the control plane.
#[derive(Debug)]
pub(crate) enum Step {
    /// Start a process for it.
    Spawn {
        incarnation: u64,
    },
    /// Send it its bootstrap.
    Welcome,
    /// Send it the directory.
    Resume,
    /// Ask it for a sign of life.
    Ask,
    /// Tell it to start these components beside those that it has.
    Start {
        components: Vec<Name>,
    },
    /// Tell it to drain this component, which others have, or nobody any more.
    Drain {
        component: Name,
        others_stay: bool,
    },
    /// Tell it to make room with this component.
    Yield {
        component: Name,
    },
    /// Tell it to stop, all of it. Others stay that serve the same listeners, or not.
    Stop {
        others_stay: bool,
    },
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
    /// Why the replica is to stop, if it is.
    pub(crate) ending: Ending,
}

impl Surroundings<'_> {
    /// Whether the replica is to stop, and not to be started again by itself.
    pub(crate) fn stopping(&self) -> bool {
        match self.ending {
            Ending::No => false,
            Ending::Alone | Ending::All => true,
        }
    }
}
