//! What goes on in the application, as the page is told.

use std::{num::NonZero, thread};

use anylith_telemetry::Moment;
use serde::Serialize;

/// What goes on in the application, and what there is for it to go on with.
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
