//! How traces look in a terminal.

use std::{io, time::Duration};

use anylith_telemetry::{Kept, Placed, SpanKind, Trace, TraceSummary};
use rustix::termios::tcgetwinsize;

use crate::{
    command::figures::{cut, length},
    paint::Paint,
};

/// As wide as text is where nobody says how wide the terminal is.
const USUAL_COLUMNS: usize = 100;
/// No bar is drawn in less.
const FEWEST_BAR_COLUMNS: usize = 12;
/// The widest bar.
const MOST_BAR_COLUMNS: usize = 60;
/// So many digits of a name are enough to tell traces apart.
const DIGITS: usize = 12;

/// How wide the terminal is.
pub(super) fn columns() -> usize {
    let size = tcgetwinsize(io::stdout()).ok();
    let columns = size.map(|size| usize::from(size.ws_col));
    columns
        .filter(|columns| *columns > 0)
        .unwrap_or(USUAL_COLUMNS)
}

/// Traces, one a line.
pub(super) fn table(traces: &[TraceSummary], paint: Paint) -> String {
    let head = format!(
        "{:DIGITS$}  {:23}  {:>8} {:>6} {:>6}  {}",
        "TRACE", "BEGAN", "TOOK", "SPANS", "FAILED", "WHAT"
    );
    let mut text = paint.bold(&head) + "\n";
    for trace in traces {
        let id = trace.id.to_string();
        let failed = match trace.failed_count {
            0 => format!("{:>6}", 0),
            count => paint.red(&format!("{count:>6}")),
        };
        text += &format!(
            "{}  {}  {:>8} {:>6} {failed}  {} {}\n",
            &id[..DIGITS],
            moment(trace),
            nanos(trace.duration_ns),
            trace.span_count,
            paint.bold(trace.component.as_str()),
            printable(&trace.name),
        );
    }
    text
}

/// One trace as a waterfall, in so many columns.
pub(super) fn of(trace: &Trace, columns: usize, paint: Paint) -> String {
    let summary = &trace.summary;
    let mut text = format!(
        "{}  {}\n{}  {}  {} spans, {} failed; kept because it {}\n\n",
        paint.bold(&printable(&summary.name)),
        nanos(summary.duration_ns),
        summary.id,
        moment(summary),
        summary.span_count,
        summary.failed_count,
        match summary.kept {
            Kept::Sampled => "was sampled",
            Kept::Failed => "failed",
            Kept::Slow => "was slow",
            Kept::Related => "belongs to one that failed or was slow",
        },
    );
    let rows: Vec<[String; 3]> = trace.spans.iter().map(row).collect();
    let wide = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.max().unwrap_or(0)
    };
    let (took, place) = (wide(1), wide(2));
    let others = took + place + 4 + FEWEST_BAR_COLUMNS;
    let name = wide(0).min(columns.saturating_sub(others)).max(12);
    let bar = columns.saturating_sub(name + took + place + 4);
    let bar = bar.clamp(FEWEST_BAR_COLUMNS, MOST_BAR_COLUMNS);
    for (span, [label, length, where_]) in trace.spans.iter().zip(&rows) {
        let label = format!("{:name$}", cut(label, name));
        let label = match span.failed {
            true => paint.red(&label),
            false => label,
        };
        let drawn = drawn(span, summary.duration_ns, bar);
        let drawn = match span.failed {
            true => paint.red(&drawn),
            false => paint.label(span.component.as_str(), &drawn),
        };
        let line = format!(
            "{label} {length:>took$} {} {drawn}",
            paint.dim(&format!("{where_:place$}"))
        );
        text += line.trim_end();
        text.push('\n');
        if let Some(why) = problem(span) {
            let indent = " ".repeat((2 * span.depth + 2).min(name));
            text += &format!("{indent}{}\n", paint.red(&format!("✗ {why}")));
        }
    }
    if trace.cut {
        text += &paint.dim("… and more\n");
    }
    text
}

/// Its name where it belongs, how long it took, and where that was.
fn row(span: &Placed) -> [String; 3] {
    let indent = "  ".repeat(span.depth.min(20));
    let name = match (span.kind, &span.caller) {
        (SpanKind::Request, _) => format!("{} {}", span.component, span.name),
        (_, Some(caller)) => format!("{caller} → {}", span.name),
        (_, None) => format!("{} answers", span.name),
    };
    let orphan = if span.orphan { "… " } else { "" };
    let replica = span.replica.as_ref().map_or("", |name| name.as_str());
    let place = match span.kind {
        SpanKind::Client => format!("{replica} ⇢"),
        SpanKind::Request | SpanKind::Server | SpanKind::Local => replica.to_owned(),
    };
    let name = printable(&format!("{indent}{orphan}{name}"));
    [name, nanos(span.duration_ns), place]
}

