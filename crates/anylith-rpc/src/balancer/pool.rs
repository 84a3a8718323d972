//! The replicas of one component, compared with each other: who is left out, and who comes back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{self, Relaxed},
        },
    },
    time::{Duration, Instant},
};

use anylith_core::Address;

use super::{
    fault::Fault,
    health::{FAR_SLOWER, Health},
};

/// How often the replicas are compared.
const REVIEW: Duration = Duration::from_millis(100);
/// What a replica did is forgotten over this time.
const WINDOW: Duration = Duration::from_secs(1);
/// So many failures in a row, and it is left out.
const FAILED_IN_A_ROW: u32 = 5;
/// The same for refusals for want of room. It must be all it does: a replica that refuses some and does others is well.
const REFUSED_IN_A_ROW: u32 = 20;
/// Of fewer calls than this no share is told.
const CALLS_FOR_A_SHARE: f64 = 10.0;
/// A share of failures from which on a replica may be left out, if it is [`FAR`] above that of its like.
const FAILED_SHARE: f64 = 0.2;
/// The same for errors of the implementation's own.
const ERRED_SHARE: f64 = 0.5;
/// How many times worse than its like is far worse, for failures and errors.
const FAR: f64 = 4.0;
/// So many slow calls make a replica slow, if they are half of its calls or more. One alone is bad luck.
const SLOW_CALLS: f64 = 3.0;
const SLOW_SHARE: f64 = 0.5;
/// How long a replica is left out the first time; each further time it is twice as long.
const FIRST_OUT: Duration = Duration::from_secs(1);
const LAST_OUT: Duration = Duration::from_secs(60);
/// One that was in for so long is left out as for the first time.
const FORGIVEN: Duration = Duration::from_secs(30);
/// So many calls must go well, one after the other, before it comes back.
const GOOD_PROBES: u32 = 3;
/// Its load counts [`SLOW_START`] times when it comes back, and less and less, over this time.
const SLOW_START_OVER: Duration = Duration::from_secs(4);
const SLOW_START: u32 = 8;
/// One that has got no call for so long, while the others had so many, is looked at again.
const STALE: Duration = Duration::from_secs(1);
const STALE_CALLS: f64 = 64.0;
/// A call that looks at a replica and does not come back is not waited for longer than this.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// The replicas of one component, as far as this process calls them.
#[derive(Debug)]
pub(crate) struct Pool {
    origin: Instant,
    members: Mutex<HashMap<Address, Arc<Health>>>,
    next_review_us: AtomicU64,
    /// How many replicas want the next call for a look at them.
    probes: AtomicU32,
}

/// What reviews remember of a replica.
#[derive(Debug, Default)]
pub(super) struct Record {
    phase: Phase,
    /// How often it was left out of late.
    ejections: u32,
    reviewed_us: u64,
    window: Window,
    /// What the others answered since it did.
    answered_elsewhere: f64,
    probed_us: u64,
}

/// In → Out → Probed → In, or Out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Calls go to it, since then.
    In { since_us: u64 },
    /// No call goes to it.
    Out { until_us: u64 },
    /// One call after the other goes to it, to see how it does.
    Probed { good: u32 },
}

impl Default for Phase {
    fn default() -> Self {
        Self::In { since_us: 0 }
    }
}

/// Counts that fade.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    answered: f64,
    erred: f64,
    refused: f64,
    failed: f64,
    /// Calls whose time is known, and the sum of their times.
    timed: f64,
    took_us: f64,
    /// Those of them that were far slower than usual elsewhere.
    slow: f64,
}

impl Window {
    fn all(&self) -> f64 {
        self.answered + self.erred + self.refused + self.failed
    }

    fn share(&self, count: f64) -> f64 {
        count / self.all().max(1.0)
    }

    fn latency_us(&self) -> Option<f64> {
        (self.timed >= 0.5).then(|| self.took_us / self.timed)
    }

    /// Whether half of its calls are far slower than usual elsewhere.
    fn is_slow(&self) -> bool {
        self.slow > 0.0 && self.slow >= self.timed * SLOW_SHARE
    }

    fn fade(&mut self, keep: f64) {
        for count in [
            &mut self.answered,
            &mut self.erred,
            &mut self.refused,
            &mut self.failed,
            &mut self.timed,
            &mut self.took_us,
            &mut self.slow,
        ] {
            *count *= keep;
        }
    }

