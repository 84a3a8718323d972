//! What the numbers of replicas promise: under loads that step, climb, shake and leave, and under whatever else comes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use anylith_control::{Autoscaler, Burden};
use anylith_core::{Scaling, Target};
use anylith_wire::control::Load;
use proptest::prelude::*;

/// How often replicas say what they bear.
const REPORTS: Duration = Duration::from_secs(1);
/// What a replica takes from its start to its first report.
const START: u64 = 2;

/// Random numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    /// From 0 to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }

    /// About `mean`, shaken by so much of it.
    fn about(&mut self, mean: f64, noise: f64) -> f64 {
        mean * (1.0 + noise * (2.0 * self.roll() - 1.0))
    }
}

/// In thousandths, as replicas say it.
fn millis(number: f64) -> u64 {
    (number * 1000.0).round() as u64
}

/// A group under a load, second by second. A replica that was just started bears nothing yet.
struct Group {
    scaling: Scaling,
    scaler: Autoscaler,
    begun: Instant,
    second: u64,
    /// Since which second each replica is there.
    replicas: Vec<u64>,
    /// How many were wanted, second by second.
    wanted: Vec<u32>,
}

impl Group {
    fn new(scaling: Scaling) -> Self {
        let begun = Instant::now();
        let replicas = scaling.initial();
        Self {
            scaling,
            scaler: Autoscaler::new(replicas, begun),
            begun,
            second: 0,
            replicas: vec![0; replicas as usize],
            wanted: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        self.begun + REPORTS * self.second as u32
    }

    fn number(&self) -> u32 {
        self.replicas.len() as u32
    }

    /// So many replicas are ready.
    fn ready(&self) -> u32 {
        let is_ready = |since: &&u64| **since == 0 || **since + START <= self.second;
        self.replicas.iter().filter(is_ready).count() as u32
    }

    /// A second passes in which the replicas bear `burden`.
    fn bears(&mut self, burden: Burden) {
        self.second += 1;
        let number = self.number();
        let verdict = self
            .scaler
            .judge(&self.scaling, number, &burden, self.now());
        assert!(!verdict.why.is_empty());
        let range = self.scaling.min..=self.scaling.max;
        assert!(range.contains(&verdict.wanted), "{verdict:?}");
        self.replicas.resize(verdict.wanted as usize, self.second);
        self.wanted.push(verdict.wanted);
    }

    /// A second passes with so many calls under way on average, however many replicas there are to share them.
    fn calls(&mut self, concurrency: f64) {
        let ready = self.ready().max(1);
        let each = Load {
            concurrency_millis: millis(concurrency / f64::from(ready)),
            calls: concurrency.ceil() as u64,
            ..Load::default()
        };
        let mut burden = Burden::default();
        (0..ready).for_each(|_| burden.add(&each));
        self.bears(burden);
    }

    /// How often the number began to move the other way than before.
    fn turns(&self, from: usize) -> usize {
        let steps: Vec<i64> = self.wanted[from..]
            .windows(2)
            .map(|pair| i64::from(pair[1]) - i64::from(pair[0]))
            .filter(|step| *step != 0)
            .collect();
        let turns = steps
            .windows(2)
            .filter(|pair| (pair[0] > 0) != (pair[1] > 0));
        turns.count()
    }
}

fn concurrency(min: u32, max: u32, calls: u32) -> Scaling {
    Scaling {
        target: Target::Concurrency(calls),
        ..Scaling::between(min, max)
    }
}

#[test]
fn a_step_of_ten_times_is_followed_within_three_reports_and_left_again_after_the_cooldown() {
    for phase in [0.1, 0.5, 0.9, 1.0] {
        let mut group = Group::new(concurrency(1, 10, 16));
        (0..120).for_each(|_| group.calls(12.0));
        assert_eq!(group.number(), 1);
        // The first report is of a second that was part of the step.
        group.calls(12.0 + 108.0 * phase);
        group.calls(120.0);
        group.calls(120.0);
        // With seven each has a little more than its 16, which is within the tolerance.
        let followed = group.number();
        assert!(
            (7..=8).contains(&followed),
            "{followed}, the step came {phase} before a report"
        );
        (0..60).for_each(|_| group.calls(120.0));
        assert_eq!(group.number(), followed);
        let before = group.second;
        while group.number() > 1 {
            group.calls(12.0);
            assert!(group.second - before <= 75, "{:?}", group.wanted);
        }
        assert!(group.second - before >= 55, "it was in a hurry to leave");
        assert_eq!(group.turns(0), 1);
    }
}

#[test]
fn noise_about_a_mean_does_not_make_the_number_flap() {
    // An hour each. Within twenty minutes they settle, as high as the noise has it.
    for seed in 0..40 {
        for (mean, noise) in [
            (29.0, 0.3),
            (32.0, 0.3),
            (35.0, 0.3),
            (40.0, 0.2),
            (52.0, 0.25),
            (7.9, 0.5),
        ] {
            let mut dice = Dice(seed);
            let mut group = Group::new(concurrency(1, 20, 16));
            for _ in 0..3600 {
                group.calls(dice.about(mean, noise));
            }
            let turns = group.turns(0);
            assert!(
                turns <= 1,
                "seed {seed}, {mean} ± {noise}: {turns} turns, {:?}",
                moves(&group)
            );
            let settled = moves(&group)
                .iter()
                .filter(|(second, _)| *second > 1200)
                .count();
            assert!(
                settled <= 1,
                "seed {seed}, {mean} ± {noise}: {:?}",
                moves(&group)
            );
        }
    }
}

/// When the number changed, and to what.
fn moves(group: &Group) -> Vec<(usize, u32)> {
    let pairs = group.wanted.windows(2).enumerate();
    let changed = pairs.filter(|(_, pair)| pair[0] != pair[1]);
    changed
        .map(|(second, pair)| (second + 1, pair[1]))
        .collect()
}

#[test]
fn a_climb_is_followed_step_by_step_and_never_from_far_behind() {
    let mut group = Group::new(concurrency(1, 20, 16));
    for second in 0..600 {
        let load = f64::from(second) * 0.4;
        group.calls(load);
        let each = load / f64::from(group.number());
        // What the average is behind by, and the tolerance.
        assert!(each <= 16.0 * 1.1 + 5.0, "{each} each after {second} s");
    }
    assert_eq!(group.turns(0), 0);
    assert!(group.number() >= 14, "{}", group.number());
}

#[test]
fn a_day_has_one_way_up_and_one_way_down() {
    // A minute for a second of the day would be too coarse: it is an hour long here, with two of its peaks.
    let mut dice = Dice(7);
    let mut group = Group::new(concurrency(1, 20, 16));
    for second in 0..7200 {
        let phase = f64::from(second) / 3600.0 * std::f64::consts::TAU;
        let load = 90.0 - 80.0 * phase.cos();
        group.calls(dice.about(load, 0.2));
        let each = load / f64::from(group.number());
        assert!(each <= 16.0 * 1.2, "{each} each after {second} s");
    }
    assert!(group.turns(0) <= 4, "{:?}", moves(&group));
    assert!(*group.wanted.iter().max().unwrap() >= 11);
    assert!(group.number() <= 3, "{:?}", moves(&group));
}

#[test]
fn short_spikes_bring_replicas_that_stay_until_the_spikes_have_ceased() {
    let mut group = Group::new(concurrency(1, 10, 16));
    (0..60).for_each(|_| group.calls(5.0));
    for _ in 0..10 {
        // Two seconds in thirty.
        (0..2).for_each(|_| group.calls(100.0));
        (0..28).for_each(|_| group.calls(5.0));
    }
    assert_eq!(group.turns(0), 0, "{:?}", moves(&group));
    assert_eq!(group.number(), 7);
    (0..75).for_each(|_| group.calls(5.0));
    assert_eq!(group.number(), 1);
}

#[test]
fn an_uneven_load_moves_the_number_seldom() {
    // Calls under way in each second, as it may be while people come and go.
    let uneven = [
        3.2, 2.8, 4.1, 9.7, 22.4, 31.0, 28.9, 35.2, 40.3, 37.7, 29.1, 33.4, 41.8, 38.0, 12.2, 6.3,
        5.9, 30.6, 44.1, 39.5, 42.0, 36.8, 27.3, 8.8, 4.0, 3.1,
    ];
    let mut group = Group::new(concurrency(1, 6, 16));
    for _ in 0..30 {
        uneven.iter().for_each(|load| group.calls(*load));
    }
    assert!(group.turns(0) <= 1, "{:?}", moves(&group));
    assert!(moves(&group).len() <= 4, "{:?}", moves(&group));
    (0..80).for_each(|_| group.calls(0.0));
    assert_eq!(group.number(), 1);
}

/// Calls under way in each second, as real replicas have said it.
fn recorded() -> Vec<f64> {
    let lines = include_str!("autoscale/mill.txt").lines();
    let seconds = lines.filter(|line| !line.starts_with('#'));
    let sum = |line: &str| -> f64 { line.split(' ').map(|it| it.parse::<f64>().unwrap()).sum() };
    seconds.map(|line| sum(line) / 1000.0).collect()
}

#[test]
fn a_recorded_step_is_followed_within_three_reports_and_its_noise_moves_nobody() {
    let recorded = recorded();
    let (calm, rush) = recorded.split_at(39);
    for target in [2, 3] {
        let mut group = Group::new(concurrency(1, 8, target));
        let mut all = Vec::new();
        for _ in 0..3 {
            (0..3).for_each(|_| calm.iter().for_each(|load| group.calls(*load)));
            assert_eq!(group.number(), 1, "{target}: {:?}", moves(&group));
            rush[..3].iter().for_each(|load| group.calls(*load));
            // Between five and seven are under way.
            let followed = group.number();
            let needed = 5_u32.div_ceil(target);
            assert!(
                (needed..=needed + 2).contains(&followed),
                "{target}: {:?}",
                moves(&group)
            );
            (0..4).for_each(|_| rush[..9].iter().for_each(|load| group.calls(*load)));
            assert!(group.number() >= followed, "{:?}", moves(&group));
            all.push(moves(&group).len());
        }
        // Up in a step or three, and down again, each time.
        assert!(group.turns(0) <= 4, "{target}: {:?}", moves(&group));
        assert!(all[0] <= 4, "{target}: {:?}", moves(&group));
    }
}

#[test]
fn a_group_that_is_busy_with_computing_grows_until_each_uses_its_part_of_a_core() {
    let scaling = Scaling {
        target: Target::Cpu(700),
        ..Scaling::between(1, 8)
    };
    let mut group = Group::new(scaling);
    // More than three cores' worth of work, of which each replica can do one core's.
    for _ in 0..40 {
        let ready = group.ready();
        let used = 3.3_f64.min(f64::from(ready));
        let each = Load {
            cpu_millis: millis(used / f64::from(ready)),
            calls: 100,
            ..Load::default()
        };
        let mut burden = Burden::default();
        (0..ready).for_each(|_| burden.add(&each));
        group.bears(burden);
    }
    assert_eq!(group.number(), 5, "{:?}", moves(&group));
    assert_eq!(group.turns(0), 0);
}

#[test]
fn slow_answers_bring_replicas_and_fast_ones_let_them_go_one_by_one() {
    let scaling = Scaling {
        target: Target::P99(50),
        ..Scaling::between(1, 8)
    };
    let mut group = Group::new(scaling);
    // Twice the time for each call that waits for another one.
    let second = |group: &mut Group, load: f64| {
        let ready = group.ready();
        let ms = 10.0 * (1.0 + load / f64::from(ready) / 8.0);
        let each = Load {
            p99_us: Some((ms * 1000.0) as u64),
            calls: 50,
            ..Load::default()
        };
        let mut burden = Burden::default();
        (0..ready).for_each(|_| burden.add(&each));
        group.bears(burden);
    };
    (0..120).for_each(|_| second(&mut group, 160.0));
    assert_eq!(group.turns(0), 0, "{:?}", moves(&group));
    assert!((4..=7).contains(&group.number()), "{:?}", moves(&group));
    let high = group.number();
    (0..1000).for_each(|_| second(&mut group, 2.0));
    assert_eq!(group.number(), 1);
    let down = moves(&group);
    let steps = down.iter().rev().take(high as usize - 1);
    let steps: Vec<usize> = steps.map(|(second, _)| *second).collect();
    assert!(
        steps.windows(2).all(|pair| pair[0] - pair[1] >= 59),
        "{down:?}"
    );
}

#[test]
fn the_last_replica_leaves_when_nothing_was_called_for_the_cooldown_and_not_before() {
    let mut group = Group::new(concurrency(0, 3, 16));
    (0..30).for_each(|_| group.calls(1.0));
    (0..59).for_each(|_| group.calls(0.0));
    assert_eq!(group.number(), 1);
    // One call is enough to keep it, too short to be seen under way.
    group.bears(Burden {
        calls: 1,
        replicas: 1,
        ..Burden::default()
    });
    (0..59).for_each(|_| group.calls(0.0));
    assert_eq!(group.number(), 1);
    group.calls(0.0);
    assert_eq!(group.number(), 0);
}

#[test]
fn a_replica_of_which_nothing_is_heard_is_not_taken_for_an_idle_one() {
    let mut group = Group::new(concurrency(0, 8, 16));
    (0..70).for_each(|_| group.calls(60.0));
    assert_eq!(group.number(), 4);
    // Two of them answer no question any more; the others bear what they bore.
    for _ in 0..200 {
        let mut burden = Burden {
            unheard: 2,
            ..Burden::default()
        };
        let load = Load {
            concurrency_millis: millis(15.0),
            calls: 15,
            ..Load::default()
        };
        (0..2).for_each(|_| burden.add(&load));
        group.bears(burden);
    }
    assert_eq!(group.number(), 4);
}

#[test]
fn who_judges_anew_lets_nobody_leave_before_the_cooldown() {
    let scaling = concurrency(1, 8, 16);
    let begun = Instant::now();
    let mut scaler = Autoscaler::new(6, begun);
    let quiet = Burden {
        replicas: 6,
        ..Burden::default()
    };
    for second in 1..60 {
        let now = begun + REPORTS * second;
        assert_eq!(scaler.judge(&scaling, 6, &quiet, now).wanted, 6);
    }
    let verdict = scaler.judge(&scaling, 6, &quiet, begun + REPORTS * 60);
    assert_eq!(verdict.wanted, 1);
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        (1_u32..100).prop_map(Target::Concurrency),
        (50_u32..4000).prop_map(Target::Cpu),
        (1_u64..1000).prop_map(Target::P99),
    ]
}

