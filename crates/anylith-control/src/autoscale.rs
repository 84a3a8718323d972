//! How many replicas a group is to have, out of what those that it has bear.
//!
//! Instants and loads come in, a number and its reason come out: no clock, no I/O. Where it comes from:
//!
//! - From the Kubernetes HorizontalPodAutoscaler ("Algorithm details",
//!   <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>): as many as bring each to its target,
//!   rounded up; a tolerance of a tenth around what there is; and of all numbers that were found right within a window, the
//!   highest, before any replica leaves (`--horizontal-pod-autoscaler-downscale-stabilization`, there five minutes).
//! - From the Knative Pod Autoscaler (<https://knative.dev/docs/serving/autoscaling/kpa-specific/>): what is looked at is an
//!   average, but where there is at once twice as much as the replicas are for (its panic threshold of 200 %), the last
//!   moment alone decides, and goes on to decide for a while; and with nothing to do the last replica leaves.
//!
//! What is different: what replicas bear is added up over all of them, so that those that are still starting, and bear
//! nothing, do not make the same load look like a smaller one; and to leave takes a tenth less than the target, as to come
//! takes a tenth more. A load that stays between the two moves nobody.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use anylith_core::{Scaling, Target};
use anylith_wire::control::Load;

/// Over how long the load is averaged.
const AVERAGED: Duration = Duration::from_secs(10);
/// What comes sooner after what came before takes its place: the reports of several replicas are one look at the group.
const APART: Duration = Duration::from_millis(500);
/// From so many times of what the replicas are for on, the last moment alone decides.
const RUSH: f64 = 2.0;
/// For how long it does.
const RUSHED: Duration = Duration::from_secs(10);
/// How much more than its target each may bear before there are to be more, and how much less each is to bear before there
/// are to be fewer.
const TOLERANCE: f64 = 0.1;
/// Latency is not divided by a number of replicas as calls are: it is looked at again before it leads to more.
const SETTLED: Duration = Duration::from_secs(2);
/// Calls that are answered within so much of the time that they may take have a replica to spare.
const SPARE: f64 = 0.5;

/// What the replicas of a group bear together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Burden {
    /// Calls under way on average.
    pub concurrency: f64,
    /// Cores in use on average.
    pub cores: f64,
    /// 99 of 100 calls that ended took no longer, about: the mean of what the replicas say of their slowest components,
    /// weighted by their calls. `None` if none ended.
    pub p99: Option<Duration>,
    /// Calls that have ended, or are under way.
    pub calls: u64,
    /// How many replicas this is of.
    pub replicas: u32,
    /// Of how many more nothing is known, although they answer.
    pub unheard: u32,
}

impl Burden {
    /// Adds what one replica bears.
    pub fn add(&mut self, load: &Load) {
        let (before, more) = (self.calls as f64, load.calls as f64);
        let theirs = load.p99_us.map(|us| us as f64);
        let ours = self.p99.map(|p99| p99.as_micros() as f64);
        // Weighted by the calls: one slow call of an idle replica is no slow group.
        let p99 = match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                Some((ours * before + theirs * more) / (before + more).max(1.0))
            }
            (one, other) => one.or(other),
        };
        self.p99 = p99.map(|us| Duration::from_micros(us as u64));
        self.concurrency += load.concurrency_millis as f64 / 1e3;
        self.cores += load.cpu_millis as f64 / 1e3;
        self.calls = self.calls.saturating_add(load.calls);
        self.replicas += 1;
    }
}

/// How many there are to be, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How many.
    pub wanted: u32,
    /// Why, in words.
    pub why: String,
}

/// Follows the load of one group.
#[derive(Debug, Clone)]
pub struct Autoscaler {
    /// How many replicas would have borne what was seen, and when. The latest is last.
    seen: VecDeque<(Instant, f64)>,
    /// How many would have been right, and when, as far back as the cooldown goes. Falling: who is followed by a higher one
    /// decides nothing any more.
    right: VecDeque<(Instant, u32)>,
    /// Until then the last moment decides.
    rushed: Option<Instant>,
    /// When there last was something to do.
    busy: Instant,
    /// When there came to be more.
    raised: Option<Instant>,
}

impl Autoscaler {
    /// Of a group that has `replicas` since `now`, as far as is known.
    pub fn new(replicas: u32, now: Instant) -> Self {
        Self {
            seen: VecDeque::new(),
            right: VecDeque::from([(now, replicas)]),
            rushed: None,
            busy: now,
            raised: None,
        }
    }

    /// How many replicas a group is to have that is to have `wanted` so far, and bears `burden` at `now`. Always within the
    /// range of `scaling`.
    pub fn judge(
        &mut self,
        scaling: &Scaling,
        wanted: u32,
        burden: &Burden,
        now: Instant,
    ) -> Verdict {
        let need = need(scaling.target, burden);
        self.see(need, now);
        if burden.calls > 0 || burden.concurrency > 0.0 || burden.unheard > 0 {
            self.busy = now;
        }
        let mean = self.mean();
        let up = self.up(scaling.target, wanted, need, mean, now);
        let unheard = f64::from(burden.unheard);
        let down = match scaling.target {
            Target::P99(ms) => spare(ms, wanted, burden),
            Target::Concurrency(_) | Target::Cpu(_) => {
                // What is twice the average is no noise, and may come again.
                let counts = if need >= mean * RUSH { need } else { mean };
                whole((counts + unheard) / (1.0 - TOLERANCE))
            }
        };
        let enough = self.most_right(down.max(up.unwrap_or(0)), scaling.cooldown(), now);
        let idle = now.saturating_duration_since(self.busy);
        let raw = match up {
            Some(up) => up,
            None if scaling.min == 0 && idle >= scaling.cooldown() => 0,
            None => wanted.min(enough).max(1),
        };
        let number = scaling.clamp(raw);
        if number > wanted {
            self.raised = Some(now);
        }
        let reason = Reason {
            scaling,
            burden,
            mean,
            need,
            raw,
            number,
            waits: down < number && number > scaling.initial(),
            idle: (scaling.min == 0 && number == 1).then_some(idle),
        };
        let why = reason.to_string();
        Verdict {
            wanted: number,
            why,
        }
    }

