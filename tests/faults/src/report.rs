//! A find, as it is shown: the shortest history that it has.

use std::fmt;

use crate::{ledger::Event, oracle::Find, run::Outcome};

/// The most finds of one run that are shown.
const SHOWN: usize = 3;

/// What the oracle found in a run.
pub(crate) struct Report<'a>(pub(crate) &'a Outcome);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome {
            plan,
            defect,
            finds,
            ..
        } = self.0;
        writeln!(f, "FOUND in {plan}: {} in all", finds.len())?;
        let mut shown: Vec<&Find> = Vec::new();
        for find in finds {
            // One of each kind says more than three of a kind.
            if shown.len() < SHOWN && shown.iter().all(|other| other.promise != find.promise) {
                shown.push(find);
            }
        }
        for find in shown {
            self.show(find, f)?;
        }
        match defect {
            Some(defect) => {
                let (name, seed) = (defect.name, plan.seed);
                writeln!(
                    f,
                    "\n  again: cargo xtask faults --plant {name} --seed {seed}"
                )
            }
            None => writeln!(f, "\n  again: {}", plan.again()),
        }
    }
}

impl Report<'_> {
    fn show(&self, find: &Find, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  broken: {}\n  ", find.promise)?;
        match find.call {
            Some(call) => writeln!(f, "call {call:x}: {}", find.text)?,
            None => writeln!(f, "all calls: {}", find.text)?,
        }
        for entry in &find.events {
            let since_us = entry.at_ns.saturating_sub(self.0.begin_ns) / 1_000;
            write!(
                f,
                "  {:>6}.{:03} ms  process {:<8}",
                since_us / 1_000,
                since_us % 1_000,
                entry.process
            )?;
            match &entry.event {
                Event::Asked {
                    method,
                    deadline_us,
                    ..
                } => {
                    let kind = match method.is_idempotent() {
                        true => "idempotent",
                        false => "once at most",
                    };
                    let ms = deadline_us / 1_000;
                    writeln!(f, "calls {} ({kind}), for {ms} ms", method.name())
                }
                Event::Told { answer, .. } => writeln!(f, "is told {answer:?}"),
                Event::Began { .. } => writeln!(f, "begins to execute it"),
                Event::Ended { .. } => writeln!(f, "has executed it"),
                Event::Cut { .. } => writeln!(f, "drops it half-way"),
                Event::Garbled { .. } => writeln!(f, "got it garbled"),
                other => writeln!(f, "{other:?}"),
            }?;
        }
        Ok(())
    }
}
