//! An open loop: calls are made when they are due, however long those before them take.

use std::time::{Duration, Instant};

use anylith::{CallError, Execution};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::sleep_until};

use super::component::{Job, WorkError, Worker as _, WorkerClient};

/// Calls at a steady rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Load {
    /// How many calls are due in a second.
    pub(crate) per_second: f64,
    /// For how long.
    pub(crate) length: Duration,
    /// Which method they call.
    pub(crate) methods: Methods,
    /// The number of the first job; the others follow.
    pub(crate) first: u32,
    /// A span in which more are due.
    pub(crate) peak: Option<Peak>,
}

/// A span of a load with another rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Peak {
    /// When it begins and ends, from the beginning of the load.
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    /// How many calls are due in a second of it.
    pub(crate) per_second: f64,
}

impl Load {
    /// The time from a call that is due after `at` seconds to the next one, in seconds.
    fn interval(&self, at: f64) -> f64 {
        let within = |peak: &Peak| (peak.from.as_secs_f64()..peak.to.as_secs_f64()).contains(&at);
        let rate = match self.peak.filter(within) {
            Some(peak) => peak.per_second,
            None => self.per_second,
        };
        rate.recip()
    }
}

/// Which methods are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Methods {
    /// Only the idempotent one.
    Look,
    /// Both in turn: the idempotent one for even numbers.
    Both,
}

/// A call, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// The number of its job.
    pub(crate) number: u32,
    pub(crate) idempotent: bool,
    /// When it was due, in microseconds from the beginning of the load.
    pub(crate) due_us: u64,
    /// From then until its end.
    pub(crate) took_us: u64,
    pub(crate) told: Told,
}

/// What the caller was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// It was done, by the worker with this number.
    Done(usize),
    /// The worker's own error.
    Error,
    /// The call failed.
    Failed {
        /// What the callee may have done.
        execution: Execution,
        /// Why.
        why: String,
    },
}

/// Makes the calls; returns them in the order in which they were due.
pub(crate) async fn run(load: Load, worker: &WorkerClient) -> Vec<Made> {
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    let mut made = Vec::new();
    let mut at = 0.0;
    for number in load.first.. {
        if at >= load.length.as_secs_f64() {
            break;
        }
        let due = begun + Duration::from_secs_f64(at);
        at += load.interval(at);
        if due > Instant::now() {
            // It wakes a little late, and then makes all calls that are due.
            sleep_until(due.into()).await;
        }
        let worker = worker.clone();
        let idempotent = load.methods == Methods::Look || number % 2 == 0;
        calls.spawn(async move {
            let answer = if idempotent {
                worker.look(Job { number }).await
            } else {
                worker.order(Job { number }).await
            };
            Made {
                number,
                idempotent,
                due_us: (due - begun).as_micros() as u64,
                took_us: due.elapsed().as_micros() as u64,
                told: Told::from(answer),
            }
        });
        while let Some(Ok(one)) = calls.try_join_next() {
            made.push(one);
        }
    }
    made.extend(calls.join_all().await);
    made.sort_unstable_by_key(|made| made.number);
    made
}

impl From<Result<usize, WorkError>> for Told {
    fn from(answer: Result<usize, WorkError>) -> Self {
        match answer {
            Ok(worker) => Self::Done(worker),
            Err(WorkError::Broken) => Self::Error,
            Err(WorkError::Call(error)) => Self::from(error),
        }
    }
}

impl From<CallError> for Told {
    fn from(error: CallError) -> Self {
        Self::Failed {
            execution: error.execution(),
            why: error.to_string(),
        }
    }
}
