//! Ten times what a replica can do, for 20 s: how much it does then, how quickly, and when it is well again.
//!
//! What it can do is measured once, with as many calls at a time as its limit lets in, when it is warm. That is the
//! measure of all rounds, and what they are offered. In two of them the replica is set as it should be. The others
//! leave out what protects it: the bound on calls, so that each job waits in line until its time is over and is
//! given up while it is worked on; the budget for calls that are made again; both.

use std::time::Duration;

use anyhow::{Result, ensure};
use anylith_core::{Concurrency, EdgeSettings, Limits, Name};

use crate::{
    control::Policy,
    fleet::{Behaviour, Fleet, History, Load, Made, Methods, Pace, Told, quantile_ms, wait_until},
    report::Report,
};

/// A job waits so long, as for a database, with so many at a time.
const WAIT: Duration = Duration::from_millis(20);
const AT_ONCE: usize = 8;
/// How many calls a replica takes at a time where it has a limit.
const LIMIT: u32 = 64;
/// What a call may take.
const DEADLINE_MS: u64 = 1000;
/// When the peak begins and ends, and the end of it all.
const FROM: Duration = Duration::from_secs(3);
const TO: Duration = Duration::from_secs(23);
const LENGTH: Duration = Duration::from_secs(29);
/// From when on, and until when, capacity is measured.
const WARM: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(5);
/// How finely the time after the peak is looked at.
const SLICE: Duration = Duration::from_millis(100);

/// How a round is set.
struct Setting {
    name: &'static str,
    concurrency: Concurrency,
    retries_percent: Option<u32>,
    /// Whether it is held to what is promised.
    bound: bool,
}

/// The share of calls that may be made again where there is no budget: one that is never used up.
const NO_BUDGET: Option<u32> = Some(1000);
const NO_LIMIT: Concurrency = Concurrency::AtMost(1_000_000);

const NORMAL: Setting = Setting {
    name: "limit and budget",
    concurrency: Concurrency::AtMost(LIMIT),
    retries_percent: None,
    bound: true,
};

const SETTINGS: [Setting; 5] = [
    NORMAL,
    Setting {
        name: "adaptive limit and budget",
        concurrency: Concurrency::Adaptive,
        ..NORMAL
    },
    Setting {
        name: "limit, no budget",
        retries_percent: NO_BUDGET,
        bound: false,
        ..NORMAL
    },
    Setting {
        name: "budget, no limit",
        concurrency: NO_LIMIT,
        bound: false,
        ..NORMAL
    },
    Setting {
        name: "neither",
        concurrency: NO_LIMIT,
        retries_percent: NO_BUDGET,
        bound: false,
    },
];

/// Goodput, the time of what is done, memory and recovery, with what protects a replica and without.
pub(crate) fn overload(report: &mut Report) -> Result<()> {
    report.note(
        "overload: a job waits 20 ms, 8 at a time, all idempotent; half of that, ten times, half",
    )?;
    let capacity = capacity()?;
    report.figure("overload: capacity", capacity, "calls/s", None)?;
    for setting in &SETTINGS {
        let mut fleet = setting.fleet()?;
        let load = Load {
            pace: Pace::Peak {
                per_second: capacity / 2.0,
                from: FROM,
                to: TO,
                within: capacity * 10.0,
            },
            length: LENGTH,
            methods: Methods::Look,
            first: 0,
        };
        let mut memory = 0.0;
        let history = fleet.under(load, |fleet, begun| {
            wait_until(begun, FROM);
            let before = fleet.resident(0)?;
            wait_until(begun, TO);
            memory = fleet.resident(0)? - before;
            Ok(())
        })?;
        setting.tell(report, capacity, memory, &history)?;
    }
    Ok(())
}

/// How many calls a second a warm replica does that always has as many as it takes.
fn capacity() -> Result<f64> {
    let load = Load {
        pace: Pace::AtATime(LIMIT),
        length: MEASURED,
        methods: Methods::Look,
        first: 0,
    };
    let history = NORMAL.fleet()?.under(load, |_, _| Ok(()))?;
    let measured = |made: &&Made| {
        let ended = Duration::from_micros(made.due_us + made.took_us);
        (WARM..MEASURED).contains(&ended)
    };
    let capacity = done(history.made.iter().filter(measured)) / (MEASURED - WARM).as_secs_f64();
    let told = history.made.first().map(|made| &made.told);
    ensure!(capacity > 0.0, "nothing is done without any peak: {told:?}");
    Ok(capacity)
}

impl Setting {
    /// A replica and its caller.
    fn fleet(&self) -> Result<Fleet> {
        let edge = EdgeSettings {
            timeout_ms: Some(DEADLINE_MS),
            retries_percent: self.retries_percent,
            ..EdgeSettings::new(Name::new("Caller")?, Name::new("Worker")?, None)
        };
        let limits = Limits {
            concurrency: self.concurrency,
            ..Limits::default()
        };
        let edges = vec![edge];
        let policy = Policy {
            edges,
            limits,
            ..Policy::default()
        };
        let mut fleet = Fleet::start(1, policy)?;
        fleet.all_behave(Behaviour {
            wait_us: WAIT.as_micros() as u64,
            at_once: AT_ONCE,
            ..Behaviour::default()
        })?;
        Ok(fleet)
    }

    fn tell(
        &self,
        report: &mut Report,
        capacity: f64,
        memory: f64,
        history: &History,
    ) -> Result<()> {
        let mut figure = |what: &str, value: f64, unit, most: Option<f64>| {
            let name = format!("overload: {}: {what}", self.name);
            report.figure(&name, value, unit, most.filter(|_| self.bound))
        };
        let per_second = done(history.due(FROM, TO)) / (TO - FROM).as_secs_f64();
        let share = 100.0 * per_second / capacity;
        figure("done of capacity", share, "%", None)?;
        figure("not done of capacity", 100.0 - share, "%", Some(20.0))?;
        let due = history.due(FROM, TO);
        let accepted = due.filter(|made| matches!(made.told, Told::Done(_)));
        let p99 = quantile_ms(accepted, 0.99);
        figure("p99 of what was done", p99, "ms", Some(DEADLINE_MS as f64))?;
        figure("memory taken", memory, "MiB", Some(32.0))?;
        let lies = history.lies().count() as f64;
        figure("calls told what is not true", lies, "calls", Some(0.0))?;
        let recovered = recovered_after(history).as_secs_f64() * 1e3;
        figure("until all is done again", recovered, "ms", Some(1000.0))
    }
}

/// How many of `calls` were done.
fn done<'a>(calls: impl Iterator<Item = &'a Made>) -> f64 {
    let done = calls.filter(|made| matches!(made.told, Told::Done(_)));
    done.count() as f64
}

/// The time from the end of the peak to that of the last slice in which a call failed or took ten times too long.
fn recovered_after(history: &History) -> Duration {
    let slow_us = (WAIT * 10).as_micros() as u64;
    let bad = |made: &Made| !matches!(made.told, Told::Done(_)) || made.took_us > slow_us;
    let mut recovered = Duration::ZERO;
    let mut from = TO;
    while from < LENGTH {
        if history.due(from, from + SLICE).any(bad) {
            recovered = from + SLICE - TO;
        }
        from += SLICE;
    }
    recovered
}
