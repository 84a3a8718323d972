//! Whether the whole application is ready, and what people are told when that changes.

use crate::action::Notice;

/// Never → Now → Lost → Now.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Readiness {
    /// Not every replica has been ready yet.
    Never,
    /// Every replica is.
    Now,
    /// Every replica was.
    Lost,
}

impl Readiness {
    /// Takes whether every replica is `ready`; returns what people should hear of it.
    pub(crate) fn turn(&mut self, ready: bool) -> Option<Notice> {
        let (next, notice) = match (*self, ready) {
            (Self::Never, true) => (Self::Now, Some(Notice::Ready)),
            (Self::Lost, true) => (Self::Now, Some(Notice::Recovered)),
            (Self::Now, false) => (Self::Lost, None),
            (Self::Now, true) => (Self::Now, None),
            (Self::Never, false) => (Self::Never, None),
            (Self::Lost, false) => (Self::Lost, None),
        };
        *self = next;
        notice
    }
}
