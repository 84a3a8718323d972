//! Signs of life: what a replica is asked for again and again, and what its silence means.
//!
//! Silence is counted in questions that found no answer, and not by the clock. A control plane that was itself
//! stopped for a minute (Ctrl-Z, a debugger, a machine without CPU) has asked nobody in that minute, so it
//! blames nobody for it.

use std::time::{Duration, Instant};

use crate::{
    action::Notice,
    input::{Step, Surroundings},
    life::Life,
    replica::Replica,
    run::Run,
    timing::Timing,
};

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

impl Replica {
    /// Any word of it is a sign of life.
    pub(crate) fn heard(&self, run: &mut Run, around: &Surroundings<'_>) -> Vec<Step> {
        let was_silent = run.pulse.heard(around.now, around.timing);
        let replica = self.name.clone();
        match was_silent {
            true => vec![Step::Report(Notice::Answers { replica })],
            false => vec![],
        }
    }

    /// Asks for a sign of life if it is time, and says what its silence so far leads to.
    pub(crate) fn ask(&self, mut life: Life, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        let (timing, patience) = (around.timing, self.patience(&life, around.timing));
        let Some(run) = life.listen() else {
            return (life, vec![]);
        };
        let Some(fell_silent) = run.pulse.ask(around.now, timing) else {
            return (life, vec![]);
        };
        let silence = run.pulse.silence(timing);
        let mut steps = Vec::new();
        if run.connected {
            steps.push(Step::Ask);
        }
        if fell_silent {
            let replica = self.name.clone();
            steps.push(Step::Report(Notice::Silent { replica, silence }));
        }
        // Nobody here can kill an external one, and one that drains has a limit for that.
        let replaceable = !self.external && !matches!(life, Life::Draining { .. });
        if replaceable && silence >= patience {
            steps.push(Step::Examine);
        }
        (life, steps)
    }

    /// A silent replica was looked at.
    pub(crate) fn examined(
        &mut self,
        mut life: Life,
        traced: bool,
        around: &Surroundings<'_>,
    ) -> (Life, Vec<Step>) {
        let patience = self.patience(&life, around.timing);
        let Some(run) = life.listen() else {
            return (life, vec![]);
        };
        if run.pulse.silence(around.timing) < patience {
            // It has answered in the meantime.
            return (life, vec![]);
        }
        if traced {
            run.pulse.hold();
            return (life, vec![]);
        }
        run.say_last(
            None,
            format!("it gave the control plane no sign of life for {patience:?}"),
        );
        match life {
            // Serving → Dying. If it had been well for long, its earlier failures don't count.
            Life::Serving { run, since } => {
                self.forgive(since, around);
                (Life::Dying { run }, vec![Step::Kill])
            }
            // Starting → Dying.
            Life::Starting { run, .. } => (Life::Dying { run }, vec![Step::Kill]),
            // Both have limits of their own.
            life @ (Life::Adopting { .. } | Life::Draining { .. }) => (life, vec![]),
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => (life, vec![]),
        }
    }

    /// For how long it may be silent before it is replaced. Who still starts may have a thread that is busy with
    /// it, and who lost its connection may look for a control plane that is busy itself.
    fn patience(&self, life: &Life, timing: &Timing) -> Duration {
        match life {
            Life::Serving { run, .. } if run.connected => timing.hung.max(timing.silent),
            _ => timing.connect.max(timing.hung).max(timing.silent),
        }
    }
}
