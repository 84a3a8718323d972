//! Simulated replicas under a simulated load, in simulated time.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;

const SEEDS: u64 = 8;
const CALLS_PER_SECOND: u64 = 2000;

/// How a simulated replica answers.
#[derive(Debug, Clone, Copy)]
struct Conduct {
    /// The mean time of a call, in microseconds.
    mean_us: u64,
    outcome: Outcome,
    /// The share of calls that end with the outcome; the others are answered.
    share: f64,
}

const WELL: Conduct = Conduct {
    mean_us: 2_000,
    outcome: Outcome::Answered,
    share: 1.0,
};

impl Conduct {
    fn slower(self, times: u64) -> Self {
        Self {
            mean_us: self.mean_us * times,
            ..self
        }
    }

    fn at_once(outcome: Outcome) -> Self {
        Self {
            mean_us: 50,
            outcome,
            share: 1.0,
        }
    }

    fn now_and_then(outcome: Outcome, share: f64) -> Self {
        Self {
            outcome,
            share,
            ..WELL
        }
    }
}

/// Replicas that get calls at a steady rate.
struct World {
    pool: Pool,
    begun: Instant,
    replicas: Vec<(Arc<Health>, Conduct)>,
    random: fastrand::Rng,
    now_us: u64,
    /// When which call ends at which replica, and how long it took.
    ends: BinaryHeap<Reverse<(u64, usize, u64)>>,
    left_out: Vec<usize>,
    back: Vec<usize>,
}

/// What happened in a span of simulated time.
#[derive(Debug, Default)]
struct Span {
    calls: Vec<u64>,
    /// The times of all calls, in microseconds.
    times_us: Vec<u64>,
}

impl Span {
    fn share(&self, replica: usize) -> f64 {
        self.calls[replica] as f64 / self.calls.iter().sum::<u64>() as f64
    }

    fn p99_us(&self) -> u64 {
        let mut times = self.times_us.clone();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }
}

