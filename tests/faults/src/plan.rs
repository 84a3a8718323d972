//! What is to happen in a run. All of it comes out of a seed.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{
    app::DriverConfig,
    fault::{Fault, Victim},
    topology::Topology,
};

/// How long a fault lasts that is to be short.
const SHORT_MS: u64 = 1_000;

/// How soon after a fault its company comes: in time for something to happen while it lasts.
const COMPANY_MS: u64 = 300;

/// The shortest time in which whatever sees a fault is sure to look.
const SEEN_MS: u64 = 60;

/// The same for a replica that begins anew with an identity which is not right: it has to be there, and somebody has to call it.
const REBORN_MS: u64 = 900;

/// How plans are called that are drawn.
const MIXTURE: &str = "mixture";

/// How many calls a callee may execute at a time where overload is tried.
const ROOM: u32 = 1;

/// The most calls in a second: more than that a small machine cannot even make.
const MOST_RATE: u32 = 1_200;

/// What is to happen in a run. The same plan is the same load and the same faults at the same times; what the operating system
/// makes of it may differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// How it is called: what is tried.
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) topology: Topology,
    /// How many threads each process has.
    pub(crate) threads: u32,
    pub(crate) load: DriverConfig,
    /// In the order of time.
    pub(crate) strikes: Vec<Strike>,
}

/// A fault at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    /// When it begins, counted from the begin of the load.
    pub(crate) at_ms: u64,
    /// How long it lasts.
    pub(crate) for_ms: u64,
    /// Chooses among several victims.
    pub(crate) pick: u32,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fault,
            at_ms,
            for_ms,
            pick,
        } = self;
        write!(f, "{fault}@{at_ms}+{for_ms}#{pick}")
    }
}

impl FromStr for Strike {
    type Err = String;

    /// Reads what `Display` writes: the fault, when it begins and how long it lasts in milliseconds, and what chooses the
    /// victim.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = || {
            let (fault, rest) = text.split_once('@')?;
            let (at, rest) = rest.split_once('+')?;
            let (lasts, pick) = rest.split_once('#')?;
            Some(Self {
                fault: Fault::named(fault)?,
                at_ms: at.parse().ok()?,
                for_ms: lasts.parse().ok()?,
                pick: pick.parse().ok()?,
            })
        };
        parts().ok_or_else(|| {
            format!("`{text}` is no fault at a time: write it as `kill-callee@400+300#1`")
        })
    }
}

impl Plan {
    /// One fault and nothing else; without one, a run in which nothing goes wrong.
    pub(crate) fn alone(fault: Option<Fault>, topology: Topology, seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let strikes: Vec<Strike> = fault
            .into_iter()
            .flat_map(|fault| std::iter::repeat_n(fault, fault.times()))
            .zip(0..)
            .map(|(fault, number)| Strike {
                fault,
                at_ms: 400 + 500 * number,
                for_ms: fault.lasts_ms(topology),
                pick: dice.u32(..),
            })
            .collect();
        let last = strikes.iter().map(|it| it.at_ms + it.for_ms).max();
        let load_ms = 800 + last.unwrap_or(400);
        Self {
            name: fault.map_or("none".to_owned(), |fault| fault.to_string()),
            seed,
            topology,
            threads: 1,
            load: load(seed, load_ms, &mut dice),
            strikes,
        }
        .with_company(dice.u32(..))
        .with_bursts()
    }

    /// Some faults show only when somebody connects anew: then a process is killed, too.
    fn with_company(mut self, pick: u32) -> Self {
        let alone = !self.is_mixture();
        let company = |it: &Strike| match (it.fault, self.topology) {
            (Fault::OtherAuthority, Topology::Tcp) => Some(Fault::Kill(Victim::Callee)),
            // In a mixture there is enough company.
            _ if !alone => None,
            (Fault::NoDescriptors, _) => Some(Fault::Kill(Victim::Relay)),
            // The control plane has something to write down.
            (Fault::DiskFull, Topology::Monolith) => Some(Fault::Kill(Victim::Caller)),
            (Fault::DiskFull, _) => Some(Fault::Kill(Victim::Callee)),
            // Certificates are valid at a time.
            (Fault::ClockJump, topology) if topology.speaks_tcp() => {
                Some(Fault::Kill(Victim::Callee))
            }
            _ => None,
        };
        let mut strikes = self.strikes.iter();
        let found = strikes.find_map(|it| Some((company(it)?, it)));
        let killed = found.map(|(fault, beside)| Strike {
            fault,
            at_ms: beside.at_ms + COMPANY_MS.min(beside.for_ms / 2),
            for_ms: 0,
            pick,
        });
        self.strikes.extend(killed);
        self
    }

