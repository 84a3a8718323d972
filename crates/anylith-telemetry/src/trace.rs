//! All that is known of one request: its spans, put together from the processes that it went through.

use std::collections::{BTreeMap, BTreeSet};

use anylith_core::Name;
use serde::{Deserialize, Serialize};

use crate::{
    outcome::Outcome,
    span::{Kept, Span, SpanKind},
    trace_id::{SpanId, TraceId},
};

/// A trace is shown with so many spans at most: the first.
pub const MOST_SPANS: usize = 10_000;

/// A trace in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// Its name.
    pub id: TraceId,
    /// When its first span began, in microseconds of Unix time.
    pub begun_us: u64,
    /// From then until its last span was over, in nanoseconds.
    pub duration_ns: u64,
    /// What began it: `GET /cart`.
    pub name: String,
    /// The component with which it began.
    pub component: Name,
    /// How many spans of it are known.
    pub span_count: usize,
    /// How many of them failed.
    pub failed_count: usize,
    /// All components that it went through, by name.
    pub components: BTreeSet<Name>,
    /// Why it was kept.
    pub kept: Kept,
}

/// A trace with all of its spans that are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// In a few words.
    #[serde(flatten)]
    pub summary: TraceSummary,
    /// Its spans, each right before those that it has caused, and these in the order in which they began.
    pub spans: Vec<Placed>,
    /// Whether there are more than [`MOST_SPANS`].
    pub cut: bool,
}

/// A span, at its place in its trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Its name in the trace.
    pub id: SpanId,
    /// The span that it was caused by, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SpanId>,
    /// Whether that one is not known, so that the span stands where it does by its time alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orphan: bool,
    /// How many spans are above it.
    pub depth: usize,
    /// What people call it: `Cart/add`, `GET /cart`.
    pub name: String,
    /// What kind of work it is.
    pub kind: SpanKind,
    /// The component that called, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Name>,
    /// The component that is called, or answers the request.
    pub component: Name,
    /// The method of its interface, or that of HTTP.
    pub method: String,
    /// The replica in whose process it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<Name>,
    /// How long after the trace it began, in nanoseconds.
    pub offset_ns: u64,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether that is a failure.
    pub failed: bool,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The status that a request was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How often the call was made once more.
    pub repeats: u32,
}

impl TraceSummary {
    /// That of a trace of which these spans are known; `None` if there are none.
    pub fn of<'s>(spans: impl IntoIterator<Item = &'s Span>) -> Option<Self> {
        let mut spans = spans.into_iter();
        let mut sketch = TraceSketch::of(spans.next()?);
        spans.for_each(|span| sketch.add(span));
        Some(sketch.summary())
    }
}

/// A trace of which one span after the other is met.
#[derive(Debug, Clone)]
pub struct TraceSketch {
    summary: TraceSummary,
    /// What the first of its spans has to be before, to be the first.
    rank: Rank,
    begun_ns: u64,
    ended_ns: u64,
}

impl TraceSketch {
    /// That of a trace of which this span was met first.
    pub fn of(span: &Span) -> Self {
        let mut sketch = Self {
            summary: TraceSummary {
                id: span.trace,
                begun_us: 0,
                duration_ns: 0,
                name: span.name(),
                component: span.component.clone(),
                span_count: 0,
                failed_count: 0,
                components: BTreeSet::new(),
                kept: span.kept,
            },
            rank: rank(span),
            begun_ns: span.begun_ns,
            ended_ns: 0,
        };
        sketch.add(span);
        sketch
    }

    /// Another span of it is met.
    pub fn add(&mut self, span: &Span) {
        let summary = &mut self.summary;
        summary.span_count += 1;
        summary.failed_count += usize::from(span.has_failed());
        summary.kept = summary.kept.max(span.kept);
        for name in [Some(&span.component), span.caller.as_ref()]
            .into_iter()
            .flatten()
        {
            if !summary.components.contains(name) {
                summary.components.insert(name.clone());
            }
        }
        self.begun_ns = self.begun_ns.min(span.begun_ns);
        self.ended_ns = self.ended_ns.max(span.ended_ns());
        if rank(span) < self.rank {
            self.rank = rank(span);
            (summary.name, summary.component) = (span.name(), span.component.clone());
        }
    }

    /// What is known by now.
    pub fn summary(mut self) -> TraceSummary {
        self.summary.begun_us = self.begun_ns / 1_000;
        self.summary.duration_ns = self.ended_ns.saturating_sub(self.begun_ns);
        self.summary
    }
}

type Rank = (bool, u64, SpanId);

/// What orders spans by how likely they are to have begun their trace: those without a parent first, since clocks differ.
fn rank(span: &Span) -> Rank {
    let is_called = span.parent.is_some() && span.kind != SpanKind::Request;
    (is_called, span.begun_ns, span.id)
}

/// Puts `tops`, each with all that is `below` it, at the end of `placed`, with how deep it is.
fn place<'s>(
    mut tops: Vec<&'s Span>,
    below: &mut BTreeMap<SpanId, Vec<&'s Span>>,
    placed: &mut Vec<(&'s Span, usize)>,
) {
    let last_first = |spans: &mut Vec<&Span>| {
        spans.sort_by_key(|span| std::cmp::Reverse((span.begun_ns, span.id)));
    };
    last_first(&mut tops);
    let mut ahead: Vec<(&Span, usize)> = tops.into_iter().map(|span| (span, 0)).collect();
    while let Some((span, depth)) = ahead.pop() {
        placed.push((span, depth));
        let mut caused = below.remove(&span.id).unwrap_or_default();
        last_first(&mut caused);
        ahead.extend(caused.into_iter().map(|span| (span, depth + 1)));
    }
}