impl World {
    fn new(replicas: usize, seed: u64) -> Self {
        let begun = Instant::now();
        let replicas = (0..replicas).map(|_| (Arc::new(Health::new(begun)), WELL));
        Self {
            pool: Pool::new(begun),
            begun,
            replicas: replicas.collect(),
            random: fastrand::Rng::with_seed(seed),
            now_us: 0,
            ends: BinaryHeap::new(),
            left_out: Vec::new(),
            back: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        self.begun + Duration::from_micros(self.now_us)
    }

    /// Lets the calls of so many milliseconds come.
    fn run(&mut self, millis: u64) -> Span {
        let mut span = Span {
            calls: vec![0; self.replicas.len()],
            times_us: Vec::new(),
        };
        let until = self.now_us + millis * 1000;
        while self.now_us < until {
            // Calls come as in a Poisson process.
            let gap = -self.random.f64().max(1e-9).ln() * 1e6 / CALLS_PER_SECOND as f64;
            let next = self.now_us + gap as u64;
            self.end_until(next);
            self.now_us = next;
            let replica = self.pick();
            let (health, conduct) = &self.replicas[replica];
            health.begin();
            let took = -self.random.f64().max(1e-9).ln() * conduct.mean_us as f64;
            // Half of it is always the same, as with real work.
            let took = conduct.mean_us / 2 + took as u64 / 2;
            self.ends.push(Reverse((self.now_us + took, replica, took)));
            span.calls[replica] += 1;
            span.times_us.push(took);
        }
        span
    }

    fn end_until(&mut self, until_us: u64) {
        while let Some(Reverse((at, replica, took))) = self.ends.peek().copied() {
            if at > until_us {
                break;
            }
            self.ends.pop();
            let (health, conduct) = &self.replicas[replica];
            health.end();
            let as_told = self.random.f64() < conduct.share;
            let outcome = if as_told {
                conduct.outcome
            } else {
                Outcome::Answered
            };
            let now = self.begun + Duration::from_micros(at);
            health.note(outcome, Duration::from_micros(took), now);
        }
    }

    fn pick(&mut self) -> usize {
        let now = self.now();
        let healths: Vec<&Health> = self.replicas.iter().map(|(it, _)| &**it).collect();
        if self.pool.is_due(now) {
            for verdict in self.pool.review(&healths, now) {
                match verdict {
                    Verdict::LeftOut { replica, .. } => self.left_out.push(replica),
                    Verdict::Back { replica } => self.back.push(replica),
                }
            }
            let out = healths.iter().filter(|health| !health.is_in()).count();
            assert!(out <= healths.len() / 2, "{out} are left out");
        }
        if let Some(probed) = healths.iter().position(|health| health.take_probe()) {
            return probed;
        }
        let load = |at: usize| healths[at].is_in().then(|| healths[at].load());
        choose(healths.len(), load, |below| self.random.usize(..below)).expect("one is in")
    }
}

#[test]
fn replicas_that_are_alike_get_alike() {
    for seed in 0..SEEDS {
        for replicas in [2, 3, 5, 10] {
            let mut world = World::new(replicas, seed);
            world.run(1000);
            let span = world.run(5000);
            let fair = 1.0 / replicas as f64;
            for replica in 0..replicas {
                let share = span.share(replica);
                assert!(
                    (fair * 0.7..fair * 1.3).contains(&share),
                    "seed {seed}: {share} of {replicas}"
                );
            }
            assert!(world.left_out.is_empty(), "seed {seed}");
        }
    }
}

#[test]
fn a_replica_that_gets_fifty_times_slower_loses_its_calls_and_gets_them_back() {
    for seed in 0..SEEDS {
        let mut world = World::new(3, seed);
        let normal = world.run(3000).p99_us();
        world.replicas[1].1 = WELL.slower(50);
        let first = world.run(2000);
        assert!(first.share(1) < 0.05, "seed {seed}: {}", first.share(1));
        let then = world.run(10_000);
        assert!(then.share(1) < 0.02, "seed {seed}: {}", then.share(1));
        let p99 = then.p99_us();
        assert!(p99 < 2 * normal, "seed {seed}: {p99} after {normal}");
        world.replicas[1].1 = WELL;
        // It may have been left out for sixteen seconds just now.
        world.run(25_000);
        let well = world.run(3000);
        assert!(well.share(1) > 0.25, "seed {seed}: {}", well.share(1));
    }
}

#[test]
fn a_replica_that_fails_at_once_attracts_no_calls() {
    let kinds = [
        Outcome::Failed,
        Outcome::Away,
        Outcome::Refused,
        Outcome::Erred,
    ];
    for outcome in kinds {
        for seed in 0..SEEDS {
            let mut world = World::new(3, seed);
            world.run(3000);
            world.replicas[2].1 = Conduct::at_once(outcome);
            world.run(2000);
            let then = world.run(10_000);
            let share = then.share(2);
            assert!(share < 0.02, "{outcome:?}, seed {seed}: {share}");
            assert!(world.left_out.contains(&2), "{outcome:?}, seed {seed}");
            world.replicas[2].1 = WELL;
            world.run(25_000);
            let well = world.run(3000);
            assert!(well.share(2) > 0.25, "{outcome:?}, seed {seed}");
            assert!(world.back.contains(&2), "{outcome:?}, seed {seed}");
        }
    }
}

#[test]
fn a_replica_that_fails_half_of_its_calls_is_left_out() {
    for seed in 0..SEEDS {
        let mut world = World::new(4, seed);
        world.run(2000);
        world.replicas[0].1 = Conduct::now_and_then(Outcome::Failed, 0.5);
        world.run(2000);
        let then = world.run(5000);
        assert!(then.share(0) < 0.02, "seed {seed}: {}", then.share(0));
    }
}

#[test]
fn what_all_replicas_do_alike_speaks_against_none() {
    for outcome in [Outcome::Failed, Outcome::Erred, Outcome::Refused] {
        for seed in 0..SEEDS {
            let mut world = World::new(3, seed);
            world.run(2000);
            for (_, conduct) in &mut world.replicas {
                *conduct = Conduct::now_and_then(outcome, 0.7);
            }
            // Nobody notices all of it at the same moment.
            world.run(1000);
            world.left_out.clear();
            world.run(5000);
            assert!(world.left_out.is_empty(), "{outcome:?}, seed {seed}");
        }
    }
}

#[test]
fn when_most_replicas_are_ill_at_most_half_are_left_out() {
    for seed in 0..SEEDS {
        for (replicas, ill) in [(2, 2), (3, 2), (5, 4), (4, 4)] {
            let mut world = World::new(replicas, seed);
            world.run(2000);
            for (_, conduct) in &mut world.replicas[..ill] {
                *conduct = Conduct::at_once(Outcome::Failed);
            }
            // The bound is looked at with each review.
            world.run(5000);
        }
    }
}

#[test]
fn a_hiccup_is_forgiven_soon() {
    for seed in 0..SEEDS {
        let mut world = World::new(3, seed);
        world.run(3000);
        // One call that took 200 ms.
        let now = world.now();
        let (health, _) = &world.replicas[0];
        health.note(Outcome::Answered, Duration::from_millis(200), now);
        world.run(3000);
        let then = world.run(2000);
        assert!(then.share(0) > 0.25, "seed {seed}: {}", then.share(0));
    }
}

#[test]
fn a_replica_that_comes_back_gets_its_calls_little_by_little() {
    for seed in 0..SEEDS {
        let mut world = World::new(3, seed);
        world.run(2000);
        world.replicas[0].1 = Conduct::at_once(Outcome::Failed);
        while world.left_out.is_empty() {
            world.run(100);
        }
        world.replicas[0].1 = WELL;
        while world.back.is_empty() {
            world.run(100);
        }
        let first = world.run(500).share(0);
        world.run(5000);
        let later = world.run(2000).share(0);
        assert!(first < 0.2, "seed {seed}: {first} at first");
        assert!(later > 0.25, "seed {seed}: {later} later");
    }
}

#[test]
fn a_replica_that_takes_calls_and_never_answers_gets_few() {
    for seed in 0..SEEDS {
        let mut world = World::new(3, seed);
        world.run(3000);
        world.replicas[1].1 = WELL.slower(1_000_000);
        let then = world.run(4000);
        assert!(then.calls[1] < 80, "seed {seed}: {}", then.calls[1]);
    }
}

#[test]
fn a_replica_that_is_full_now_and_then_is_not_left_out() {
    for seed in 0..SEEDS {
        let mut world = World::new(3, seed);
        world.run(2000);
        world.replicas[0].1 = Conduct::now_and_then(Outcome::Refused, 0.1);
        let then = world.run(10_000);
        assert!(world.left_out.is_empty(), "seed {seed}");
        assert!(then.share(0) > 0.1, "seed {seed}: {}", then.share(0));
    }
}

#[test]
fn of_two_random_candidates_the_better_one_is_chosen() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut counts = [0; 5];
    for _ in 0..10_000 {
        // Of five, the second is no candidate, and the last is the worst.
        let load = |at: usize| (at != 1).then_some(u64::from(at == 4));
        let chosen = choose(5, load, |below| random.usize(..below)).expect("there are four");
        counts[chosen] += 1;
    }
    assert_eq!((counts[1], counts[4]), (0, 0));
    for count in [counts[0], counts[2], counts[3]] {
        assert!((2800..3900).contains(&count), "{counts:?}");
    }
    assert_eq!(choose(3, |_| None, |_| 0), None);
    assert_eq!(choose(0, |_| Some(0), |_| 0), None);
    assert_eq!(choose(3, |at| (at == 2).then_some(9), |_| 0), Some(2));
}

