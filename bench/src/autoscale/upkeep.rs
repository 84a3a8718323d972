//! What the replicas of an application cost while it runs: cores, memory, and how many there are.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{deployment::Deployment, memory::resident, shop::cpu_time};

/// How often they are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The replicas at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// From the beginning.
    pub(crate) at: Duration,
    /// Those of the clerks that are ready.
    pub(crate) clerks: usize,
    /// All that have a process.
    pub(crate) processes: usize,
    /// The resident memory of all, in MiB.
    pub(crate) memory_mib: f64,
}

/// What they have cost.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    pub(crate) looks: Vec<Look>,
    /// Process → the processor time that it had used when it was seen last.
    cpu: BTreeMap<u32, Duration>,
    /// The same when it was seen first, of those that were there at the beginning.
    before: BTreeMap<u32, Duration>,
}

impl Upkeep {
    /// Looks until `over`. The clerks are in the group `group`.
    pub(crate) fn until(
        over: &Arc<AtomicBool>,
        application: &Deployment,
        group: &str,
        begun: Instant,
    ) -> Result<Self> {
        let mut upkeep = Self::default();
        while !over.load(Relaxed) {
            upkeep.look(application, group, begun)?;
            thread::sleep(LOOK_EVERY);
        }
        Ok(upkeep)
    }

    fn look(&mut self, application: &Deployment, group: &str, begun: Instant) -> Result<()> {
        let replicas = application.replicas()?;
        let at = begun.elapsed();
        let clerks = replicas
            .iter()
            .filter(|one| one.ready && one.group == group);
        let clerks = clerks.count();
        let (mut memory_mib, mut processes) = (0.0, 0);
        for replica in &replicas {
            // It may have left since it was named.
            let (Ok(memory), Ok(cpu)) = (resident(replica.pid), cpu_time(&[replica.pid])) else {
                continue;
            };
            memory_mib += memory;
            processes += 1;
            if self.looks.is_empty() {
                self.before.insert(replica.pid, cpu);
            }
            self.cpu.insert(replica.pid, cpu);
        }
        self.looks.push(Look {
            at,
            clerks,
            processes,
            memory_mib,
        });
        Ok(())
    }

    /// The processor time that they have used, all together.
    pub(crate) fn core_seconds(&self) -> f64 {
        let of =
            |all: &BTreeMap<u32, Duration>| all.values().map(Duration::as_secs_f64).sum::<f64>();
        of(&self.cpu) - of(&self.before)
    }

    /// The memory of all of them in MiB, on average.
    pub(crate) fn mean_memory(&self) -> f64 {
        let sum: f64 = self.looks.iter().map(|look| look.memory_mib).sum();
        sum / self.looks.len().max(1) as f64
    }

    /// The most that it was.
    pub(crate) fn most_memory(&self) -> f64 {
        self.looks
            .iter()
            .map(|look| look.memory_mib)
            .fold(0.0, f64::max)
    }

    /// How many processes there were on average.
    pub(crate) fn mean_processes(&self) -> f64 {
        let sum: usize = self.looks.iter().map(|look| look.processes).sum();
        sum as f64 / self.looks.len().max(1) as f64
    }

    /// When the number of clerks first was as `enough` has it, after `from`.
    pub(crate) fn when(&self, from: Duration, enough: impl Fn(usize) -> bool) -> Option<Duration> {
        let mut looks = self.looks.iter().filter(|look| look.at >= from);
        let found = looks.find(|look| enough(look.clerks))?;
        Some(found.at - from)
    }
}
