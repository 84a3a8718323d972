//! What a recorder counts, from one thread and from many.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anylith_telemetry::{Calls, Lane, Metrics, Outcome, Recorder};

/// Makes a call that is ready at once and takes so long, as the runtime makes it.
fn call(lane: Lane<'_>, outcome: Outcome, takes: Duration) {
    let due = lane.is_due();
    lane.at_once(outcome, due.then_some(takes));
}

#[test]
fn every_call_is_in_the_histogram_at_every_moment() {
    let recorder = Recorder::new(1, Metrics::All);
    for made in 1..=5000_u64 {
        call(
            recorder.lane(0).unwrap(),
            Outcome::Answered,
            Duration::from_nanos(80),
        );
        let calls = recorder.read(0);
        assert_eq!((calls.all(), calls.took().count()), (made, made));
    }
}

#[test]
fn of_quick_calls_few_are_timed_and_of_slow_ones_all() {
    let timed = |takes| {
        let recorder = Recorder::new(1, Metrics::All);
        let due = (0..10_000).filter(|_| {
            let lane = recorder.lane(0).unwrap();
            let due = lane.is_due();
            call(lane, Outcome::Answered, takes);
            due
        });
        due.count()
    };
    let quick = timed(Duration::from_nanos(50));
    assert!((100..320).contains(&quick), "{quick} of 10,000");
    assert_eq!(timed(Duration::from_micros(50)), 10_000);
}

#[test]
fn slow_calls_among_quick_ones_have_the_share_that_they_have() {
    const CALLS: u64 = 400_000;
    let recorder = Recorder::new(1, Metrics::All);
    // One call in fifty is slow, yet they are quick enough on average not to be timed each.
    for number in 0..CALLS {
        let takes = if number % 50 == 7 { 40_000 } else { 100 };
        let lane = recorder.lane(0).unwrap();
        call(lane, Outcome::Answered, Duration::from_nanos(takes));
    }
    let took = recorder.read(0).took();
    let slow = CALLS - took.below(Duration::from_nanos(1 << 14));
    let share = slow as f64 / CALLS as f64;
    assert!((0.01..0.04).contains(&share), "{share} of the calls");
    assert_eq!(took.count(), CALLS);
}

#[test]
fn the_call_after_one_that_waited_is_timed() {
    let recorder = Recorder::new(1, Metrics::All);
    let lane = || recorder.lane(0).unwrap();
    // Until a quick one stands for those that follow.
    while lane().is_due() {
        call(lane(), Outcome::Answered, Duration::from_nanos(50));
    }
    lane().enter();
    lane().ended(Outcome::Answered, Duration::from_millis(3));
    lane().depart();
    assert!(lane().is_due());
}

#[test]
fn each_outcome_is_counted_by_itself_with_its_times() {
    let recorder = Recorder::new(2, Metrics::All);
    for (number, outcome) in (1..).zip(Outcome::ALL) {
        for _ in 0..number {
            let lane = recorder.lane(1).unwrap();
            lane.ended(outcome, Duration::from_millis(number));
        }
    }
    let calls = recorder.read(1);
    for (number, outcome) in (1..).zip(Outcome::ALL) {
        assert_eq!(calls.count(outcome), number, "{outcome}");
        let median = calls.ended[&outcome].took.quantile(0.5).unwrap();
        let millis = median.as_secs_f64() * 1000.0;
        assert!(
            (millis - number as f64).abs() < number as f64 / 16.0,
            "{median:?}"
        );
    }
    assert_eq!(calls.failed(), 20);
    assert!(recorder.read(0).is_empty(), "it is another lane");
}

#[test]
fn what_else_is_counted_adds_up() {
    let recorder = Recorder::new(1, Metrics::All);
    let lane = recorder.lane(0).unwrap();
    lane.enter();
    lane.enter();
    lane.depart();
    lane.sent(100);
    lane.sent(11);
    lane.received(7);
    lane.retried();
    lane.hedged();
    let calls = recorder.read(0);
    assert_eq!(calls.in_flight, 1);
    assert_eq!((calls.sent_bytes, calls.received_bytes), (111, 7));
    assert_eq!((calls.retries, calls.hedges), (1, 1));
}

#[test]
fn counters_alone_ask_for_no_clock_and_keep_no_times() {
    let recorder = Recorder::new(1, Metrics::Counters);
    for _ in 0..1000 {
        let lane = recorder.lane(0).unwrap();
        assert!(!lane.is_due());
        lane.at_once(Outcome::Answered, None);
        lane.enter();
        lane.ended(Outcome::Erred, Duration::from_millis(1));
        lane.depart();
    }
    let calls = recorder.read(0);
    assert_eq!(
        (calls.count(Outcome::Answered), calls.count(Outcome::Erred)),
        (1000, 1000)
    );
    assert!(calls.took().is_empty());
}

#[test]
fn nothing_is_counted_where_that_is_off() {
    let recorder = Recorder::new(1, Metrics::Off);
    assert!(recorder.lane(0).is_none());
    assert_eq!(recorder.read(0), Calls::default());
    let none = Recorder::new(0, Metrics::All);
    assert!(none.lane(0).is_none());
    assert!(Recorder::new(2, Metrics::All).lane(2).is_none());
}

#[test]
fn no_call_is_lost_however_many_threads_make_them() {
    const THREADS: u64 = 300;
    const CALLS: u64 = 2000;
    // More threads than there are numbers for, and all of them there at once.
    let recorder = Recorder::new(1, Metrics::All);
    let (all_there, over) = (Barrier::new(THREADS as usize), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut seen, mut looks) = (0, 0);
            while !over.load(Ordering::Acquire) || looks == 0 {
                let calls = recorder.read(0);
                assert!(calls.all() >= seen, "{} after {seen}", calls.all());
                (seen, looks) = (calls.all(), looks + 1);
            }
        });
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (recorder, all_there) = (&recorder, &all_there);
                scope.spawn(move || {
                    all_there.wait();
                    for call_number in 0..CALLS {
                        let lane = recorder.lane(0).unwrap();
                        lane.enter();
                        lane.depart();
                        let outcome = Outcome::ALL[(number + call_number) as usize % 6];
                        call(lane, outcome, Duration::from_nanos(call_number));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        over.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    let calls = recorder.read(0);
    assert_eq!(calls.all(), THREADS * CALLS);
    assert_eq!(calls.in_flight, 0);
}

#[test]
fn what_threads_have_counted_that_are_over_stays() {
    let recorder = Recorder::new(1, Metrics::All);
    for _ in 0..1000 {
        thread::scope(|scope| {
            let count = || {
                let lane = recorder.lane(0).unwrap();
                call(lane, Outcome::Answered, Duration::from_nanos(9));
            };
            scope.spawn(count).join().unwrap();
        });
    }
    assert_eq!(recorder.read(0).all(), 1000);
}
