//! What `top` shows, as lines of text.

use std::fmt::Write as _;

use super::pace::{ComponentPace, EdgePace, Pace, ReplicaPace};
use crate::paint::Paint;

/// What names may take at least, whatever the room.
const FEWEST: usize = 12;

/// How much can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

impl Room {
    /// Where nothing has to be left out.
    pub(super) const PLENTY: Self = Self {
        columns: 80,
        lines: usize::MAX,
    };
}

/// What a table has to show.
struct Rows {
    head: String,
    rows: Vec<String>,
}

/// ```text
/// boutique in topology micro, over the last 5.0 s
///
/// COMPONENT                   CALLS/S   CORES   QUEUED RESTARTS
/// Catalog                       103.2   0.021    12 µs        0
///
/// EDGE                        CALLS/S  FAILED/S      P50      P99  WAY
/// Frontend → Catalog             80.1         0    91 µs   210 µs  remote
///
/// REPLICA                     STATE       CORES     MEMORY RESTARTS
/// Catalog-1                   ready       0.034   12.1 MiB        0
/// ```
pub(super) fn of(pace: &Pace, room: Room, paint: Paint) -> String {
    let mut tables = [
        components(&pace.components, room.columns),
        edges(&pace.edges, room.columns),
        replicas(&pace.replicas, room.columns),
    ];
    // A line of title, and of each table its head and the line above it.
    let most = room.lines.saturating_sub(1 + 2 * tables.len());
    shorten(&mut tables, most);
    let (app, topology) = (&pace.app, &pace.topology);
    let title = match pace.seconds {
        0.0 => format!("{app} in topology {topology}, from now on"),
        seconds => format!("{app} in topology {topology}, over the last {seconds:.1} s"),
    };
    let mut text = format!("{}\n", paint.bold(&cut(&title, room.columns)));
    for Rows { head, rows } in &tables {
        let _ = writeln!(text, "\n{}", paint.dim(head));
        for row in rows {
            let _ = writeln!(text, "{row}");
        }
    }
    text
}

/// Leaves rows out, of the longest table first, until there are `most`. The last one then says how many.
fn shorten(tables: &mut [Rows], most: usize) {
    let mut kept: Vec<usize> = tables.iter().map(|table| table.rows.len()).collect();
    while kept.iter().sum::<usize>() > most {
        let longest = kept.iter_mut().max().expect("there is a table");
        if *longest == 0 {
            return;
        }
        *longest -= 1;
    }
    for (table, kept) in tables.iter_mut().zip(kept) {
        let left_out = table.rows.len() - kept;
        if left_out > 0 && kept > 0 {
            table.rows.truncate(kept - 1);
            table.rows.push(format!("… and {} more", left_out + 1));
        } else {
            table.rows.truncate(kept);
        }
    }
}

fn components(paces: &[ComponentPace], columns: usize) -> Rows {
    let names: Vec<String> = paces.iter().map(|pace| pace.name.to_string()).collect();
    let width = width("COMPONENT", &names, columns, 35);
    let row = |(pace, name): (&ComponentPace, &String)| {
        let queued = pace.queue_p99_us.map_or("-".to_owned(), length);
        format!(
            "{} {:>9} {:>7.3} {queued:>8} {:>8}",
            fit(name, width),
            rate(pace.calls_per_second),
            pace.cores,
            pace.restarts
        )
    };
    Rows {
        head: format!(
            "{} {:>9} {:>7} {:>8} {:>8}",
            fit("COMPONENT", width),
            "CALLS/S",
            "CORES",
            "QUEUED",
            "RESTARTS"
        ),
        rows: paces.iter().zip(&names).map(row).collect(),
    }
}

fn edges(paces: &[EdgePace], columns: usize) -> Rows {
    let name = |pace: &EdgePace| format!("{} → {}", pace.caller, pace.callee);
    let names: Vec<String> = paces.iter().map(name).collect();
    let width = width("EDGE", &names, columns, 46);
    let row = |(pace, name): (&EdgePace, &String)| {
        let time = |micros: Option<f64>| micros.map_or("-".to_owned(), length);
        format!(
            "{} {:>9} {:>9} {:>8} {:>8}  {}",
            fit(name, width),
            rate(pace.calls_per_second),
            rate(pace.failed_per_second),
            time(pace.p50_us),
            time(pace.p99_us),
            pace.way
        )
    };
    Rows {
        head: format!(
            "{} {:>9} {:>9} {:>8} {:>8}  WAY",
            fit("EDGE", width),
            "CALLS/S",
            "FAILED/S",
            "P50",
            "P99"
        ),
        rows: paces.iter().zip(&names).map(row).collect(),
    }
}