    fn add(&mut self, more: Self) {
        self.answered += more.answered;
        self.erred += more.erred;
        self.refused += more.refused;
        self.failed += more.failed;
        self.timed += more.timed;
        self.took_us += more.took_us;
        self.slow += more.slow;
    }
}

/// What a review decided of a replica, by its index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It is left out for so long.
    LeftOut {
        replica: usize,
        pause: Duration,
        why: Fault,
    },
    /// It does well again.
    Back { replica: usize },
}

impl Pool {
    pub(crate) fn new(origin: Instant) -> Self {
        Self {
            origin,
            members: Mutex::default(),
            next_review_us: AtomicU64::new(0),
            probes: AtomicU32::new(0),
        }
    }

    /// The health of the replica at `address`; it is the same for all that ask, while the replica is known.
    pub(crate) fn health(&self, address: &Address) -> Arc<Health> {
        let mut members = self.members();
        let known = members.entry(address.clone());
        Arc::clone(known.or_insert_with(|| Arc::new(Health::new(self.origin))))
    }

    /// Forgets all replicas but these.
    pub(crate) fn keep(&self, addresses: &[Address]) {
        self.members()
            .retain(|address, _| addresses.contains(address));
    }

    /// How many calls are under way to all of them.
    pub(crate) fn in_flight(&self) -> u64 {
        let members = self.members();
        let in_flight = members.values().map(|health| u64::from(health.in_flight()));
        in_flight.sum()
    }

    /// Whether a replica wants the next call.
    pub(crate) fn wants_probe(&self) -> bool {
        self.probes.load(Relaxed) > 0
    }

    /// Whether it is time for a review. True for one of those that ask at the same time.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.origin).as_micros() as u64;
        let next = self.next_review_us.load(Relaxed);
        let then = now + REVIEW.as_micros() as u64;
        now >= next
            && self
                .next_review_us
                .compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Compares `replicas`, which are all that can be called now.
    ///
    /// At most half of them are left out, and one always stays.
    pub(crate) fn review(&self, replicas: &[&Health], now: Instant) -> Vec<Verdict> {
        // Two reviews at a time would leave out too many.
        let _alone = self.members();
        let mut records: Vec<MutexGuard<'_, Record>> = replicas
            .iter()
            .map(|health| {
                let record = health.record.lock();
                record.unwrap_or_else(PoisonError::into_inner)
            })
            .collect();
        let now_us = now.saturating_duration_since(self.origin).as_micros() as u64;
        let fresh: Vec<Window> = replicas
            .iter()
            .zip(&mut records)
            .map(|(health, record)| record.look(health, now_us))
            .collect();
        let mut verdicts = Vec::new();
        for (replica, (health, record)) in replicas.iter().zip(&mut records).enumerate() {
            let theirs = Like::of(replicas.len(), replica, |other| fresh[other]);
            verdicts.extend(record.advance(replica, health, fresh[replica], &theirs, now_us));
        }
        leave_out(replicas, &mut records, &fresh, now_us, &mut verdicts);
        let windows: Vec<Window> = records.iter().map(|record| record.window).collect();
        for (replica, health) in replicas.iter().enumerate() {
            let theirs = Like::of(replicas.len(), replica, |other| windows[other]);
            if let Some(usual) = theirs.latency_us {
                health.usual_us.store(usual as u32, Relaxed);
            }
        }
        let answered: f64 = fresh.iter().map(Window::all).sum();
        let mut probes = 0;
        for (health, record) in replicas.iter().zip(&mut records) {
            let probe = record.wants_probe(health, answered, now_us);
            health.probe.store(probe, Relaxed);
            probes += u32::from(probe);
        }
        self.probes.store(probes, Relaxed);
        verdicts
    }

