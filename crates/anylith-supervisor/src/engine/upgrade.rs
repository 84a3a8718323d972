//! Other builds, as the engine is asked to roll them in.

use std::{io, time::Instant};

use anylith_control::{Event, Refused};
use anylith_core::Name;
use anylith_wire::control::{Steer, Upgrade};
use tokio::sync::oneshot;

use super::Engine;
use crate::{answer::Answer, builds, record::Program};

impl Engine {
    /// What `replica` is started from: its own build, also if another one is at its path now.
    ///
    /// # Errors
    ///
    /// There is only the other one.
    pub(super) fn program_of(&mut self, replica: &Name) -> io::Result<Program> {
        let record = self.ledger.record();
        let build = self.plane.build_of(replica);
        if build == 0
            && let Some(kept) = builds::rescue(record, self.held.as_ref(), &self.folder)?
        {
            let mut all = record.kept.clone();
            all.insert(0, kept);
            self.ledger.keep_builds(all);
        }
        Ok(self.ledger.record().program_of(build))
    }

    pub(super) fn asked_to_upgrade(
        &mut self,
        upgrade: Upgrade,
        answer: oneshot::Sender<Answer>,
        now: Instant,
    ) {
        let Upgrade {
            binary,
            source,
            manifest,
            canary,
            observe_ms,
            dry_run,
        } = upgrade;
        let planned = self.plane.check_upgrade(&manifest, canary, observe_ms);
        let planned = match (planned, dry_run) {
            (Ok(plan), true) => {
                let _ = answer.send(Answer::UpgradePlan(plan));
                return;
            }
            (planned, _) => planned.map(drop),
        };
        let planned = self.with_room(planned, 0);
        let record = self.ledger.record();
        let last = record.kept.keys().max().copied().unwrap_or(0);
        let build = last.max(self.plane.build()) + 1;
        let admitted = planned.and_then(|()| {
            builds::admit(record, &self.folder, build, &binary, &source).map_err(|error| {
                Refused::Unrollable {
                    what: format!("a build cannot be used: {error}"),
                    mend: "ask again".to_owned(),
                }
            })
        });
        let (kept, allowed) = match admitted {
            Ok(kept) => (Some(kept), Ok(())),
            Err(refused) => {
                // It was kept for this.
                builds::sweep(record, &self.folder);
                (None, Err(refused))
            }
        };
        if self.askers.ask_change(allowed, answer)
            && let Some(kept) = kept
        {
            self.ledger.keep_builds(kept);
            let interfaces = manifest.components.into_iter();
            let interfaces = interfaces.map(|component| (component.name, component.fingerprint));
            self.feed(
                Event::UpgradeAsked {
                    build,
                    interfaces: interfaces.collect(),
                    canary,
                    observe_ms,
                },
                now,
            );
        }
    }

    pub(super) fn asked_to_steer(
        &mut self,
        steer: Steer,
        answer: oneshot::Sender<Answer>,
        now: Instant,
    ) {
        let allowed = self.plane.check_steer(steer);
        if self.askers.ask_change(allowed, answer) {
            self.feed(Event::Steered(steer), now);
        }
    }
}
