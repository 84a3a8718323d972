//! Those who have asked for something that takes its time, and wait for its end.

use anylith_control::{Notice, Refused};
use tokio::sync::oneshot;

use crate::{answer::Answer, report::Report};

/// What drains left undone is told to so many lines at most; the log has the rest.
const MOST_LEFT: usize = 100;

/// What to do where a paused upgrade is in the way.
const PAUSED: &str = "first end the upgrade: `anylith upgrade --resume` rolls the rest in, `anylith upgrade --rollback` brings the old build back";

/// Those who wait for a stop, or for a change.
#[derive(Debug, Default)]
pub(crate) struct Askers {
    stop: Vec<oneshot::Sender<Answer>>,
    /// One change is made at a time; several may wait for an upgrade, since it can be steered.
    change: Vec<oneshot::Sender<Answer>>,
    /// What drains have left undone since somebody waits.
    left: Vec<String>,
}

impl Askers {
    /// Somebody waits for the stop.
    pub(crate) fn ask_stop(&mut self, asker: oneshot::Sender<Answer>) {
        if !self.are_there() {
            self.left.clear();
        }
        self.stop.push(asker);
    }

    /// Somebody waits for a change, if it is `allowed`; returns whether it is. Who asks for another is told why not.
    pub(crate) fn ask_change(
        &mut self,
        allowed: Result<(), Refused>,
        asker: oneshot::Sender<Answer>,
    ) -> bool {
        let Err(refused) = allowed else {
            if !self.are_there() {
                self.left.clear();
            }
            self.change.retain(|asker| !asker.is_closed());
            self.change.push(asker);
            return true;
        };
        let mut why = refused.to_string();
        let (mut mend, mut unknown) = (None, None);
        let is_wrong = refused.is_wrong();
        let is_busy = matches!(refused, Refused::Busy { .. });
        let known = match refused {
            Refused::UnknownGroup { group, known } => {
                unknown = Some(group);
                known
            }
            Refused::Unrollable {
                what,
                mend: instead,
            }
            | Refused::Unkept {
                what,
                mend: instead,
            } => {
                (why, mend) = (what, Some(instead));
                Vec::new()
            }
            Refused::Busy {
                is_paused: true, ..
            } => {
                mend = Some(PAUSED.to_owned());
                Vec::new()
            }
            Refused::External { .. }
            | Refused::Number { .. }
            | Refused::Range { .. }
            | Refused::Shut { .. }
            | Refused::Twice { .. }
            | Refused::Crowded { .. }
            | Refused::Foreign { .. }
            | Refused::Unsteerable { .. }
            | Refused::Same { .. }
            | Refused::Busy {
                is_paused: false, ..
            }
            | Refused::Adopting
            | Refused::Stopping => Vec::new(),
        };
        // Where he is gone, nobody wants to know.
        let group = unknown;
        let _ = asker.send(Answer::Refused {
            why,
            group,
            known,
            mend,
            is_wrong,
            is_busy,
        });
        false
    }

    /// Takes what the control plane tells people, and answers who has waited for it.
    pub(crate) fn hear(&mut self, notice: &Notice) {
        let answer = match notice {
            Notice::Restarted { .. }
            | Notice::Scaled { .. }
            | Notice::Reshaped { .. }
            | Notice::Upgraded { .. } => Answer::Changed {
                left: std::mem::take(&mut self.left),
            },
            Notice::UpgradePaused { how } => Answer::Paused { how: how.clone() },
            Notice::RollbackStuck { how, replica, .. } => Answer::Stuck {
                how: how.clone(),
                replica: replica.clone(),
            },
            Notice::ChangeFailed {
                cause,
                why,
                replica,
                ..
            } => {
                // Who waits for a stop, for which it was given up, still wants to know.
                if self.stop.is_empty() {
                    self.left.clear();
                }
                Answer::GivenUp {
                    cause: *cause,
                    why: why.clone(),
                    replica: replica.clone(),
                }
            }
            Notice::CutShort { .. } | Notice::Overdue { .. } => {
                if self.are_there() && self.left.len() < MOST_LEFT {
                    self.left.push(Report::line(notice));
                }
                return;
            }
            _ => return,
        };
        for asker in self.change.drain(..) {
            let _ = asker.send(answer.clone());
        }
    }

    /// Whether somebody waits.
    fn are_there(&self) -> bool {
        !self.stop.is_empty() || !self.change.is_empty()
    }

    /// Nothing runs any more.
    pub(crate) fn stopped(&mut self) {
        for asker in self.stop.drain(..) {
            let left = self.left.clone();
            let _ = asker.send(Answer::Stopped { left });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overdue() -> Notice {
        Notice::Overdue {
            replica: anylith_core::Name::new("Cart-1").expect("a name"),
            what: "did not stop".to_owned(),
        }
    }

    #[test]
    fn a_stop_tells_nothing_that_was_left_undone_before_it_was_asked_for() {
        let mut askers = Askers::default();
        askers.hear(&overdue());
        let (asker, mut answer) = oneshot::channel();
        assert!(askers.ask_change(Ok(()), asker));
        askers.hear(&overdue());
        askers.hear(&Notice::ChangeFailed {
            what: anylith_control::Change::Restart,
            cause: anylith_control::Cause::Obstacle,
            why: "it does not start".to_owned(),
            replica: None,
        });
        assert!(matches!(answer.try_recv(), Ok(Answer::GivenUp { .. })));
        askers.hear(&overdue());
        let (asker, mut answer) = oneshot::channel();
        askers.ask_stop(asker);
        askers.hear(&overdue());
        askers.stopped();
        let Ok(Answer::Stopped { left }) = answer.try_recv() else {
            panic!("no answer to who waited")
        };
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
