//! Which calls are kept in their traces, and what is kept with them.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use anylith_core::Traces;
use anylith_telemetry::{
    Batch, Detail, Kept, MOST_TEXT_BYTES, Note, Outcome, SpanId, SpanKind, TraceId, Tracer, What,
};

const WALL_NS: u64 = 1_767_322_800_000_000_000;

fn tracer() -> Tracer {
    let traces = Traces {
        on: true,
        sampled_ppm: 0,
        slow_ms: 100,
    };
    Tracer::new(traces, true).unwrap()
}

/// A call with this number of a trace that was not sampled, which was answered at once.
fn note(trace: u128, id: u64) -> Note {
    Note {
        trace: TraceId::new(trace).unwrap(),
        id: SpanId::new(id).unwrap(),
        parent: SpanId::new(id - 1),
        sampled: false,
        what: What {
            kind: SpanKind::Local,
            caller: "Web",
            component: "Cart",
            method: "add",
        },
        begun: Instant::now(),
        took: Duration::from_millis(1),
        outcome: Outcome::Answered,
        detail: None,
    }
}

fn take(tracer: &Tracer) -> Batch {
    tracer.take(usize::MAX, Instant::now(), WALL_NS)
}

/// Trace and span of each that is in `batch`, with why it is kept.
fn kept(batch: &Batch) -> BTreeSet<(u128, u64, Kept)> {
    let spans = batch.spans.iter();
    spans
        .map(|span| (span.trace.get(), span.id.get(), span.kept))
        .collect()
}

#[test]
fn of_traces_as_many_are_sampled_as_is_asked_for() {
    const TRACES: u32 = 200_000;
    for (ppm, least, most) in [
        (0, 0, 0),
        (10_000, TRACES / 100 * 8 / 10, TRACES / 100 * 12 / 10),
        (500_000, TRACES / 2 * 9 / 10, TRACES / 2 * 11 / 10),
        (1_000_000, TRACES, TRACES),
    ] {
        let traces = Traces {
            sampled_ppm: ppm,
            ..Traces::default()
        };
        let tracer = Tracer::new(traces, true).unwrap();
        let sampled = (0..TRACES).filter(|_| tracer.begin().sampled).count() as u32;
        assert!((least..=most).contains(&sampled), "{ppm}: {sampled}");
    }
    assert!(Tracer::new(Traces::OFF, true).is_none());
}

#[test]
fn where_nobody_collects_nothing_is_kept_or_sampled() {
    let traces = Traces {
        sampled_ppm: 1_000_000,
        ..Traces::default()
    };
    let tracer = Tracer::new(traces, false).unwrap();
    assert!(!tracer.begin().sampled);
    let failed = Note {
        outcome: Outcome::Unknown,
        ..note(1, 1)
    };
    assert!(!tracer.note(failed));
    assert_eq!(take(&tracer), Batch::default());
}

#[test]
fn what_fails_or_is_slow_is_kept_with_what_was_and_will_be_noted_of_its_trace() {
    let tracer = tracer();
    for (trace, id) in [(1, 3), (2, 3), (3, 3), (4, 3)] {
        assert!(!tracer.note(note(trace, id)));
    }
    assert_eq!(kept(&take(&tracer)), BTreeSet::new());
    let failed = Note {
        outcome: Outcome::Erred,
        ..note(1, 2)
    };
    let slow = Note {
        took: Duration::from_millis(100),
        ..note(2, 2)
    };
    let given_up = Note {
        outcome: Outcome::Cancelled,
        ..note(3, 2)
    };
    assert!(tracer.note(failed) && tracer.note(slow) && !tracer.note(given_up));
    let batch = take(&tracer);
    let expected = [
        (1, 2, Kept::Failed),
        (1, 3, Kept::Related),
        (2, 2, Kept::Slow),
        (2, 3, Kept::Related),
    ];
    assert_eq!(kept(&batch), BTreeSet::from(expected));
    let wanted: Vec<u128> = batch.wanted.iter().map(|trace| trace.get()).collect();
    assert_eq!(wanted, [1, 2]);
    // What has called is noted when it is over itself.
    tracer.note(note(1, 1));
    let batch = take(&tracer);
    assert_eq!(kept(&batch), BTreeSet::from([(1, 1, Kept::Related)]));
    assert!(batch.more && batch.wanted.is_empty());
}

