//! A served call, as it is counted.

use std::{sync::Arc, time::Instant};

use anylith_telemetry::{Lane, Outcome, Recorder};

use crate::underway::Underway;

/// How far a served call is counted.
pub(super) enum Counting {
    /// It was not polled yet.
    Ahead {
        recorder: Arc<Recorder>,
        lane: usize,
    },
    /// It has to wait, or its answer is a stream that flows; or nothing is counted.
    Underway(Option<Underway<Arc<Recorder>>>),
}

impl Counting {
    /// When the call begins, if that is to be known although it may be ready at once.
    pub(super) fn begin(&self) -> Option<Instant> {
        match self {
            Self::Ahead { recorder, lane } => {
                let due = recorder.lane(*lane).is_some_and(Lane::is_due);
                due.then(Instant::now)
            }
            Self::Underway(_) => None,
        }
    }

    /// It has to wait.
    pub(super) fn wait(&mut self, begun: Option<Instant>) {
        if let Self::Ahead { recorder, lane } = self {
            *self = Self::Underway(Underway::begin(Arc::clone(recorder), *lane, begun));
        }
    }

    /// It has ended, or its stream begins if `flows`.
    pub(super) fn end(&mut self, outcome: Outcome, begun: Option<Instant>, flows: bool) {
        if flows {
            self.wait(begun);
        }
        match self {
            Self::Ahead { recorder, lane } => {
                if let Some(lane) = recorder.lane(*lane) {
                    lane.at_once(outcome, begun.map(|begun| begun.elapsed()));
                }
                *self = Self::Underway(None);
            }
            Self::Underway(Some(underway)) if flows => underway.flow(),
            Self::Underway(underway) => {
                if let Some(underway) = underway.take() {
                    underway.end(outcome);
                }
            }
        }
    }
}
