//! A call that waits for its answer, as it is counted.

use std::{borrow::Borrow, time::Instant};

use anylith_telemetry::{Outcome, Recorder};

/// A call that waits for its answer. To drop it means that its caller has given it up.
#[derive(Debug)]
pub(crate) struct Underway<R: Borrow<Recorder>> {
    recorder: R,
    lane: usize,
    /// When it began; `None` where clocks are not looked at.
    begun: Option<Instant>,
    /// How its end is counted.
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// As given up.
    GivenUp,
    /// It is counted already, and flows on.
    Flows,
    /// It was counted.
    Over,
}

impl<R: Borrow<Recorder>> Underway<R> {
    /// A call on `lane` of `recorder` that began at `begun`, or begins to wait now if that is not known. `None` where
    /// nothing is counted.
    pub(crate) fn begin(recorder: R, lane: usize, begun: Option<Instant>) -> Option<Self> {
        let counts: &Recorder = recorder.borrow();
        counts.lane(lane)?.enter();
        let begun = counts
            .is_timed()
            .then(|| begun.unwrap_or_else(Instant::now));
        Some(Self {
            recorder,
            lane,
            begun,
            end: End::GivenUp,
        })
    }

    /// When it began; `None` where clocks are not looked at.
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// It has ended, at `over` if that is known.
    pub(crate) fn end(mut self, outcome: Outcome, over: Option<Instant>) {
        self.count(outcome, over);
        self.end = End::Over;
        self.depart();
    }

    /// Its answer has begun, at `over` if that is known, which is a stream: it is in flight until this is dropped.
    pub(crate) fn flow(&mut self, over: Option<Instant>) {
        self.count(Outcome::Answered, over);
        self.end = End::Flows;
    }

    fn recorder(&self) -> &Recorder {
        self.recorder.borrow()
    }

    fn count(&self, outcome: Outcome, over: Option<Instant>) {
        if let Some(lane) = self.recorder().lane(self.lane) {
            let over = || over.unwrap_or_else(Instant::now);
            let took = self
                .begun
                .map(|begun| over().saturating_duration_since(begun));
            lane.ended(outcome, took.unwrap_or_default());
        }
    }

    fn depart(&self) {
        if let Some(lane) = self.recorder().lane(self.lane) {
            lane.depart();
        }
    }

    /// What came for it.
    pub(crate) fn received(&self, bytes: usize) {
        if let Some(lane) = self.recorder().lane(self.lane) {
            lane.received(bytes);
        }
    }
}

impl<R: Borrow<Recorder>> Drop for Underway<R> {
    fn drop(&mut self) {
        match self.end {
            End::GivenUp => {
                self.count(Outcome::Cancelled, None);
                self.depart();
            }
            End::Flows => self.depart(),
            End::Over => {}
        }
    }
}
