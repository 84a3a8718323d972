//! Says what a stop waits for.

use std::time::{Duration, Instant};

use anylith_supervisor::{Notice, Overview, ReplicaState, Report, Retiring};

use crate::{paint::Paint, screen::Screen};

/// A stop that takes less is not worth words.
const QUIET: Duration = Duration::from_secs(1);

/// Says what a stop waits for: on a terminal always as it is now, elsewhere once.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// What to type if it takes too long.
    hint: String,
    since: Option<Instant>,
    said: bool,
}

impl Waiting {
    /// A stop that has not begun.
    pub(crate) fn new(hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            since: None,
            said: false,
        }
    }

    /// Whether the stop has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.since.is_some()
    }

    /// The stop begins now, if it has not before.
    pub(crate) fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Shows how far it has come.
    pub(crate) fn show(&mut self, screen: &Screen, now: &Overview) {
        let Some(what) = what(now) else {
            return;
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        screen.progress(what.clone());
        if since.elapsed() >= QUIET && !std::mem::replace(&mut self.said, true) {
            screen.say(format!("{what}; {}", self.hint));
        }
    }

    /// Shows what becomes of what an earlier supervisor has left running.
    pub(crate) fn show_retiring(&mut self, screen: &Screen, retiring: &Retiring) {
        match retiring {
            Retiring::Because {
                topology,
                replicas,
                differences,
            } => {
                let what = match replicas {
                    1 => "1 replica".to_owned(),
                    many => format!("{many} replicas"),
                };
                screen.say(format!(
                    "stopping {what} of topology {topology} that an earlier run has left, to start anew: {}",
                    differences.join("; ")
                ));
            }
            Retiring::Overview(overview) => self.show(screen, overview),
            Retiring::Report(report) => {
                if let Report::Noticed {
                    notice: Notice::Overdue { .. },
                    ..
                } = report
                {
                    let warning = Paint::for_stderr().bold_yellow("warning");
                    screen.say(format!("{warning}: {report}"));
                }
            }
        }
    }
}

/// `waiting for Checkout-1: Checkout finishes 2 calls, for 8 s at most`
fn what(now: &Overview) -> Option<String> {
    let draining = |replica: &str| {
        let replica = now.status.replica(replica);
        replica.is_some_and(|replica| replica.state == ReplicaState::Draining)
    };
    let mut notes = now
        .notes
        .iter()
        .filter(|note| draining(note.replica.as_str()));
    let first = notes.next()?;
    let more = match notes.count() {
        0 => String::new(),
        more => format!("; and for {more} more"),
    };
    Some(format!(
        "waiting for {}: {}{more}",
        first.replica, first.text
    ))
}
