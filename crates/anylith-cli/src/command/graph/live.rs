//! The dependency graph of an application that runs, with what goes along its edges.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    time::Duration,
};

use anylith_core::Name;
use anylith_supervisor::{Answer, Look, Request, RunFolder, Seen, ask};
use anylith_telemetry::{EdgeMoment, Flow, Moment};

use crate::{
    app::App,
    command::{
        figures::{cut, fit, length, rate, width},
        last_run,
        metrics::{counts, too_old},
        not_running, runtime,
        status::no_answer,
        terminal::{Key, Room, Terminal},
    },
    failure::Failure,
    paint::Paint,
    signals::Signals,
};

/// How often it is drawn. The supervisor looks as often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where a larger share of the calls fails than this, the edge is painted.
const FAILING: f64 = 0.01;

/// Draws the graph with its numbers, again and again on a terminal until a key or a signal ends it, and else once.
pub(super) fn live(app: &App, json: bool) -> Result<(), Failure> {
    let folder = last_run(app)?;
    runtime()?.block_on(async {
        let first = now(app, &folder).await?;
        let terminal = match json {
            true => None,
            false => Terminal::open()?,
        };
        if let Some(terminal) = terminal {
            return watch(app, &folder, first, terminal).await;
        }
        let text = match json {
            true => serde_json::to_string_pretty(&first).map_err(io::Error::other)? + "\n",
            false => drawn(&app.title(), &first, Room::PLENTY, Paint::for_stdout()),
        };
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(())
    })
}

async fn watch(
    app: &App,
    folder: &RunFolder,
    first: Moment,
    mut terminal: Terminal,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let mut moment = first;
    loop {
        let text = drawn(&app.title(), &moment, terminal.room(), Paint::for_stdout());
        terminal.show(&text)?;
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => moment = now(app, folder).await?,
            key = terminal.key() => match key {
                Key::Quit => return Ok(()),
                Key::Other => {}
            },
            _ = signals.next() => return Ok(()),
        }
    }
}

async fn now(app: &App, folder: &RunFolder) -> Result<Moment, Failure> {
    let moment = match ask(&folder.control_socket(), Request::Look(Look::Now)).await {
        Ok(Answer::Seen(seen)) => match *seen {
            Seen::Now(moment) => moment,
            Seen::Edge(_) | Seen::Past(_) => return Err(not_running(app)),
        },
        Ok(Answer::Status(_)) => return Err(too_old(app, "no numbers of edges")),
        Ok(_) => return Err(not_running(app)),
        Err(error) => return Err(no_answer(app, folder, &error)),
    };
    counts(&app.title(), moment.metrics)?;
    Ok(moment)
}

/// ```text
/// boutique, over the last 5.0 s: 103.2 calls a second
///
/// → DEPENDENT ON              CALLS/S  FAILED/S      P50      P99  WAY
/// Frontend
/// → Catalog                      80.1         0    91 µs   210 µs  remote
/// → Currency                        0         0        -        -  -
/// ```
fn drawn(title: &str, moment: &Moment, room: Room, paint: Paint) -> String {
    let callees: Vec<String> = moment.edges.iter().map(arrow).collect();
    let width = width(HEAD, &callees, room.columns, 46);
    let mut lines = Vec::new();
    let mut caller: Option<&Name> = None;
    for edge in &moment.edges {
        if caller != Some(&edge.caller) {
            caller = Some(&edge.caller);
            let name = cut(edge.caller.as_str(), room.columns);
            lines.push(paint.bold(&name));
        }
        lines.push(line(edge, width, paint));
    }
    // A title, a line that is empty, and the head.
    let most = room.lines.saturating_sub(3);
    if lines.len() > most {
        let left_out = lines.len() - most.saturating_sub(1);
        lines.truncate(most.saturating_sub(1));
        lines.push(format!("… and {left_out} more lines"));
    }
    let about = match moment.seconds {
        0.0 => format!("{title}, from now on"),
        seconds => format!(
            "{title}, over the last {seconds:.1} s: {} calls a second",
            rate(moment.flow.calls_per_second)
        ),
    };
    let head = format!(
        "{} {:>9} {:>9} {:>8} {:>8}  WAY",
        fit(HEAD, width),
        "CALLS/S",
        "FAILED/S",
        "P50",
        "P99"
    );
    let mut text = format!("{}\n\n{}\n", cut(&about, room.columns), paint.dim(&head));
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    text
}

const HEAD: &str = "→ DEPENDENT ON";

fn arrow(edge: &EdgeMoment) -> String {
    format!("→ {}", edge.callee)
}

fn line(edge: &EdgeMoment, width: usize, paint: Paint) -> String {
    let flow = &edge.flow;
    let time = |micros: Option<f64>| micros.map_or("-".to_owned(), length);
    let line = format!(
        "{} {:>9} {:>9} {:>8} {:>8}  {}",
        fit(&arrow(edge), width),
        rate(flow.calls_per_second),
        rate(flow.failed_per_second),
        time(flow.p50_us),
        time(flow.p99_us),
        way(flow)
    );
    match flow.failed_per_second > FAILING * flow.calls_per_second {
        true => paint.red(&line),
        false => line,
    }
}

/// Which way its calls take.
fn way(flow: &Flow) -> &'static str {
    match (flow.calls_per_second, flow.remote_per_second) {
        (0.0, _) => "-",
        (_, 0.0) => "local",
        (all, remote) if all == remote => "remote",
        _ => "both",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(edges: usize) -> Moment {
        let name = |text: String| Name::new(&text).expect("a name");
        let edge = |number: usize| EdgeMoment {
            caller: name(format!("Caller{}", number / 3)),
            callee: name(format!("{}{number}", "Recommendation".repeat(3))),
            flow: Flow {
                calls_per_second: number as f64,
                remote_per_second: (number % 3) as f64,
                failed_per_second: (number % 2) as f64,
                p50_us: Some(1234.0),
                ..Flow::default()
            },
        };
        Moment {
            seconds: 5.0,
            edges: (0..edges).map(edge).collect(),
            ..Moment::default()
        }
    }

    #[test]
    fn it_fits_the_terminal() {
        for (columns, lines) in [(80, 24), (100, 10), (200, 1000)] {
            let text = drawn(
                "boutique",
                &moment(30),
                Room { columns, lines },
                Paint::NONE,
            );
            assert!(
                text.lines().all(|line| line.chars().count() <= columns),
                "{text}"
            );
            assert!(text.lines().count() <= lines, "{text}");
        }
        for lines in 0..6 {
            drawn(
                "boutique",
                &moment(3),
                Room { columns: 3, lines },
                Paint::NONE,
            );
        }
    }

    #[test]
    fn an_edge_says_which_way_its_calls_take() {
        let text = drawn("boutique", &moment(3), Room::PLENTY, Paint::NONE);
        let ways: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("Recommendation"))
            .filter_map(|line| line.split("  ").last())
            .collect();
        assert_eq!(ways, ["-", "remote", "remote"], "{text}");
        assert_eq!(text.matches("Caller0").count(), 1, "{text}");
    }
}
