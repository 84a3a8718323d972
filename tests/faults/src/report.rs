//! A find, as it is shown: the shortest history that it has.

use std::fmt;

use crate::{ledger::Event, oracle::Find, plan::Strike, run::Outcome};

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
            proofs,
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
        for (strike, proof) in proofs {
            let Strike {
                fault,
                at_ms,
                for_ms,
                ..
            } = strike;
            writeln!(f, "  {fault} at {at_ms} ms for {for_ms} ms: {proof}")?;
        }
        for find in shown {
            self.show(find, f)?;
        }
        match defect {
            // What it was planted for is its bait.
            Some(defect) if !plan.is_mixture() => {
                let (name, seed) = (defect.name, plan.seed);
                writeln!(
                    f,
                    "\n  again: cargo xtask faults --plant {name} --seed {seed}"
                )
            }
            Some(defect) => writeln!(f, "\n  again: {} --plant {}", plan.again(), defect.name),
            None => writeln!(f, "\n  again: {}", plan.again()),
        }
    }
}

impl Report<'_> {
    /// A process, by the replica that it was.
    fn who(&self, process: u32) -> String {
        let name = self.0.names.get(&process);
        let name = name.map_or("process", String::as_str);
        format!("{name} ({process})")
    }

    fn show(&self, find: &Find, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  broken: {}\n  ", find.promise)?;
        match find.call {
            Some(call) => writeln!(f, "call {call:x}: {}", find.text)?,
            None => writeln!(f, "all calls: {}", find.text)?,
        }
        let mut strikes: Vec<&Strike> = self.0.proofs.iter().map(|(strike, _)| strike).collect();
        strikes.sort_by_key(|strike| strike.at_ms);
        let mut strikes = strikes.into_iter().peekable();
        for entry in &find.events {
            let since_us = entry.at_ns.saturating_sub(self.0.begin_ns) / 1_000;
            while let Some(strike) = strikes.next_if(|it| it.at_ms * 1_000 <= since_us) {
                writeln!(f, "  {:>6}.000 ms  {} begins", strike.at_ms, strike.fault)?;
            }
            write!(
                f,
                "  {:>6}.{:03} ms  {:<22}",
                since_us / 1_000,
                since_us % 1_000,
                self.who(entry.process)
            )?;
            match &entry.event {
                Event::Asked {
                    method,
                    deadline_us,
                    within,
                    ..
                } => {
                    let kind = match method.is_idempotent() {
                        true => "idempotent",
                        false => "once at most",
                    };
                    let ms = deadline_us / 1_000;
                    let within = within.map_or(String::new(), |it| format!(", within call {it:x}"));
                    writeln!(f, "calls {} ({kind}), for {ms} ms{within}", method.name())
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
