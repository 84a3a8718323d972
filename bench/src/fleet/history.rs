//! What a caller was told, beside what the workers did.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anylith::Execution;

use super::load::{Made, Told};

/// The bytes of an execution in a worker's ledger: the number of the job, and when, in microseconds of Unix time.
const ENTRY_BYTES: usize = 12;

/// An execution that begins now, for the ledger.
pub(super) fn entry(number: u32) -> [u8; ENTRY_BYTES] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_micros() as u64;
    let mut entry = [0; ENTRY_BYTES];
    entry[..4].copy_from_slice(&number.to_le_bytes());
    entry[4..].copy_from_slice(&now.to_le_bytes());
    entry
}

/// The calls of a load, and the executions of each worker.
pub(crate) struct History {
    pub(crate) made: Vec<Made>,
    /// How often each job was begun.
    executions: HashMap<u32, u32>,
    /// When each worker began one, in microseconds since the first of all.
    begun_us: Vec<Vec<u64>>,
}

impl History {
    pub(super) fn new(made: Vec<Made>, ledgers: &[Vec<u8>]) -> Self {
        let mut executions = HashMap::new();
        let mut begun_us: Vec<Vec<u64>> = Vec::new();
        for ledger in ledgers {
            let mut begun = Vec::new();
            for entry in ledger.chunks_exact(ENTRY_BYTES) {
                let (mut number, mut at) = ([0; 4], [0; 8]);
                number.copy_from_slice(&entry[..4]);
                at.copy_from_slice(&entry[4..]);
                *executions.entry(u32::from_le_bytes(number)).or_default() += 1;
                begun.push(u64::from_le_bytes(at));
            }
            begun_us.push(begun);
        }
        let first = begun_us.iter().flatten().min().copied().unwrap_or_default();
        for at in begun_us.iter_mut().flatten() {
            *at -= first;
        }
        Self {
            made,
            executions,
            begun_us,
        }
    }

    /// The calls that were due in a span of the load.
    pub(crate) fn due(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Made> {
        let span = from.as_micros() as u64..to.as_micros() as u64;
        let made = self.made.iter();
        made.filter(move |made| span.contains(&made.due_us))
    }

    /// The share of the executions that began in a span of the load and were those of `worker`; 0 if there were none.
    pub(crate) fn share(&self, worker: usize, from: Duration, to: Duration) -> f64 {
        let span = from.as_micros() as u64..to.as_micros() as u64;
        let count = |begun: &Vec<u64>| begun.iter().filter(|at| span.contains(at)).count() as f64;
        let all: f64 = self.begun_us.iter().map(count).sum();
        count(&self.begun_us[worker]) / all.max(1.0)
    }

    /// The calls of which the caller was told what is not true: refused although it ran, done although it did not,
    /// or run twice although that was not allowed.
    pub(crate) fn lies(&self) -> impl Iterator<Item = &Made> {
        self.made.iter().filter(|made| {
            let runs = self.executions.get(&made.number).copied().unwrap_or(0);
            let false_word = match &made.told {
                Told::Done(_) | Told::Error => runs == 0,
                Told::Failed { execution, .. } => match execution {
                    Execution::NotExecuted => runs > 0,
                    Execution::Executed => runs == 0,
                    Execution::Unknown => false,
                },
            };
            false_word || (!made.idempotent && runs > 1)
        })
    }

    /// All executions over all calls: 1 where nothing was done twice or left out.
    pub(crate) fn amplification(&self) -> f64 {
        let executions: u32 = self.executions.values().sum();
        f64::from(executions) / self.made.len().max(1) as f64
    }
}

/// The time within which the given share of `calls` came to their ends, in milliseconds.
pub(crate) fn quantile_ms<'a>(calls: impl Iterator<Item = &'a Made>, share: f64) -> f64 {
    let times: Vec<f64> = calls.map(|made| made.took_us as f64 / 1e3).collect();
    crate::ratio::quantile(&times, share)
}