    /// Ten times the calls that the callees can serve, while that is what is tried: they get little room for it.
    fn with_bursts(mut self) -> Self {
        let overloads = self.strikes.iter();
        let bursts: Vec<_> = overloads
            .filter(|it| it.fault == Fault::Overload)
            .map(|it| (it.at_ms, it.at_ms + it.for_ms))
            .collect();
        if !bursts.is_empty() {
            // Ten times as much is to be no more than a small machine can make.
            let least_us = self.topology.targets() * ROOM * 4_000_000 / (MOST_RATE / 10);
            self.load.work_us = self.load.work_us.max(least_us);
            self.load.rate = self.capacity() / 2;
            self.load.burst_rate = 10 * self.capacity();
            self.load.bursts = bursts;
        }
        self
    }

    /// How many calls in a second callees can do that have little room: half of all calls take no time, and the others
    /// half of the most.
    pub(crate) fn capacity(&self) -> u32 {
        self.topology.targets() * ROOM * 4_000_000 / self.load.work_us.max(1)
    }

    /// Whether it was drawn, of several faults.
    pub(crate) fn is_mixture(&self) -> bool {
        self.name == MIXTURE
    }

    /// Which other faults excuse that `strike` hit nothing: those that had taken whom it was to hit, or that were in its way.
    pub(crate) fn excuse(&self, strike: &Strike) -> Option<String> {
        // What is tried alone several times has to hit at least the first time.
        let end_ms = match (self.is_mixture(), strike.fault) {
            (false, _) => strike.at_ms.saturating_sub(1),
            // They take as long as they take; and what callees have counted is gone with them.
            (true, Fault::Restart | Fault::Scale | Fault::Overload) => u64::MAX,
            (true, _) => strike.at_ms + strike.for_ms,
        };
        let before = |it: &&Strike| *it != strike && it.fault.takes_away() && it.at_ms <= end_ms;
        let others = self.strikes.iter().filter(before);
        let others: Vec<_> = others
            .map(|it| format!("{} at {} ms", it.fault, it.at_ms))
            .collect();
        (!others.is_empty()).then(|| others.join(" and "))
    }

    /// The same, with no fault that lasts for seconds, or comes back.
    pub(crate) fn shortened(mut self) -> Self {
        let mut seen = BTreeSet::new();
        self.strikes.retain(|strike| seen.insert(strike.fault));
        for strike in &mut self.strikes {
            strike.for_ms = strike.for_ms.min(SHORT_MS);
        }
        self.load.load_ms = self.lasts_of_strikes_ms() + 500;
        self
    }

    fn lasts_of_strikes_ms(&self) -> u64 {
        let ends = self.strikes.iter().map(|it| it.at_ms + it.for_ms);
        ends.max().unwrap_or(500)
    }

    /// How many calls a callee may execute at a time; `None` for what is usual.
    pub(crate) fn room(&self) -> Option<u32> {
        (!self.load.bursts.is_empty()).then_some(ROOM)
    }

    /// Whether a fault of this kind is in it.
    pub(crate) fn has(&self, wanted: impl Fn(Fault) -> bool) -> bool {
        self.strikes.iter().any(|strike| wanted(strike.fault))
    }

