//! Whether a fault has really happened, and how that was seen.
//!
//! A run proves nothing of a fault that hit nothing. So each strike ends in a [`Claim`], and what a claim leaves open until
//! the end of the run becomes a [`Proof`] by what was written down and logged.

use std::fmt;

use anylith_core::Counters;

use crate::{
    ledger::{Entry, Event},
    plan::Plan,
};

/// How many times as much as callees can do they have to be asked at least, where they are to have too much to do.
const TOO_MUCH: f64 = 2.0;

/// Whether a strike has struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It has; so it was seen.
    Struck(String),
    /// It hit nothing, because of another fault of the same run, which it was to meet.
    Idle(String),
    /// It hit nothing, and nothing excuses that: the run says nothing of it.
    Missed(String),
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Struck(text) => f.write_str(text),
            Self::Idle(text) => write!(f, "idle: {text}"),
            Self::Missed(text) => write!(f, "MISSED: {text}"),
        }
    }
}

/// What is known of a strike once it is over.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It was seen.
    Seen(String),
    /// It was not.
    Unseen(String),
    /// Somebody has logged one of these words since the log was so long.
    Logged {
        what: String,
        words: &'static [&'static str],
        since_bytes: usize,
    },
    /// A process has seen its clock jump since then.
    Jumped { since_ns: u64 },
    /// Callees had too much to do between these instants.
    Overloaded { from_ns: u64, to_ns: u64 },
}

/// What claims are held against, at the end of a run.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) entries: &'a [Entry],
    pub(crate) log: &'a str,
    /// What the replicas have counted, if anybody could say it.
    pub(crate) counted: Option<Counters>,
}

impl Claim {
    /// That it was `seen`, or was not.
    pub(crate) fn of(seen: bool, text: String) -> Self {
        if seen {
            Self::Seen(text)
        } else {
            Self::Unseen(text)
        }
    }

    /// Whether nothing is left that has yet to be logged.
    pub(crate) fn is_logged(&self, log: &str) -> bool {
        match self {
            Self::Logged {
                words, since_bytes, ..
            } => logged(log, *since_bytes, words) > 0,
            Self::Seen(_) | Self::Unseen(_) | Self::Jumped { .. } | Self::Overloaded { .. } => true,
        }
    }

    /// Whether it holds. Where it does not, `excuse` says why it need not.
    pub(crate) fn settle(self, evidence: &Evidence<'_>, excuse: Option<String>) -> Proof {
        match self.seen(evidence) {
            Ok(text) => Proof::Struck(text),
            Err(text) => match excuse {
                Some(excuse) => Proof::Idle(format!("{text}, beside {excuse}")),
                None => Proof::Missed(text),
            },
        }
    }

    /// How it was seen, or what was not.
    fn seen(self, evidence: &Evidence<'_>) -> Result<String, String> {
        match self {
            Self::Seen(text) => Ok(text),
            Self::Unseen(text) => Err(text),
            Self::Logged {
                what,
                words,
                since_bytes,
            } => match logged(evidence.log, since_bytes, words) {
                0 => Err(format!(
                    "{what}, but nobody logged `{}`",
                    words.join("` or `")
                )),
                times => Ok(format!("{what}; the log has it {times} times")),
            },
            Self::Jumped { since_ns } => {
                let mut entries = evidence.entries.iter();
                let jumped = entries.find_map(|entry| match entry.event {
                    Event::Jumped { by_s } if entry.at_ns >= since_ns => {
                        Some((entry.process, by_s))
                    }
                    _ => None,
                });
                jumped
                    .map(|(process, by_s)| {
                        format!("process {process} saw its clock jump by {by_s} s")
                    })
                    .ok_or_else(|| "no process saw its clock jump".to_owned())
            }
            Self::Overloaded { from_ns, to_ns } => overloaded(evidence, from_ns, to_ns),
        }
    }
}

