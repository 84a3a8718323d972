//! What calls: an open loop, where calls are made when they are due, however long those before them take; or a
//! closed one, where each waits for one before it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anylith::{CallError, Execution};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::sleep_until};

use super::component::{Job, WorkError, Worker as _, WorkerClient};

/// Calls for a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Load {
    /// How many there are.
    pub(crate) pace: Pace,
    /// For how long.
    pub(crate) length: Duration,
    /// Which method they call.
    pub(crate) methods: Methods,
    /// The number of the first job; the others follow.
    pub(crate) first: u32,
}

/// How many calls a load makes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// So many are due in a second.
    PerSecond(f64),
    /// So many, and more in a span.
    Peak {
        /// How many are due in a second outside of it.
        per_second: f64,
        /// When it begins and ends, from the beginning of the load.
        from: Duration,
        to: Duration,
        /// How many are due in a second of it.
        within: f64,
    },
    /// So many at a time, each when one before it has ended.
    AtATime(u32),
}

impl Pace {
    /// The time from a call that is due after `at` seconds to the next one, in seconds; `None` where none is due by
    /// itself.
    fn interval(self, at: f64) -> Option<f64> {
        let rate = match self {
            Self::PerSecond(rate) => rate,
            Self::Peak {
                per_second,
                from,
                to,
                within,
            } => {
                if (from.as_secs_f64()..to.as_secs_f64()).contains(&at) {
                    within
                } else {
                    per_second
                }
            }
            Self::AtATime(_) => return None,
        };
        Some(rate.recip())
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
    /// From then until it was made, which is later where the machine gives the load no time.
    pub(crate) late_us: u64,
    /// From when it was due until its end.
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

/// Makes the calls; returns them in the order of their numbers.
pub(crate) async fn run(load: Load, worker: &WorkerClient) -> Vec<Made> {
    let mut made = match load.pace {
        Pace::AtATime(callers) => at_a_time(load, callers, worker).await,
        Pace::PerSecond(_) | Pace::Peak { .. } => when_due(load, worker).await,
    };
    made.sort_unstable_by_key(|made| made.number);
    made
}

/// An open loop.
async fn when_due(load: Load, worker: &WorkerClient) -> Vec<Made> {
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    let mut made = Vec::new();
    let mut at = 0.0;
    for number in load.first.. {
        if at >= load.length.as_secs_f64() {
            break;
        }
        let due = begun + Duration::from_secs_f64(at);
        let Some(interval) = load.pace.interval(at) else {
            break;
        };
        at += interval;
        if due > Instant::now() {
            // It wakes a little late, and then makes all calls that are due.
            sleep_until(due.into()).await;
        }
        calls.spawn(call(load.methods, number, begun, due, worker.clone()));
        while let Some(Ok(one)) = calls.try_join_next() {
            made.push(one);
        }
    }
    made.extend(calls.join_all().await);
    made
}

/// A closed loop of so many `callers`.
async fn at_a_time(load: Load, callers: u32, worker: &WorkerClient) -> Vec<Made> {
    let begun = Instant::now();
    let next = Arc::new(AtomicU32::new(load.first));
    let loops = (0..callers).map(|_| {
        let (next, worker) = (Arc::clone(&next), worker.clone());
        async move {
            let mut made = Vec::new();
            while begun.elapsed() < load.length {
                let number = next.fetch_add(1, Relaxed);
                let due = Instant::now();
                made.push(call(load.methods, number, begun, due, worker.clone()).await);
            }
            made
        }
    });
    let loops: JoinSet<Vec<Made>> = loops.collect();
    loops.join_all().await.into_iter().flatten().collect()
}

/// Makes one call.
fn call(
    methods: Methods,
    number: u32,
    begun: Instant,
    due: Instant,
    worker: WorkerClient,
) -> impl Future<Output = Made> {
    let idempotent = methods == Methods::Look || number.is_multiple_of(2);
    async move {
        let late = due.elapsed();
        let answer = if idempotent {
            worker.look(Job { number }).await
        } else {
            worker.order(Job { number }).await
        };
        Made {
            number,
            idempotent,
            due_us: (due - begun).as_micros() as u64,
            late_us: late.as_micros() as u64,
            took_us: due.elapsed().as_micros() as u64,
            told: Told::from(answer),
        }
    }
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
