//! Several replicas of one component and one that calls them, each a process of its own, under an open loop.
//!
//! The parent is their control plane: it kills workers, starts them again, and tells them how to work. Every
//! execution is written down by the worker in a file, which outlives it, and every call by the caller; [`History`]
//! puts the two side by side.

mod component;
mod history;
mod load;

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use anylith_core::Endpoint;
use tempfile::TempDir;

pub(crate) use component::{Behaviour, Fault, Post};
pub(crate) use history::{History, quantile_ms};
pub(crate) use load::{Load, Made, Methods, Pace, Told};

use crate::{
    child::Child,
    control::{ControlPlane, Policy},
    role::{Part, Placement, Role},
};

/// How long a fleet may take to come up.
const START: Duration = Duration::from_secs(20);

/// Workers and their caller. They are killed when it is dropped.
pub(crate) struct Fleet {
    workers: Vec<Worker>,
    caller: Child,
    control: ControlPlane,
    placement: Placement,
    folder: TempDir,
}

/// One worker, from 0.
struct Worker {
    /// `None` while it is dead.
    process: Option<Child>,
    /// How often it was started.
    starts: usize,
    /// Where it writes down what it executes.
    ledger: PathBuf,
    /// How it works, also when it is started again.
    behaviour: Behaviour,
}

impl Fleet {
    /// Starts so many workers and a caller, with `policy` for the edge `Caller -> Worker`, and waits until they
    /// are ready.
    pub(crate) fn start(workers: usize, policy: Policy) -> Result<Self> {
        let folder = TempDir::with_prefix("bench-fleet-")?;
        let control = ControlPlane::start(folder.path(), policy)?;
        let placement = Placement::free();
        let unused = Endpoint::Unix(folder.path().join("caller.sock"));
        let environment = control.expect("Caller", 1, unused)?;
        let ledgers = (0..workers).map(|index| folder.path().join(format!("worker-{index}")));
        let workers = ledgers.map(|ledger| Worker {
            process: None,
            starts: 0,
            ledger,
            behaviour: Behaviour::default(),
        });
        let mut workers: Vec<Worker> = workers.collect();
        for (index, worker) in workers.iter_mut().enumerate() {
            worker.start(index, &control, &folder, &placement)?;
        }
        let role = Role {
            part: Part::Fleet(Post::Caller),
            placement: placement.clone(),
        };
        // It says that it is ready once it was built, for which a worker had to be ready.
        let caller = Child::start(&role, &environment)?;
        let fleet = Self {
            workers,
            caller,
            control,
            placement,
            folder,
        };
        fleet.until_ready(fleet.workers.len())?;
        Ok(fleet)
    }

    /// Waits until so many workers are in the directory.
    pub(crate) fn until_ready(&self, workers: usize) -> Result<()> {
        let begun = Instant::now();
        while self.control.ready("Worker") < workers {
            ensure!(begun.elapsed() < START, "the workers do not come up");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets a worker work in another way.
    pub(crate) fn behave(&mut self, worker: usize, behaviour: Behaviour) -> Result<()> {
        let worker = &mut self.workers[worker];
        worker.behaviour = behaviour;
        worker
            .process
            .as_mut()
            .context("it is dead")?
            .behave(behaviour)
    }

    /// Lets all of them.
    pub(crate) fn all_behave(&mut self, behaviour: Behaviour) -> Result<()> {
        (0..self.workers.len()).try_for_each(|worker| self.behave(worker, behaviour))
    }

    /// The resident memory of a worker, in MiB.
    pub(crate) fn resident(&self, worker: usize) -> Result<f64> {
        let process = self.workers[worker].process.as_ref();
        crate::memory::resident(process.context("it is dead")?.pid())
    }

    /// Kills a worker, as `kill -9` does.
    pub(crate) fn kill(&mut self, worker: usize) {
        self.workers[worker].process = None;
    }

    /// Starts a worker that was killed, at another address; returns when its process is up.
    pub(crate) fn start_again(&mut self, worker: usize) -> Result<()> {
        self.workers[worker].start(worker, &self.control, &self.folder, &self.placement)
    }

    /// Puts `load` on the workers, does `meanwhile`, which is told when the load began, and waits for the last call.
    pub(crate) fn under(
        &mut self,
        load: Load,
        meanwhile: impl FnOnce(&mut Self, Instant) -> Result<()>,
    ) -> Result<History> {
        for worker in &self.workers {
            fs::write(&worker.ledger, [])?;
        }
        self.caller.begin_load(load)?;
        meanwhile(self, Instant::now())?;
        let made = self.caller.end_load()?;
        let ledgers = self.workers.iter().map(|worker| fs::read(&worker.ledger));
        Ok(History::new(made, &ledgers.collect::<Result<Vec<_>, _>>()?))
    }
}

impl Worker {
    fn start(
        &mut self,
        index: usize,
        control: &ControlPlane,
        folder: &TempDir,
        placement: &Placement,
    ) -> Result<()> {
        self.starts += 1;
        let socket = format!("worker-{index}.{}.sock", self.starts);
        let endpoint = Endpoint::Unix(folder.path().join(socket));
        let environment = control.expect("Worker", index + 1, endpoint)?;
        let role = Role {
            part: Part::Fleet(Post::Worker {
                index,
                ledger: self.ledger.clone(),
                behaviour: self.behaviour,
            }),
            placement: placement.clone(),
        };
        self.process = Some(Child::start(&role, &environment)?);
        Ok(())
    }
}

/// Waits until so long after `begun`.
pub(crate) fn wait_until(begun: Instant, after: Duration) {
    thread::sleep((begun + after).saturating_duration_since(Instant::now()));
}
