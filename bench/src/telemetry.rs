//! What it costs to count: a call within one process, and the whole shop, with nothing counted, with counters alone, and
//! with times as well.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use anyhow::Result;
use boutique_load::{Load, Pace};

use crate::{
    child::Child,
    deployment::{Binaries, Deployment},
    direct::LocalRound,
    ratio::Ratio,
    report::Report,
    role::{Part, Placement, Role},
    shop::{all_served, cpu_time},
};

/// What can be counted: the words of `[telemetry] metrics`. All else is compared with the first.
const MODES: [&str; 3] = ["off", "counters", "all"];

/// How many rounds of local calls are run. They are short and many, since a few nanoseconds matter.
const LOCAL_ROUNDS: usize = 301;
/// How many rounds each shop is loaded for.
const SHOP_ROUNDS: usize = 11;
/// How many tasks a round has, each of about one and a half requests, made as fast as they go.
const TASKS: f64 = 1200.0;
/// How many users make them.
const USERS: usize = 8;

/// The most that a local call may cost beside a bare one, with all that is counted by default.
const LOCAL_BOUND: f64 = 2.5;
/// The most that the shop may lose.
const SHOP_BOUND: f64 = 1.03;

/// What it costs to count, each mode in turn.
pub(crate) fn telemetry(report: &mut Report) -> Result<()> {
    local(report)?;
    let binaries = Binaries::build(&[("anylith-cli", "anylith"), ("boutique", "boutique")])?;
    for topology in ["monolith", "micro"] {
        shop(report, &binaries, topology)?;
    }
    Ok(())
}

/// Ours and the bare call of one method, out of a round.
type Method = fn(&LocalRound) -> [f64; 2];

fn local(report: &mut Report) -> Result<()> {
    let role = Role {
        part: Part::Local,
        placement: Placement::one_core()?,
    };
    let mut children = Vec::new();
    for mode in MODES {
        let environment = [("ANYLITH__telemetry__metrics", mode.to_owned())];
        let mut child = Child::start(&role, &environment)?;
        child.local()?;
        children.push(child);
    }
    let mut rounds: Vec<Vec<LocalRound>> = MODES.iter().map(|_| Vec::new()).collect();
    for round in 0..LOCAL_ROUNDS {
        for turn in 0..MODES.len() {
            // Whoever is first is another one each time.
            let mode = (round + turn) % MODES.len();
            rounds[mode].push(children[mode].local()?);
        }
    }
    let methods: [(&str, Method); 2] = [
        ("ready at once", |round| round.next),
        ("small call", |round| round.price),
    ];
    for (name, method) in methods {
        let of = |mode: usize, which: usize| -> Vec<f64> {
            rounds[mode]
                .iter()
                .map(|round| method(round)[which])
                .collect()
        };
        let off = of(0, 0);
        for (number, mode) in MODES.iter().enumerate() {
            let ours = of(number, 0);
            if number > 0 {
                let title = format!("local, {name}, {mode}");
                report.ratio(&Ratio::new(title, "ns", &ours, (MODES[0], &off), None))?;
            }
            let title = format!("local, {name}, {mode}");
            let bare = of(number, 1);
            let bound = Some(LOCAL_BOUND);
            report.ratio(&Ratio::new(title, "ns", &ours, ("bare dyn", &bare), bound))?;
        }
    }
    Ok(())
}

/// What the requests of a round cost.
struct Cost {
    /// Processor time of all of the shop's processes for one HTTP request, in milliseconds.
    cpu_ms: f64,
    /// How long the round took for each request, in milliseconds: of one second, what one request takes.
    elapsed_ms: f64,
}

fn shop(report: &mut Report, binaries: &Binaries, topology: &str) -> Result<()> {
    let mut shops = Vec::new();
    for mode in MODES {
        let settings = format!("[telemetry]\nmetrics = \"{mode}\"\n");
        shops.push(Deployment::anylith_with(binaries, topology, &settings)?);
    }
    // To warm up.
    for shop in &shops {
        load(shop, 0)?;
    }
    let mut costs: Vec<Vec<Cost>> = MODES.iter().map(|_| Vec::new()).collect();
    for round in 0..SHOP_ROUNDS {
        for turn in 0..MODES.len() {
            let mode = (round + turn) % MODES.len();
            // All of them are asked for the same.
            costs[mode].push(load(&shops[mode], 1 + round as u64)?);
        }
    }
    type Figure = fn(&Cost) -> f64;
    let figures: [(&str, Figure); 2] = [
        ("CPU a request", |cost| cost.cpu_ms),
        ("time a request", |cost| cost.elapsed_ms),
    ];
    for (figure, read) in figures {
        let of = |mode: usize| -> Vec<f64> { costs[mode].iter().map(read).collect() };
        let off = of(0);
        for (number, mode) in MODES.iter().enumerate().skip(1) {
            let title = format!("shop {topology}, {mode}: {figure}");
            let (ours, bound) = (of(number), Some(SHOP_BOUND));
            report.ratio(&Ratio::new(title, "ms", &ours, (MODES[0], &off), bound))?;
        }
    }
    Ok(())
}

/// Has the tasks of a round done, as fast as they go.
fn load(shop: &Deployment, seed: u64) -> Result<Cost> {
    // All of them are due at the beginning, so that somebody who is done always finds the next.
    let length = Duration::from_millis(1);
    let load = Load {
        shop: shop.url.clone(),
        pace: Pace::Rate {
            tasks_per_second: TASKS / length.as_secs_f64(),
            users: USERS,
        },
        length,
        warm_up: Duration::ZERO,
        seed,
        reads_pages: false,
        repeats: false,
        history: false,
    };
    let processes: Vec<u32> = shop.replicas()?.iter().map(|replica| replica.pid).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (begin, before) = (Instant::now(), cpu_time(&processes)?);
    let done = runtime.block_on(load.run(pending(), |_| {}))?;
    let elapsed = begin.elapsed();
    let cpu = cpu_time(&processes)?.saturating_sub(before);
    let requests = all_served(&done)?.count as f64;
    Ok(Cost {
        cpu_ms: cpu.as_secs_f64() * 1e3 / requests,
        elapsed_ms: elapsed.as_secs_f64() * 1e3 / requests,
    })
}
