//! One of three replicas gets fifty times slower, then well, then fails fast.

use std::time::Duration;

use anyhow::Result;

use crate::{
    control::Policy,
    fleet::{Behaviour, Fault, Fleet, Load, Methods, Pace, quantile_ms, wait_until},
    report::Report,
};

const PER_SECOND: f64 = 2000.0;
const LENGTH: Duration = Duration::from_secs(12);
/// When it falls ill, and when it is well again.
const ILL: Duration = Duration::from_secs(3);
const WELL: Duration = Duration::from_secs(8);
/// How long after that its callers may need to notice.
const NOTICED: Duration = Duration::from_secs(2);

const NORMAL: Behaviour = Behaviour {
    wait_us: 2_000,
    compute_us: 0,
    at_once: 0,
    fault: None,
};

/// The share of a replica that is ill, and the time of calls before, while and after.
pub(crate) fn slow(report: &mut Report) -> Result<()> {
    report.note("slow: 2,000 calls a second, all idempotent; a job waits 2 ms")?;
    let mut fleet = Fleet::start(3, Policy::default())?;
    let illnesses = [
        (
            "50 times slower",
            Behaviour {
                wait_us: NORMAL.wait_us * 50,
                ..NORMAL
            },
        ),
        (
            "panics at once",
            Behaviour {
                fault: Some(Fault::Panic),
                ..NORMAL
            },
        ),
        (
            "answers errors at once",
            Behaviour {
                fault: Some(Fault::Error),
                ..NORMAL
            },
        ),
    ];
    for (round, (name, illness)) in illnesses.into_iter().enumerate() {
        fleet.all_behave(NORMAL)?;
        let load = |first, length| Load {
            pace: Pace::PerSecond(PER_SECOND),
            length,
            methods: Methods::Look,
            first,
        };
        let first = round as u32 * 1_000_000;
        // What it was left out for in the round before is forgotten.
        fleet.under(load(first + 500_000, Duration::from_secs(8)), |_, _| Ok(()))?;
        let history = fleet.under(load(first, LENGTH), |fleet, begun| {
            wait_until(begun, ILL);
            fleet.behave(0, illness)?;
            wait_until(begun, WELL);
            fleet.behave(0, NORMAL)
        })?;
        let mut figure = |what: &str, value, unit, most| {
            report.figure(&format!("slow: {name}: {what}"), value, unit, most)
        };
        let share = |from, to| history.share(0, from, to) * 100.0;
        let p99 = |from, to| quantile_ms(history.due(from, to), 0.99);
        let normal = p99(Duration::ZERO, ILL);
        figure("share before", share(Duration::ZERO, ILL), "%", None)?;
        figure(
            "share in the first 2 s",
            share(ILL, ILL + NOTICED),
            "%",
            None,
        )?;
        figure(
            "share after 2 s",
            share(ILL + NOTICED, WELL),
            "%",
            Some(2.0),
        )?;
        let last = LENGTH - Duration::from_secs(1);
        figure(
            "share when it is well again",
            share(last, LENGTH),
            "%",
            None,
        )?;
        figure("p99 before", normal, "ms", None)?;
        figure("p99 in the first 2 s", p99(ILL, ILL + NOTICED), "ms", None)?;
        let ill = p99(ILL + NOTICED, WELL);
        figure("p99 after 2 s", ill, "ms", Some(2.0 * normal))?;
        figure("p99 when it is well again", p99(last, LENGTH), "ms", None)?;
    }
    Ok(())
}