    /// A mixture of faults, in one of `topologies`.
    pub(crate) fn drawn(seed: u64, topologies: &[Topology], faults: &[Fault]) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let topology = topologies[dice.usize(..topologies.len())];
        let fitting: Vec<Fault> = faults
            .iter()
            .copied()
            .filter(|fault| fault.fits(topology))
            .collect();
        let load_ms = 1_500;
        let mut strikes: Vec<Strike> = (0..dice.usize(1..=4))
            .filter(|_| !fitting.is_empty())
            .map(|_| {
                let fault = fitting[dice.usize(..fitting.len())];
                // What strikes when the load is over hits nothing.
                let (at_ms, for_ms) = (dice.u64(100..load_ms - 300), dice.u64(20..900));
                let (latest_ms, least_ms) = match fault.spoils(topology) {
                    true => (load_ms - REBORN_MS, REBORN_MS),
                    false => (load_ms, SEEN_MS),
                };
                Strike {
                    fault,
                    at_ms: at_ms.min(latest_ms),
                    for_ms: for_ms.max(least_ms),
                    pick: dice.u32(..),
                }
            })
            .collect();
        strikes.sort_by_key(|strike| strike.at_ms);
        Self {
            name: MIXTURE.to_owned(),
            seed,
            topology,
            threads: dice.u32(1..=2),
            load: load(seed, load_ms, &mut dice),
            strikes,
        }
        .with_company(dice.u32(..))
        .with_bursts()
    }

    /// The same without one of its faults.
    pub(crate) fn without(&self, strike: usize) -> Self {
        let mut plan = self.clone();
        plan.strikes.remove(strike);
        plan
    }

    /// The command that runs it again.
    pub(crate) fn again(&self) -> String {
        let alone = !self.is_mixture();
        let what = match alone {
            true => format!("--fault {} --topology {}", self.name, self.topology),
            false => "--runs 1".to_owned(),
        };
        let strikes = self.strikes.iter().filter(|_| !alone);
        let strikes: String = strikes.map(|it| format!(" --strike {it}")).collect();
        format!("cargo xtask faults {what} --seed {}{strikes}", self.seed)
    }

    /// A drawn plan with these faults in place of its own.
    pub(crate) fn with_strikes(mut self, strikes: &[Strike]) -> Self {
        self.strikes = strikes.to_vec();
        self
    }

    /// Whether no call may be lost.
    pub(crate) fn is_gentle(&self) -> bool {
        self.strikes.iter().all(|strike| strike.fault.is_gentle())
    }

    /// Whether nothing happens but that there is too much to do.
    pub(crate) fn is_only_overload(&self) -> bool {
        !self.strikes.is_empty() && !self.has(|fault| fault != Fault::Overload)
    }

    /// When the last fault is over and the load has ended, counted from the begin of the load.
    pub(crate) fn lasts_ms(&self) -> u64 {
        self.lasts_of_strikes_ms().max(self.load.load_ms)
    }
}

fn load(seed: u64, load_ms: u64, dice: &mut fastrand::Rng) -> DriverConfig {
    DriverConfig {
        seed,
        rate: dice.u32(200..500),
        load_ms,
        deadline_ms: dice.u64(250..900),
        large_permille: dice.u32(..30),
        regret_permille: dice.u32(..60),
        work_us: dice.u32(20_000..160_000),
        burst_rate: 0,
        bursts: Vec::new(),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {}, seed {}: {} calls/s for {} ms",
            self.name, self.topology, self.seed, self.load.rate, self.load.load_ms
        )?;
        for strike in &self.strikes {
            write!(
                f,
                ", {} at {} ms for {} ms",
                strike.fault, strike.at_ms, strike.for_ms
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_always_the_same_plan() {
        let drawn = |seed| Plan::drawn(seed, &Topology::ALL, &Fault::all());
        for seed in 0..100 {
            assert_eq!(drawn(seed), drawn(seed));
        }
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn a_strike_is_read_as_it_is_written() {
        for strike in
            (0..50).flat_map(|seed| Plan::drawn(seed, &Topology::ALL, &Fault::all()).strikes)
        {
            assert_eq!(strike.to_string().parse(), Ok(strike));
        }
        assert!("kill-callee".parse::<Strike>().is_err());
    }

    #[test]
    fn a_fault_is_drawn_only_where_it_fits() {
        for seed in 0..100 {
            let plan = Plan::drawn(seed, &[Topology::Monolith], &Fault::all());
            let mut strikes = plan.strikes.iter();
            assert!(
                strikes.all(|it| it.fault.fits(Topology::Monolith)),
                "{plan}"
            );
        }
    }

    #[test]
    fn whoever_is_killed_after_an_overload_took_what_it_counted_along() {
        let overload = "overload@149+290#1".parse().unwrap();
        let kill = "kill-all@807+697#2".parse().unwrap();
        let mut plan = Plan::drawn(1, &[Topology::Tcp], &Fault::all());
        plan = plan.with_strikes(&[overload, kill]);
        assert_eq!(
            plan.excuse(&overload),
            Some("kill-all at 807 ms".to_owned())
        );
        assert_eq!(plan.without(1).excuse(&overload), None);
    }
}
