//! Makes things go wrong around a deployment, and puts them right again.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::{
    deployment::Deployment,
    fault::{Fault, Victim},
    plan::Strike,
    process::{self, Process},
};

/// A deployment, and what was done to it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) deployment: Deployment,
    /// The processes that were killed, and so need not have finished anything.
    pub(crate) killed: BTreeSet<u32>,
    /// The supervisor, if it was told to stop and still runs.
    leaving: Option<u32>,
}

/// What puts a fault right again.
#[derive(Debug)]
pub(crate) enum Remedy {
    /// Nothing: it heals by itself.
    Nothing,
    /// These processes go on.
    GoOn(Vec<u32>),
    /// The supervisor, which was this process, is started again once it has ended.
    Supervise(u32),
}

impl Stage {
    pub(crate) fn new(deployment: Deployment) -> Self {
        Self {
            deployment,
            killed: BTreeSet::new(),
            leaving: None,
        }
    }

    /// Makes a fault happen. Returns what puts it right.
    pub(crate) fn strike(&mut self, strike: &Strike) -> Remedy {
        match strike.fault {
            Fault::Kill(victim) => {
                let victims = self.send(victim, strike.pick, Signal::KILL);
                self.killed.extend(&victims);
                after(victim, &victims)
            }
            Fault::Term(victim) => {
                // To tell a supervisor twice is to kill everything.
                if victim == Victim::Supervisor && self.leaving.is_some() {
                    return Remedy::Nothing;
                }
                let victims = self.send(victim, strike.pick, Signal::TERM);
                if victim == Victim::Supervisor {
                    self.leaving = victims.first().copied();
                }
                after(victim, &victims)
            }
            Fault::Stop(victim) => Remedy::GoOn(self.send(victim, strike.pick, Signal::STOP)),
        }
    }

    /// Puts a fault right, if it is time for that already; else returns it.
    pub(crate) fn heal(&mut self, remedy: Remedy) -> anyhow::Result<Option<Remedy>> {
        match remedy {
            Remedy::Nothing => {}
            Remedy::GoOn(stopped) => {
                for pid in stopped {
                    process::send(pid, Signal::CONT);
                }
            }
            Remedy::Supervise(pid) => {
                if self.deployment.supervisor() == Some(pid) {
                    return Ok(Some(remedy));
                }
                self.leaving = None;
                self.deployment.launch()?;
            }
        }
        Ok(None)
    }

    /// Sends `signal` to the victim, and returns to which processes.
    fn send(&mut self, victim: Victim, pick: u32, signal: Signal) -> Vec<u32> {
        let victims: Vec<u32> = match victim {
            Victim::Callee => one(&self.deployment.replicas_with("Target"), pick),
            Victim::Relay => one(&self.deployment.replicas_with("Relay"), pick),
            Victim::Caller => one(&self.deployment.replicas_with("Driver"), pick),
            Victim::All => self.deployment.replicas().iter().map(|it| it.pid).collect(),
            Victim::Supervisor => self.deployment.supervisor().into_iter().collect(),
        };
        for pid in &victims {
            process::send(*pid, signal);
        }
        victims
    }
}

/// One of several, if there is any.
fn one(found: &[Process], pick: u32) -> Vec<u32> {
    let chosen = found.get(pick as usize % found.len().max(1));
    chosen.map(|process| process.pid).into_iter().collect()
}

/// What puts right that `victim` has ended: replicas are started again by their supervisor.
fn after(victim: Victim, victims: &[u32]) -> Remedy {
    match (victim, victims) {
        (Victim::Supervisor, [pid]) => Remedy::Supervise(*pid),
        _ => Remedy::Nothing,
    }
}