#[test]
fn what_is_remembered_on_any_thread_is_found_and_told_once() {
    let tracer = tracer();
    thread::scope(|scope| {
        for id in 1..=20 {
            let tracer = &tracer;
            scope.spawn(move || tracer.note(note(7, id)));
        }
    });
    assert!(tracer.want(&[TraceId::new(7).unwrap()], Instant::now()));
    let batch = take(&tracer);
    assert_eq!(batch.spans.len(), 20);
    assert!(batch.wanted.is_empty(), "who asks knows of it");
    assert_eq!(take(&tracer).spans, []);
}

#[test]
fn a_trace_that_fails_a_hundred_times_takes_nothing_away_from_the_next_ones() {
    let tracer = tracer();
    let begun = Instant::now();
    let traces = std::iter::repeat_n(7, 100).chain(8..18);
    for (trace, id) in traces.zip(1..) {
        tracer.note(Note {
            outcome: Outcome::Unknown,
            begun,
            ..note(trace, id)
        });
    }
    let wanted = take(&tracer).wanted;
    let wanted: BTreeSet<u128> = wanted.iter().map(|trace| trace.get()).collect();
    assert_eq!(wanted, (7..18).collect());
}

#[test]
fn nobody_looks_for_a_trace_for_ever() {
    let tracer = tracer();
    tracer.want(&[TraceId::new(7).unwrap()], Instant::now());
    assert!(take(&tracer).more);
    let later = Instant::now() + Duration::from_secs(60);
    assert!(!tracer.take(usize::MAX, later, WALL_NS).more);
    tracer.note(note(7, 1));
    assert_eq!(tracer.take(usize::MAX, later, WALL_NS).spans, []);
}

#[test]
fn however_much_fails_what_waits_is_bounded_and_what_is_lost_is_counted() {
    const FAILED: u64 = 10_000;
    let tracer = tracer();
    for id in 1..=FAILED {
        tracer.note(Note {
            outcome: Outcome::Unknown,
            ..note(id.into(), id)
        });
    }
    let batch = take(&tracer);
    assert_eq!(batch.spans.len() as u64 + batch.dropped, FAILED);
    assert!(batch.dropped > 0 && batch.spans.len() > 1000);
    // Others are not asked for all of these.
    assert!(
        (1..200).contains(&batch.wanted.len()),
        "{}",
        batch.wanted.len()
    );
    assert_eq!(take(&tracer).dropped, 0);
}

#[test]
fn a_batch_has_as_many_spans_as_are_asked_for_and_says_that_there_are_more() {
    let tracer = tracer();
    for id in 1..=5 {
        let sampled = true;
        tracer.note(Note {
            sampled,
            ..note(1, id)
        });
    }
    let batch = tracer.take(3, Instant::now(), WALL_NS);
    assert!(batch.more);
    assert_eq!(batch.spans.len(), 3);
    let batch = tracer.take(3, Instant::now(), WALL_NS);
    assert_eq!((batch.spans.len(), batch.more), (2, false));
}

#[test]
fn a_span_says_when_it_was_on_the_clock_on_the_wall_and_its_texts_are_bounded() {
    let tracer = tracer();
    let begun = Instant::now();
    let error = Some("ä".repeat(5_000));
    tracer.note(Note {
        begun,
        outcome: Outcome::Executed,
        detail: Some(Box::new(Detail {
            error,
            repeats: 2,
            ..Detail::default()
        })),
        ..note(1, 2)
    });
    let now = begun + Duration::from_secs(3);
    let span = tracer.take(1, now, WALL_NS).spans.remove(0);
    assert_eq!(span.begun_ns, WALL_NS - 3_000_000_000);
    assert_eq!((span.took_ns, span.repeats), (1_000_000, 2));
    assert!(span.error.unwrap().len() <= MOST_TEXT_BYTES + '…'.len_utf8());
}
