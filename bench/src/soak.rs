//! A hundred components, two thousand calls a second, and somebody who looks at the dashboard all the time: what the
//! supervisor and the page take of memory, and whether that grows.

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use e2e::Browser;
use serde_json::Value;

use crate::{
    deployment::{Binaries, Deployment},
    memory::resident,
    ratio::quantile,
    report::Report,
};

/// How long it goes on where `BENCH_MINUTES` says nothing else.
const MINUTES: f64 = 60.0;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What is looked at, one after the other: each view is left and entered again many times.
const VIEWS: [&str; 3] = ["shape", "graph", "time"];

/// What the page may grow by in an hour, in MiB, where it is watched for one.
const MOST_GROWTH: f64 = 4.0;
/// What the supervisor may. It keeps an hour in about 6 MiB, which fill while that hour goes on.
const MOST_SUPERVISOR_GROWTH: f64 = 10.0;

/// One look.
struct Look {
    /// Since it began, in hours.
    at: f64,
    /// In MiB, as all that follow but the last two.
    supervisor: f64,
    heap: f64,
    renderer: f64,
    nodes: f64,
    calls_per_second: f64,
}

/// What the supervisor and the page take, and by how much that grows in an hour.
pub(crate) fn soak(report: &mut Report) -> Result<()> {
    let minutes = match env::var("BENCH_MINUTES") {
        Ok(minutes) => minutes.parse().context("BENCH_MINUTES is no number")?,
        Err(_) => MINUTES,
    };
    let topology = env::var("BENCH_TOPOLOGY").unwrap_or_else(|_| "micro".to_owned());
    let binaries = Binaries::build(&[("anylith-cli", "anylith"), ("bench", "emporium")])?;
    let settings = format!(
        "[app]\nname = \"emporium\"\nbinary = {:?}\n[listeners.web]\naddress = \"127.0.0.1:0\"\n",
        binaries.path("emporium")
    );
    let emporium = Deployment::of(&binaries, &settings, &["--topology", &topology])?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let length = Duration::from_secs_f64(minutes * 60.0);
    let looks = runtime.block_on(watch(&emporium, length, report))?;
    tell(&looks, minutes, report)
}

async fn watch(emporium: &Deployment, length: Duration, report: &Report) -> Result<Vec<Look>> {
    let supervisor = emporium.supervisor().context("nobody watches over it")?;
    let browser = Browser::start("soak").await?;
    browser.go_to(emporium.ask(&["dashboard"])?.trim()).await?;
    browser
        .wait_until("document.querySelector('.connection.live')")
        .await?;
    let begun = Instant::now();
    let mut looks = Vec::new();
    while begun.elapsed() < length {
        let view = VIEWS[looks.len() % VIEWS.len()];
        browser.click(&format!("nav a[href='#/{view}']")).await?;
        tokio::time::sleep(LOOK_EVERY).await;
        let (heap, nodes) = browser.heap().await?;
        let renderers = browser.renderers()?;
        let renderer: Result<Vec<f64>> = renderers.into_iter().map(resident).collect();
        let now: Value = serde_json::from_str(&emporium.ask(&["graph", "--live", "--json"])?)?;
        let look = Look {
            at: begun.elapsed().as_secs_f64() / 3600.0,
            supervisor: resident(supervisor)?,
            heap: heap as f64 / f64::from(1 << 20),
            renderer: renderer?.into_iter().sum(),
            nodes: nodes as f64,
            calls_per_second: now["calls_per_second"].as_f64().unwrap_or_default(),
        };
        report.note(&format!(
            "{:5.1} min, {view:<5}: supervisor {:.1} MiB; page {:.2} MiB of scripts, {:.0} nodes, {:.0} MiB of its process; {:.0} calls/s",
            look.at * 60.0,
            look.supervisor,
            look.heap,
            look.nodes,
            look.renderer,
            look.calls_per_second
        ))?;
        looks.push(look);
    }
    browser.close().await?;
    Ok(looks)
}

fn tell(looks: &[Look], minutes: f64, report: &mut Report) -> Result<()> {
    // In the first half all is met for the first time.
    let later = &looks[looks.len() / 2..];
    let is_long = minutes >= MINUTES;
    type Read = fn(&Look) -> f64;
    let told: [(&str, &str, Read, Option<f64>); 4] = [
        (
            "supervisor",
            "MiB",
            |look| look.supervisor,
            Some(MOST_SUPERVISOR_GROWTH),
        ),
        ("page, scripts", "MiB", |look| look.heap, Some(MOST_GROWTH)),
        ("page, process", "MiB", |look| look.renderer, None),
        ("page, nodes", "", |look| look.nodes, None),
    ];
    for (name, unit, read, most) in told {
        let values: Vec<f64> = later.iter().map(read).collect();
        report.figure(
            &format!("soak, {name}: median"),
            quantile(&values, 0.5),
            unit,
            None,
        )?;
        let points: Vec<(f64, f64)> = later.iter().map(|look| (look.at, read(look))).collect();
        let growth = slope(&points);
        let most = most.filter(|_| is_long);
        report.figure(
            &format!("soak, {name}: growth in an hour"),
            growth,
            unit,
            most,
        )?;
    }
    let calls: Vec<f64> = later.iter().map(|look| look.calls_per_second).collect();
    report.figure(
        "soak, calls in a second: median",
        quantile(&calls, 0.5),
        "",
        None,
    )
}

/// How steep the line is that fits the points best; 0 of fewer than two.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let own: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if own > 0.0 { both / own } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_steep_as_it_is() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), 2.0);
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 2.0), (2.0, 1.0)]), 0.0);
        assert_eq!(slope(&[(1.0, 7.0)]), 0.0);
    }
}
