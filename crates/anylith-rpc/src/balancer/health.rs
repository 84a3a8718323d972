//! How one replica does, as a place to call one component.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::pool::Record;

/// Over this time an old latency is forgotten. A sudden rise counts at once and whole: the "peak EWMA" of Finagle.
const MEMORY: Duration = Duration::from_secs(1);
/// A fall of latency counts at most this often, since a weight for less would be lost in rounding.
const GRAIN_US: u64 = 1_000;
/// This is added to each latency, in microseconds. Below it differences are those of scheduling, and one call that was
/// unlucky would count for more than a hundred in flight.
const NOISE_US: u64 = 1_000;
/// A failure counts as if the call had taken so much longer, in microseconds: what fails fast does not attract calls.
const PENALTY_US: u64 = 1_000_000;
/// A refusal for want of room counts as if the call had taken so many times its usual time longer. It is the mildest: the
/// replica is well, and what it refuses the others have to take.
const REFUSAL: u64 = 4;

/// How many times slower than its like is far slower.
pub(super) const FAR_SLOWER: u32 = 10;
/// A call that takes less is never slow, whatever its like takes, in microseconds.
const SLOW_US: u32 = 5_000;

/// What came back from a replica, as far as it tells of the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer.
    Answered,
    /// An answer that is an error of the implementation's own. It speaks against the replica only if the others do
    /// not give such answers.
    Erred,
    /// It has no room.
    Refused,
    /// It does not have the component, or no longer.
    Away,
    /// No answer within the call's deadline.
    Late,
    /// It panicked, denied the call, or its connection broke.
    Failed,
}

/// How one replica does. Written by connections, read for every call, so it has no lock on that way; two that write
/// at the same moment may lose a sample, which does no harm.
#[derive(Debug)]
pub(crate) struct Health {
    /// Times are told from here, in microseconds.
    origin: Instant,
    in_flight: AtomicU32,
    /// The recent latency in microseconds; 0 if it has not answered yet.
    latency_us: AtomicU32,
    /// What failures add to it.
    penalty_us: AtomicU32,
    /// When the last sample was taken into account.
    sampled_us: AtomicU64,
    /// The latency of its like, as of the last review that knew one; 0 before.
    pub(super) usual_us: AtomicU32,
    /// Left out, but for calls that probe it.
    pub(super) out: AtomicBool,
    /// The next call is to go here, whatever the load.
    pub(super) probe: AtomicBool,
    /// Its load counts so many times: it was left out, and comes back slowly.
    pub(super) handicap: AtomicU32,
    /// Since when it says that it does not have the component; 0 if it does not say so.
    away_us: AtomicU64,
    pub(super) counts: Counts,
    pub(super) record: Mutex<Record>,
}

/// What happened since the last review.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) answered: AtomicU32,
    pub(super) erred: AtomicU32,
    pub(super) refused: AtomicU32,
    pub(super) failed: AtomicU32,
    /// Calls whose time is known, those of them that were far slower than usual elsewhere, and the sum of all times.
    pub(super) timed: AtomicU32,
    pub(super) slow: AtomicU32,
    pub(super) took_us: AtomicU64,
    /// Failures in a row, up to now.
    pub(super) failed_in_a_row: AtomicU32,
    /// Refusals in a row, up to now.
    pub(super) refused_in_a_row: AtomicU32,
}

impl Health {
    pub(crate) fn new(origin: Instant) -> Self {
        Self {
            origin,
            in_flight: AtomicU32::new(0),
            latency_us: AtomicU32::new(0),
            penalty_us: AtomicU32::new(0),
            sampled_us: AtomicU64::new(0),
            usual_us: AtomicU32::new(0),
            out: AtomicBool::new(false),
            probe: AtomicBool::new(false),
            handicap: AtomicU32::new(1),
            away_us: AtomicU64::new(0),
            counts: Counts::default(),
            record: Mutex::default(),
        }
    }

    /// A call was begun.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Nobody waits for a call any more.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// About how long a further call would wait, in microseconds: the calls before it, times what one takes.
    pub(crate) fn load(&self) -> u64 {
        let in_flight = u64::from(self.in_flight.load(Relaxed));
        let penalty = u64::from(self.penalty_us.load(Relaxed));
        let latency = u64::from(self.latency_us.load(Relaxed));
        if latency + penalty == 0 {
            // Nothing is known of it: worth a try, but not worth many at once.
            return in_flight * NOISE_US;
        }
        let cost = latency + NOISE_US + penalty;
        (in_flight + 1) * cost * u64::from(self.handicap.load(Relaxed))
    }

    /// Whether calls go to it by its load. If not, only those do that probe it, and those that have no other choice.
    pub(crate) fn is_in(&self) -> bool {
        !self.out.load(Relaxed)
    }

    /// Whether the next call is to go here, to see how it does.
    pub(crate) fn wants_probe(&self) -> bool {
        self.probe.load(Relaxed)
    }

    /// The same; says so once.
    pub(crate) fn take_probe(&self) -> bool {
        self.wants_probe() && self.probe.swap(false, Relaxed)
    }

    /// Since when it says that it does not have the component, if it does.
    pub(crate) fn away_since(&self) -> Option<Instant> {
        let away = self.away_us.load(Relaxed);
        (away > 0).then(|| self.origin + Duration::from_micros(away))
    }