    /// Takes one look into account.
    fn see(&mut self, need: f64, now: Instant) {
        let recent = |at: Instant| now.saturating_duration_since(at) < AVERAGED;
        while self.seen.front().is_some_and(|(at, _)| !recent(*at)) {
            self.seen.pop_front();
        }
        match self.seen.back_mut() {
            Some((at, last)) if now.saturating_duration_since(*at) < APART => *last = need,
            _ => self.seen.push_back((now, need)),
        }
    }

    fn mean(&self) -> f64 {
        let sum: f64 = self.seen.iter().map(|(_, need)| need).sum();
        sum / self.seen.len().max(1) as f64
    }

    /// How many there are to be if there are to be more.
    fn up(
        &mut self,
        target: Target,
        wanted: u32,
        need: f64,
        mean: f64,
        now: Instant,
    ) -> Option<u32> {
        let has = f64::from(wanted.max(1));
        if matches!(target, Target::P99(_)) {
            let settled = |at: Instant| now.saturating_duration_since(at) >= SETTLED;
            let may = self.raised.is_none_or(settled);
            return (may && need > has * (1.0 + TOLERANCE)).then(|| whole(need));
        }
        if need >= has * RUSH {
            self.rushed = Some(now + RUSHED);
        }
        let decides = match self.rushed {
            Some(until) if now < until => need.max(mean),
            Some(_) | None => mean,
        };
        let more = decides > has * (1.0 + TOLERANCE);
        more.then(|| whole(decides))
    }

    /// The highest number that was right within the cooldown, with `now_right` among them.
    fn most_right(&mut self, now_right: u32, cooldown: Duration, now: Instant) -> u32 {
        let old = |at: Instant| now.saturating_duration_since(at) >= cooldown;
        while self
            .right
            .back()
            .is_some_and(|(_, right)| *right <= now_right)
        {
            self.right.pop_back();
        }
        self.right.push_back((now, now_right));
        while self.right.front().is_some_and(|(at, _)| old(*at)) {
            self.right.pop_front();
        }
        self.right.front().map_or(now_right, |(_, right)| *right)
    }
}

/// How many replicas it takes, each with what it is to bear.
fn need(target: Target, burden: &Burden) -> f64 {
    match target {
        Target::Concurrency(calls) => burden.concurrency / f64::from(calls.max(1)),
        Target::Cpu(millis) => burden.cores * 1000.0 / f64::from(millis.max(1)),
        Target::P99(ms) => {
            let p99 = burden.p99.map_or(0.0, |p99| p99.as_secs_f64() * 1e3);
            // At most twice as many at a time.
            f64::from(burden.replicas) * (p99 / ms.max(1) as f64).min(RUSH)
        }
    }
}

/// How many are enough for calls to be answered in time: one fewer, if they take half of it.
fn spare(ms: u64, wanted: u32, burden: &Burden) -> u32 {
    let fast = Duration::from_millis(ms).mul_f64(SPARE);
    match burden.p99 {
        None if burden.calls == 0 && burden.unheard == 0 => 1,
        None => wanted,
        Some(p99) if p99 <= fast => wanted.saturating_sub(1),
        Some(_) => wanted,
    }
}

/// A number of replicas that is enough.
fn whole(need: f64) -> u32 {
    // 3.0000000001 is a sum of parts that were 3 together.
    (need - 1e-9).ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// Why there are to be so many.
struct Reason<'a> {
    scaling: &'a Scaling,
    burden: &'a Burden,
    /// How many replicas it takes, on average and right now.
    mean: f64,
    need: f64,
    /// What would be right, and what of it the range allows.
    raw: u32,
    number: u32,
    /// Whether fewer would be enough, if that lasts.
    waits: bool,
    /// For how long there was nothing to do, where the last one may leave.
    idle: Option<Duration>,
}

impl fmt::Display for Reason<'_> {
    /// `53.1 calls under way, for each 16`; and what follows, if it is not what that alone would lead to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cooldown = self.scaling.cooldown();
        if self.number == 0 {
            return write!(
                f,
                "nothing was called for {cooldown:?}; the next call starts one"
            );
        }
        let most = self.mean.max(self.need);
        match self.scaling.target {
            Target::Concurrency(calls) => {
                let under_way = most * f64::from(calls);
                write!(f, "{under_way:.1} calls under way, for each {calls}")?;
            }
            Target::Cpu(millis) => {
                let each = f64::from(millis) / 1000.0;
                write!(f, "{:.2} cores in use, for each {each}", most * each)?;
            }
            Target::P99(ms) => match self.burden.p99 {
                Some(p99) => write!(f, "99 of 100 calls took {p99:.1?}, and may take {ms}ms")?,
                None => f.write_str("no calls")?,
            },
        }
        if self.raw > self.number {
            write!(
                f,
                "; {} would be right, and {} is the most",
                self.raw, self.number
            )?;
        } else if let Some(idle) = self.idle.filter(|idle| idle.as_secs() > 0) {
            write!(
                f,
                "; nothing was called for {}s, and it leaves after {cooldown:?}",
                idle.as_secs()
            )?;
        } else if self.waits {
            write!(f, "; fewer if that lasts for {cooldown:?}")?;
        }
        Ok(())
    }
}