fn load() -> impl Strategy<Value = Load> {
    let number = prop_oneof![8 => 0..200_000_u64, 1 => Just(0), 1 => any::<u64>()];
    let p99_us = prop_oneof![
        Just(None),
        any::<u64>().prop_map(Some),
        (0_u64..100_000).prop_map(Some)
    ];
    let calls = prop_oneof![8 => 0..1000_u64, 1 => any::<u64>()];
    let all = (number.clone(), number, p99_us, calls);
    all.prop_map(|(concurrency_millis, cpu_millis, p99_us, calls)| Load {
        concurrency_millis,
        cpu_millis,
        p99_us,
        calls,
        late: false,
    })
}

proptest! {
    #[test]
    fn whatever_replicas_say_the_number_is_never_outside_of_its_range(
        target in target(),
        min in 0_u32..4,
        more in 0_u32..10,
        cooldown_ms in 1000_u64..100_000,
        reports in proptest::collection::vec((proptest::collection::vec(load(), 0..6), 0_u32..3, 0_u64..5000), 1..200),
    ) {
        let scaling = Scaling { min, max: (min + more).max(1), target, cooldown_ms };
        let mut now = Instant::now();
        let mut wanted = scaling.initial();
        let mut scaler = Autoscaler::new(wanted, now);
        for (loads, unheard, ms) in reports {
            now += Duration::from_millis(ms);
            let mut burden = Burden { unheard, ..Burden::default() };
            loads.iter().for_each(|load| burden.add(load));
            let verdict = scaler.judge(&scaling, wanted, &burden, now);
            prop_assert!((scaling.min..=scaling.max).contains(&verdict.wanted), "{verdict:?}");
            // What sleeps is woken by a call, and not by what is measured.
            wanted = verdict.wanted.max(1);
        }
    }

    #[test]
    fn whatever_came_before_quiet_leads_to_the_floor(
        target in target(),
        min in 0_u32..4,
        more in 0_u32..10,
        before in proptest::collection::vec(0.0..300.0_f64, 1..100),
    ) {
        let scaling = Scaling { target, ..Scaling::between(min, (min + more).max(1)) };
        let mut group = Group::new(scaling);
        for concurrency in before {
            let load = Load {
                concurrency_millis: millis(concurrency),
                cpu_millis: millis(concurrency / 100.0),
                p99_us: Some((concurrency * 1000.0) as u64),
                calls: 10,
                ..Load::default()
            };
            let mut burden = Burden::default();
            (0..group.number().max(1)).for_each(|_| burden.add(&load));
            group.bears(burden);
        }
        for _ in 0..75 {
            if group.number() > 0 {
                group.bears(Burden { replicas: group.number(), ..Burden::default() });
            }
        }
        prop_assert_eq!(group.number(), scaling.min);
    }

    #[test]
    fn a_steady_load_is_borne_within_its_target_and_the_number_stays(
        calls in 1_u32..50,
        load in 0.1..400.0_f64,
    ) {
        let mut group = Group::new(concurrency(1, 500, calls));
        (0..30).for_each(|_| group.calls(load));
        let settled = group.number();
        (0..300).for_each(|_| group.calls(load));
        prop_assert_eq!(group.number(), settled);
        let each = load / f64::from(settled);
        prop_assert!(each <= f64::from(calls) * 1.1 + 0.01, "{} each", each);
        // And no more than are of use: with one fewer it would be too much to go back to.
        prop_assert!(settled == 1 || load / f64::from(settled - 1) > f64::from(calls) * 0.9 - 0.01);
    }
}
