//! Where the code that runs stands in a trace.

use anylith_core::TraceContext;
use anylith_telemetry::{Root, SpanId, TraceId, draw, name_of};

/// Where code stands in a trace: which one it is, and which span of it.
///
/// It is two words, since every call within a process copies it. A span gets its name when somebody needs that: most calls within a
/// process are over before anybody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trail {
    /// What was drawn for a trace that began in this process, and not in a context; or one of the words below. The last bit says
    /// whether it is sampled.
    root: u64,
    /// The name of the span; 0 while it has none.
    span: u64,
}

/// In no trace.
const NOWHERE: u64 = 0;
/// In the one that the context has.
const CARRIED: u64 = 2;
/// What is drawn for a root has one of these bits, and so is none of these words.
const DRAWN: u64 = 4;
/// The last bit.
const SAMPLED: u64 = 1;

impl Trail {
    /// In no trace.
    pub(crate) const NONE: Self = Self {
        root: NOWHERE,
        span: 0,
    };

    /// In a trace that begins here.
    #[inline]
    pub(crate) fn begun(root: Root) -> Self {
        Self {
            root: root.drawn & !SAMPLED | DRAWN | u64::from(root.sampled),
            span: 0,
        }
    }

    /// At the span that the context names, in the trace that it has.
    pub(crate) fn carried(trace: Option<&TraceContext>) -> Self {
        trace.map_or(Self::NONE, |trace| Self {
            root: CARRIED | u64::from(trace.flags) & SAMPLED,
            span: trace.span_id,
        })
    }

    /// In the same trace, at a span of its own.
    #[inline]
    pub(crate) fn below(self) -> Self {
        Self { span: 0, ..self }
    }

    /// Whether it is in no trace.
    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self.root == NOWHERE
    }

    /// Whether its trace is sampled.
    #[inline]
    pub(crate) fn is_sampled(self) -> bool {
        self.root & SAMPLED != 0
    }

    /// Whether somebody wants to know of its span: its trace is sampled, or it has been named.
    #[inline]
    pub(crate) fn is_noticed(self) -> bool {
        self.root & SAMPLED | self.span != 0
    }

    /// The name of its trace, if that is not the one that the context has.
    pub(crate) fn own_trace(self) -> Option<TraceId> {
        (self.root >= DRAWN).then(|| name_of(self.root))
    }

    /// The name of its span, which gets one now if it has none.
    pub(crate) fn name_span(&mut self) -> Option<SpanId> {
        if self.is_none() {
            return None;
        }
        if self.span == 0 {
            self.span = draw();
        }
        SpanId::new(self.span)
    }
}

#[cfg(test)]
mod tests {
    use anylith_telemetry::{Root, draw};

    use super::*;

    #[test]
    fn whatever_is_drawn_a_trace_of_its_own_is_told_from_none_and_from_the_contexts() {
        let drawn = (1..8).chain([u64::MAX]).chain((0..1_000).map(|_| draw()));
        for drawn in drawn {
            for sampled in [false, true] {
                let trail = Trail::begun(Root { drawn, sampled });
                assert!(!trail.is_none());
                assert_eq!(trail.is_sampled(), sampled, "{drawn}");
                assert_eq!(trail.below().own_trace(), trail.own_trace());
                assert!(trail.own_trace().is_some(), "{drawn}");
            }
        }
    }

    #[test]
    fn a_span_keeps_the_name_that_it_was_given() {
        let mut trail = Trail::begun(Root {
            drawn: 9,
            sampled: false,
        });
        assert!(!trail.is_noticed());
        let name = trail.name_span();
        assert!(name.is_some() && trail.is_noticed());
        assert_eq!(trail.name_span(), name);
        assert_ne!(trail.below().name_span(), name);
        assert_eq!(Trail::NONE.below().name_span(), None);
    }
}
