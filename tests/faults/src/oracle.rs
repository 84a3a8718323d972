//! Judges a run by its two ledgers: was every caller told the truth?
//!
//! It knows no process, clock or fault: a [`History`] comes in, and each broken [`Promise`] comes out. How it weighs what it sees
//! is told in `docs/design/0022-the-oracle-and-its-two-ledgers.md`.

use std::{collections::BTreeSet, fmt, time::Duration};

use anylith::Execution;

use crate::{
    clock::in_ns,
    history::{Asked, History},
    ledger::{Answer, CallId, Entry, Event, How},
};

/// How much longer than its deadline a call may take, besides the time that its process did not get.
pub(crate) const SCHEDULING: Duration = Duration::from_millis(50);

/// What a panic says that was ordered.
pub(crate) const ORDERED_PANIC: &str = "it was ordered to";

/// What the suite itself did, so that the application is not blamed for it.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The processes that were killed: their callers need no answer.
    pub(crate) killed: BTreeSet<u32>,
    /// Nothing broke that a call needs, so none may be lost.
    pub(crate) gentle: bool,
    /// How much longer than its deadline a call may take, besides the time that its process did not get.
    pub(crate) scheduling: Duration,
    /// What retries may cost; `None` where too much went wrong to say.
    pub(crate) budget: Option<Budget>,
}

/// What retries may cost, where callees only have too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// How many attempts the callees refused, as they count. None of them is an execution.
    pub(crate) refused: u64,
    /// How many budgets there are: one for each edge out of each process.
    pub(crate) edges: u32,
}

impl Budget {
    /// The attempts that `calls` calls may make in so many seconds.
    fn most(self, calls: usize, seconds: f64) -> f64 {
        calls as f64 * 1.2 + f64::from(self.edges) * (100.0 + 10.0 * seconds)
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            killed: BTreeSet::new(),
            gentle: false,
            scheduling: SCHEDULING,
            budget: None,
        }
    }
}

/// What holds under every fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Promise {
    NotExecutedDidNotRun,
    ExecutedRan,
    OnceAtMost,
    OneAnswer,
    RightAnswer,
    InTime,
    DrainsLoseNothing,
    RetriesAreBounded,
}

impl Promise {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::NotExecutedDidNotRun,
        Self::ExecutedRan,
        Self::OnceAtMost,
        Self::OneAnswer,
        Self::RightAnswer,
        Self::InTime,
        Self::DrainsLoseNothing,
        Self::RetriesAreBounded,
    ];
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotExecutedDidNotRun => "no call is told `not executed` that ran",
            Self::ExecutedRan => "no call is told `executed` that did not run",
            Self::OnceAtMost => "no call runs twice whose method is not idempotent",
            Self::OneAnswer => "each call of a caller that lives has one answer",
            Self::RightAnswer => "answers are right, and arrive where they belong",
            Self::InTime => "no call outlives its deadline",
            Self::DrainsLoseNothing => "no call is lost where replicas only drain",
            Self::RetriesAreBounded => "retries add a fifth to the load, and what is saved up",
        })
    }
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Find {
    pub(crate) promise: Promise,
    /// The call for which it was broken; `None` if it is about all of them.
    pub(crate) call: Option<CallId>,
    /// What is wrong.
    pub(crate) text: String,
    /// Everything that happened in that call.
    pub(crate) events: Vec<Entry>,
}

/// Everything that is wrong with a history.
pub(crate) fn judge(history: &History, terms: &Terms) -> Vec<Find> {
    let mut finds = Vec::new();
    for (call, events) in &history.calls {
        let case = Case {
            history,
            terms,
            events,
        };
        finds.extend(case.judge().into_iter().map(|(promise, text)| Find {
            promise,
            call: Some(*call),
            text,
            events: events.clone(),
        }));
    }
    finds.extend(retried_too_often(history, terms));
    // Those that are told fastest come first.
    finds.sort_by_key(|find| find.events.len());
    finds
}

/// Whether callees saw more attempts than the budget of retries leaves room for.
fn retried_too_often(history: &History, terms: &Terms) -> Option<Find> {
    let budget = terms.budget?;
    let events = || history.calls.values().flatten();
    let began = events().filter(|entry| matches!(entry.event, Event::Began { .. }));
    let attempts = began.count() as u64 + budget.refused;
    let calls = history.asked().count();
    let first = events().map(|entry| entry.at_ns).min()?;
    let last = events().map(|entry| entry.at_ns).max()?;
    let most = budget.most(calls, Duration::from_nanos(last - first).as_secs_f64());
    (attempts as f64 > most).then(|| Find {
        promise: Promise::RetriesAreBounded,
        call: None,
        text: format!("{attempts} attempts for {calls} calls, where {most:.0} are the most"),
        events: Vec::new(),
    })
}

/// One call before the judge.
struct Case<'a> {
    history: &'a History,
    terms: &'a Terms,
    events: &'a [Entry],
}

