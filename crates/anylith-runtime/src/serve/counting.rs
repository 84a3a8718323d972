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

    /// It has ended, or its stream begins if `flows`. Returns when that was, if it had to look.
    pub(super) fn end(
        &mut self,
        outcome: Outcome,
        begun: Option<Instant>,
        flows: bool,
    ) -> Option<Instant> {
        if flows {
            self.wait(begun);
        }
        let over = begun.map(|_| Instant::now());
        match self {
            Self::Ahead { recorder, lane } => {
                if let Some(lane) = recorder.lane(*lane) {
                    let took = begun.zip(over);
                    let took = took.map(|(begun, over)| over.saturating_duration_since(begun));
                    lane.at_once(outcome, took);
                }
                *self = Self::Underway(None);
                over
            }
            Self::Underway(underway) => {
                let mut of = underway.take()?;
                let over = over.or_else(|| of.begun().map(|_| Instant::now()));
                if flows {
                    of.flow(over);
                    *underway = Some(of);
                } else {
                    of.end(outcome, over);
                }
                over
            }
        }
    }
}
