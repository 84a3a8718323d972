//! Notes calls that have ended, and says which of them are kept.
//!
//! A trace is *sampled* or not from its beginning; all spans of one that is are kept. Of the others those are kept that failed or
//! were slow, whatever else is. And so that these do not stand alone, each thread remembers the last calls that it has noted, in a
//! ring: what belongs to the same traces is looked for in all rings when the next [`Batch`] is taken. Other processes are told of
//! them, and look in theirs.
//!
//! Here is no clock: who notes something brings along when it began and what it took.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anylith_core::{Name, Traces};

use crate::{
    draw::draw,
    outcome::Outcome,
    span::{Kept, Span, SpanKind, is_failure},
    thread,
    trace_id::{SpanId, TraceId},
};

/// Among so many rings the threads are divided.
const RINGS: usize = 8;

/// So many of the last calls each ring remembers.
const RING: usize = 1024;

/// So many spans may wait to be taken. Further ones are dropped, and counted.
const WAITING: usize = 4096;

/// Of so many traces that were not sampled others are told in a second, on average; of further ones only those spans are kept that
/// failed or were slow themselves.
const TOLD_PER_SECOND: f64 = 50.0;

/// For so long what belongs to a trace is looked for, once it is known that it is wanted.
const LOOKED_FOR: Duration = Duration::from_secs(5);

/// What is done with calls that have ended, in one process.
pub struct Tracer {
    /// A trace is sampled if what is drawn for it is not greater; 0 for none.
    threshold: u64,
    /// What takes so long is slow.
    slow: Duration,
    /// Whether anybody takes what is noted.
    collected: bool,
    rings: [Mutex<VecDeque<Note>>; RINGS],
    desk: Mutex<Desk>,
}

/// What waits to be taken.
#[derive(Default)]
struct Desk {
    notes: VecDeque<(Note, Kept)>,
    dropped: u64,
    /// Traces that others are to be told of.
    told: Vec<TraceId>,
    /// Traces of which more is looked for, and until when.
    wanted: VecDeque<(TraceId, Instant)>,
    /// How many traces others may be told of now.
    allowance: f64,
    /// When that was last filled up.
    filled: Option<Instant>,
}

/// A call, or a request from outside, that has ended.
#[derive(Debug, Clone)]
pub struct Note {
    /// The trace that it is a part of.
    pub trace: TraceId,
    /// Its name in it.
    pub id: SpanId,
    /// What it was caused by.
    pub parent: Option<SpanId>,
    /// Whether its trace is sampled.
    pub sampled: bool,
    /// What was called, or asked for.
    pub what: What,
    /// When it began.
    pub begun: Instant,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What else there is to say.
    pub detail: Option<Box<Detail>>,
}

/// What was called, or asked for.
#[derive(Debug, Clone, Copy)]
pub struct What {
    /// What kind of work it was.
    pub kind: SpanKind,
    /// The component that called; empty if that is nobody, or not known.
    pub caller: &'static str,
    /// The component that was called, or has answered.
    pub component: &'static str,
    /// The method.
    pub method: &'static str,
}

/// What there is to say of some calls only.
#[derive(Debug, Clone, Default)]
pub struct Detail {
    /// The path of a request.
    pub path: Option<String>,
    /// The status that it was answered with.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// How often the call was made once more.
    pub repeats: u32,
}

/// What was kept since the last time somebody took it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The spans.
    pub spans: Vec<Span>,
    /// Traces that are worth keeping although they were not sampled: other processes may know more of them.
    pub wanted: Vec<TraceId>,
    /// How many spans there was no room for.
    pub dropped: u64,
    /// Whether there is more to take, or may be soon.
    pub more: bool,
}

/// A trace that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// What was drawn for it; never 0.
    pub drawn: u64,
    /// Whether it is sampled.
    pub sampled: bool,
}

impl Tracer {
    /// One that keeps what `traces` says; `None` if that is nothing. `collected`: somebody takes what it keeps.
    pub fn new(traces: Traces, collected: bool) -> Option<Self> {
        traces.on.then(|| Self {
            threshold: match traces.sampled_ppm {
                _ if !collected => 0,
                ppm @ 0..1_000_000 => (u128::from(ppm) * u128::from(u64::MAX) / 1_000_000) as u64,
                1_000_000.. => u64::MAX,
            },
            slow: Duration::from_millis(traces.slow_ms),
            collected,
            rings: Default::default(),
            desk: Mutex::default(),
        })
    }

    /// Begins a trace.
    #[inline]
    pub fn begin(&self) -> Root {
        let drawn = draw();
        Root {
            drawn,
            sampled: drawn <= self.threshold,
        }
    }

    /// Whether anybody takes what is noted.
    pub fn is_collected(&self) -> bool {
        self.collected
    }

    /// Whether a call that took so long is slow.
    fn is_slow(&self, took: Duration) -> bool {
        took >= self.slow
    }

    /// Notes a call that has ended. Returns whether there is something to take now.
    pub fn note(&self, note: Note) -> bool {
        if !self.collected {
            return false;
        }
        let kept = if note.sampled {
            Kept::Sampled
        } else if is_failure(note.outcome) {
            Kept::Failed
        } else if self.is_slow(note.took) {
            Kept::Slow
        } else {
            self.remember(note);
            return false;
        };
        self.desk().keep(note, kept);
        true
    }

