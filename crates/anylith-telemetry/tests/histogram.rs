//! What a histogram says of times, compared with the times themselves.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::time::Duration;

use anylith_telemetry::Histogram;
use proptest::{collection::vec, prelude::*};

/// Times of all magnitudes, up to the longest of which something exact is said.
fn times() -> impl Strategy<Value = Vec<u64>> {
    let time = (3_u32..37).prop_flat_map(|bits| 0_u64..(1 << bits));
    vec(time, 1..300)
}

fn of(times: &[u64]) -> Histogram {
    let mut histogram = Histogram::new();
    for time in times {
        histogram.record(Duration::from_nanos(*time), 1);
    }
    histogram
}

/// Whether `said` is as near to `true_ns` as is promised.
fn is_near(said: Duration, true_ns: u64) -> bool {
    let off = (said.as_nanos() as u64).abs_diff(true_ns);
    off <= (true_ns / 16).max(4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quantile_is_a_sixteenth_off_at_most(times in times(), share in 0.0_f64..=1.0) {
        let mut sorted = times.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        let exact = sorted[rank.clamp(1, sorted.len()) - 1];
        let said = of(&times).quantile(share).unwrap();
        prop_assert!(is_near(said, exact), "{said:?} for {exact} ns");
    }

    #[test]
    fn the_sum_is_a_sixteenth_off_at_most(times in times()) {
        let exact: u64 = times.iter().sum();
        let off = (of(&times).sum().as_nanos() as u64).abs_diff(exact);
        prop_assert!(off <= exact / 16 + 4 * times.len() as u64, "{off} of {exact} ns");
    }

    #[test]
    fn histograms_add_up_to_that_of_all_times_in_any_order(one in times(), other in times(), third in times()) {
        let all = [&one[..], &other, &third].concat();
        let mut left = of(&one);
        left.add(&of(&other));
        left.add(&of(&third));
        let mut right = of(&third);
        right.add(&of(&other));
        right.add(&of(&one));
        prop_assert_eq!(&left, &of(&all));
        prop_assert_eq!(&right, &left);
        prop_assert_eq!(left.count(), all.len() as u64);
    }

    #[test]
    fn what_came_since_is_the_difference(before in times(), after in times()) {
        let earlier = of(&before);
        let mut now = earlier.clone();
        now.add(&of(&after));
        prop_assert_eq!(now.since(&earlier), of(&after));
    }

    #[test]
    fn how_many_are_below_a_power_of_two_is_exact(times in times(), power in 3_u32..37) {
        let border = 1_u64 << power;
        let exact = times.iter().filter(|time| **time < border).count() as u64;
        prop_assert_eq!(of(&times).below(Duration::from_nanos(border)), exact);
    }

    #[test]
    fn a_histogram_arrives_as_it_was_sent(times in times()) {
        let sent = of(&times);
        let json = serde_json::to_string(&sent).unwrap();
        prop_assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), sent);
    }

    #[test]
    fn whatever_another_build_writes_becomes_a_histogram(pairs in vec((any::<u16>(), any::<u64>()), 0..20)) {
        let json = serde_json::to_string(&pairs).unwrap();
        let came: Histogram = serde_json::from_str(&json).unwrap();
        let all = pairs.iter().fold(0_u64, |all, (_, count)| all.saturating_add(*count));
        prop_assert_eq!(came.count(), all);
        prop_assert_eq!(came.quantile(0.5).is_some(), all > 0);
    }
}

#[test]
fn nothing_is_said_where_nothing_was_counted() {
    let none = Histogram::new();
    assert_eq!(none.quantile(0.5), None);
    assert_eq!((none.count(), none.sum()), (0, Duration::ZERO));
    assert!(none.is_empty());
}

#[test]
fn a_time_that_nobody_waits_for_is_counted_too() {
    let mut histogram = Histogram::new();
    histogram.record(Duration::MAX, 2);
    histogram.record(Duration::from_secs(1), 1);
    assert_eq!(histogram.count(), 3);
    let slowest = histogram.quantile(1.0).unwrap();
    assert!(slowest > Duration::from_secs(120), "{slowest:?}");
}
