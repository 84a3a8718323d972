use std::{cmp::Reverse, collections::BinaryHeap};

use super::*;

/// A component that works on so many calls at a time, the others waiting in it, and is offered more than it can do.
struct Model {
    workers: usize,
    /// How long the work of the nth call takes.
    work: fn(u32, &mut fastrand::Rng) -> Duration,
    offered: Duration,
}

/// What a simulation saw in its last half.
#[derive(Debug)]
struct Seen {
    mean_limit: f64,
    /// How much of what the workers can do they did.
    used: f64,
    p99: Duration,
}

impl Model {
    fn run(&self, gradient: &mut Gradient, from: Instant, length: Duration) -> Seen {
        let mut random = fastrand::Rng::with_seed(7);
        let half = from + length / 2;
        let mut free: BinaryHeap<Reverse<Instant>> =
            (0..self.workers).map(|_| Reverse(from)).collect();
        // Those that are in: when they end, and when they came.
        let mut inside: BinaryHeap<Reverse<(Instant, Instant)>> = BinaryHeap::new();
        let (mut took, mut limits, mut busy) = (Vec::new(), Vec::new(), Duration::ZERO);
        let mut now = from;
        while now < from + length {
            while let Some(Reverse((end, came))) = inside.peek().copied()
                && end <= now
            {
                gradient.sample(end - came, inside.len() as u32, end);
                inside.pop();
                if end >= half {
                    took.push(end - came);
                }
            }
            if inside.len() < gradient.limit() as usize
                && let Some(Reverse(worker)) = free.pop()
            {
                let at = now.duration_since(from).as_millis() as u32;
                let work = (self.work)(at, &mut random);
                let end = worker.max(now) + work;
                free.push(Reverse(end));
                inside.push(Reverse((end, now)));
                busy += if now >= half { work } else { Duration::ZERO };
            }
            limits.push(gradient.limit());
            now += self.offered;
        }
        took.sort_unstable();
        let later = &limits[limits.len() / 2..];
        Seen {
            mean_limit: later.iter().map(|it| f64::from(*it)).sum::<f64>() / later.len() as f64,
            used: busy.as_secs_f64() / (length / 2).as_secs_f64() / self.workers as f64,
            p99: took[took.len() * 99 / 100],
        }
    }
}

const MS: Duration = Duration::from_millis(1);

fn steady(_: u32, _: &mut fastrand::Rng) -> Duration {
    5 * MS
}

fn scattered(_: u32, random: &mut fastrand::Rng) -> Duration {
    (5 * MS).mul_f64(-(1.0 - random.f64()).ln())
}

#[test]
fn it_stays_near_the_knee_of_what_is_offered_three_times_too_much() {
    for workers in [1, 4, 32, 200] {
        for work in [steady, scattered] {
            let offered = 5 * MS / workers / 3;
            let model = Model {
                workers: workers as usize,
                work,
                offered,
            };
            let mut gradient = Gradient::new(1024);
            let seen = model.run(&mut gradient, Instant::now(), 30_000 * MS);
            assert!(seen.used > 0.8, "{workers}: {seen:?}");
            let most = f64::from(workers) * 3.0 + 8.0;
            assert!(seen.mean_limit < most, "{workers}: {seen:?}");
            assert!(seen.p99 < 150 * MS, "{workers}: {seen:?}");
        }
    }
}

#[test]
fn it_follows_when_calls_become_slower_and_quick_again() {
    // What it calls in turn takes ten times as long for a while.
    let work = |at: u32, _: &mut fastrand::Rng| match at {
        15_000..40_000 => 50 * MS,
        _ => 5 * MS,
    };
    let model = Model {
        workers: 32,
        work,
        offered: MS / 64,
    };
    let mut gradient = Gradient::new(1024);
    let start = Instant::now();
    let seen = model.run(&mut gradient, start, 40_000 * MS);
    assert!(seen.used > 0.8, "while they are slow: {seen:?}");
    let seen = Model {
        work: steady,
        ..model
    }
    .run(&mut gradient, start + 41_000 * MS, 30_000 * MS);
    assert!(seen.used > 0.8, "after that: {seen:?}");
}

#[test]
fn it_is_not_lowered_by_calls_that_do_not_fill_it() {
    let model = Model {
        workers: 64,
        work: scattered,
        offered: MS,
    };
    let mut gradient = Gradient::new(1024);
    let seen = model.run(&mut gradient, Instant::now(), 60_000 * MS);
    assert!(seen.mean_limit >= 10.0, "{seen:?}");
}

#[test]
fn what_never_waits_is_let_in_up_to_the_most() {
    let model = Model {
        workers: 5000,
        work: steady,
        offered: MS / 1000,
    };
    let mut gradient = Gradient::new(300);
    let seen = model.run(&mut gradient, Instant::now(), 3000 * MS);
    assert!(seen.mean_limit > 250.0, "{seen:?}");
}
