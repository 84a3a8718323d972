//! How a replica fails, and what follows.

use std::time::Instant;

use super::{CRASH_LOOP, Replica};
use crate::{
    action::{Failure, Notice},
    event::Exit,
    input::{Step, Surroundings},
    life::Life,
};

impl Replica {
    pub(super) fn exited(
        &mut self,
        life: Life,
        exit: Exit,
        around: &Surroundings<'_>,
    ) -> (Life, Vec<Step>) {
        match life {
            // Serving → Backoff. If it had been well for long, its earlier failures don't count.
            Life::Serving { run, since } => {
                self.forgive(since, around);
                self.fail(run.into_failure(exit), around)
            }
            // Starting | Adopting | Dying → Backoff.
            Life::Starting { run, .. } | Life::Adopting { run, .. } | Life::Dying { run } => {
                self.fail(run.into_failure(exit), around)
            }
            // Draining → Stopped. It did as it was told, or it was in a greater hurry.
            Life::Draining { .. } => (Life::Stopped, vec![]),
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Backoff { .. }
            | Life::Stopped) => (life, vec![]),
        }
    }

    /// A replica that was well for long has left its crashes behind. One that has stood by was not well for having done that.
    pub(super) fn forgive(&mut self, since: Option<Instant>, around: &Surroundings<'_>) {
        let well_for = since.map(|since| around.now.duration_since(since));
        if well_for.is_some_and(|well_for| well_for >= around.timing.stable) {
            self.failures = 0;
        }
    }

    /// → Backoff, or Stopped if nothing is to be started any more.
    pub(super) fn fail(
        &mut self,
        failure: Failure,
        around: &Surroundings<'_>,
    ) -> (Life, Vec<Step>) {
        if around.stopping() {
            return (Life::Stopped, vec![]);
        }
        self.failures = self.failures.saturating_add(1);
        self.restarts += 1;
        self.last_failure = Some(failure.clone());
        let (replica, failures) = (self.name.clone(), self.failures);
        let retry_in = around.timing.backoff(failures);
        let notice = if failures >= CRASH_LOOP {
            Notice::CrashLoop {
                replica,
                failure,
                failures,
                retry_in,
            }
        } else {
            Notice::Failed {
                replica,
                failure,
                retry_in,
            }
        };
        (
            Life::Backoff {
                retry_at: around.now + retry_in,
            },
            vec![Step::Report(notice)],
        )
    }
}
