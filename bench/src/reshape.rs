//! The shop is divided anew a hundred times, at random, while people buy in it.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::{Course, Outcome, Plan};

use crate::{ratio::quantile, report::Report};

/// How many reshapes there are.
const STEPS: usize = 100;
/// Tasks that begin in a second whatever the shop does; two of them are three requests.
const TASKS_PER_SECOND: f64 = 200.0;
/// How long people shop on between two reshapes.
const REST: Duration = Duration::from_millis(800);
/// Where another number of reshapes, or another seed, is tried.
const ENV_STEPS: &str = "BENCH_RESHAPES";
const ENV_SEED: &str = "BENCH_SEED";

/// From topology to topology: what fails, how long it takes, and what it costs who shops meanwhile.
pub(crate) fn reshape(report: &mut Report) -> Result<()> {
    course("reshape", false, report)
}

/// The same, and during each reshape a replica or the supervisor is killed.
pub(crate) fn reshape_kill(report: &mut Report) -> Result<()> {
    course("reshape-kill", true, report)
}

fn course(name: &str, kills: bool, report: &mut Report) -> Result<()> {
    let steps = number(ENV_STEPS)?.map_or(STEPS, |steps| steps as usize);
    let seed = number(ENV_SEED)?.unwrap_or(1);
    report.note(&format!(
        "{name}: {steps} reshapes among monolith, micro and ten random topologies of seed {seed}; every page is read"
    ))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let mut course = Course::begin(Plan {
            seed,
            groupings: 10,
            tasks_per_second: TASKS_PER_SECOND,
            users: 200,
            kills,
            tcp: false,
        })
        .await?;
        course.rest(REST * 2).await;
        for number in 1..=steps {
            let step = course.step().await?;
            let took = step.ended - step.begun;
            let struck = step.struck.as_ref();
            let struck = struck.map(|strike| {
                let over = if strike.is_inside {
                    ""
                } else {
                    " when it was over"
                };
                let after = strike.at - step.begun;
                format!(", {} killed after {after:.0?}{over}", strike.victim)
            });
            report.note(&format!(
                "{name} {number}: {} to {}, {} stands after {took:.0?}{}",
                step.from,
                step.to,
                step.stands,
                struck.unwrap_or_default()
            ))?;
            course.rest(REST).await;
        }
        course.end().await
    })?;
    tell(name, &outcome, report)
}

/// A number that the environment has.
fn number(name: &str) -> Result<Option<u64>> {
    let text = std::env::var(name).ok();
    let number = text.map(|text| text.parse::<u64>());
    number
        .transpose()
        .with_context(|| format!("{name} is no number"))
}

fn tell(name: &str, outcome: &Outcome, report: &mut Report) -> Result<()> {
    for fault in outcome.faults.iter().take(20) {
        report.note(&format!("{name}: {fault}"))?;
    }
    let mut figure = |what: &str, value: f64, unit, most| {
        report.figure(&format!("{name}: {what}"), value, unit, most)
    };
    let all = outcome.report.all();
    figure("requests", all.count as f64, "", None)?;
    figure("requests a second", all.per_second, "", None)?;
    figure(
        "failed requests and wrong pages",
        outcome.faults.len() as f64,
        "",
        Some(0.0),
    )?;
    figure(
        "told that nobody knows, which was so",
        outcome.unknown as f64,
        "",
        None,
    )?;
    let paid = outcome.payments;
    figure(
        "payments that were confirmed",
        paid.confirmed as f64,
        "",
        None,
    )?;
    figure(
        "payments that nobody knew of, and made",
        paid.unknown as f64,
        "",
        None,
    )?;
    figure("payments made twice", paid.doubled as f64, "", Some(0.0))?;
    figure("payments lost", paid.lost as f64, "", Some(0.0))?;
    figure(
        "requests on connections kept all the time",
        outcome.kept as f64,
        "",
        None,
    )?;
    let stayed = outcome.steps.iter().filter(|step| step.stands != step.to);
    figure(
        "reshapes that were taken back",
        stayed.count() as f64,
        "",
        None,
    )?;
    let strikes = outcome.steps.iter().filter_map(|step| step.struck.as_ref());
    let inside = strikes.clone().filter(|strike| strike.is_inside).count();
    if strikes.count() > 0 {
        figure(
            "killed before the reshape was over",
            inside as f64,
            "",
            None,
        )?;
    }
    let took = outcome.steps.iter().map(|step| step.ended - step.begun);
    let took: Vec<f64> = took.map(|took| took.as_secs_f64()).collect();
    for (what, at) in [("median", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        figure(
            &format!("time to converge, {what}"),
            quantile(&took, at),
            "s",
            None,
        )?;
    }
    let (inside, outside) = outcome.inside_and_outside();
    for (what, at) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        for (place, times) in [("inside", &inside), ("outside", &outside)] {
            let ms: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
            figure(
                &format!("{what} of requests {place} of reshapes"),
                quantile(&ms, at),
                "ms",
                None,
            )?;
        }
    }
    Ok(())
}