    fn members(&self) -> MutexGuard<'_, HashMap<Address, Arc<Health>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves out those that are far worse than their like, the worst first, while that leaves half of them. `fresh` is what
/// each did since the last review.
fn leave_out(
    replicas: &[&Health],
    records: &mut [MutexGuard<'_, Record>],
    fresh: &[Window],
    now_us: u64,
    verdicts: &mut Vec<Verdict>,
) {
    let mut room = replicas.len() / 2;
    room = room.saturating_sub(records.iter().filter(|record| !record.is_in()).count());
    if replicas.len() < 2 || room == 0 {
        return;
    }
    let windows: Vec<Option<Window>> = records
        .iter()
        .map(|record| record.is_in().then_some(record.window))
        .collect();
    let mut faults: Vec<(usize, Fault)> = Vec::new();
    for (replica, health) in replicas.iter().enumerate() {
        let Some(its) = windows[replica] else {
            continue;
        };
        let like = |of: fn(&Window, &Window) -> Window| {
            Like::of(replicas.len(), replica, |other| {
                let window = windows[other].as_ref();
                window.map_or_else(Window::default, |window| of(window, &fresh[other]))
            })
        };
        let theirs = like(|window, _| *window);
        let lately = like(|_, fresh| *fresh);
        let fault = theirs.fault(health, &its, &lately);
        faults.extend(fault.map(|fault| (replica, fault)));
    }
    faults.sort_by(|(_, one), (_, other)| other.gravity().total_cmp(&one.gravity()));
    for (replica, why) in faults.into_iter().take(room) {
        let record = &mut records[replica];
        let pause = record.leave_out(replicas[replica], now_us);
        verdicts.push(Verdict::LeftOut {
            replica,
            pause,
            why,
        });
    }
}

/// What the other replicas do, in the middle.
struct Like {
    failed: f64,
    erred: f64,
    refused: f64,
    latency_us: Option<f64>,
}

impl Like {
    fn of(count: usize, replica: usize, window: impl Fn(usize) -> Window) -> Self {
        let others = || (0..count).filter(|other| *other != replica).map(&window);
        let middle = |read: fn(&Window) -> f64| {
            // A few calls tell a share only where nobody has more.
            let shares = |least: f64| {
                let busy = others().filter(|window| window.all() >= least);
                median(busy.map(|window| window.share(read(&window))).collect())
            };
            let share = shares(CALLS_FOR_A_SHARE).or_else(|| shares(1.0));
            share.unwrap_or_default()
        };
        Self {
            failed: middle(|window| window.failed),
            erred: middle(|window| window.erred),
            refused: middle(|window| window.refused),
            latency_us: median(others().filter_map(|window| window.latency_us()).collect()),
        }
    }

    /// What is wrong with one that did `its`; `lately` is what the others did since the last review.
    fn fault(&self, health: &Health, its: &Window, lately: &Self) -> Option<Fault> {
        let counts = &health.counts;
        let failed_in_a_row = counts.failed_in_a_row.load(Relaxed);
        if failed_in_a_row >= FAILED_IN_A_ROW && self.failed < 0.5 {
            return Some(Fault::FailedInARow(failed_in_a_row));
        }
        let refused_in_a_row = counts.refused_in_a_row.load(Relaxed);
        if refused_in_a_row >= REFUSED_IN_A_ROW && self.refused < 0.5 {
            return Some(Fault::RefusedInARow(refused_in_a_row));
        }
        if its.all() >= CALLS_FOR_A_SHARE {
            let failed = its.share(its.failed);
            if failed >= FAILED_SHARE && failed >= self.failed * FAR {
                return Some(Fault::Fails(failed, self.failed));
            }
            let erred = its.share(its.erred);
            if erred >= ERRED_SHARE && erred >= self.erred * FAR {
                return Some(Fault::Errs(erred, self.erred));
            }
        }
        if its.slow < SLOW_CALLS || !its.is_slow() {
            return None;
        }
        // Those calls were far slower than what was usual then. Where other calls come than before, it is not usual any
        // more, and who had few calls before shows it first: what the others answer lately must be far quicker, too.
        let (its, theirs) = (its.latency_us()?, self.latency_us?.max(lately.latency_us?));
        is_far_slower(its, theirs).then_some(Fault::Slow(its, theirs))
    }
}

impl Record {
    fn is_in(&self) -> bool {
        matches!(self.phase, Phase::In { .. })
    }

    /// Takes what was counted since the last review, and returns it.
    fn look(&mut self, health: &Health, now_us: u64) -> Window {
        let since = now_us.saturating_sub(self.reviewed_us) as f64;
        self.reviewed_us = now_us;
        let counts = &health.counts;
        let take = |count: &AtomicU32| f64::from(count.swap(0, Relaxed));
        let fresh = Window {
            answered: take(&counts.answered),
            erred: take(&counts.erred),
            refused: take(&counts.refused),
            failed: take(&counts.failed),
            timed: take(&counts.timed),
            took_us: counts.took_us.swap(0, Relaxed) as f64,
            slow: take(&counts.slow),
        };
        self.window.fade((-since / WINDOW.as_micros() as f64).exp());
        self.window.add(fresh);
        fresh
    }

    /// Moves on one that is left out, by the time and by what it did since the last review.
    fn advance(
        &mut self,
        replica: usize,
        health: &Health,
        fresh: Window,
        theirs: &Like,
        now_us: u64,
    ) -> Option<Verdict> {
        match self.phase {
            // In. Its load counts less and less; and in the end all is forgiven.
            Phase::In { since_us } => {
                let since = Duration::from_micros(now_us.saturating_sub(since_us));
                if self.ejections > 0 {
                    let left = 1.0 - since.div_duration_f64(SLOW_START_OVER).min(1.0);
                    let handicap = 1.0 + f64::from(SLOW_START - 1) * left;
                    health.handicap.store(handicap.round() as u32, Relaxed);
                }
                if since >= FORGIVEN {
                    self.ejections = 0;
                }
                None
            }
            // Out → Probed. What it did when it was ill does not count.
            Phase::Out { until_us } if now_us >= until_us => {
                self.phase = Phase::Probed { good: 0 };
                self.window = Window::default();
                health.forget();
                None
            }
            Phase::Out { .. } => None,
            Phase::Probed { good } => {
                let far = |its| theirs.latency_us.is_none_or(|it| is_far_slower(its, it));
                let slow = fresh.is_slow() && fresh.latency_us().is_some_and(far);
                // What the others do as well does not speak against it.
                let failed = fresh.failed > 0.0 && theirs.failed < FAILED_SHARE;
                let refused = fresh.refused > 0.0 && theirs.refused < FAILED_SHARE;
                let erred = fresh.erred > 0.0 && theirs.erred < ERRED_SHARE / FAR;
                if failed || refused || slow || erred {
                    // Probed → Out. It is no news, so it takes longer each time.
                    let pause = self.leave_out(health, now_us);
                    let why = Fault::NoBetter;
                    return Some(Verdict::LeftOut {
                        replica,
                        pause,
                        why,
                    });
                }
                let good = good + fresh.all() as u32;
                if good < GOOD_PROBES {
                    self.phase = Phase::Probed { good };
                    return None;
                }
                // Probed → In.
                self.phase = Phase::In { since_us: now_us };
                health.out.store(false, Relaxed);
                health.handicap.store(SLOW_START, Relaxed);
                Some(Verdict::Back { replica })
            }
        }
    }

    fn leave_out(&mut self, health: &Health, now_us: u64) -> Duration {
        let pause = FIRST_OUT.saturating_mul(1 << self.ejections.min(16));
        let pause = pause.min(LAST_OUT);
        self.ejections += 1;
        self.phase = Phase::Out {
            until_us: now_us + pause.as_micros() as u64,
        };
        health.out.store(true, Relaxed);
        health.probe.store(false, Relaxed);
        pause
    }

    /// Whether the next call is to go to it; `answered` is what all replicas did since the last review.
    fn wants_probe(&mut self, health: &Health, answered: f64, now_us: u64) -> bool {
        let sampled = health.sampled();
        let wanted = match self.phase {
            Phase::Probed { .. } => true,
            Phase::Out { .. } => false,
            Phase::In { .. } => {
                let stale = now_us.saturating_sub(sampled) >= STALE.as_micros() as u64;
                self.answered_elsewhere = if stale {
                    self.answered_elsewhere + answered
                } else {
                    0.0
                };
                self.answered_elsewhere >= STALE_CALLS
            }
        };
        let patience = PROBE_PATIENCE.as_micros() as u64;
        // The last one came back, or has been forgotten.
        let free = sampled >= self.probed_us
            || health.in_flight() == 0
            || now_us >= self.probed_us + patience;
        if !wanted || !free {
            return false;
        }
        self.answered_elsewhere = 0.0;
        self.probed_us = now_us;
        true
    }
}

fn is_far_slower(its_us: f64, theirs_us: f64) -> bool {
    its_us >= theirs_us * f64::from(FAR_SLOWER)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}
