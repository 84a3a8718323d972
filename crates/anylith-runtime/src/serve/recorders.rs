//! What counts the calls that a component serves.

use std::{sync::Arc, time::Duration};

use anylith_core::Metrics;
use anylith_telemetry::{Histogram, Outcome, Recorder};

/// What counts the calls of other processes that a component serves, however often it comes and goes.
#[derive(Debug)]
pub(crate) struct Recorders {
    /// A lane for each method.
    pub(crate) calls: Arc<Recorder>,
    /// How long calls waited before they were begun, on one lane.
    queue: Recorder,
}

impl Recorders {
    pub(crate) fn new(methods: usize, metrics: Metrics) -> Arc<Self> {
        let calls = Arc::new(Recorder::new(methods, metrics));
        // Without times there is nothing to say of it.
        let lanes = usize::from(metrics == Metrics::All);
        let queue = Recorder::new(lanes, metrics);
        Arc::new(Self { calls, queue })
    }

    /// A call has waited so long before it was begun.
    pub(super) fn waited(&self, length: Duration) {
        if let Some(lane) = self.queue.lane(0) {
            lane.ended(Outcome::Answered, length);
        }
    }

    /// How long calls waited before they were begun.
    pub(crate) fn queued(&self) -> Histogram {
        self.queue.read(0).took()
    }
}
