//! Builds of which one interface differs are rolled into each other while people ask.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{Answers, Askers, Parcels};
use tokio::{task::block_in_place, time::sleep};

use crate::{ratio::quantile, report::Report};

/// How many upgrades there are in each topology.
const UPGRADES: usize = 20;
/// How long people ask on between two upgrades.
const REST: Duration = Duration::from_millis(800);
/// How long a new build is watched.
const OBSERVE: &str = "1s";

/// From the one to the other and back, and then to one that crashes: what fails, how long it takes, and what it costs who
/// asks meanwhile.
pub(crate) fn upgrade(report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    for topology in ["monolith", "pair", "micro"] {
        runtime.block_on(upgrade_in(topology, report))?;
    }
    Ok(())
}

/// When an upgrade was.
struct Window {
    begun: Instant,
    took: Duration,
}

async fn upgrade_in(topology: &str, report: &mut Report) -> Result<()> {
    let name = format!("upgrade, {topology}");
    let parcels = Parcels::start(&["--topology", topology, "--replicas", "2"])?;
    let askers = Askers::begin(&parcels.url);
    sleep(REST * 2).await;
    let mut windows = Vec::new();
    for (number, build) in ["second", "first"]
        .iter()
        .cycle()
        .take(UPGRADES)
        .enumerate()
    {
        let window = roll_in(&parcels, build, true)?;
        let took = window.took;
        report.note(&format!(
            "{name} {}: to {build} after {took:.1?}",
            number + 1
        ))?;
        windows.push(window);
        sleep(REST).await;
    }
    let broken = roll_in(&parcels, "crashing", false)?;
    sleep(REST).await;
    let answers = askers.end().await;
    for wrong in answers.wrong.iter().take(20) {
        report.note(&format!("{name}: {wrong}"))?;
    }
    tell(&name, &answers, (&windows, &broken), report)
}

/// Rolls `build` in, which has to become the one that runs if it `works`, and else to be rolled back.
fn roll_in(parcels: &Parcels, build: &str, works: bool) -> Result<Window> {
    let binary = Parcels::binary(build)?;
    let before = parcels.builds()?;
    let begun = Instant::now();
    let done = block_in_place(|| parcels.upgrade(&["--binary", &binary, "--observe", OBSERVE]))?;
    let took = begun.elapsed();
    let stands = parcels.builds()?;
    let is_new = stands.len() == 1 && stands != before;
    ensure!(
        done.status.success() == works && is_new == works,
        "{build}: {stands:?} after {before:?}: {}",
        parcels.said()
    );
    Ok(Window { begun, took })
}

fn tell(
    name: &str,
    answers: &Answers,
    (windows, broken): (&[Window], &Window),
    report: &mut Report,
) -> Result<()> {
    let mut figure = |what: &str, value: f64, unit, most| {
        report.figure(&format!("{name}: {what}"), value, unit, most)
    };
    let failed = answers.wrong.len();
    figure("requests", (answers.answered + failed) as f64, "", None)?;
    figure("failed, or wrong", failed as f64, "", Some(0.0))?;
    let undecoded = |wrong: &&String| wrong.contains("decode");
    let undecoded = answers.wrong.iter().filter(undecoded).count();
    figure("not decoded", undecoded as f64, "", Some(0.0))?;
    let took: Vec<f64> = windows.iter().map(|one| one.took.as_secs_f64()).collect();
    for (what, at) in [("median", 0.5), ("longest", 1.0)] {
        let took = quantile(&took, at);
        figure(
            &format!("an upgrade, {what}, watched for {OBSERVE}"),
            took,
            "s",
            None,
        )?;
    }
    let back = broken.took.as_secs_f64();
    figure("a build that crashes is rolled back after", back, "s", None)?;
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for asked in &answers.times {
        let meets = |window: &Window| {
            asked.begun <= window.begun + window.took && window.begun <= asked.begun + asked.took
        };
        let is_inside = windows.iter().chain([broken]).any(meets);
        let times = if is_inside { &mut inside } else { &mut outside };
        times.push(asked.took.as_secs_f64() * 1e3);
    }
    for (what, at) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        for (place, times) in [("inside", &inside), ("outside", &outside)] {
            let ms = quantile(times, at);
            figure(
                &format!("{what} of requests {place} of upgrades"),
                ms,
                "ms",
                None,
            )?;
        }
    }
    Ok(())
}
