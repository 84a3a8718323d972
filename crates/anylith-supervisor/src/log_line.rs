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
    /// When it was written, in UTC after RFC 3339. A line of plain text has the time of the line before it;
    /// it is empty if there was none.
    pub time: String,
    /// Its level; `None` for plain text.
    pub level: Option<Level>,
    /// The component it concerns, if it is one's.
    pub component: Option<String>,
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

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "trace" => Ok(Self::Trace),
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(format!(
                "`{text}` is not a level: write trace, debug, info, warn or error"
            )),
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
    msg: String,
    #[serde(default)]
    fields: Map<String, Value>,
}

impl LogLine {
    /// Reads a line. `before` is the time of the line before it in the same log.
    pub fn parse(source: &Arc<str>, line: &[u8], before: &str) -> Self {
        let source = Arc::clone(source);
        if line.first() == Some(&b'{')
            && let Ok(written) = serde_json::from_slice::<Written<'_>>(line)
            && let Ok(level) = written.level.parse()
        {
            let mut text = written.msg;
            for (name, value) in &written.fields {
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
            let (time, component) = (written.ts, written.component);
            return Self {
                source,
                time,
                level: Some(level),
                component,
                text,
            };
        }
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        Self {
            source,
            time: before.to_owned(),
            level: None,
            component: None,
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_subscriber_is_taken_apart() {
        let line = br#"{"ts":"2026-01-02T03:04:05.000006Z","level":"WARN","component":"Cart","target":"shop","msg":"slow","fields":{"ms":12,"user":"a b"}}"#;
        let line = LogLine::parse(&Arc::from("Cart-1"), line, "");
        assert_eq!(line.level, Some(Level::Warn));
        assert_eq!(line.component.as_deref(), Some("Cart"));
        assert_eq!(line.text, "slow ms=12 user=a b");
    }

    #[test]
    fn any_other_line_is_text() {
        for text in [
            "thread 'main' panicked",
            "{\"a\":1}",
            "{",
            "{\"level\":\"loud\",\"ts\":\"\"}",
        ] {
            let line = LogLine::parse(&Arc::from("Cart-1"), text.as_bytes(), "then");
            assert_eq!(
                (line.text.as_str(), line.time.as_str(), line.level),
                (text, "then", None)
            );
        }
    }
}
