//! Ten times what a replica can do, for 20 s: how much it does then, how quickly, and when it is well again.
//!
//! The same once more without limits: with a bound on calls and on retries that is never reached. Then each job waits in line
//! until its time is over, and is given up while it is worked on.

use std::time::Duration;

use anyhow::{Result, ensure};
use anylith_core::{Concurrency, EdgeSettings, Limits, Name};

use crate::{
    control::Policy,
    fleet::{Behaviour, Fleet, History, Load, Made, Methods, Peak, Told, quantile_ms, wait_until},
    report::Report,
};

/// A job waits so long, as for a database, with so many at a time.
const WAIT: Duration = Duration::from_millis(20);
const AT_ONCE: usize = 8;
/// What a call may take.
const DEADLINE_MS: u64 = 1000;
/// When the peak begins and ends, and the end of it all.
const FROM: Duration = Duration::from_secs(3);
const TO: Duration = Duration::from_secs(23);
const LENGTH: Duration = Duration::from_secs(29);
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

const SETTINGS: [Setting; 3] = [
    Setting {
        name: "limit 64",
        concurrency: Concurrency::AtMost(64),
        retries_percent: None,
        bound: true,
    },
    Setting {
        name: "adaptive",
        concurrency: Concurrency::Adaptive,
        retries_percent: None,
        bound: true,
    },
    Setting {
        name: "no limits",
        concurrency: Concurrency::AtMost(1_000_000),
        retries_percent: Some(1000),
        bound: false,
    },
];

/// Goodput, the time of what is done, memory and recovery, with limits, with the adaptive one, and without any.
pub(crate) fn overload(report: &mut Report) -> Result<()> {
    report.note(
        "overload: a job waits 20 ms, 8 at a time, all idempotent; half of that, ten times, half",
    )?;
    for (round, setting) in SETTINGS.iter().enumerate() {
        let mut fleet = Fleet::start(1, setting.policy()?)?;
        fleet.all_behave(Behaviour {
            wait_us: WAIT.as_micros() as u64,
            at_once: AT_ONCE,
            ..Behaviour::default()
        })?;
        let first = round as u32 * 1_000_000;
        let load = |first, per_second, length, peak| Load {
            per_second,
            length,
            methods: Methods::Look,
            first,
            peak,
        };
        // Just over what it can do, so that it does all it can and nothing piles up for long.
        let most = AT_ONCE as f64 / WAIT.as_secs_f64();
        let probe = load(first + 900_000, most * 1.1, FROM, None);
        let probed = fleet.under(probe, |_, _| Ok(()))?;
        let capacity = done(probed.made.iter()) / FROM.as_secs_f64();
        let told = probed.made.first().map(|made| &made.told);
        ensure!(capacity > 0.0, "nothing is done without any peak: {told:?}");
        let peak = Peak {
            from: FROM,
            to: TO,
            per_second: capacity * 10.0,
        };
        let before = fleet.resident(0)?;
        let mut after = 0.0;
        let load = load(first, capacity / 2.0, LENGTH, Some(peak));
        let history = fleet.under(load, |fleet, begun| {
            wait_until(begun, TO);
            after = fleet.resident(0)?;
            Ok(())
        })?;
        setting.tell(report, capacity, after - before, &history)?;
    }
    Ok(())
}

impl Setting {
    fn policy(&self) -> Result<Policy> {
        let edge = EdgeSettings {
            timeout_ms: Some(DEADLINE_MS),
            retries_percent: self.retries_percent,
            ..EdgeSettings::new(Name::new("Caller")?, Name::new("Worker")?, None)
        };
        let limits = Limits {
            concurrency: self.concurrency,
            ..Limits::default()
        };
        Ok(Policy {
            edges: vec![edge],
            limits,
        })
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
        figure("capacity", capacity, "calls/s", None)?;
        let per_second = done(history.due(FROM, TO)) / (TO - FROM).as_secs_f64();
        let missing = 100.0 * (1.0 - per_second / capacity);
        figure("not done of that", missing, "%", Some(20.0))?;
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
