//! The two components of a fleet: one that works as it is told, and one that calls it.

use std::{
    env,
    fs::{File, OpenOptions},
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use anylith::{CallError, Stopping};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{history, load};
use crate::round::{Answer, Command, ENV_HARNESS, Harness};

/// How a worker works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Behaviour {
    /// How long a job waits, in microseconds, as one does that asks a database.
    pub(crate) wait_us: u64,
    /// How much processor time a job takes, in microseconds.
    pub(crate) compute_us: u64,
    /// How many jobs are worked on at a time, the others waiting in line, as for a pool of connections; 0 for all.
    pub(crate) at_once: usize,
    /// How it fails, at once and without work.
    pub(crate) fault: Option<Fault>,
}

/// How a worker fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// With an error of its own.
    Error,
    /// By a panic.
    Panic,
}

/// A piece of work; no two have the same number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) number: u32,
}

/// Why a job was not done.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum WorkError {
    /// The worker was told to fail.
    #[error("it is broken")]
    Broken,
    /// The call failed on the way.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Works.
#[anylith::component]
pub(crate) trait Worker {
    /// Does a job that may be done twice. Returns the number of the worker, from 0.
    #[idempotent]
    async fn look(&self, job: Job) -> Result<usize, WorkError>;

    /// Does a job that may be done once. Returns the number of the worker, from 0.
    async fn order(&self, job: Job) -> Result<usize, WorkError>;
}

/// Writes down what it executes.
#[derive(anylith::Component)]
#[component(interface = Worker)]
pub(crate) struct WorkerService {}

/// What a worker's process knows.
struct Desk {
    index: usize,
    ledger: File,
    behaviour: RwLock<Behaviour>,
    /// What a job needs to be worked on, where there are only so many.
    seats: RwLock<Arc<Semaphore>>,
}

static DESK: OnceLock<Desk> = OnceLock::new();

impl Worker for WorkerService {
    async fn look(&self, job: Job) -> Result<usize, WorkError> {
        work(job).await
    }

    async fn order(&self, job: Job) -> Result<usize, WorkError> {
        work(job).await
    }
}

async fn work(job: Job) -> Result<usize, WorkError> {
    let desk = DESK.get().ok_or(WorkError::Broken)?;
    let written = (&desk.ledger).write_all(&history::entry(job.number));
    written.map_err(|_| WorkError::Broken)?;
    let behaviour = *desk
        .behaviour
        .read()
        .unwrap_or_else(PoisonError::into_inner);
    match behaviour.fault {
        Some(Fault::Error) => return Err(WorkError::Broken),
        Some(Fault::Panic) => panic!("told to"),
        None => {}
    }
    let seats = Arc::clone(&desk.seats.read().unwrap_or_else(PoisonError::into_inner));
    let _seat = match behaviour.at_once {
        0 => None,
        _ => Some(seats.acquire().await.map_err(|_| WorkError::Broken)?),
    };
    if behaviour.compute_us > 0 {
        tokio::task::yield_now().await;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(behaviour.compute_us) {
            std::hint::spin_loop();
        }
    }
    if behaviour.wait_us > 0 {
        tokio::time::sleep(Duration::from_micros(behaviour.wait_us)).await;
    }
    Ok(desk.index)
}

/// Makes the calls that the parent asks for.
#[derive(anylith::Component)]
#[component(serve)]
pub(crate) struct Caller {
    worker: WorkerClient,
}

impl Caller {
    async fn serve(self: Arc<Self>, _stopping: Stopping) -> Result<(), anyhow::Error> {
        let path = env::var_os(ENV_HARNESS).context("it has no parent")?;
        let mut harness = Harness::connect(&PathBuf::from(path)).await?;
        loop {
            let answer = match harness.command().await? {
                Command::Load(load) => Answer::Loaded(load::run(load, &self.worker).await),
                other => Answer::Failed(format!("a caller cannot {other:?}")),
            };
            harness.answer(&answer).await?;
        }
    }
}

anylith::app! {
    /// Workers, and somebody who gives them work.
    pub(crate) Factory = "market" { WorkerService, Caller }
}

/// What a process of a fleet is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Post {
    /// It works, and writes down what it executes.
    Worker {
        /// Its number, from 0.
        index: usize,
        /// The file to write to.
        ledger: PathBuf,
        /// How it works, until it is told otherwise.
        behaviour: Behaviour,
    },
    /// It calls.
    Caller,
}

impl Post {
    /// Runs this process, until the parent is gone.
    pub(crate) async fn hold(self, harness: PathBuf) -> Result<()> {
        if let Self::Worker {
            index,
            ledger,
            behaviour,
        } = self
        {
            let ledger = OpenOptions::new().append(true).create(true).open(ledger)?;
            let desk = Desk {
                index,
                ledger,
                behaviour: RwLock::new(behaviour),
                seats: RwLock::new(Arc::new(Semaphore::new(behaviour.at_once))),
            };
            ensure!(DESK.set(desk).is_ok(), "a process has one worker");
            // Whatever is told is known when the first job comes.
            tokio::spawn(async move { obey(Harness::connect(&harness).await?).await });
        }
        let code = Factory::run().await;
        ensure!(code == ExitCode::SUCCESS, "the application failed");
        Ok(())
    }
}

/// Lets a worker do as it is told.
async fn obey(mut harness: Harness) -> Result<()> {
    loop {
        let answer = match harness.command().await? {
            Command::Behave(behaviour) => {
                if let Some(desk) = DESK.get() {
                    let mut now = desk
                        .behaviour
                        .write()
                        .unwrap_or_else(PoisonError::into_inner);
                    *now = behaviour;
                    let seats = Arc::new(Semaphore::new(behaviour.at_once));
                    *desk.seats.write().unwrap_or_else(PoisonError::into_inner) = seats;
                }
                Answer::Behaves
            }
            other => Answer::Failed(format!("a worker cannot {other:?}")),
        };
        harness.answer(&answer).await?;
    }
}
