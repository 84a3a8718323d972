//! The two ledgers, sorted by call.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    clock::in_ns,
    ledger::{Answer, CallId, Entry, Event, How, Method},
};

/// The most computing at a time without giving any other task its turn for which a process is excused.
const BUSY: Duration = Duration::from_millis(250);

/// Everything that happened in a run.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// What happened in each call, in the order of time.
    pub(crate) calls: BTreeMap<CallId, Vec<Entry>>,
    /// When each process got no time, as the begin and the end of that.
    pauses: BTreeMap<u32, Vec<(u64, u64)>>,
    /// The callers that have an answer to each of their calls.
    pub(crate) finished: BTreeSet<u32>,
}

impl History {
    /// Sorts the entries of all ledgers.
    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        let mut history = Self::default();
        for entry in entries {
            let call = match &entry.event {
                Event::Asked { call, .. }
                | Event::Told { call, .. }
                | Event::Began { call }
                | Event::Ended { call }
                | Event::Cut { call }
                | Event::Garbled { call } => *call,
                Event::Starved { since_ns } => {
                    let pauses = history.pauses.entry(entry.process).or_default();
                    pauses.push((*since_ns, entry.at_ns));
                    continue;
                }
                Event::Busy {
                    since_ns,
                    computed_ns,
                } => {
                    let computed_ns = *computed_ns.min(&in_ns(BUSY));
                    let begin = entry.at_ns.saturating_sub(computed_ns).max(*since_ns);
                    let pauses = history.pauses.entry(entry.process).or_default();
                    pauses.push((begin, entry.at_ns));
                    continue;
                }
                Event::Jumped { .. } => continue,
                Event::Finished => {
                    history.finished.insert(entry.process);
                    continue;
                }
            };
            history.calls.entry(call).or_default().push(entry);
        }
        history
    }

    /// How long `process` got no time between the two instants.
    pub(crate) fn paused_ns(&self, process: u32, from_ns: u64, to_ns: u64) -> u64 {
        let pauses = self.pauses.get(&process).into_iter().flatten();
        let mut pauses: Vec<_> = pauses
            .map(|(begin, end)| (*begin.max(&from_ns), *end.min(&to_ns)))
            .collect();
        pauses.sort_unstable();
        // The two witnesses see some of it both: nothing counts twice.
        let mut seen_ns = from_ns;
        let mut paused_ns = 0;
        for (begin, end) in pauses {
            let begin = begin.max(seen_ns);
            paused_ns += end.saturating_sub(begin);
            seen_ns = seen_ns.max(end);
        }
        paused_ns
    }

    /// Each call as its caller made it, with the answer, if there is one.
    pub(crate) fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.calls.values().filter_map(|events| Asked::of(events))
    }

    /// How many executions there were of each call beyond the first, in all.
    pub(crate) fn repeated(&self) -> usize {
        let began = |events: &Vec<Entry>| {
            let began = events.iter();
            began
                .filter(|entry| matches!(entry.event, Event::Began { .. }))
                .count()
        };
        self.calls
            .values()
            .map(|events| began(events).saturating_sub(1))
            .sum()
    }
}

/// A call as its caller made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) at_ns: u64,
    pub(crate) process: u32,
    pub(crate) method: Method,
    pub(crate) deadline_us: u64,
    /// What it was told first, and when.
    pub(crate) told: Option<(u64, &'a Answer)>,
}

impl<'a> Asked<'a> {
    /// Out of what happened in one call; `None` if nobody made it.
    pub(crate) fn of(events: &'a [Entry]) -> Option<Self> {
        let told = events.iter().find_map(|entry| match &entry.event {
            Event::Told { answer, .. } => Some((entry.at_ns, answer)),
            _ => None,
        });
        events.iter().find_map(|entry| match entry.event {
            Event::Asked {
                method,
                deadline_us,
                ..
            } => Some(Self {
                at_ns: entry.at_ns,
                process: entry.process,
                method,
                deadline_us,
                told,
            }),
            _ => None,
        })
    }

    /// Whether the call did not bring what its caller wanted, through no wish of its own.
    pub(crate) fn failed(&self) -> bool {
        match self.told {
            Some((_, Answer::Failed { how, .. })) => *how != How::Panicked,
            Some((_, Answer::Nothing | Answer::Wrong { .. })) => true,
            Some((_, Answer::Right | Answer::Dropped)) | None => false,
        }
    }
}