/// What a review says of two replicas after these answers since the last, each a number and the milliseconds of one.
fn reviewed(world: &mut World, answers: [&[(u32, u64)]; 2]) -> Vec<Verdict> {
    world.now_us += 100_000;
    let now = world.now();
    for ((health, _), answers) in world.replicas.iter().zip(answers) {
        for &(count, millis) in answers {
            for _ in 0..count {
                health.note(Outcome::Answered, Duration::from_millis(millis), now);
            }
        }
    }
    let healths: Vec<&Health> = world.replicas.iter().map(|(health, _)| &**health).collect();
    world.pool.review(&healths, now)
}

#[test]
fn a_replica_ten_times_slower_than_the_other_is_left_out() {
    let mut world = World::new(2, 0);
    assert_eq!(reviewed(&mut world, [&[(100, 1)], &[(10, 1)]]), []);
    let verdicts = reviewed(&mut world, [&[(10, 1)], &[(20, 50)]]);
    let [
        Verdict::LeftOut {
            replica: 1,
            why: Fault::Slow(its, theirs),
            ..
        },
    ] = verdicts[..]
    else {
        panic!("{verdicts:?}")
    };
    assert!(its >= 10.0 * theirs, "{its} and {theirs}");
}

#[test]
fn when_slower_calls_come_than_before_no_replica_is_left_out() {
    // The other answers quick ones as well.
    let mut world = World::new(2, 0);
    reviewed(&mut world, [&[(100, 1)], &[(10, 1)]]);
    let mixed = [&[(20, 20)][..], &[(20, 20)]];
    assert_eq!(reviewed(&mut world, mixed), []);
    // The other had many quick ones just before.
    let mut world = World::new(2, 0);
    reviewed(&mut world, [&[(500, 1)], &[(1, 1)]]);
    let changed = [&[(5, 20)][..], &[(5, 20)]];
    assert_eq!(reviewed(&mut world, changed), []);
    // Which of them answers the first of the slower ones is chance.
    let mut world = World::new(2, 0);
    reviewed(&mut world, [&[(500, 1)], &[(1, 1)]]);
    assert_eq!(reviewed(&mut world, [&[], &[(5, 20)]]), []);
    assert_eq!(reviewed(&mut world, [&[(5, 20)], &[]]), []);
}

#[test]
fn how_long_calls_by_keys_take_leaves_nobody_out_and_says_nothing_of_other_calls() {
    for seed in 0..SEEDS {
        let mut world = World::new(3, seed);
        world.run(3000);
        for _ in 0..50 {
            // The keys of one are slow, and fail in a way of their own.
            for outcome in [Outcome::Answered, Outcome::Erred] {
                for _ in 0..100 {
                    world.replicas[1].0.note_of_key(outcome, world.now());
                }
            }
            world.run(100);
        }
        assert!(world.left_out.is_empty(), "seed {seed}");
        let share = world.run(2000).share(1);
        assert!(share > 0.25, "seed {seed}: {share}");
    }
}
