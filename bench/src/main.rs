//! The benchmarks of Anylith, and the peers they are measured against.
//!
//! `cargo xtask bench [NAME] [--json]` runs all of them, or the one called NAME. Everything is
//! relative: contestants take turns in short rounds, each round gives a ratio, and the median of the ratios
//! is printed, so that a busy or slow machine shifts all contestants alike. `README.md` beside this crate
//! has the results and says how to repeat them.

mod autoscale;
mod calls;
mod child;
mod contestant;
mod control;
mod deployment;
mod dev;
mod direct;
mod fleet;
mod grpc_shop;
mod image;
mod local;
mod memory;
mod overload;
mod pair;
mod payload;
mod ratio;
mod report;
mod reshape;
mod role;
mod round;
mod shop;
mod slow;
mod soak;
mod survive;
mod telemetry;
mod upgrade;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mimalloc::MiMalloc;

use crate::{report::Report, role::Role};

/// The same for all contestants.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// One of the benchmarks.
struct Benchmark {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Report) -> Result<()>,
}

const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "local",
        about: "a call within one process, beside a bare `Arc<dyn async_trait>`",
        run: local::local,
    },
    Benchmark {
        name: "get",
        about: "57 bytes there, a product of 275 back; 64 calls in flight, then one; one core",
        run: calls::get,
    },
    Benchmark {
        name: "list",
        about: "thirty products back, 64 calls in flight, one core",
        run: calls::list,
    },
    Benchmark {
        name: "blob",
        about: "64 KiB there and back, one core",
        run: calls::blob,
    },
    Benchmark {
        name: "get-mt",
        about: "`get` with multi-thread runtimes, two cores for both sides",
        run: calls::get_mt,
    },
    Benchmark {
        name: "get-tcp",
        about: "`get` over TCP: ours with mutual TLS, the peers without",
        run: calls::get_tcp,
    },
    Benchmark {
        name: "tls",
        about: "`get` with mutual TLS on both sides: calls a second over one connection",
        run: calls::tls,
    },
    Benchmark {
        name: "shop",
        about: "the whole shop under its own load, beside its components behind tonic",
        run: shop::shop,
    },
    Benchmark {
        name: "telemetry",
        about: "a local call and the whole shop, with nothing counted, counters alone, and times as well",
        run: telemetry::telemetry,
    },
    Benchmark {
        name: "memory",
        about: "idle memory of a replica and of the supervisor, and the time of a start",
        run: memory::memory,
    },
    Benchmark {
        name: "image",
        about: "the image of the shop: its size, and the time until what is in it is ready",
        run: image::image,
    },
    Benchmark {
        name: "survive",
        about: "one of three replicas killed at 2,000 calls a second, and started again",
        run: survive::survive,
    },
    Benchmark {
        name: "slow",
        about: "one of three replicas 50 times slower, then failing fast",
        run: slow::slow,
    },
    Benchmark {
        name: "overload",
        about: "ten times what a replica can do for 20 s, with and without limits",
        run: overload::overload,
    },
    Benchmark {
        name: "autoscale",
        about: "a step of ten times on one component, beside monoliths; and the first call of what does not run",
        run: autoscale::autoscale,
    },
    Benchmark {
        name: "reshape",
        about: "a hundred reshapes of the shop at 300 requests a second",
        run: reshape::reshape,
    },
    Benchmark {
        name: "reshape-kill",
        about: "the same, and in each of them a replica or the supervisor is killed",
        run: reshape::reshape_kill,
    },
    Benchmark {
        name: "upgrade",
        about: "builds with a changed interface rolled into each other while people ask, and one that crashes",
        run: upgrade::upgrade,
    },
    Benchmark {
        name: "dev",
        about: "an edit of a page of the shop, from the file to who visits it, beyond what cargo takes",
        run: dev::dev,
    },
];

/// Those that take so long that they only run where they are named.
const LONG: &[Benchmark] = &[Benchmark {
    name: "soak",
    about: "an hour of a hundred components at 2,000 calls a second with the dashboard open (BENCH_MINUTES, BENCH_TOPOLOGY): what it takes of memory",
    run: soak::soak,
}];

/// Measures Anylith against its peers.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// The benchmark to run; all of them if none is named.
    name: Option<String>,
    /// Prints lines of JSON.
    #[arg(long)]
    json: bool,
    /// Lists the benchmarks and runs none.
    #[arg(long)]
    list: bool,
    /// Exits with 1 if a ratio is over its bound.
    #[arg(long)]
    gate: bool,
    /// Plays a part in a benchmark that another process runs.
    #[arg(long, hide = true, value_name = "ROLE")]
    child: Option<String>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(role) = &arguments.child {
        serde_json::from_str::<Role>(role)
            .context("not a role")?
            .play()?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        for Benchmark { name, about, .. } in BENCHMARKS.iter().chain(LONG) {
            println!("{name:<12} {about}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = |benchmark: &&Benchmark| {
        arguments
            .name
            .as_deref()
            .is_none_or(|name| benchmark.name == name)
    };
    let is_named = arguments.name.is_some();
    let long = LONG.iter().filter(|_| is_named);
    let chosen: Vec<&Benchmark> = BENCHMARKS.iter().chain(long).filter(wanted).collect();
    ensure!(!chosen.is_empty(), "no such benchmark; `--list` names them");
    let mut report = Report::new(arguments.json);
    for benchmark in chosen {
        (benchmark.run)(&mut report).with_context(|| format!("in `{}`", benchmark.name))?;
    }
    let failed = arguments.gate && report.missed() > 0;
    Ok(ExitCode::from(u8::from(failed)))
}
