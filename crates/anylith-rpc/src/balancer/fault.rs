//! What can be wrong with a replica.

use std::fmt;

/// What is wrong with a replica, beside its like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    FailedInARow(u32),
    RefusedInARow(u32),
    /// Its share, and that of the others.
    Fails(f64, f64),
    Errs(f64, f64),
    /// Microseconds for a call, and those of the others.
    Slow(f64, f64),
    /// It was looked at again, and is no better.
    NoBetter,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| (share * 100.0).round();
        let millis = |us: f64| us / 1e3;
        match *self {
            Self::FailedInARow(count) => write!(f, "it failed {count} calls in a row"),
            Self::RefusedInARow(count) => write!(f, "it refused {count} calls in a row"),
            Self::Fails(its, theirs) => {
                let (its, theirs) = (percent(its), percent(theirs));
                write!(f, "it fails {its} % of its calls, the others {theirs} %")
            }
            Self::Errs(its, theirs) => {
                let (its, theirs) = (percent(its), percent(theirs));
                write!(
                    f,
                    "it answers {its} % of its calls with an error, the others {theirs} %"
                )
            }
            Self::Slow(its, theirs) => {
                let (its, theirs) = (millis(its), millis(theirs));
                write!(
                    f,
                    "a call takes {its:.1} ms there, and {theirs:.1} ms elsewhere"
                )
            }
            Self::NoBetter => f.write_str("it was tried again, and does no better"),
        }
    }
}

impl Fault {
    /// Which of several is worse.
    pub(super) fn gravity(&self) -> f64 {
        match *self {
            Self::FailedInARow(count) => 1e3 + f64::from(count),
            Self::RefusedInARow(_) | Self::NoBetter => 1.0,
            Self::Fails(its, _) => 1e2 + its,
            Self::Errs(its, _) => 10.0 + its,
            Self::Slow(its, theirs) => 1.0 + its / theirs.max(1.0) / 1e6,
        }
    }
}
