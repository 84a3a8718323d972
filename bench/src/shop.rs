//! The whole shop under its own load: monolith, microservices, a mix, and the same components behind tonic.

use std::{
    fs,
    future::pending,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use boutique_load::{Figures, Load, Pace};
use rustix::param::clock_ticks_per_second;

use crate::{
    deployment::{Binaries, Deployment},
    ratio::Ratio,
    report::Report,
};

/// How many rounds each shop is loaded for.
const ROUNDS: usize = 5;
/// How long a round is counted.
const ROUND: Duration = Duration::from_secs(6);
/// What comes before it.
const WARM_UP: Duration = Duration::from_secs(1);
/// How many tasks are begun in a second, each of about one and a half requests, whatever the shop does.
const TASKS_PER_SECOND: f64 = 100.0;

/// What the requests of one round cost.
struct Cost {
    /// Processor time of all of the shop's processes for one HTTP request, in milliseconds.
    cpu_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// One of the figures of a round.
type Figure = fn(&Cost) -> f64;

/// CPU per HTTP request, and the times of requests, of each shop beside the one behind tonic.
pub(crate) fn shop(report: &mut Report) -> Result<()> {
    let binaries = Binaries::build(&[("anylith-cli", "anylith"), ("boutique", "boutique")])?;
    report.note("shop: A7's mix of tasks at a fixed rate; every shop has its own SQLite file")?;
    let topologies = ["monolith", "front", "micro"];
    let mut shops = Vec::new();
    for topology in topologies {
        shops.push(Deployment::anylith(&binaries, topology)?);
    }
    shops.push(Deployment::grpc()?);
    let mut costs: Vec<Vec<Cost>> = shops.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for (shop, costs) in shops.iter().zip(&mut costs) {
            costs.push(load(shop, round as u64)?);
        }
    }
    let figures: [(&str, &str, Figure); 3] = [
        ("CPU a request", "ms", |cost| cost.cpu_ms),
        ("p50", "ms", |cost| cost.p50_ms),
        ("p99", "ms", |cost| cost.p99_ms),
    ];
    let (grpc, ours) = costs.split_last().context("there is at least one shop")?;
    for (figure, unit, read) in figures {
        let grpc: Vec<f64> = grpc.iter().map(read).collect();
        for (topology, costs) in topologies.iter().zip(ours) {
            let ours: Vec<f64> = costs.iter().map(read).collect();
            let name = format!("shop {topology}: {figure}");
            report.ratio(&Ratio::new(name, unit, &ours, ("tonic", &grpc), None))?;
        }
    }
    Ok(())
}

/// Loads a shop for a round.
fn load(shop: &Deployment, seed: u64) -> Result<Cost> {
    let load = Load {
        shop: shop.url.clone(),
        pace: Pace::Rate {
            tasks_per_second: TASKS_PER_SECOND,
            users: 100,
        },
        length: ROUND,
        warm_up: WARM_UP,
        seed,
        reads_pages: false,
        repeats: false,
        history: false,
    };
    let processes: Vec<u32> = shop.replicas()?.iter().map(|replica| replica.pid).collect();
    let begin = Instant::now();
    let mut before = None;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(load.run(pending(), |_| {
        // Called once a second from the end of the warm-up on.
        if before.is_none() && begin.elapsed() >= WARM_UP {
            before = Some(cpu_time(&processes));
        }
    }))?;
    let before = before.context("the load ended before its warm-up")??;
    let cpu = cpu_time(&processes)?.saturating_sub(before);
    let all = all_served(&report)?;
    Ok(Cost {
        cpu_ms: cpu.as_secs_f64() * 1e3 / all.count as f64,
        p50_ms: all.p50_us as f64 / 1e3,
        p99_ms: all.p99_us as f64 / 1e3,
    })
}

/// The figures of a load of which nothing failed.
pub(crate) fn all_served(load: &boutique_load::Report) -> Result<Figures> {
    let all = load.all();
    ensure!(all.count > 0, "no page came");
    ensure!(
        all.failed == 0,
        "{} of {} requests failed",
        all.failed,
        all.count
    );
    Ok(all)
}

/// The processor time that `processes` have used: all threads, user and system.
pub(crate) fn cpu_time(processes: &[u32]) -> Result<Duration> {
    let mut ticks = 0;
    for pid in processes {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("process {pid} is gone"))?;
        // The name of the program comes in parentheses and may hold blanks; the 12th and 13th field after
        // it are user and system time.
        let (_, fields) = stat
            .rsplit_once(')')
            .context("/proc has another form here")?;
        let times = fields.split_whitespace().skip(11).take(2);
        for time in times {
            ticks += time.parse::<u64>()?;
        }
    }
    Ok(Duration::from_secs_f64(
        ticks as f64 / clock_ticks_per_second() as f64,
    ))
}