impl Case<'_> {
    fn judge(&self) -> Vec<(Promise, String)> {
        let Some(asked) = Asked::of(self.events) else {
            let text = "nobody made this call, and yet it was executed".to_owned();
            return vec![(Promise::RightAnswer, text)];
        };
        let rules = [
            Self::ran_although_told_not,
            Self::did_not_run_although_told,
            Self::ran_twice,
            Self::not_answered_once,
            Self::answered_wrongly,
            Self::late,
            Self::lost,
        ];
        rules
            .into_iter()
            .filter_map(|rule| rule(self, &asked))
            .collect()
    }

    fn ran_although_told_not(&self, asked: &Asked<'_>) -> Option<(Promise, String)> {
        let (at_ns, answer) = asked.told?;
        let began_ns = self.first(|event| matches!(event, Event::Began { .. }))?;
        (execution(answer) == Some(Execution::NotExecuted)).then(|| {
            let when = match began_ns < at_ns {
                true => "had begun",
                false => "began later",
            };
            let text = format!("told that it was not executed, but its execution {when}");
            (Promise::NotExecutedDidNotRun, text)
        })
    }

    fn did_not_run_although_told(&self, asked: &Asked<'_>) -> Option<(Promise, String)> {
        let (at_ns, answer) = asked.told?;
        if execution(answer) != Some(Execution::Executed) {
            return None;
        }
        let by_then = |wanted: fn(&Event) -> bool| self.first(wanted).is_some_and(|it| it <= at_ns);
        let text = if !by_then(|event| matches!(event, Event::Began { .. })) {
            "told that it was executed, but nobody had begun to"
        } else if *answer == Answer::Right && !by_then(|event| matches!(event, Event::Ended { .. }))
        {
            "answered, but its execution had not come to its end"
        } else {
            return None;
        };
        Some((Promise::ExecutedRan, text.to_owned()))
    }

    fn ran_twice(&self, asked: &Asked<'_>) -> Option<(Promise, String)> {
        let began = |entry: &&Entry| matches!(entry.event, Event::Began { .. });
        let times = self.events.iter().filter(began).count();
        (times > 1 && !asked.method.is_idempotent())
            .then(|| (Promise::OnceAtMost, format!("executed {times} times")))
    }

    fn not_answered_once(&self, asked: &Asked<'_>) -> Option<(Promise, String)> {
        let told = |entry: &&Entry| matches!(entry.event, Event::Told { .. });
        let text = match (self.events.iter().filter(told).count(), asked.told) {
            (0, _) if self.terms.killed.contains(&asked.process) => return None,
            (0, _) => "no answer, although its caller lived".to_owned(),
            (1, Some((_, Answer::Nothing))) => {
                "no answer, long after its deadline had passed".to_owned()
            }
            (1, _) => return None,
            (times, _) => format!("{times} answers"),
        };
        Some((Promise::OneAnswer, text))
    }

    fn answered_wrongly(&self, asked: &Asked<'_>) -> Option<(Promise, String)> {
        let text = match asked.told {
            Some((_, Answer::Wrong { text })) => text.clone(),
            Some((_, Answer::Failed { how, text, .. })) => match how {
                How::Unreadable | How::Forbidden => text.clone(),
                How::Panicked if !text.contains(ORDERED_PANIC) => text.clone(),
                _ => self.garbled()?,
            },
            _ => self.garbled()?,
        };
        Some((Promise::RightAnswer, text))
    }

    fn garbled(&self) -> Option<String> {
        self.first(|event| matches!(event, Event::Garbled { .. }))
            .map(|_| "the callee did not get what the caller sent".to_owned())
    }

    fn late(&self, asked: &Asked<'_>) -> Option<(Promise, String)> {
        let (told_ns, answer) = asked.told?;
        if matches!(answer, Answer::Dropped | Answer::Nothing) || self.panicked_here(asked) {
            return None;
        }
        let over_ns = asked.at_ns + asked.deadline_us * 1_000;
        let paused_ns = self.history.paused_ns(asked.process, asked.at_ns, told_ns);
        let late_ns = told_ns.saturating_sub(over_ns).saturating_sub(paused_ns);
        (late_ns > in_ns(self.terms.scheduling)).then(|| {
            let text = format!(
                "answered {} ms after its deadline, besides {} ms in which its caller got no time",
                late_ns / 1_000_000,
                paused_ns / 1_000_000
            );
            (Promise::InTime, text)
        })
    }

    /// Whether it panicked in its caller's own process. To say where takes processor time, and who computes there is never
    /// interrupted.
    fn panicked_here(&self, asked: &Asked<'_>) -> bool {
        let here = |entry: &Entry| {
            matches!(entry.event, Event::Began { .. }) && entry.process == asked.process
        };
        let panicked = matches!(
            asked.told,
            Some((
                _,
                Answer::Failed {
                    how: How::Panicked,
                    ..
                }
            ))
        );
        panicked && self.events.iter().any(here)
    }

    fn lost(&self, asked: &Asked<'_>) -> Option<(Promise, String)> {
        match asked.told? {
            (
                _,
                Answer::Failed {
                    how: How::Lost,
                    text,
                    ..
                },
            ) if self.terms.gentle => Some((Promise::DrainsLoseNothing, text.clone())),
            _ => None,
        }
    }

    /// When the first such thing happened.
    fn first(&self, wanted: impl Fn(&Event) -> bool) -> Option<u64> {
        let found = self.events.iter().find(|entry| wanted(&entry.event));
        found.map(|entry| entry.at_ns)
    }
}

/// What an answer says of the execution; `None` if it says nothing.
fn execution(answer: &Answer) -> Option<Execution> {
    match answer {
        Answer::Right | Answer::Wrong { .. } => Some(Execution::Executed),
        Answer::Failed { execution, .. } => Some(*execution),
        Answer::Dropped | Answer::Nothing => None,
    }
}

#[cfg(test)]
mod tests;
