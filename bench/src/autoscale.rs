//! A step load of ten times on one component: how soon its replicas follow, and what that costs beside a monolith that is
//! replicated for the step all the time. And the first call of what does not run.

mod upkeep;
mod visitors;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use self::{
    upkeep::Upkeep,
    visitors::{Part, Visit, come},
};
use crate::{
    deployment::{Binaries, Deployment},
    ratio::quantile,
    report::Report,
};

/// A clerk does four things at a time, of 40 ms each: a hundred in a second. With half of that it has time to spare.
const OFFICE: &str = r#"
[components.Clerk]
at_once = 4
takes_ms = 40

[topologies.scaled]
groups.clerks = { components = ["Clerk"], replicas = { min = 1, max = 6, target = { concurrency = 2 }, cooldown = "5s" } }
groups.window = { components = ["*"] }

[topologies.asleep]
groups.clerks = { components = ["Clerk"], replicas = { min = 0, max = 6, cooldown = "1s" } }
groups.window = { components = ["*"] }
"#;

/// Twenty in a second are a fifth of what one clerk can do; two hundred are what four should share.
const QUIET: f64 = 20.0;
const BUSY: f64 = 200.0;
const NEEDED: usize = 4;
const BEFORE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_secs(15);
const AFTER: Duration = Duration::from_secs(30);

/// Who waits longer was not served well.
const SLO: Duration = Duration::from_millis(200);

/// How often what does not run is called.
const WAKES: usize = 15;

/// How long nothing may take that should come at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// The step, on clerks whose number follows it and on monoliths, and the first call of what sleeps.
pub(crate) fn autoscale(report: &mut Report) -> Result<()> {
    let binaries = Binaries::build(&[("anylith-cli", "anylith"), ("bench", "clerks")])?;
    report.note(
        "autoscale: 20 a second, 200 for 15 s, and 20 again; a clerk does 100 a second, by waiting",
    )?;
    let (visits, upkeep) = run(&binaries, "scaled", &[], "clerks")?;
    let to_floor = upkeep.when(BEFORE + STEP, |clerks| clerks == 1);
    let followed = upkeep.when(BEFORE, |clerks| clerks >= NEEDED);
    let followed = followed.context("the clerks never became enough")?;
    report.figure(
        "autoscale: from the step to four replicas that are ready",
        followed.as_secs_f64(),
        "s",
        Some(3.0),
    )?;
    let to_floor = to_floor.context("the clerks did not leave")?;
    report.figure(
        "autoscale: from the end of the step to one replica",
        to_floor.as_secs_f64(),
        "s",
        None,
    )?;
    told(report, "scaled", &visits, &upkeep)?;
    let (visits, upkeep) = run(&binaries, "monolith", &["--replicas", "4"], "monolith")?;
    told(report, "four monoliths", &visits, &upkeep)?;
    wakes(&binaries, report)
}

/// Runs the office in `topology` under the step.
fn run(
    binaries: &Binaries,
    topology: &str,
    arguments: &[&str],
    clerks: &str,
) -> Result<(Vec<Visit>, Upkeep)> {
    let office = office(binaries, topology, arguments)?;
    let address = address(&office)?;
    let runtime = runtime()?;
    let parts = [(QUIET, BEFORE), (BUSY, STEP), (QUIET, AFTER)];
    let parts = parts.map(|(per_second, length)| Part { per_second, length });
    let (over, begun) = (Arc::<AtomicBool>::default(), Instant::now());
    thread::scope(|scope| {
        let upkeep = scope.spawn(|| Upkeep::until(&over, &office, clerks, begun));
        let visits = runtime.block_on(come(address, &parts, begun));
        over.store(true, Relaxed);
        let upkeep = upkeep
            .join()
            .map_err(|_| anyhow!("nobody looked at the replicas"))?;
        Ok((visits, upkeep?))
    })
}

