//! Those who have asked for something that takes its time, and wait for its end.

use anylith_control::{Notice, Refused};
use tokio::sync::oneshot;

use crate::{answer::Answer, supervisor::Report};

/// What drains left undone is told to so many lines at most; the log has the rest.
const MOST_LEFT: usize = 100;

/// Those who wait for a stop, or for a change.
#[derive(Debug, Default)]
pub(crate) struct Askers {
    stop: Vec<oneshot::Sender<Answer>>,
    /// One change is made at a time.
    change: Option<oneshot::Sender<Answer>>,
    /// What drains left undone since somebody waits.
    left: Vec<String>,
}

impl Askers {
    /// Somebody waits for the stop.
    pub(crate) fn ask_stop(&mut self, asker: oneshot::Sender<Answer>) {
        self.stop.push(asker);
    }

    /// Somebody waits for a change, if it is `allowed`; returns whether it is. Who asks for another is told why not.
    pub(crate) fn ask_change(
        &mut self,
        allowed: Result<(), Refused>,
        asker: oneshot::Sender<Answer>,
    ) -> bool {
        let Err(refused) = allowed else {
            self.left.clear();
            self.change = Some(asker);
            return true;
        };
        let why = refused.to_string();
        let known = match refused {
            Refused::UnknownGroup { known, .. } => known,
            Refused::External { .. }
            | Refused::Number { .. }
            | Refused::Busy { .. }
            | Refused::Adopting
            | Refused::Stopping => Vec::new(),
        };
        // Where he is gone, nobody wants to know.
        let _ = asker.send(Answer::Refused { why, known });
        false
    }

    /// Takes what the control plane tells people, and answers who has waited for it.
    pub(crate) fn hear(&mut self, notice: &Notice) {
        let answer = match notice {
            Notice::Restarted { .. } | Notice::Scaled { .. } => Answer::Changed {
                left: std::mem::take(&mut self.left),
            },
            Notice::ChangeFailed { why, .. } => Answer::GivenUp { why: why.clone() },
            Notice::CutShort { .. } | Notice::Overdue { .. } => {
                if self.left.len() < MOST_LEFT {
                    self.left.push(Report::line(notice));
                }
                return;
            }
            _ => return,
        };
        if let Some(asker) = self.change.take() {
            let _ = asker.send(answer);
        }
    }

    /// Nothing runs any more.
    pub(crate) fn stopped(&mut self) {
        for asker in self.stop.drain(..) {
            let left = self.left.clone();
            let _ = asker.send(Answer::Stopped { left });
        }
    }
}
