//! One of three replicas is killed under a steady load, and started again.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use anylith::Execution;

use crate::{
    control::Policy,
    fleet::{Behaviour, Fleet, History, Load, Methods, Pace, Told, quantile_ms, wait_until},
    report::Report,
};

const PER_SECOND: f64 = 2000.0;
const LENGTH: Duration = Duration::from_secs(12);
/// When the replica is killed, and when it is started again.
const KILL: Duration = Duration::from_secs(4);
const START: Duration = Duration::from_secs(7);
/// How finely the rate is looked at.
const SLICE: Duration = Duration::from_millis(50);

/// What became of the calls, whether what was told is true, and when the rate was full again.
pub(crate) fn survive(report: &mut Report) -> Result<()> {
    report.note("survive: 2,000 calls a second, half of them idempotent; a job waits 5 ms")?;
    let mut fleet = Fleet::start(3, Policy::default())?;
    fleet.all_behave(Behaviour {
        wait_us: 5_000,
        ..Behaviour::default()
    })?;
    let load = |first, length| Load {
        pace: Pace::PerSecond(PER_SECOND),
        length,
        methods: Methods::Both,
        first,
    };
    fleet.under(load(0, Duration::from_secs(1)), |_, _| Ok(()))?;
    let history = fleet.under(load(1_000_000, LENGTH), |fleet, begun| {
        wait_until(begun, KILL);
        fleet.kill(0);
        wait_until(begun, START);
        fleet.start_again(0)
    })?;
    let failed = |idempotent: bool| {
        let made = history.made.iter();
        let failed = made.filter(move |made| !matches!(made.told, Told::Done(_)));
        failed.filter(move |made| made.idempotent == idempotent)
    };
    report.figure(
        "survive: idempotent calls that failed",
        failed(true).count() as f64,
        "calls",
        Some(0.0),
    )?;
    report.figure(
        "survive: other calls that failed",
        failed(false).count() as f64,
        "calls",
        None,
    )?;
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for made in failed(true).chain(failed(false)) {
        *kinds.entry(kind(&made.told)).or_default() += 1;
    }
    for (kind, count) in kinds {
        report.note(&format!("survive: {count} were told: {kind}"))?;
    }
    report.figure(
        "survive: calls that were told what is not true",
        history.lies().count() as f64,
        "calls",
        Some(0.0),
    )?;
    report.figure(
        "survive: from the kill to the full rate",
        full_rate_after(&history, KILL).as_secs_f64() * 1e3,
        "ms",
        Some(500.0),
    )?;
    report.figure(
        "survive: executions for a call",
        history.amplification(),
        "",
        None,
    )?;
    let p99 = |from, to| quantile_ms(history.due(from, to), 0.99);
    report.figure("survive: p99 before", p99(Duration::ZERO, KILL), "ms", None)?;
    let second = KILL + Duration::from_secs(1);
    report.figure(
        "survive: p99 in the second after",
        p99(KILL, second),
        "ms",
        None,
    )?;
    let back = START + Duration::from_secs(3);
    let share = history.share(0, back, LENGTH) * 100.0;
    report.figure(
        "survive: share of the replica that came back",
        share,
        "%",
        None,
    )
}

fn kind(told: &Told) -> &'static str {
    match told {
        Told::Done(_) => "done",
        Told::Error => "the callee's own error",
        Told::Failed { execution, .. } => match execution {
            Execution::NotExecuted => "not executed",
            Execution::Unknown => "unknown",
            Execution::Executed => "executed",
        },
    }
}

/// How long after `kill` calls were done as fast as they came, for good: in every slice from then on at most a
/// tenth of what was due is missing.
fn full_rate_after(history: &History, kill: Duration) -> Duration {
    let mut done = vec![0_u32; (LENGTH.as_millis() / SLICE.as_millis()) as usize];
    for made in &history.made {
        let slice = u128::from(made.due_us + made.took_us) / SLICE.as_micros();
        if let (Told::Done(_), Some(done)) = (&made.told, done.get_mut(slice as usize)) {
            *done += 1;
        }
    }
    let enough = (PER_SECOND * SLICE.as_secs_f64() * 0.9) as u32;
    // The last slice is cut by the end of the load.
    let slices = done.iter().enumerate().rev().skip(1);
    let lacking = slices.skip_while(|(_, done)| **done >= enough);
    let last = lacking.map(|(slice, _)| slice as u32 + 1).next();
    (SLICE * last.unwrap_or(0)).saturating_sub(kill)
}