/// How many lines of `log` have one of `words`, from so many bytes on.
fn logged(log: &str, since_bytes: usize, words: &[&str]) -> usize {
    let log = log.get(since_bytes..).unwrap_or_default();
    let has_one = |line: &&str| words.iter().any(|word| line.contains(word));
    log.lines().filter(has_one).count()
}

/// Whether callees were asked more than they can do, and refused some of it.
fn overloaded(evidence: &Evidence<'_>, from_ns: u64, to_ns: u64) -> Result<String, String> {
    let asked = evidence.entries.iter().filter(|entry| {
        matches!(entry.event, Event::Asked { .. }) && (from_ns..to_ns).contains(&entry.at_ns)
    });
    let seconds = (to_ns - from_ns) as f64 / 1e9;
    let rate = asked.count() as f64 / seconds;
    let times = rate / f64::from(evidence.plan.capacity());
    let refused = evidence.counted.map_or(0, |counted| counted.overloaded);
    let text = format!(
        "{rate:.0} calls/s, {times:.1} times what callees can do, of which they counted {refused} as too many"
    );
    match times >= TOO_MUCH && refused > 0 {
        true => Ok(text),
        false => Err(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fault::Fault, topology::Topology};

    fn settle(claim: Claim, log: &str, entries: &[Entry], excuse: Option<String>) -> Proof {
        let plan = Plan::alone(Some(Fault::Overload), Topology::Replicas, 1);
        let evidence = Evidence {
            plan: &plan,
            entries,
            log,
            counted: None,
        };
        claim.settle(&evidence, excuse)
    }

    fn logged(since_bytes: usize) -> Claim {
        Claim::Logged {
            what: "full".to_owned(),
            words: &["No space left"],
            since_bytes,
        }
    }

    #[test]
    fn what_is_to_be_logged_is_waited_for_from_where_it_can_be() {
        let log = "refused: long ago\nready\n";
        let claim = |words| Claim::Logged {
            what: String::new(),
            words,
            since_bytes: log.find("ready").unwrap(),
        };
        assert!(!claim(&["refused"]).is_logged(log));
        assert!(claim(&["refused"]).is_logged(&format!("{log}refused: now\n")));
        assert!(claim(&["lost", "ready"]).is_logged(log));
        assert!(
            Claim::Seen(String::new()).is_logged(""),
            "nothing is missing"
        );
    }

    #[test]
    fn a_strike_that_was_not_seen_is_missed_unless_another_fault_excuses_it() {
        let unseen = || Claim::Unseen("nobody was there".to_owned());
        assert!(matches!(settle(unseen(), "", &[], None), Proof::Missed(_)));
        let excuse = Some("kill-all".to_owned());
        assert!(matches!(settle(unseen(), "", &[], excuse), Proof::Idle(_)));
    }

    #[test]
    fn what_was_logged_before_a_strike_proves_nothing_of_it() {
        let log = "No space left on device\n";
        assert!(matches!(
            settle(logged(0), log, &[], None),
            Proof::Struck(_)
        ));
        let later = settle(logged(log.len()), log, &[], None);
        assert!(matches!(later, Proof::Missed(_)));
    }

    #[test]
    fn a_clock_has_jumped_only_where_a_process_saw_it() {
        let jumped = |at_ns| Entry {
            at_ns,
            process: 1,
            event: Event::Jumped { by_s: 259_200 },
        };
        let claim = || Claim::Jumped { since_ns: 5 };
        assert!(matches!(
            settle(claim(), "", &[jumped(6)], None),
            Proof::Struck(_)
        ));
        assert!(matches!(
            settle(claim(), "", &[jumped(4)], None),
            Proof::Missed(_)
        ));
    }

    #[test]
    fn callees_that_refused_nothing_were_not_overloaded() {
        let claim = Claim::Overloaded {
            from_ns: 0,
            to_ns: 1_000,
        };
        assert!(matches!(settle(claim, "", &[], None), Proof::Missed(_)));
    }
}
