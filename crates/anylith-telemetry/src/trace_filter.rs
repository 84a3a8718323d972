//! Which traces are wanted.

use std::{str::FromStr, time::Duration};

use crate::span::Span;

/// Which traces are wanted: those with a span that fits all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceFilter {
    /// Along this edge.
    pub edge: Option<EdgePattern>,
    /// That called this component, or was answered by it.
    pub component: Option<String>,
    /// That took at least so long.
    pub at_least: Option<Duration>,
    /// That failed.
    pub failed: bool,
    /// That has all of these in what is told of it, in small letters.
    pub texts: Vec<String>,
    /// That was over after this moment, in nanoseconds of Unix time.
    pub since_ns: Option<u64>,
    /// That began before this moment.
    pub until_ns: Option<u64>,
}

/// Some edges: `Frontend->Cart`, `Frontend->` for all out of it, `->Cart` for all to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdgePattern {
    /// The caller; any if there is none.
    pub caller: Option<String>,
    /// The callee; any if there is none.
    pub callee: Option<String>,
}

impl FromStr for EdgePattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ends = text.split_once("->").or_else(|| text.split_once('→'));
        let (caller, callee) = ends.ok_or("an edge is written as `Frontend->Cart`")?;
        let end = |end: &str| match end.trim() {
            "" => None,
            end => Some(end.to_owned()),
        };
        Ok(Self {
            caller: end(caller),
            callee: end(callee),
        })
    }
}

impl TraceFilter {
    /// Wants only traces with `text` in one of their spans, in small or in capital letters; besides what was asked for before.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.texts.push(text.to_lowercase());
        self
    }

    /// Whether a trace is wanted that has this span.
    pub fn wants(&self, span: &Span) -> bool {
        let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|it| it == name);
        let caller = span.caller.as_ref().map_or("", |name| name.as_str());
        let component = span.component.as_str();
        let edge = self.edge.as_ref();
        edge.is_none_or(|edge| {
            // Where a call is served its caller is not known: the span that called stands for both.
            span.caller.is_some() && is(&edge.caller, caller) && is(&edge.callee, component)
        }) && (is(&self.component, component) || is(&self.component, caller))
            && self
                .at_least
                .is_none_or(|least| u128::from(span.took_ns) >= least.as_nanos())
            && (!self.failed || span.has_failed())
            && self.since_ns.is_none_or(|since| span.ended_ns() >= since)
            && self.until_ns.is_none_or(|until| span.begun_ns <= until)
            && self.has_texts(span)
    }

    fn has_texts(&self, span: &Span) -> bool {
        if self.texts.is_empty() {
            return true;
        }
        let caller = span.caller.as_ref().map_or("", |name| name.as_str());
        let replica = span.replica.as_ref().map_or("", |name| name.as_str());
        let error = span.error.as_deref().unwrap_or("");
        let status = span.status.map(|status| status.to_string());
        let status = status.as_deref().unwrap_or("");
        let (trace, name, outcome) = (span.trace, span.name(), span.outcome);
        let whole = format!("{trace} {name} {caller} {replica} {status} {outcome} {error}");
        let whole = whole.to_lowercase();
        self.texts.iter().all(|text| whole.contains(text))
    }
}

#[cfg(test)]
mod tests {
    use anylith_core::Name;

    use super::*;
    use crate::{Kept, Outcome, SpanId, SpanKind, TraceId};

    fn span() -> Span {
        let name = |text| Name::new(text).unwrap();
        Span {
            trace: TraceId::new(0xabc).unwrap(),
            id: SpanId::new(1).unwrap(),
            parent: None,
            kind: SpanKind::Client,
            caller: Some(name("Frontend")),
            component: name("Cart"),
            method: "add".to_owned(),
            path: None,
            replica: Some(name("web-1")),
            begun_ns: 1_000,
            took_ns: 2_000_000,
            outcome: Outcome::Erred,
            error: Some("Full".to_owned()),
            status: None,
            repeats: 0,
            kept: Kept::Failed,
        }
    }

    #[test]
    fn a_trace_can_be_asked_for_by_an_edge_or_one_end_of_it() {
        for (text, is_wanted) in [
            ("Frontend->Cart", true),
            ("Frontend -> Cart", true),
            ("Frontend→Cart", true),
            ("->Cart", true),
            ("Frontend->", true),
            ("Cart->Frontend", false),
            ("Checkout->Cart", false),
        ] {
            let edge = Some(text.parse().unwrap());
            let filter = TraceFilter {
                edge,
                ..TraceFilter::default()
            };
            assert_eq!(filter.wants(&span()), is_wanted, "{text}");
        }
        assert!("Frontend".parse::<EdgePattern>().is_err());
    }

    #[test]
    fn what_is_asked_for_must_all_be_true_of_one_span() {
        let fits = TraceFilter {
            component: Some("Frontend".to_owned()),
            at_least: Some(Duration::from_millis(2)),
            failed: true,
            since_ns: Some(2_001_000),
            until_ns: Some(1_000),
            ..TraceFilter::default()
        };
        let fits = fits.with_text("CART/add").with_text("full");
        assert!(fits.wants(&span()));
        let others = [
            TraceFilter {
                component: Some("Ad".to_owned()),
                ..fits.clone()
            },
            TraceFilter {
                at_least: Some(Duration::from_millis(3)),
                ..fits.clone()
            },
            TraceFilter {
                since_ns: Some(2_001_001),
                ..fits.clone()
            },
            TraceFilter {
                until_ns: Some(999),
                ..fits.clone()
            },
            fits.clone().with_text("empty"),
        ];
        for filter in others {
            assert!(!filter.wants(&span()), "{filter:?}");
        }
        let mut answered = span();
        answered.outcome = Outcome::Answered;
        assert!(!fits.wants(&answered));
    }
}
