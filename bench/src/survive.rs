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
/// Within what time the full rate has to be back.
const BOUND: Duration = Duration::from_millis(500);
/// How finely the rate is looked at.
const SLICE: Duration = Duration::from_millis(50);
/// How long a job waits.
const JOB: Duration = Duration::from_millis(5);
/// How late a call has to be made to be late: by the tenth of a slice that may be missing.
const PAUSE: Duration = Duration::from_millis(5);

/// What became of the calls, whether what was told is true, and when the rate was full again.
pub(crate) fn survive(report: &mut Report) -> Result<()> {
    report.note("survive: 2,000 calls a second, half of them idempotent; a job waits 5 ms")?;
    let mut fleet = Fleet::start(3, Policy::default())?;
    fleet.all_behave(Behaviour {
        wait_us: JOB.as_micros() as u64,
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
    let slices = Slice::of(&history);
    report.figure(
        "survive: from the kill to the full rate",
        full_rate_after(&slices, KILL).as_secs_f64() * 1e3,
        "ms",
        Some(BOUND.as_secs_f64() * 1e3),
    )?;
    let (before, after) = slices.split_at((KILL.as_micros() / SLICE.as_micros()) as usize);
    for (when, slices) in [("before", before), ("after", after)] {
        let few = slices.iter().filter(|slice| slice.is_lacking()).count();
        let late = slices.iter().filter(|slice| slice.was_late()).count();
        report.note(&format!(
            "survive: {when} the kill {few} of {} slices lack a tenth; in {late} the load itself had no time for {} ms",
            slices.len(),
            PAUSE.as_millis()
        ))?;
    }
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

/// A span of the load.
#[derive(Debug, Clone, Default)]
struct Slice {
    /// How many calls were done in it.
    done: u32,
    /// How late the latest of the calls was made that were due in it, or could have been done in it.
    late_us: u64,
}

impl Slice {
    /// All of the load but the last, which is cut by its end.
    fn of(history: &History) -> Vec<Self> {
        let mut slices = vec![Self::default(); (LENGTH.as_micros() / SLICE.as_micros()) as usize];
        let at = |us: u64| (u128::from(us) / SLICE.as_micros()) as usize;
        for made in &history.made {
            let end_us = made.due_us + made.took_us;
            if let (Told::Done(_), Some(slice)) = (&made.told, slices.get_mut(at(end_us))) {
                slice.done += 1;
            }
            // Whoever is late lacks where it was due, and where it would have ended.
            for us in [made.due_us, made.due_us + JOB.as_micros() as u64] {
                if let Some(slice) = slices.get_mut(at(us)) {
                    slice.late_us = slice.late_us.max(made.late_us);
                }
            }
        }
        slices.pop();
        slices
    }

    /// Whether more than a tenth of what was due is missing.
    fn is_lacking(&self) -> bool {
        f64::from(self.done) < PER_SECOND * SLICE.as_secs_f64() * 0.9
    }

    /// Whether the machine gave the load itself no time, so that what is missing was not asked for.
    fn was_late(&self) -> bool {
        u128::from(self.late_us) >= PAUSE.as_micros()
    }
}

/// How long after `kill` calls were done as fast as they came, for good: no slice from then on is lacking. Once
/// the bound is over, those count that were asked for: a pause of the machine is not the kill's.
fn full_rate_after(slices: &[Slice], kill: Duration) -> Duration {
    let ends = (1_u32..).map(|number| SLICE * number);
    let lacking = slices
        .iter()
        .zip(ends)
        .filter(|(slice, end)| slice.is_lacking() && (*end <= kill + BOUND || !slice.was_late()));
    let last = lacking.map(|(_, end)| end).last();
    last.unwrap_or_default().saturating_sub(kill)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load without a flaw, but for the slices that end at so many milliseconds after the kill.
    fn slices(flaws: &[(u64, Slice)]) -> Vec<Slice> {
        let full = Slice {
            done: 100,
            late_us: 900,
        };
        let mut slices = vec![full; 239];
        for (ms, flaw) in flaws {
            let end = KILL + Duration::from_millis(*ms);
            slices[(end.as_micros() / SLICE.as_micros()) as usize - 1] = flaw.clone();
        }
        slices
    }

    fn lacking(late_us: u64) -> Slice {
        Slice { done: 80, late_us }
    }

    #[test]
    fn the_rate_is_full_once_no_slice_lacks_any_more() {
        let after = |flaws: &[(u64, Slice)]| full_rate_after(&slices(flaws), KILL).as_millis();
        assert_eq!(after(&[]), 0);
        assert_eq!(after(&[(50, lacking(0)), (400, lacking(0))]), 400);
        assert_eq!(after(&[(4_400, lacking(0))]), 4_400);
    }

    #[test]
    fn only_what_comes_late_and_was_not_asked_for_is_forgiven() {
        let after = |flaws: &[(u64, Slice)]| full_rate_after(&slices(flaws), KILL).as_millis();
        assert_eq!(after(&[(4_400, lacking(7_000))]), 0);
        assert_eq!(after(&[(450, lacking(7_000))]), 450);
    }
}
