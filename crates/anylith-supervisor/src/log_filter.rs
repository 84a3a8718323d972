//! Which lines of logs are wanted.

use std::time::{Duration, SystemTime};

use anylith_telemetry::TraceId;

use crate::log_line::{Level, LogLine};

/// Which lines of logs are wanted: those that fit all of it.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// Of all if it is empty.
    components: Vec<String>,
    /// Replicas, or groups; of all if it is empty.
    replicas: Vec<String>,
    level: Option<Level>,
    trace: Option<String>,
    /// From when on, in UTC after RFC 3339, with microseconds.
    since: Option<String>,
    /// In small letters; all of them must be there.
    texts: Vec<String>,
}

impl LogFilter {
    /// Only lines of these components; of all if there are none.
    #[must_use]
    pub fn of_components(mut self, components: &[String]) -> Self {
        self.components.extend_from_slice(components);
        self
    }

    /// Only lines of these replicas, or of all replicas of these groups; of all if there are none.
    #[must_use]
    pub fn of_replicas(mut self, replicas: &[String]) -> Self {
        self.replicas.extend_from_slice(replicas);
        self
    }

    /// Only lines of this level, and graver ones.
    #[must_use]
    pub fn at_least(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Only lines that were written for this trace: those that say so, and plain text with its name in it.
    #[must_use]
    pub fn of_trace(mut self, trace: TraceId) -> Self {
        self.trace = Some(trace.to_string());
        self
    }

    /// Only lines that are not older than `age`.
    #[must_use]
    pub fn younger_than(mut self, age: Duration) -> Self {
        self.since = Some(ago(age));
        self
    }

    /// Only lines that have `text` in them, in small or in capital letters; besides what was asked for before.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.texts.push(text.to_lowercase());
        self
    }

    /// Whether `line` is wanted. Plain text, a panic's for one, has no level and counts as one of `info`; it
    /// belongs to a component if its replica runs that one alone.
    pub fn wants(&self, line: &LogLine) -> bool {
        let group = group_of(&line.source);
        let component = line.component.as_deref().unwrap_or(group);
        let is_wanted =
            self.components.is_empty() || self.components.iter().any(|wanted| wanted == component);
        let level = line.level.unwrap_or(Level::Info);
        is_wanted
            && self.wants_log_of(&line.source)
            && self.level.is_none_or(|least| level >= least)
            && self.is_of_trace(line)
            && self
                .since
                .as_deref()
                .is_none_or(|since| line.stands_at() >= since)
            && self.has_texts(line)
    }

    /// Whether any line of the log of `source` can be wanted.
    pub(crate) fn wants_log_of(&self, source: &str) -> bool {
        let names = [source, group_of(source)];
        let mut replicas = self.replicas.iter();
        self.replicas.is_empty() || replicas.any(|wanted| names.contains(&wanted.as_str()))
    }

    fn is_of_trace(&self, line: &LogLine) -> bool {
        let Some(wanted) = &self.trace else {
            return true;
        };
        match &line.trace {
            Some(trace) => trace == wanted,
            None => line.text.contains(wanted),
        }
    }

    fn has_texts(&self, line: &LogLine) -> bool {
        if self.texts.is_empty() {
            return true;
        }
        let component = line.component.as_deref().unwrap_or_default();
        let whole = format!("{} {component} {}", line.source, line.text).to_lowercase();
        self.texts.iter().all(|text| whole.contains(text))
    }
}

/// The group of the replica with this name.
pub fn group_of(replica: &str) -> &str {
    replica.rsplit_once('-').map_or(replica, |(group, _)| group)
}

/// The time so long ago, as lines have it.
fn ago(age: Duration) -> String {
    let at = SystemTime::now().checked_sub(age);
    let at = at
        .unwrap_or(SystemTime::UNIX_EPOCH)
        .max(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_micros(at).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn line(source: &str, level: Level, component: Option<&str>, text: &str) -> LogLine {
        let (time, level) = ("2026-01-02T03:04:05.678901Z", level.as_str());
        let written =
            serde_json::json!({"ts": time, "level": level, "component": component, "msg": text});
        LogLine::parse(&Arc::from(source), written.to_string().as_bytes())
    }

    #[test]
    fn lines_can_be_asked_for_by_their_age() {
        let since = |age| LogFilter::default().younger_than(age);
        let old = line("Cart-1", Level::Info, None, "old");
        assert!(!since(Duration::from_secs(300)).wants(&old));
        assert!(since(Duration::MAX).wants(&old));
    }

    #[test]
    fn lines_can_be_asked_for_by_their_trace_whoever_wrote_them() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let filter = LogFilter::default().of_trace(id.parse().unwrap());
        let parse = |line: &str| LogLine::parse(&Arc::from("Cart-1"), line.as_bytes());
        let ours = |trace: &str| {
            let line = serde_json::json!({"ts": "2026-01-02T03:04:05.678901Z", "level": "INFO", "msg": id, "trace": trace});
            parse(&line.to_string())
        };
        assert!(filter.wants(&ours(id)));
        assert!(!filter.wants(&ours("b7ad6b7169203331b7ad6b7169203331")));
        assert!(filter.wants(&parse(&format!("trace_id={id} added"))));
        assert!(!filter.wants(&parse("added")));
    }

    #[test]
    fn filters_hold_together() {
        let filter = LogFilter::default()
            .of_components(&["Cart".to_owned()])
            .at_least(Level::Warn)
            .with_text("Slow");
        assert!(filter.wants(&line("one-1", Level::Error, Some("Cart"), "too SLOW")));
        assert!(!filter.wants(&line("one-1", Level::Info, Some("Cart"), "slow")));
        assert!(!filter.wants(&line("one-1", Level::Warn, Some("Ad"), "slow")));
        assert!(!filter.wants(&line("one-1", Level::Warn, Some("Cart"), "fast")));
    }

    #[test]
    fn a_group_is_asked_for_with_all_of_its_replicas() {
        let filter = LogFilter::default().of_replicas(&["Cart".to_owned(), "Web-2".to_owned()]);
        let wanted = ["Cart-1", "Cart-12", "Web-2"].map(|source| filter.wants_log_of(source));
        assert_eq!(wanted, [true; 3]);
        assert!(!filter.wants_log_of("Web-1"));
    }
}
