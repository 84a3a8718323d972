//! What a replica's signs of life, and its silence, lead to.

use std::time::Duration;

use super::Replica;
use crate::{
    action::Notice,
    input::{Step, Surroundings},
    life::Life,
    run::Run,
    timing::Timing,
};

impl Replica {
    /// What it says of itself is a sign of life, and so is each answer.
    pub(super) fn heard(&self, run: &mut Run, around: &Surroundings<'_>) -> Vec<Step> {
        let was_silent = run.pulse.heard(around.now, around.timing);
        let replica = self.name.clone();
        match was_silent {
            true => vec![Step::Report(Notice::Answers { replica })],
            false => vec![],
        }
    }

    /// Asks for a sign of life if it is time, and says what its silence so far leads to.
    pub(super) fn ask(&self, mut life: Life, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
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
    pub(super) fn examined(
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
