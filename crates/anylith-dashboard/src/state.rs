//! The application as the page shows it.

use std::{num::NonZero, thread};

use anylith_supervisor::Overview;
use anylith_telemetry::Moment;
use serde::Serialize;

/// The application as the page shows it: how the supervisor says it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// How the supervisor says it is.
    #[serde(flatten)]
    pub overview: Overview,
}

impl State {
    /// What `overview` says.
    pub fn of(overview: Overview) -> Self {
        Self { overview }
    }
}

/// What goes on in it, and what there is for it to go on with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Now {
    /// What goes on.
    #[serde(flatten)]
    moment: Moment,
    /// How many cores this host lets processes use.
    host_cores: usize,
}

impl From<Moment> for Now {
    fn from(moment: Moment) -> Self {
        let cores = thread::available_parallelism();
        Self {
            moment,
            host_cores: cores.map_or(1, NonZero::get),
        }
    }
}
