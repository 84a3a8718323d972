//! What the runs came to, fault by fault.

use std::{collections::BTreeMap, fmt};

use crate::{
    run::{Outcome, Tally},
    topology::Topology,
};

/// A line for each fault in each topology.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<(String, Topology), Row>,
}

#[derive(Debug, Default)]
struct Row {
    runs: usize,
    finds: usize,
    tally: Tally,
}

impl Table {
    /// Adds what came of a run.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let key = (outcome.plan.name.clone(), outcome.plan.topology);
        let row = self.rows.entry(key).or_default();
        row.runs += 1;
        row.finds += outcome.finds.len();
        row.tally.join(&outcome.tally);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18}{:<10}{:>5}{:>8}{:>8}{:>9}{:>9}{:>8}{:>9}{:>7}{:>8}{:>10}{:>7}",
            "FAULT",
            "TOPOLOGY",
            "RUNS",
            "CALLS",
            "RIGHT",
            "REFUSED",
            "UNKNOWN",
            "LATE",
            "RETRIED",
            "TWICE",
            "DENIED",
            "RECOVERY",
            "FINDS"
        )?;
        for ((name, topology), Row { runs, finds, tally }) in &self.rows {
            let recovery = tally
                .recovery
                .map_or("-".to_owned(), |it| format!("{} ms", it.as_millis()));
            writeln!(
                f,
                "{name:<18}{:<10}{runs:>5}{:>8}{:>8}{:>9}{:>9}{:>8}{:>9}{:>7}{:>8}{recovery:>10}{finds:>7}",
                topology.to_string(),
                tally.calls,
                tally.right,
                tally.refused,
                tally.unknown,
                tally.late,
                tally.retried,
                tally.repeated,
                tally.denied,
            )?;
        }
        Ok(())
    }
}