    /// Notes that it has the component: it offers it, or took a call.
    pub(crate) fn is_there(&self) {
        if self.away_us.load(Relaxed) != 0 {
            self.away_us.store(0, Relaxed);
        }
    }

    /// Notes what came back for a call that was begun so long before `now`.
    pub(crate) fn note(&self, outcome: Outcome, took: Duration, now: Instant) {
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        self.take_note(outcome, Some(took), now);
    }

    /// The same for a call by a key. How long it takes, and whether it errs, lies with the key: the other replicas have
    /// other keys, so neither is compared.
    pub(crate) fn note_of_key(&self, outcome: Outcome, now: Instant) {
        let outcome = match outcome {
            Outcome::Erred => Outcome::Answered,
            other => other,
        };
        self.take_note(outcome, None, now);
    }

    fn take_note(&self, outcome: Outcome, took: Option<u32>, now: Instant) {
        let counts = &self.counts;
        let latency = u64::from(self.latency_us.load(Relaxed));
        let (count, penalty) = match outcome {
            Outcome::Answered => (&counts.answered, 0),
            Outcome::Erred => (&counts.erred, 0),
            Outcome::Refused => (&counts.refused, latency.max(GRAIN_US) * REFUSAL),
            Outcome::Away | Outcome::Late | Outcome::Failed => (&counts.failed, PENALTY_US),
        };
        up(count);
        match outcome {
            Outcome::Answered | Outcome::Erred => {
                clear(&counts.failed_in_a_row);
                clear(&counts.refused_in_a_row);
            }
            Outcome::Refused => up(&counts.refused_in_a_row),
            Outcome::Away | Outcome::Late | Outcome::Failed => up(&counts.failed_in_a_row),
        }
        let now = self.micros(now);
        if outcome != Outcome::Away {
            self.is_there();
        } else if self.away_us.load(Relaxed) == 0 {
            self.away_us.store(now.max(1), Relaxed);
        }
        let counted = match outcome {
            Outcome::Answered | Outcome::Late => took,
            // Errors are quick: at best it is as good as its like.
            Outcome::Erred => took.map(|took| took.max(self.usual_us.load(Relaxed))),
            Outcome::Refused | Outcome::Away | Outcome::Failed => None,
        };
        if let (Outcome::Answered | Outcome::Late, Some(took)) = (outcome, took) {
            up(&counts.timed);
            if is_slow(took, self.usual_us.load(Relaxed)) {
                up(&counts.slow);
            }
            let sum = counts.took_us.load(Relaxed);
            counts.took_us.store(sum + u64::from(took), Relaxed);
        }
        self.sample(counted, penalty, now);
    }

    /// Notes that a call was given up so long after it was begun: it would have taken longer still.
    pub(crate) fn given_up(&self, waited: Duration) {
        let waited = u32::try_from(waited.as_micros()).unwrap_or(u32::MAX);
        self.latency_us.fetch_max(waited, Relaxed);
    }

    fn sample(&self, took: Option<u32>, penalty: u64, now_us: u64) {
        let since = now_us.saturating_sub(self.sampled_us.load(Relaxed));
        let memory = MEMORY.as_micros() as u64;
        let latency = self.latency_us.load(Relaxed);
        let rises = took.is_some_and(|took| took >= latency);
        if rises {
            self.latency_us.store(took.unwrap_or(latency), Relaxed);
        }
        if since < GRAIN_US && penalty == 0 {
            return;
        }
        // A failure always weighs something, also if many come in one read.
        let weight = since.clamp(GRAIN_US, memory);
        let blend = |old: u32, new: u64| {
            let old = u64::from(old);
            let blended = (old * (memory - weight) + new * weight) / memory;
            u32::try_from(blended).unwrap_or(u32::MAX)
        };
        if let Some(took) = took.filter(|_| !rises) {
            let blended = blend(latency, u64::from(took)).max(1);
            self.latency_us.store(blended, Relaxed);
        }
        let before = self.penalty_us.load(Relaxed);
        if before > 0 || penalty > 0 {
            self.penalty_us.store(blend(before, penalty), Relaxed);
        }
        self.sampled_us.store(now_us, Relaxed);
    }

    /// Forgets what it did before it was left out.
    pub(super) fn forget(&self) {
        self.penalty_us.store(0, Relaxed);
        clear(&self.counts.failed_in_a_row);
        clear(&self.counts.refused_in_a_row);
    }

    pub(super) fn sampled(&self) -> u64 {
        self.sampled_us.load(Relaxed)
    }

    /// `now` as times are told here.
    pub(super) fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_micros() as u64
    }
}

/// Whether a call took far longer than calls usually take elsewhere, if that is known.
fn is_slow(took_us: u32, usual_us: u32) -> bool {
    let slow_us = usual_us.saturating_mul(FAR_SLOWER).max(SLOW_US);
    usual_us > 0 && took_us >= slow_us
}

/// Adds to a count that has one writer nearly always.
fn up(count: &AtomicU32) {
    count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
}

fn clear(count: &AtomicU32) {
    if count.load(Relaxed) != 0 {
        count.store(0, Relaxed);
    }
}
