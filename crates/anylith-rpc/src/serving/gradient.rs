//! Finds how many calls a component answers at a time without keeping them waiting.
//!
//! The time that calls take is compared with the time they take when few are in: while it is the same, more are let
//! in; when it grows, calls wait for each other somewhere (a lock, a pool, a processor), and less are. The rule is
//! that of Envoy's adaptive concurrency filter, limit × gradient + √limit, after Netflix's concurrency-limits
//! (<https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/adaptive_concurrency_filter>,
//! <https://github.com/Netflix/concurrency-limits>). The time of an idle component is measured anew now and then, for
//! which the limit is lowered for a moment, as BBR does it (Cardwell et al.: BBR, ACM Queue 14/5, 2016): taken
//! from what was seen under load, it would creep up with the load, and the limit with it.
//!
//! Time is an argument: a simulation is its test.

use std::time::{Duration, Instant};

/// Where it begins, and the least that it goes to.
const FIRST: f64 = 16.0;
const LEAST: f64 = 4.0;
/// By so much calls may take longer than in an idle component; less is noise.
const TOLERANCE: f64 = 1.2;
/// A window of samples closes after so many and so long. Few calls in a long time are enough, too.
const SAMPLES: u32 = 32;
const FEW_SAMPLES: u32 = 4;
const WINDOW: Duration = Duration::from_millis(50);
const LONG_WINDOW: Duration = Duration::from_secs(1);
/// How often the time of an idle component is measured; sooner where the limit cannot go lower, since then it is
/// likely that calls have become slower by themselves.
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBE_SOON: Duration = Duration::from_secs(1);
/// By what the limit is divided for that.
const PROBE_DIVISOR: f64 = 4.0;

/// Finds a limit on concurrent calls from how long they take.
#[derive(Debug)]
pub(super) struct Gradient {
    limit: f64,
    most: f64,
    /// How long a call takes when few are in, in seconds.
    idle: f64,
    phase: Phase,
    window: Option<Window>,
}

/// Draining → Measuring → Following → Draining …
#[derive(Debug)]
enum Phase {
    /// The limit was lowered, and more calls are in than that.
    Draining,
    /// Calls that came after this moment tell how long they take when few are in.
    Measuring { from: Instant },
    /// The limit follows what is seen.
    Following { since: Instant },
}

#[derive(Debug)]
struct Window {
    opened: Instant,
    samples: u32,
    seconds: f64,
    busiest: u32,
}

impl Gradient {
    /// Goes to `most` at most.
    pub(super) fn new(most: u32) -> Self {
        Self {
            limit: FIRST,
            most: most.into(),
            idle: 0.0,
            phase: Phase::Draining,
            window: None,
        }
    }

    /// How many calls may be in now.
    pub(super) fn limit(&self) -> u32 {
        let limit = match self.phase {
            Phase::Following { .. } => self.limit,
            Phase::Draining | Phase::Measuring { .. } => self.limit / PROBE_DIVISOR,
        };
        limit as u32
    }

    /// Notes a call that was answered at `now`, after it was in for so long; `inside` calls were in by then.
    pub(super) fn sample(&mut self, took: Duration, inside: u32, now: Instant) {
        match self.phase {
            Phase::Draining if inside > self.limit() => return,
            Phase::Draining => {
                self.phase = Phase::Measuring { from: now };
                self.window = None;
                return;
            }
            Phase::Measuring { from } if now.duration_since(from) < took => return,
            Phase::Measuring { .. } | Phase::Following { .. } => {}
        }
        let Some((mean, busiest)) = self.mean(took, inside, now) else {
            return;
        };
        let Phase::Following { since } = self.phase else {
            self.idle = mean;
            self.phase = Phase::Following { since: now };
            return;
        };
        self.follow(mean, busiest);
        let pause = if self.limit <= LEAST {
            PROBE_SOON
        } else {
            PROBE_EVERY
        };
        if now.duration_since(since) >= pause {
            self.phase = Phase::Draining;
        }
    }

    /// Adds a sample. Where that closes the window: the mean of its times, in seconds, and how many calls were in
    /// at most.
    fn mean(&mut self, took: Duration, inside: u32, now: Instant) -> Option<(f64, u32)> {
        let window = self.window.get_or_insert(Window {
            opened: now,
            samples: 0,
            seconds: 0.0,
            busiest: 0,
        });
        window.samples += 1;
        window.seconds += took.as_secs_f64();
        window.busiest = window.busiest.max(inside);
        let open_for = now.duration_since(window.opened);
        let closes = (window.samples >= SAMPLES && open_for >= WINDOW)
            || (window.samples >= FEW_SAMPLES && open_for >= LONG_WINDOW);
        let closed = self.window.take_if(|_| closes)?;
        Some((closed.seconds / f64::from(closed.samples), closed.busiest))
    }

    fn follow(&mut self, mean: f64, busiest: u32) {
        let gradient = (TOLERANCE * self.idle / mean.max(f64::MIN_POSITIVE)).clamp(0.5, 1.0);
        let next = (self.limit * gradient + self.limit.sqrt()).clamp(LEAST, self.most.max(LEAST));
        // A limit that is not reached says nothing about what lies beyond it.
        if next < self.limit || f64::from(busiest) * 2.0 > self.limit {
            self.limit = next;
        }
    }
}

#[cfg(test)]
mod tests;