/// Prints how well people were served, and what that cost.
fn told(report: &mut Report, which: &str, visits: &[Visit], upkeep: &Upkeep) -> Result<()> {
    let missed = |from: Duration, to: Duration| {
        let due = visits
            .iter()
            .filter(move |visit| (from..to).contains(&visit.due));
        due.filter(|visit| !visit.served || visit.took > SLO)
            .count() as f64
    };
    let (end, follow) = (BEFORE + STEP + AFTER, BEFORE + Duration::from_secs(3));
    let took = visits
        .iter()
        .filter(|visit| (BEFORE..BEFORE + STEP).contains(&visit.due));
    let took: Vec<f64> = took.map(|visit| visit.took.as_secs_f64() * 1e3).collect();
    let not_served = visits.iter().filter(|visit| !visit.served).count() as f64;
    let people = visits.len();
    report.note(&format!(
        "autoscale {which}: {people} people came; who waits for more than {SLO:?} was not served well"
    ))?;
    let early = missed(BEFORE, follow);
    let late = missed(Duration::ZERO, BEFORE) + missed(follow, end);
    let figures = [
        ("not served", not_served, "people", Some(0.0)),
        (
            "not served well in the first 3 s of the step",
            early,
            "people",
            None,
        ),
        ("not served well at any other time", late, "people", None),
        ("p50 in the step", quantile(&took, 0.5), "ms", None),
        ("p99 in the step", quantile(&took, 0.99), "ms", None),
        (
            "processor time",
            upkeep.core_seconds(),
            "core-seconds",
            None,
        ),
        ("memory on average", upkeep.mean_memory(), "MiB", None),
        ("memory at most", upkeep.most_memory(), "MiB", None),
        ("replicas on average", upkeep.mean_processes(), "", None),
    ];
    for (what, value, unit, most) in figures {
        report.figure(&format!("autoscale {which}: {what}"), value, unit, most)?;
    }
    Ok(())
}

/// How long the first call takes of what does not run.
fn wakes(binaries: &Binaries, report: &mut Report) -> Result<()> {
    let office = office(binaries, "asleep", &[])?;
    let (address, runtime) = (address(&office)?, runtime()?);
    let one = [Part {
        per_second: 1.0,
        length: Duration::from_secs(1),
    }];
    let mut took = Vec::new();
    for _ in 0..WAKES {
        let begun = Instant::now();
        while office
            .replicas()?
            .iter()
            .any(|replica| replica.group == "clerks")
        {
            ensure!(begun.elapsed() < PATIENCE, "the last clerk does not leave");
            thread::sleep(Duration::from_millis(20));
        }
        let visits = runtime.block_on(come(address, &one, Instant::now()));
        let visit = visits.first().context("nobody came")?;
        ensure!(visit.served, "the first call was not answered");
        took.push(visit.took.as_secs_f64() * 1e3);
    }
    let takes = "the first call of what does not run, which itself takes 40 ms";
    report.figure(
        &format!("autoscale: {takes}: p50"),
        quantile(&took, 0.5),
        "ms",
        Some(150.0),
    )?;
    let most = took.into_iter().fold(0.0, f64::max);
    report.figure(&format!("autoscale: {takes}: at most"), most, "ms", None)
}

fn office(binaries: &Binaries, topology: &str, arguments: &[&str]) -> Result<Deployment> {
    let clerks = binaries.path("clerks");
    let settings = format!(
        "[app]\nname = \"office\"\nbinary = {clerks:?}\n[listeners.web]\naddress = \"127.0.0.1:0\"\n{OFFICE}"
    );
    let arguments = [&["--topology", topology], arguments].concat();
    Deployment::of(binaries, &settings, &arguments)
}

fn address(office: &Deployment) -> Result<SocketAddr> {
    let url = office
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/');
    url.parse().with_context(|| format!("{url} is no address"))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    Ok(runtime.enable_all().build()?)
}
