//! How lines of logs look.

use anylith_supervisor::{Level, LogLine, group_of};

use crate::paint::Paint;

/// Makes lines of text out of lines of logs.
#[derive(Debug)]
pub(crate) struct LogFormat {
    paint: Paint,
    /// As wide as the longest label so far.
    width: usize,
}

impl LogFormat {
    pub(crate) fn new(paint: Paint) -> Self {
        Self { paint, width: 0 }
    }

    /// `12:03:04.123 Cart-1     | WARN  slow ms=12`, without a newline.
    pub(crate) fn line(&mut self, line: &LogLine) -> String {
        let paint = self.paint;
        self.width = self.width.max(line.source.chars().count());
        let time = line.time.as_deref().and_then(|time| time.split_once('T'));
        let time = time.map_or("", |(_, time)| time);
        let time = paint.dim(&format!("{:12}", time.get(..12).unwrap_or("")));
        let label = format!("{:width$} |", &*line.source, width = self.width);
        let label = paint.label(&line.source, &label);
        let level = match line.level {
            None => String::new(),
            Some(Level::Error) => paint.bold_red("ERROR "),
            Some(Level::Warn) => paint.yellow("WARN  "),
            Some(Level::Info) => paint.green("INFO  "),
            Some(level) => paint.dim(&format!("{:5} ", level.as_str())),
        };
        // A replica of one component says in its own name whose line it is.
        let component = match &line.component {
            Some(component) if group_of(&line.source) != component => {
                format!("{} ", paint.bold(&format!("{component}:")))
            }
            _ => String::new(),
        };
        format!("{time} {label} {level}{component}{}", printable(&line.text))
    }
}

/// Text from a process must not move the cursor, or colour what others say, or look like a line of theirs: what follows
/// on its first line is indented.
fn printable(text: &str) -> String {
    let mut printed = String::with_capacity(text.len());
    for char in text.trim_end_matches('\n').chars() {
        match char {
            '\n' => printed.push_str("\n    "),
            '\t' => printed.push('\t'),
            char if char.is_control() => printed.push('\u{fffd}'),
            char => printed.push(char),
        }
    }
    printed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn line(source: &str, level: Option<Level>, component: Option<&str>, text: &str) -> LogLine {
        let written = level.map_or_else(
            || text.to_owned(),
            |level| {
                let (time, level) = ("2026-01-02T03:04:05.678901Z", level.as_str());
                serde_json::json!({"ts": time, "level": level, "component": component, "msg": text})
                    .to_string()
            },
        );
        LogLine::parse(&Arc::from(source), written.as_bytes())
    }

    fn plain() -> LogFormat {
        LogFormat {
            paint: Paint::NONE,
            width: 0,
        }
    }

    #[test]
    fn a_line_names_its_component_unless_its_replica_does() {
        let mut format = plain();
        let cart = line("Cart-1", Some(Level::Warn), Some("Cart"), "slow");
        assert_eq!(format.line(&cart), "03:04:05.678 Cart-1 | WARN  slow");
        let whole = line("monolith-1", Some(Level::Info), Some("Cart"), "slow");
        assert_eq!(
            format.line(&whole),
            "03:04:05.678 monolith-1 | INFO  Cart: slow"
        );
    }

    #[test]
    fn text_without_a_time_is_given_none() {
        let mut format = plain();
        let text = line("Cart-1", None, None, "thread 'main' panicked");
        assert_eq!(
            format.line(&text),
            "             Cart-1 | thread 'main' panicked"
        );
    }

    #[test]
    fn text_of_a_process_cannot_steer_the_terminal() {
        let mut format = plain();
        assert!(
            !format
                .line(&line("Cart-1", None, None, "a\x1b[2Jb\rc"))
                .contains(['\x1b', '\r'])
        );
    }

    #[test]
    fn text_of_several_lines_is_readable_and_is_no_other_line() {
        let mut format = plain();
        let text = line(
            "Cart-1",
            Some(Level::Error),
            None,
            "panicked\n0: a\n03:04:05.678 Ad-1 | INFO  b\n",
        );
        assert_eq!(
            format.line(&text),
            "03:04:05.678 Cart-1 | ERROR panicked\n    0: a\n    03:04:05.678 Ad-1 | INFO  b"
        );
    }
}