impl Trace {
    /// The trace that `spans` are of; `None` if there are none. Of several with one name the first is taken.
    pub fn of(spans: Vec<Span>) -> Option<Self> {
        let mut by_id = BTreeMap::new();
        for span in spans {
            by_id.entry(span.id).or_insert(span);
        }
        let summary = TraceSummary::of(by_id.values())?;
        let mut tops = Vec::new();
        let mut below: BTreeMap<SpanId, Vec<&Span>> = BTreeMap::new();
        for span in by_id.values() {
            match span.parent.filter(|parent| by_id.contains_key(parent)) {
                Some(parent) => below.entry(parent).or_default().push(span),
                None => tops.push(span),
            }
        }
        let mut placed = Vec::with_capacity(by_id.len());
        place(tops, &mut below, &mut placed);
        // Spans that name each other as their parents, which only a liar makes, are below no top.
        let lost: Vec<&Span> = below.into_values().flatten().collect();
        place(lost, &mut BTreeMap::new(), &mut placed);
        let begun_ns = by_id.values().map(|span| span.begun_ns).min().unwrap_or(0);
        let cut = placed.len() > MOST_SPANS;
        placed.truncate(MOST_SPANS);
        let spans = placed.iter().map(|(span, depth)| {
            let parent = span.parent.filter(|parent| by_id.contains_key(parent));
            Placed {
                id: span.id,
                parent,
                // The parent of a request belongs to somebody else.
                orphan: parent.is_none() && span.parent.is_some() && span.kind != SpanKind::Request,
                depth: *depth,
                name: span.name(),
                kind: span.kind,
                caller: span.caller.clone(),
                component: span.component.clone(),
                method: span.method.clone(),
                replica: span.replica.clone(),
                offset_ns: span.begun_ns.saturating_sub(begun_ns),
                duration_ns: span.took_ns,
                outcome: span.outcome,
                failed: span.has_failed(),
                error: span.error.clone(),
                status: span.status,
                repeats: span.repeats,
            }
        });
        Some(Self {
            spans: spans.collect(),
            cut,
            summary,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64, parent: Option<u64>, begun_ns: u64) -> Span {
        Span {
            trace: TraceId::new(7).unwrap(),
            id: SpanId::new(id).unwrap(),
            parent: parent.and_then(SpanId::new),
            kind: SpanKind::Local,
            caller: None,
            component: Name::new("Cart").unwrap(),
            method: "add".to_owned(),
            path: None,
            replica: None,
            begun_ns,
            took_ns: 10,
            outcome: Outcome::Answered,
            error: None,
            status: None,
            repeats: 0,
            kept: Kept::Related,
        }
    }

    /// Their names, with how deep they are.
    fn tree(spans: Vec<Span>) -> Vec<(u64, usize)> {
        let trace = Trace::of(spans).unwrap();
        let placed = trace.spans.iter();
        placed.map(|span| (span.id.get(), span.depth)).collect()
    }

    #[test]
    fn a_span_stands_before_those_that_it_has_caused_and_these_stand_in_their_order() {
        let spans = vec![
            span(4, Some(2), 30),
            span(3, Some(1), 20),
            span(2, Some(1), 10),
            span(1, None, 0),
            span(5, Some(3), 25),
        ];
        assert_eq!(tree(spans), [(1, 0), (2, 1), (4, 2), (3, 1), (5, 2)]);
    }

    #[test]
    fn spans_that_lie_about_their_parents_are_all_shown_once() {
        let spans = vec![
            span(1, Some(1), 0),
            span(2, Some(3), 1),
            span(3, Some(2), 2),
            span(4, Some(99), 3),
            span(4, None, 4),
        ];
        let mut tree = tree(spans);
        tree.sort_unstable();
        assert_eq!(tree, [(1, 0), (2, 0), (3, 0), (4, 0)]);
    }

    #[test]
    fn a_summary_says_what_began_it_what_it_took_and_the_best_reason_to_keep_it() {
        let mut request = span(1, Some(77), 5_000);
        (request.kind, request.method) = (SpanKind::Request, "GET".to_owned());
        request.path = Some("/cart".to_owned());
        request.took_ns = 4_000;
        // The clock of its process is behind.
        let mut call = span(2, Some(1), 4_000);
        (call.outcome, call.kept) = (Outcome::Erred, Kept::Failed);
        let summary = TraceSummary::of([&call, &request]).unwrap();
        assert_eq!(summary.name, "GET /cart");
        assert_eq!((summary.begun_us, summary.duration_ns), (4, 5_000));
        assert_eq!((summary.span_count, summary.failed_count), (2, 1));
        assert_eq!(summary.kept, Kept::Failed);
    }

    #[test]
    fn a_deep_trace_needs_no_deep_stack() {
        let spans = (1..=200_000).map(|id| span(id, Some(id - 1), id));
        let trace = Trace::of(spans.collect()).unwrap();
        assert!(trace.cut);
        assert_eq!(trace.spans.len(), MOST_SPANS);
        assert_eq!(trace.spans[MOST_SPANS - 1].depth, MOST_SPANS - 1);
    }
}
