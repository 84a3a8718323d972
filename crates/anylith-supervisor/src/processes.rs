//! The processes of the replicas, and how they end.

use std::{collections::BTreeMap, io};

use anylith_control::Exit;
use anylith_core::Name;
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::{connection::LAST_WORDS_WITHIN, process::Process};

/// The processes of the replicas, watched whether or not they are children of this one.
#[derive(Debug)]
pub(crate) struct Processes {
    kill_on_drop: bool,
    running: BTreeMap<Name, Process>,
    exits: JoinSet<End>,
    /// Processes that are over, while what they said last is still being read.
    parting: BTreeMap<Name, End>,
}

/// How a process of a replica ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) replica: Name,
    pub(crate) pid: u32,
    pub(crate) exit: Exit,
}

impl Processes {
    /// None yet. With `kill_on_drop` they are killed when this is dropped.
    pub(crate) fn new(kill_on_drop: bool) -> Self {
        Self {
            kill_on_drop,
            running: BTreeMap::new(),
            exits: JoinSet::new(),
            parting: BTreeMap::new(),
        }
    }

    /// Watches `process` as the one of `replica`. If it cannot be watched, it is ended.
    pub(crate) fn watch(&mut self, replica: &Name, process: Process) -> io::Result<()> {
        let over = process.wait().inspect_err(|_| process.end())?;
        let (name, pid) = (replica.clone(), process.pid);
        self.exits.spawn(async move {
            End {
                replica: name,
                pid,
                exit: over.await,
            }
        });
        self.running.insert(replica.clone(), process);
        Ok(())
    }

    /// The next end of a process; never, if there is none.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub(crate) async fn next_end(&mut self) -> End {
        loop {
            match self.exits.join_next().await {
                Some(Ok(end)) => return end,
                // A watch that panicked would have been a mistake of ours, and ends nobody else's.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Takes the end of a process; returns it if nothing of its process is awaited any more. If the process is
    /// still `talking`, what it said last is to be read first: see [`Processes::take_leave`].
    pub(crate) fn ended(&mut self, end: End, talking: bool) -> Option<End> {
        let is = |pid: u32| pid == end.pid;
        if self
            .running
            .get(&end.replica)
            .is_some_and(|one| is(one.pid))
        {
            self.running.remove(&end.replica);
            if talking {
                let late = end.clone();
                self.exits.spawn(async move {
                    tokio::time::sleep(LAST_WORDS_WITHIN).await;
                    late
                });
                self.parting.insert(end.replica.clone(), end);
                return None;
            }
        }
        if self
            .parting
            .get(&end.replica)
            .is_some_and(|one| is(one.pid))
        {
            self.parting.remove(&end.replica);
        }
        Some(end)
    }

    /// The connection of `replica` is at its end: returns how its process ended, if it has.
    pub(crate) fn take_leave(&mut self, replica: &Name) -> Option<End> {
        self.parting.remove(replica)
    }

    /// The process of a replica.
    pub(crate) fn of(&self, replica: &Name) -> Option<&Process> {
        self.running.get(replica)
    }

    /// Whether process `pid` is one of the replicas'.
    pub(crate) fn are_with(&self, pid: u32) -> bool {
        self.running.values().any(|process| process.pid == pid)
    }

    /// Kills the process of a replica.
    pub(crate) fn kill(&self, replica: &Name) {
        if let Some(process) = self.of(replica) {
            process.signal(Signal::KILL);
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if self.kill_on_drop {
            for process in self.running.values() {
                process.signal(Signal::KILL);
            }
        }
    }
}
