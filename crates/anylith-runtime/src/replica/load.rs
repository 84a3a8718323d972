//! What a replica bears, while a control plane asks for it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anylith_core::Name;
use anylith_wire::control::Load;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Replica;
use crate::{interface::checked, serve::Door};

/// How often calls under way are counted. What began and ended between two looks is in the number of calls alone.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a replica bore, as [`FromReplica::Pong`](anylith_wire::control::FromReplica::Pong) has it.
#[derive(Debug, Default)]
pub(crate) struct Borne {
    pub(crate) load: Option<Load>,
    /// Of each of its components that is among the bursts of the directory.
    pub(crate) each: BTreeMap<Name, Load>,
    pub(crate) outgoing: BTreeMap<Name, u64>,
}

/// Looks again and again at how many calls are under way.
#[derive(Debug)]
pub(crate) struct Gauge {
    looks: Interval,
    since: Instant,
    /// What the process had used of all cores by then.
    cpu: Duration,
    /// Component → its calls under way, summed over all looks.
    under_way: BTreeMap<&'static str, u64>,
    /// The same for calls from here to other processes.
    outgoing: BTreeMap<Name, u64>,
    looked: u32,
}

impl Gauge {
    /// Begins to measure.
    pub(crate) fn begin(replica: &Replica) -> Self {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        turn_meters(replica, true);
        let mut gauge = Self {
            looks,
            since: Instant::now(),
            cpu: cpu_used(),
            under_way: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            looked: 0,
        };
        gauge.look(replica);
        gauge
    }

    /// Ceases to measure.
    pub(crate) fn end(replica: &Replica) {
        turn_meters(replica, false);
    }

    /// When it is to look again.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub(crate) async fn is_due(&mut self) {
        self.looks.tick().await;
    }

    /// Counts the calls under way.
    pub(crate) fn look(&mut self, replica: &Replica) {
        self.looked += 1;
        for door in doors(replica) {
            let inside = door.gate.inside();
            if inside > 0 {
                *self.under_way.entry(door.place.component).or_default() += inside;
            }
        }
        for (component, calls) in replica.panel.network.outgoing() {
            *self.outgoing.entry(component).or_default() += calls;
        }
    }

    /// What the replica bore since this was last asked.
    pub(crate) fn take(&mut self, replica: &Replica) -> Borne {
        // A component that has come since is measured, too.
        turn_meters(replica, true);
        let (mut calls, mut p99_us) = (0, None);
        let mut each = BTreeMap::new();
        let directory = replica.panel.network.directory();
        let bursts = &directory.bursts;
        for door in doors(replica) {
            let ended = door.gate.meter().take();
            let own = ended.calls + door.gate.inside();
            calls += own;
            p99_us = p99_us.max(ended.p99_us);
            if bursts.contains_key(door.place.component) {
                let under_way = self.under_way.get(door.place.component).copied();
                let load = Load {
                    concurrency_millis: self.mean_millis(under_way.unwrap_or(0)),
                    calls: own,
                    cpu_millis: 0,
                    p99_us: ended.p99_us,
                    late: false,
                };
                each.insert(checked(door.place.component), load);
            }
        }
        let (now, cpu) = (Instant::now(), cpu_used());
        let length = now.saturating_duration_since(self.since);
        let used = cpu.saturating_sub(self.cpu);
        // Rounded up, so that a little is not nothing.
        let cpu_millis = (used.as_micros() * 1000).div_ceil(length.as_micros().max(1)) as u64;
        let most = self.under_way.values().copied().max().unwrap_or(0);
        let load = Load {
            concurrency_millis: self.mean_millis(most),
            calls,
            cpu_millis,
            p99_us,
            late: is_late(self.looked, length),
        };
        (self.since, self.cpu) = (now, cpu);
        let outgoing = std::mem::take(&mut self.outgoing).into_iter();
        let outgoing = outgoing.map(|(component, sum)| (component, self.mean_millis(sum)));
        let outgoing = outgoing.collect();
        self.under_way.clear();
        self.looked = 0;
        self.look(replica);
        Borne {
            load: Some(load),
            each,
            outgoing,
        }
    }

    /// What is one look's share of `sum`, in thousandths.
    fn mean_millis(&self, sum: u64) -> u64 {
        sum.saturating_mul(1000) / u64::from(self.looked.max(1))
    }
}

/// Whether not even half of the looks were made that there should be in a time.
fn is_late(looked: u32, length: Duration) -> bool {
    LOOK_EVERY.saturating_mul(looked.saturating_mul(2)) < length
}

fn doors(replica: &Replica) -> impl Iterator<Item = Arc<Door>> {
    replica.doors.all().into_iter()
}

fn turn_meters(replica: &Replica, on: bool) {
    doors(replica).for_each(|door| door.gate.meter().turn(on));
}

/// What this process has used of all cores since it began.
pub(super) fn cpu_used() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_less_than_half_as_often_as_it_should_is_late() {
        let second = Duration::from_secs(1);
        assert!(!is_late(20, second));
        assert!(!is_late(10, second));
        assert!(is_late(9, second));
        // The look with which it begins is enough for as long as two.
        assert!(!is_late(1, LOOK_EVERY * 2));
        assert!(is_late(1, LOOK_EVERY * 3));
    }
}