    /// Remembers a call that is not kept unless its trace turns out to be worth it.
    fn remember(&self, note: Note) {
        let ring = &self.rings[thread::number_or_ask() % RINGS];
        let mut ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() == RING {
            ring.pop_front();
        }
        ring.push_back(note);
    }

    /// Others have found that these traces are worth keeping. Returns whether there may be something to take now.
    pub fn want(&self, traces: &[TraceId], now: Instant) -> bool {
        let mut desk = self.desk();
        for trace in traces {
            desk.look_for(*trace, now);
        }
        self.collected && !desk.wanted.is_empty()
    }

    /// Takes at most `most` spans that were kept, with what belongs to them. `now_ns` is what the clock on the wall says at `now`,
    /// in nanoseconds of Unix time.
    pub fn take(&self, most: usize, now: Instant, now_ns: u64) -> Batch {
        let mut desk = self.desk();
        while desk.wanted.front().is_some_and(|(_, until)| *until < now) {
            desk.wanted.pop_front();
        }
        let wanted: HashSet<TraceId> = desk.wanted.iter().map(|(trace, _)| *trace).collect();
        drop(desk);
        let related = self.related(&wanted);
        let mut desk = self.desk();
        for note in related {
            desk.put(note, Kept::Related);
        }
        let count = desk.notes.len().min(most);
        let spans = desk.notes.drain(..count);
        let span = |(note, kept): (Note, Kept)| note.span(kept, now, now_ns);
        let spans = spans.filter_map(span).collect();
        Batch {
            spans,
            wanted: std::mem::take(&mut desk.told),
            dropped: std::mem::take(&mut desk.dropped),
            more: !desk.notes.is_empty() || !desk.wanted.is_empty(),
        }
    }

    /// What is remembered of `wanted` traces. It is forgotten.
    fn related(&self, wanted: &HashSet<TraceId>) -> Vec<Note> {
        let mut related = Vec::new();
        if wanted.is_empty() {
            return related;
        }
        for ring in &self.rings {
            let mut ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
            if ring.iter().any(|note| wanted.contains(&note.trace)) {
                let mut all: Vec<Note> = ring.drain(..).collect();
                related.extend(all.extract_if(.., |note| wanted.contains(&note.trace)));
                ring.extend(all);
            }
        }
        related
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Puts a span where it is taken from.
    fn put(&mut self, note: Note, kept: Kept) {
        if self.notes.len() < WAITING {
            self.notes.push_back((note, kept));
        } else {
            self.dropped += 1;
        }
    }

    /// Keeps a span, and if it is kept for itself also has all be looked for that belongs to it.
    fn keep(&mut self, note: Note, kept: Kept) {
        let (trace, over) = (note.trace, note.begun + note.took);
        self.put(note, kept);
        // Of a trace that is looked for the others know: to fail once more in it takes nothing away from the next one.
        let is_news = kept != Kept::Sampled && !self.is_looked_for(trace);
        if is_news && self.may_tell(over) && self.look_for(trace, over) {
            self.told.push(trace);
        }
    }

    fn is_looked_for(&self, trace: TraceId) -> bool {
        self.wanted.iter().any(|(wanted, _)| *wanted == trace)
    }

    /// Looks for what belongs to a trace from now on; returns whether that is new.
    fn look_for(&mut self, trace: TraceId, now: Instant) -> bool {
        let most = TOLD_PER_SECOND as usize * LOOKED_FOR.as_secs() as usize * 4;
        if self.is_looked_for(trace) || self.wanted.len() >= most {
            return false;
        }
        self.wanted.push_back((trace, now + LOOKED_FOR));
        true
    }

    /// Whether others may be told of another trace.
    fn may_tell(&mut self, now: Instant) -> bool {
        let since = self.filled.map(|at| now.saturating_duration_since(at));
        let more = since.map_or(TOLD_PER_SECOND, |since| {
            since.as_secs_f64() * TOLD_PER_SECOND
        });
        self.allowance = (self.allowance + more).min(TOLD_PER_SECOND);
        self.filled = self.filled.max(Some(now));
        let may = self.allowance >= 1.0;
        if may {
            self.allowance -= 1.0;
        }
        may
    }
}

impl Note {
    /// The span that it is; `None` if a name in it is none.
    fn span(self, kept: Kept, now: Instant, now_ns: u64) -> Option<Span> {
        let nanos = |length: Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let Self { what, begun, .. } = self;
        let detail = self.detail.map(|detail| *detail).unwrap_or_default();
        let span = Span {
            trace: self.trace,
            id: self.id,
            parent: self.parent,
            kind: what.kind,
            caller: Name::new(what.caller).ok(),
            component: Name::new(what.component).ok()?,
            method: what.method.to_owned(),
            path: detail.path,
            replica: None,
            begun_ns: now_ns.saturating_sub(nanos(now.saturating_duration_since(begun))),
            took_ns: nanos(self.took),
            outcome: self.outcome,
            error: detail.error,
            status: detail.status,
            repeats: detail.repeats,
            kept,
        };
        Some(span.bounded())
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}
