//! `cargo xtask load`: parses, runs the load, prints what came of it.

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use boutique_load::{Load, Pace, Report};
use clap::{ArgGroup, Parser};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Puts the load of many shoppers on the online shop, and reads every page that comes back.
///
/// Exits with 1 if a page was wrong or a request failed.
#[derive(Parser)]
#[command(name = "cargo xtask load", group = ArgGroup::new("pace").args(["spawn_rate", "rate"]))]
struct Arguments {
    /// Where the shop is.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// How many shoppers there are; 10, or 100 where a rate is to be held.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    users: Option<u32>,
    /// How many shoppers begin in a second.
    #[arg(long, value_parser = positive, default_value = "1")]
    spawn_rate: f64,
    /// Begin this many tasks a second, whatever the shop does, instead of thinking between two.
    #[arg(long, value_parser = positive, conflicts_with = "spawn_rate")]
    rate: Option<f64>,
    /// For how long: `30s`, `5m`.
    #[arg(long, value_parser = length, default_value = "30s")]
    duration: Duration,
    /// Do not count what happens in this time, from the start; it comes before `--duration`.
    #[arg(long, value_parser = length, default_value = "0s")]
    warm_up: Duration,
    /// The same seed draws the same tasks.
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Look at the status of a page only, and do not read it.
    #[arg(long)]
    statuses_only: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let load = load(&arguments);
    if let Err(error) = reqwest::get(&arguments.url).await {
        eprintln!("error: no shop answers at {}: {error}", arguments.url);
        eprintln!("start one with `cargo xtask demo`, or say with `--url` where it is");
        return ExitCode::from(2);
    }
    let shows_progress = std::io::stderr().is_terminal() && !arguments.json;
    let progress = |report: &Report| {
        if shows_progress {
            show(report);
        }
    };
    let interrupted = async {
        // Without a handler the process is killed by an interrupt, which ends it too.
        let _ = tokio::signal::ctrl_c().await;
    };
    let report = match load.run(interrupted, progress).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    if shows_progress {
        eprint!("\r\x1b[K");
    }
    let text = match arguments.json {
        true => format!("{:#}\n", report.to_json()),
        false => report.to_string(),
    };
    // Whoever reads this may have seen enough, and that is no failure of the shop.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(u8::from(report.failed() > 0))
}

fn load(arguments: &Arguments) -> Load {
    let users = |default| arguments.users.unwrap_or(default) as usize;
    let pace = match arguments.rate {
        Some(tasks_per_second) => Pace::Rate {
            tasks_per_second,
            users: users(100),
        },
        None => Pace::Users {
            users: users(10),
            per_second: arguments.spawn_rate,
        },
    };
    Load {
        shop: arguments.url.clone(),
        pace,
        length: arguments.duration,
        warm_up: arguments.warm_up,
        seed: arguments.seed,
        reads_pages: !arguments.statuses_only,
        repeats: false,
        history: false,
    }
}

/// One line, written over the one before.
fn show(report: &Report) {
    let all = report.all();
    eprint!(
        "\r\x1b[K{} requests, {:.0} a second, {} failed, p50 {:.1} ms, p99 {:.1} ms",
        all.count,
        all.per_second,
        all.failed,
        all.p50_us as f64 / 1000.0,
        all.p99_us as f64 / 1000.0,
    );
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("write a number above 0".to_owned()),
    }
}

/// Reads `30s`, `500ms`, `5m` or `1h`.
fn length(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a number and `ms`, `s`, `m` or `h`, such as `30s`".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a whole number before the unit")?;
    number
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
        .ok_or("that is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn lengths_have_a_unit() {
        assert_eq!(length("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(length("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(length("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "30", "s", "-1s", "1.5s", "1d", "99999999999999999999h"] {
            assert!(length(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_rate_takes_the_place_of_thinking() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
        let held = load(&parse("load --rate 50").unwrap());
        assert_eq!(
            held.pace,
            Pace::Rate {
                tasks_per_second: 50.0,
                users: 100
            }
        );
        let users = load(&parse("load --users 7 --spawn-rate 2").unwrap());
        assert_eq!(
            users.pace,
            Pace::Users {
                users: 7,
                per_second: 2.0
            }
        );
        assert!(parse("load --rate 5 --spawn-rate 2").is_err());
        assert!(parse("load --rate 0").is_err());
    }
}
