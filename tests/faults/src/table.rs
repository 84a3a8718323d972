//! What the runs came to, fault by fault.

use std::{collections::BTreeMap, fmt};

use crate::{
    proof::Proof,
    run::{Outcome, Tally},
    topology::Topology,
};

/// A line for each fault in each topology.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<(String, Topology), Row>,
    /// What could not be run, and why.
    skipped: BTreeMap<(String, Topology), &'static str>,
}

#[derive(Debug, Default)]
struct Row {
    runs: usize,
    finds: usize,
    struck: usize,
    strikes: usize,
    tally: Tally,
}

impl Table {
    /// Adds what came of a run.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let key = (outcome.plan.name.clone(), outcome.plan.topology);
        let row = self.rows.entry(key).or_default();
        let proofs = outcome.proofs.iter();
        row.runs += 1;
        row.finds += outcome.finds.len();
        row.struck += proofs
            .filter(|(_, proof)| matches!(proof, Proof::Struck(_)))
            .count();
        row.strikes += outcome.proofs.len();
        row.tally.join(&outcome.tally);
    }

    /// Adds that something could not be run.
    pub(crate) fn skip(&mut self, name: String, topology: Topology, reason: &'static str) {
        self.skipped.insert((name, topology), reason);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18}{:<10}{:>5}{:>8}{:>8}{:>8}{:>9}{:>9}{:>8}{:>9}{:>7}{:>8}{:>10}{:>7}",
            "FAULT",
            "TOPOLOGY",
            "RUNS",
            "STRUCK",
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
        for ((name, topology), row) in &self.rows {
            let Row {
                runs, finds, tally, ..
            } = row;
            let struck = format!("{}/{}", row.struck, row.strikes);
            let recovery = tally
                .recovery
                .map_or("-".to_owned(), |it| format!("{} ms", it.as_millis()));
            writeln!(
                f,
                "{name:<18}{:<10}{runs:>5}{struck:>8}{:>8}{:>8}{:>9}{:>9}{:>8}{:>9}{:>7}{:>8}{recovery:>10}{finds:>7}",
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
        for ((name, topology), reason) in &self.skipped {
            writeln!(
                f,
                "{name:<18}{:<10} skipped: {reason}",
                topology.to_string()
            )?;
        }
        Ok(())
    }
}
