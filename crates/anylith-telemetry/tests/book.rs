//! What is summed over processes, and what stays when they are gone.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{collections::BTreeMap, time::Duration};

use anylith_core::{Metrics, Name};
use anylith_telemetry::{
    Book, Calls, Ended, Histogram, Numbers, Outcome, ProcessNumbers, Report, Survey, Way,
};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn calls(answered: u64, in_flight: u64) -> Calls {
    let mut took = Histogram::new();
    took.record(Duration::from_micros(10), answered);
    let ended = Ended {
        calls: answered,
        took,
    };
    Calls {
        ended: BTreeMap::from([(Outcome::Answered, ended)]),
        in_flight,
        sent_bytes: answered * 10,
        ..Calls::default()
    }
}

/// What a process says that began then, and has made so many calls.
fn report(since_ms: u64, answered: u64, in_flight: u64) -> Report {
    let mut numbers = Numbers::default();
    *numbers.edge(&name("Web"), &name("Cart"), &name("add"), Way::Remote) =
        calls(answered, in_flight);
    numbers.component(&name("Web")).busy_us = answered;
    Report {
        since_ms,
        metrics: Metrics::All,
        numbers,
        process: ProcessNumbers::default(),
    }
}

fn sum(book: &Book) -> (u64, u64) {
    let mut sum = book.sum();
    let calls = sum.edge(&name("Web"), &name("Cart"), &name("add"), Way::Remote);
    (calls.all(), calls.in_flight)
}

#[test]
fn a_report_takes_the_place_of_the_one_before() {
    let mut book = Book::default();
    book.reported(&name("Web-1"), report(1, 10, 2));
    book.reported(&name("Web-2"), report(2, 5, 1));
    book.reported(&name("Web-1"), report(1, 12, 0));
    assert_eq!(sum(&book), (17, 1));
}

#[test]
fn what_a_process_has_counted_stays_when_another_takes_its_place() {
    let mut book = Book::default();
    book.reported(&name("Web-1"), report(1, 10, 2));
    // It was killed, and nobody said so before the next one spoke.
    book.reported(&name("Web-1"), report(2, 1, 0));
    assert_eq!(sum(&book), (11, 0));
}

#[test]
fn what_a_process_has_counted_stays_when_it_is_gone_for_good() {
    let mut book = Book::default();
    book.reported(&name("Web-1"), report(1, 10, 2));
    book.cut_off(&name("Web-1"));
    book.cut_off(&name("Web-1"));
    assert_eq!(sum(&book), (10, 0));
    assert!(book.last(&name("Web-1")).is_none());
}

#[test]
fn a_process_that_was_cut_off_and_comes_back_is_not_counted_twice() {
    let mut book = Book::default();
    book.reported(&name("Web-1"), report(1, 10, 2));
    book.cut_off(&name("Web-1"));
    book.reported(&name("Web-1"), report(1, 12, 3));
    assert_eq!(sum(&book), (12, 3));
    assert_eq!(book.last(&name("Web-1")).map(|last| last.since_ms), Some(1));
}

#[test]
fn calls_of_a_component_are_those_within_its_process_and_those_that_it_served() {
    let mut numbers = Numbers::default();
    let (web, cart, add) = (name("Web"), name("Cart"), name("add"));
    *numbers.edge(&web, &cart, &add, Way::Local) = calls(3, 0);
    *numbers.edge(&web, &cart, &add, Way::Remote) = calls(40, 0);
    *numbers.served(&cart, &add) = calls(41, 0);
    let report = Report {
        numbers,
        ..Report::default()
    };
    let survey = Survey::of_one(name("shop"), name("monolith-1"), name("monolith"), report);
    assert_eq!(survey.calls_of(&cart), 44);
    assert_eq!(survey.calls_of(&web), 0);
}

#[test]
fn a_report_that_says_nothing_new_is_like_the_last() {
    let last = report(1, 10, 2);
    let mut next = last.clone();
    next.process.cpu_us += 300;
    assert!(next.is_like(&last));
    assert!(!report(1, 11, 2).is_like(&last));
    assert!(!report(1, 10, 3).is_like(&last));
    assert!(!report(2, 10, 2).is_like(&last));
    next.process.cpu_us += 1_000_000;
    assert!(!next.is_like(&last));
}

#[test]
fn a_report_arrives_as_it_was_sent_and_one_of_a_later_build_is_understood() {
    let sent = report(7, 10, 2);
    let json = serde_json::to_string(&sent).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), sent);
    let later = json.replacen('{', "{\"moon\":{\"phase\":3},", 1);
    assert_eq!(serde_json::from_str::<Report>(&later).unwrap(), sent);
    assert_eq!(
        serde_json::from_str::<Report>("{}").unwrap(),
        Report::default()
    );
}

/// Something that happens to one of three replicas.
#[derive(Debug, Clone)]
enum Happening {
    Calls(usize, u64),
    Reports(usize),
    DrainsAndReports(usize),
    Restarts(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let replica = 0..3_usize;
    prop_oneof![
        (replica.clone(), 1..50_u64).prop_map(|(replica, more)| Happening::Calls(replica, more)),
        replica.clone().prop_map(Happening::Reports),
        replica.clone().prop_map(Happening::DrainsAndReports),
        replica.prop_map(Happening::Restarts),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_sum_never_shrinks_and_is_all_that_was_ever_reported(happenings in prop::collection::vec(happening(), 0..60)) {
        let mut book = Book::default();
        let (mut made, mut told, mut over) = ([0_u64; 3], [0_u64; 3], 0);
        let mut since = [1_u64, 2, 3];
        let mut last = 0;
        for happening in happenings {
            match happening {
                Happening::Calls(replica, more) => made[replica] += more,
                Happening::Reports(replica) => {
                    told[replica] = made[replica];
                    book.reported(&name(&format!("Web-{replica}")), report(since[replica], made[replica], 0));
                }
                Happening::DrainsAndReports(replica) => {
                    book.reported(&name(&format!("Web-{replica}")), report(since[replica], made[replica], 0));
                    book.cut_off(&name(&format!("Web-{replica}")));
                    over += made[replica];
                    (made[replica], told[replica]) = (0, 0);
                    since[replica] += 10;
                }
                // Killed: what it had not reported is lost, and no more.
                Happening::Restarts(replica) => {
                    over += told[replica];
                    (made[replica], told[replica]) = (0, 0);
                    since[replica] += 10;
                }
            }
            let (now, _) = sum(&book);
            prop_assert!(now >= last);
            prop_assert_eq!(now, over + told.iter().sum::<u64>());
            last = now;
        }
    }
}
