//! One line of a replica's log.

use std::{borrow::Cow, fmt::Write, str::FromStr, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value};

/// One line of a replica's log: what its `tracing` subscriber wrote as JSON, or any other text that came
/// from the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Whose log it is: a replica's name, or `anylith` for the supervisor's own.
    pub source: Arc<str>,
    /// When it was written, in UTC after RFC 3339; `None` for plain text that does not begin with it.
    pub time: Option<String>,
    /// Where it stands among the lines of others: at its own time, and never before a line of its own source that
    /// came before it.
    pub(crate) stands_at: String,
    /// Its level; `None` for plain text.
    pub level: Option<Level>,
    /// The component it concerns, if it is one's.
    pub component: Option<String>,
    /// The trace that it was written for, if it says so.
    pub trace: Option<String>,
    /// Its message with its fields, or the plain text.
    pub text: String,
}

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What happens.
    Info,
    /// What should not happen, and was dealt with.
    Warn,
    /// What failed.
    Error,
}

impl Level {
    /// In five letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

impl Level {
    /// The names of all levels, the least grave first.
    pub const NAMES: [&'static str; 5] = ["trace", "debug", "info", "warn", "error"];
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "trace" => Ok(Self::Trace),
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(format!("`{text}` is not a level")),
        }
    }
}

/// What a replica's subscriber writes.
#[derive(Deserialize)]
struct Written<'a> {
    ts: String,
    level: &'a str,
    component: Option<String>,
    #[serde(default)]
    trace: Option<String>,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    fields: Map<String, Value>,
}

impl LogLine {
    /// When it was written, as far as that is known of a line without a time: as the line of its own log before it. UTC
    /// after RFC 3339, with microseconds.
    pub fn stands_at(&self) -> &str {
        &self.stands_at
    }

    /// Reads a line.
    pub fn parse(source: &Arc<str>, line: &[u8]) -> Self {
        let mut line = Self::read(Arc::clone(source), line);
        line.stands_at = line.time.clone().unwrap_or_default();
        line
    }

    /// Puts it behind the line of its own log that stands at `before`, and not behind what is written from `now` on:
    /// a time that is still to come would keep it, and every line after it, until then.
    pub(crate) fn stand_between(&mut self, before: &str, now: &str) {
        let own = self.stands_at.as_str();
        self.stands_at = own.min(now).max(before).to_owned();
    }

    fn read(source: Arc<str>, line: &[u8]) -> Self {
        if line.first() == Some(&b'{')
            && let Ok(written) = serde_json::from_slice::<Written<'_>>(line)
            && let Ok(level) = written.level.parse()
        {
            let mut text = written.msg;
            // What has several lines, such as a backtrace, comes last.
            let is_long = |value: &Value| value.as_str().is_some_and(|text| text.contains('\n'));
            let (long, short): (Vec<_>, Vec<_>) =
                written.fields.iter().partition(|(_, value)| is_long(value));
            for (name, value) in short.into_iter().chain(long) {
                let value = match value {
                    Value::String(value) => Cow::Borrowed(value.as_str()),
                    other => Cow::Owned(other.to_string()),
                };
                let _ = write!(
                    text,
                    "{}{name}={value}",
                    if text.is_empty() { "" } else { " " }
                );
            }
            return Self {
                source,
                // Times of another shape cannot be compared with these.
                time: Some(written.ts).filter(|ts| is_time(ts)),
                stands_at: String::new(),
                level: Some(level),
                component: written.component,
                trace: written.trace,
                text,
            };
        }
        let text = without_escapes(&String::from_utf8_lossy(line));
        let (time, level, text) = match stamped(&text) {
            Some((time, level, text)) => (Some(time.to_owned()), Some(level), text),
            None => (None, None, text.trim_end()),
        };
        Self {
            source,
            time,
            stands_at: String::new(),
            level,
            component: None,
            trace: None,
            text: text.to_owned(),
        }
    }
}

/// The time, level and rest of a line that the application's own subscriber wrote, in the form that
/// `tracing_subscriber::fmt` has by default: `2026-01-02T03:04:05.000006Z  INFO listening`.
fn stamped(line: &str) -> Option<(&str, Level, &str)> {
    let (time, rest) = line.split_once(' ')?;
    let (level, text) = rest.trim_start().split_once(' ')?;
    let level: Level = level
        .parse()
        .ok()
        .filter(|it: &Level| it.as_str() == level)?;
    is_time(time).then_some((time, level, text.trim()))
}

/// Whether `text` is a time in the one form in which times are compared: UTC after RFC 3339, with microseconds.
fn is_time(text: &str) -> bool {
    let mut bytes = text.bytes().enumerate();
    text.len() == 27
        && bytes.all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            19 => byte == b'.',
            26 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

/// `text` without the sequences that colour it: others read it, too, and they have colours of their own.
fn without_escapes(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut parts = text.split("\u{1b}[");
    clean.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // A sequence goes on to the first character from `@` to `~`.
        let end = part.find(|char| ('@'..='~').contains(&char));
        clean.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_subscriber_is_taken_apart() {
        let line = br#"{"ts":"2026-01-02T03:04:05.000006Z","level":"WARN","component":"Cart","target":"shop","msg":"slow","fields":{"ms":12,"user":"a b"}}"#;
        let line = LogLine::parse(&Arc::from("Cart-1"), line);
        assert_eq!(line.level, Some(Level::Warn));
        assert_eq!(line.component.as_deref(), Some("Cart"));
        assert_eq!(line.text, "slow ms=12 user=a b");
    }

    #[test]
    fn a_field_of_several_lines_comes_last() {
        let line = br#"{"ts":"2026-01-02T03:04:05.000006Z","level":"ERROR","msg":"panicked: no","fields":{"backtrace":"0: a\n1: b","thread":"x"}}"#;
        let line = LogLine::parse(&Arc::from("Cart-1"), line);
        assert_eq!(line.text, "panicked: no thread=x backtrace=0: a\n1: b");
    }

    #[test]
    fn any_other_line_is_text() {
        for text in [
            "thread 'main' panicked",
            "{\"a\":1}",
            "{",
            "{\"level\":\"loud\",\"ts\":\"\"}",
        ] {
            let line = LogLine::parse(&Arc::from("Cart-1"), text.as_bytes());
            assert_eq!(
                (line.text.as_str(), line.time.as_deref(), line.level),
                (text, None, None)
            );
        }
    }

    #[test]
    fn a_line_of_the_applications_own_subscriber_keeps_its_time_and_level_and_loses_its_colours() {
        let line = b"\x1b[2m2026-01-02T03:04:05.000006Z\x1b[0m \x1b[33m WARN\x1b[0m shop: \x1b[3mslow\x1b[0m ms=12";
        let line = LogLine::parse(&Arc::from("Web-1"), line);
        assert_eq!(line.time.as_deref(), Some("2026-01-02T03:04:05.000006Z"));
        assert_eq!(line.level, Some(Level::Warn));
        assert_eq!(line.text, "shop: slow ms=12");
    }
}
