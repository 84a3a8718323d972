//! Sums what the processes of an application report, those that are gone included.

use std::collections::BTreeMap;

use anylith_core::Name;

use crate::{numbers::Numbers, report::Report};

/// What all processes of an application have counted.
///
/// A replica reports absolute numbers, so a report takes the place of the one before it. What a process has counted that is
/// gone stays in the sums, but for what was in flight in it.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Replica → what its process has reported last, if it ever did.
    last: BTreeMap<Name, Entry>,
    /// What processes had counted in whose place others are.
    gone: Numbers,
}

#[derive(Debug, Clone)]
struct Entry {
    report: Report,
    /// Whether the process may still be there.
    speaks: bool,
}

impl Book {
    /// A replica has reported.
    pub fn reported(&mut self, replica: &Name, report: Report) {
        let since = report.since_ms;
        let entry = Entry {
            report,
            speaks: true,
        };
        let before = self.last.insert(replica.clone(), entry);
        if let Some(Entry { mut report, .. }) = before
            && report.since_ms != since
        {
            // Another process has taken its place.
            report.numbers.settle();
            self.gone.add(&report.numbers);
        }
    }

    /// The connection of a replica is over. If its process is not, it reports again.
    pub fn cut_off(&mut self, replica: &Name) {
        if let Some(entry) = self.last.get_mut(replica) {
            entry.speaks = false;
            entry.report.numbers.settle();
        }
    }

    /// What the process of a replica has reported last; `None` if none is there, or it has not reported yet.
    pub fn last(&self, replica: &Name) -> Option<&Report> {
        let entry = self.last.get(replica)?;
        entry.speaks.then_some(&entry.report)
    }

    /// All of it, summed.
    pub fn sum(&self) -> Numbers {
        let mut sum = self.gone.clone();
        let last = self.last.values();
        last.for_each(|entry| sum.add(&entry.report.numbers));
        sum
    }
}
