//! Signs of life: what a replica is asked for again and again, and what its silence means.
//!
//! Silence is counted in questions that found no answer, and not by the clock. A control plane that was itself
//! stopped for a minute (Ctrl-Z, a debugger, a machine without CPU) has asked nobody in that minute, so it
//! blames nobody for it.

use std::time::{Duration, Instant};

use crate::timing::Timing;

/// When a replica is asked next, and how many questions it owes an answer.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// `None` until it was heard of for the first time.
    ask_at: Option<Instant>,
    unanswered: u32,
    silent: bool,
    traced: bool,
}

impl Pulse {
    /// It said something. Returns whether it had been silent.
    pub(crate) fn heard(&mut self, now: Instant, timing: &Timing) -> bool {
        let ask_at = self.ask_at.unwrap_or(now + timing.ask_every);
        let before = std::mem::replace(
            self,
            Self {
                ask_at: Some(ask_at),
                ..Self::default()
            },
        );
        before.silent
    }

    /// Asks once more if it is time; `None` if it is not, or whether it became silent by that.
    pub(crate) fn ask(&mut self, now: Instant, timing: &Timing) -> Option<bool> {
        if self.ask_at.is_none_or(|at| at > now) {
            return None;
        }
        self.ask_at = Some(now + timing.ask_every);
        self.unanswered = self.unanswered.saturating_add(1);
        let was_silent = self.silent;
        self.silent |= self.silence(timing) >= timing.silent;
        Some(self.silent && !was_silent)
    }

    /// How long ago the first question without an answer was asked, as far as this control plane was awake.
    pub(crate) fn silence(&self, timing: &Timing) -> Duration {
        // The last question had no time to be answered yet.
        timing.ask_every * self.unanswered.saturating_sub(1)
    }

    /// A debugger holds it: it is silent, and its patience begins anew.
    pub(crate) fn hold(&mut self) {
        self.unanswered = 1;
        self.traced = true;
    }

    /// Whether it has given no sign of life for so long that nobody should call it.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether a debugger was found to hold it.
    pub(crate) fn is_traced(&self) -> bool {
        self.traced
    }

    /// When it is to be asked.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        self.ask_at
    }
}