fn replicas(paces: &[ReplicaPace], columns: usize) -> Rows {
    let names: Vec<String> = paces.iter().map(|pace| pace.id.to_string()).collect();
    let width = width("REPLICA", &names, columns, 39);
    let row = |(pace, name): (&ReplicaPace, &String)| {
        let cores = pace.cores.map(|cores| format!("{cores:.3}"));
        let memory = pace.memory_bytes.map(memory);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {:<9} {:>7} {:>11} {:>8}",
            fit(name, width),
            pace.state,
            or_none(cores),
            or_none(memory),
            pace.restarts
        )
    };
    Rows {
        head: format!(
            "{} {:<9} {:>7} {:>11} {:>8}",
            fit("REPLICA", width),
            "STATE",
            "CORES",
            "MEMORY",
            "RESTARTS"
        ),
        rows: paces.iter().zip(&names).map(row).collect(),
    }
}

/// What names may take where the other columns take `others` of all.
fn width(head: &str, names: &[String], columns: usize, others: usize) -> usize {
    let longest = names.iter().map(|name| name.chars().count());
    let longest = longest.fold(head.chars().count(), usize::max);
    longest.min(columns.saturating_sub(others)).max(FEWEST)
}

/// `text` in exactly so many columns.
fn fit(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    format!("{cut:<columns$}")
}

/// `text` in so many columns at most.
pub(in crate::command) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept + "…"
}

fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        few if few < 1000.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

/// A length in microseconds, in three figures or so.
pub(in crate::command) fn length(micros: f64) -> String {
    let (value, unit) = match micros {
        short if short < 1.0 => (short * 1e3, "ns"),
        short if short < 1e3 => (short, "µs"),
        long if long < 1e6 => (long / 1e3, "ms"),
        long => (long / 1e6, "s"),
    };
    match value {
        few if few < 10.0 => format!("{few:.1} {unit}"),
        many => format!("{many:.0} {unit}"),
    }
}

fn memory(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    match mebibytes {
        few if few < 10_000.0 => format!("{few:.1} MiB"),
        many => format!("{:.1} GiB", many / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use anylith_core::Name;
    use anylith_telemetry::Way;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn busy(components: usize) -> Pace {
        let long = |number: usize| name(&format!("{}{number}", "Recommendation".repeat(3)));
        let numbers = 0..components;
        Pace {
            app: name(&"boutique".repeat(6)),
            topology: name(&"monolith".repeat(6)),
            seconds: 5.0,
            components: numbers
                .clone()
                .map(|number| ComponentPace {
                    name: long(number),
                    calls_per_second: 123_456.7,
                    cores: 63.999,
                    queue_p99_us: Some(123_456.0),
                    restarts: 12_345_678,
                })
                .collect(),
            edges: numbers
                .clone()
                .map(|number| EdgePace {
                    caller: long(number),
                    callee: long(number + 1),
                    way: Way::Remote,
                    calls_per_second: 1_234_567.0,
                    failed_per_second: 999.9,
                    in_flight: 7,
                    p50_us: Some(0.0521),
                    p99_us: None,
                    calls: 1,
                })
                .collect(),
            replicas: numbers
                .map(|number| ReplicaPace {
                    id: long(number),
                    group: long(number),
                    state: "draining".to_owned(),
                    restarts: 3,
                    cores: None,
                    memory_bytes: Some(123 << 30),
                })
                .collect(),
        }
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_has_columns() {
        for columns in [80, 100, 200] {
            let room = Room {
                columns,
                lines: 1000,
            };
            for line in of(&busy(5), room, Paint::NONE).lines() {
                assert!(line.chars().count() <= columns, "{line}");
            }
        }
    }

    #[test]
    fn where_there_is_no_room_for_all_rows_it_is_said_how_many_are_left_out() {
        let room = Room {
            columns: 80,
            lines: 24,
        };
        let text = of(&busy(20), room, Paint::NONE);
        assert_eq!(text.lines().count(), 24, "{text}");
        assert_eq!(text.matches("… and ").count(), 3, "{text}");
        let whole = of(&busy(20), Room::PLENTY, Paint::NONE);
        assert_eq!(whole.lines().count(), 67, "{whole}");
    }

    #[test]
    fn a_terminal_of_one_line_is_no_reason_to_fail() {
        for lines in 0..12 {
            let room = Room { columns: 3, lines };
            of(&busy(3), room, Paint::NONE);
        }
    }

    #[test]
    fn lengths_have_the_unit_that_fits() {
        let lengths = [0.052, 9.81, 91.4, 1234.0, 1_500_000.0].map(length);
        assert_eq!(lengths, ["52 ns", "9.8 µs", "91 µs", "1.2 ms", "1.5 s"]);
    }
}