/// What went wrong with it, in words.
fn problem(span: &Placed) -> Option<String> {
    let repeats = match span.repeats {
        0 => String::new(),
        times => format!(", and was made {times} more times"),
    };
    if !span.failed && repeats.is_empty() {
        return None;
    }
    let what = match (span.status, &span.error) {
        (Some(status), _) => format!("answered with status {status}"),
        (None, Some(error)) => format!("{}: {error}", span.outcome),
        (None, None) => span.outcome.to_string(),
    };
    Some(printable(&(what + &repeats)))
}

/// A bar of so many columns that shows when of `all` the span was.
fn drawn(span: &Placed, all: u64, columns: usize) -> String {
    let all = all.max(1) as f64;
    let at = |ns: u64| (ns as f64 / all * columns as f64).clamp(0.0, columns as f64);
    let from = (at(span.offset_ns).floor() as usize).min(columns - 1);
    let to = at(span.offset_ns.saturating_add(span.duration_ns)).round() as usize;
    match to.saturating_sub(from) {
        0 => format!("{}▏", " ".repeat(from)),
        long => format!("{}{}", " ".repeat(from), "█".repeat(long)),
    }
}

fn nanos(ns: u64) -> String {
    length(Duration::from_nanos(ns).as_secs_f64() * 1e6)
}

/// When it began, in UTC, with milliseconds.
fn moment(trace: &TraceSummary) -> String {
    let at =
        std::time::UNIX_EPOCH + Duration::from_micros(trace.begun_us.min(253_402_300_799_000_000));
    let text = humantime::format_rfc3339_millis(at).to_string();
    text.trim_end_matches('Z').to_owned()
}

/// Text of an application must not move the cursor.
fn printable(text: &str) -> String {
    let chars = text.chars();
    chars
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use anylith_core::Name;
    use anylith_telemetry::{Outcome, Span, SpanId, TraceId};

    use super::*;

    fn span(id: u64, parent: Option<u64>, kind: SpanKind) -> Span {
        let name = |text| Name::new(text).unwrap();
        Span {
            trace: TraceId::new(0x0af7_6519).unwrap(),
            id: SpanId::new(id).unwrap(),
            parent: parent.and_then(SpanId::new),
            kind,
            caller: matches!(kind, SpanKind::Client | SpanKind::Local).then(|| name("Frontend")),
            component: name(if kind == SpanKind::Request {
                "Frontend"
            } else {
                "Cart"
            }),
            method: if kind == SpanKind::Request {
                "GET"
            } else {
                "add"
            }
            .to_owned(),
            path: (kind == SpanKind::Request).then(|| "/cart\x1b[2J".to_owned()),
            replica: Some(name("web-1")),
            begun_ns: 1_767_322_800_000_000_000 + id * 1_000_000,
            took_ns: 8_000_000 / id,
            outcome: Outcome::Answered,
            error: None,
            status: None,
            repeats: 0,
            kept: Kept::Sampled,
        }
    }

    #[test]
    fn a_trace_is_drawn_as_a_waterfall_that_fits_and_cannot_steer_the_terminal() {
        let mut call = span(2, Some(1), SpanKind::Client);
        (call.outcome, call.error) = (Outcome::Erred, Some("Full".to_owned()));
        let spans = vec![
            span(1, None, SpanKind::Request),
            call,
            span(4, Some(2), SpanKind::Server),
        ];
        let trace = Trace::of(spans).unwrap();
        let text = of(&trace, 70, Paint::NONE);
        assert_eq!(
            text,
            "\
GET /cart\u{fffd}[2J  8.0 ms
0000000000000000000000000af76519  2026-01-02T03:00:00.001  3 spans, 1 failed; kept because it was sampled

Frontend GET /cart\u{fffd}[2J 8.0 ms web-1   ███████████████████████████████
  Frontend → Cart/add  4.0 ms web-1 ⇢    ████████████████
    ✗ erred: Full
    Cart/add answers   2.0 ms web-1              ████████
"
        );
        for columns in [0, 1, 20, 80, 400] {
            let text = of(&trace, columns, Paint::NONE);
            assert_eq!(text.lines().count(), 7, "{columns}");
        }
    }
}
