//! What is remembered of an hour, and what that takes.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anylith_core::{Metrics, Name};
use anylith_telemetry::{
    Calls, EdgeDetail, Ended, Histogram, History, Makeup, Mark, MarkKind, Moment, Numbers, Outcome,
    Period, ProcessNumbers, ReplicaNumbers, Subject, Survey, Way,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn ended(calls: u64, took: Duration) -> Ended {
    let mut histogram = Histogram::new();
    histogram.record(took, calls);
    Ended {
        calls,
        took: histogram,
    }
}

/// What an application of one replica of `Web` and one of `Cart` has counted after so many seconds of 100 calls a second,
/// 4 of which fail, a quarter within the process.
fn after(seconds: u64) -> Survey {
    let mut numbers = Numbers::default();
    let (web, cart) = (name("Web"), name("Cart"));
    let calls = |answered: u64, failed: u64| Calls {
        ended: BTreeMap::from([
            (Outcome::Answered, ended(answered, Duration::from_millis(1))),
            (Outcome::Unknown, ended(failed, Duration::from_millis(50))),
        ]),
        in_flight: 3,
        retries: seconds,
        ..Calls::default()
    };
    *numbers.edge(&web, &cart, &name("add"), Way::Remote) = calls(71 * seconds, 4 * seconds);
    *numbers.edge(&web, &cart, &name("add"), Way::Local) = calls(20 * seconds, 0);
    *numbers.edge(&web, &cart, &name("get"), Way::Local) = calls(5 * seconds, 0);
    numbers.component(&cart).busy_us = 250_000 * seconds;
    let replica = |id: &str, group: &str, state: &str| ReplicaNumbers {
        id: name(id),
        group: name(group),
        state: state.to_owned(),
        restarts: 0,
        since_ms: Some(7),
        process: ProcessNumbers {
            cpu_us: 500_000 * seconds,
            memory_bytes: 10 << 20,
        },
    };
    Survey {
        app: name("shop"),
        topology: name("micro"),
        metrics: Metrics::All,
        numbers,
        restarts: BTreeMap::new(),
        replicas: vec![
            replica("Web-1", "Web", "ready"),
            replica("Cart-1", "Cart", "ready"),
            replica("Cart-2", "Cart", "starting"),
        ],
        spans: None,
    }
}

/// `Web` may call `Mail`, too, and does not.
fn dependencies() -> BTreeMap<Name, Vec<Name>> {
    BTreeMap::from([(name("Web"), vec![name("Cart"), name("Mail")])])
}

fn makeup(dependencies: &BTreeMap<Name, Vec<Name>>) -> Makeup<'_> {
    let group = |component: &str| (name(component), vec![name(component)]);
    Makeup {
        groups: BTreeMap::from([group("Web"), group("Cart")]),
        dependencies,
    }
}

/// A history of so many seconds from the beginning of Unix time on, looked at each second.
fn of(seconds: u64) -> History {
    let (mut history, begin, graph) = (History::default(), Instant::now(), dependencies());
    for second in 0..=seconds {
        let now = begin + Duration::from_secs(second);
        history.note(after(second), &makeup(&graph), now, second * 1000);
    }
    history
}

fn near(value: f64, wanted: f64) -> bool {
    (value - wanted).abs() < wanted / 16.0 + 1e-9
}

#[test]
fn what_goes_on_now_is_what_has_happened_within_the_window() {
    let history = of(60);
    let now = history.now();
    assert_eq!((now.at_ms, now.seconds, now.edges.len()), (60_000, 5.0, 2));
    let edge = &now.edges[0];
    assert_eq!(
        (edge.caller.as_str(), edge.callee.as_str()),
        ("Web", "Cart")
    );
    assert_eq!(edge.flow, now.flow);
    let idle = &now.edges[1];
    assert_eq!(
        (idle.callee.as_str(), idle.flow.calls_per_second),
        ("Mail", 0.0)
    );
    let flow = &now.flow;
    assert_eq!(
        (
            flow.calls_per_second,
            flow.remote_per_second,
            flow.failed_per_second
        ),
        (100.0, 75.0, 4.0)
    );
    assert_eq!(flow.failures, BTreeMap::from([(Outcome::Unknown, 4.0)]));
    assert_eq!(flow.in_flight, 9);
    assert!(near(flow.p50_us.unwrap(), 1000.0), "{flow:?}");
    assert!(near(flow.p99_us.unwrap(), 50_000.0), "{flow:?}");
    let need = (
        now.need.cores,
        now.need.memory_bytes,
        now.need.ready,
        now.need.total,
    );
    assert_eq!(need, (1.5, 30 << 20, 2, 3));
    let cart = now.components.iter().find(|it| it.name == "Cart").unwrap();
    assert_eq!(cart.flow, *flow);
    let need = (
        cart.need.cores,
        cart.need.memory_bytes,
        cart.need.ready,
        cart.need.total,
    );
    assert_eq!(need, (0.25, 20 << 20, 1, 2));
}

#[test]
fn an_edge_is_told_method_by_method() {
    let history = of(60);
    let detail = history.edge(&name("Web"), &name("Cart"));
    let methods: Vec<_> = detail
        .methods
        .iter()
        .map(|it| {
            (
                it.method.as_str(),
                it.flow.calls_per_second,
                it.flow.remote_per_second,
                it.calls,
            )
        })
        .collect();
    assert_eq!(methods, [("add", 95.0, 75.0, 5700), ("get", 5.0, 0.0, 300)]);
    assert!(
        near(detail.methods[0].p90_us.unwrap(), 1000.0),
        "{detail:?}"
    );
    assert_eq!(detail.methods[0].retries_per_second, 2.0);
    assert!(history.edge(&name("Cart"), &name("Web")).methods.is_empty());
    let none = History::default().edge(&name("Web"), &name("Cart"));
    assert!(none.methods.is_empty(), "{none:?}");
}

#[test]
fn five_minutes_are_kept_each_second_and_an_hour_every_ten() {
    let history = of(2 * 3600);
    let edge = Subject::Edge {
        caller: name("Web"),
        callee: name("Cart"),
    };
    for (period, points, step) in [(Period::Minutes, 300, 1000), (Period::Hour, 360, 10_000)] {
        for subject in [&Subject::Application, &edge] {
            let past = history.past(subject, period);
            assert_eq!((past.at_ms.len(), past.step_ms), (points, step));
            assert_eq!(past.at_ms.last(), Some(&7_200_000));
            assert!(
                past.at_ms.windows(2).all(|two| two[1] - two[0] == step),
                "{period:?}"
            );
            assert_eq!(past.calls_per_second, vec![100.0; points]);
            assert_eq!(past.failed_per_second, vec![4.0; points]);
            assert!(past.p99_us.iter().all(Option::is_some));
            assert_eq!(past.need.is_some(), *subject == Subject::Application);
        }
    }
}

#[test]
fn of_what_was_not_there_nothing_went_on() {
    let history = of(30);
    let component = name("Moon");
    let past = history.past(&Subject::Component { component }, Period::Minutes);
    assert_eq!(past.calls_per_second, vec![0.0; 31]);
    assert_eq!(past.p50_us, vec![None; 31]);
    assert_eq!(past.need.unwrap().ready, vec![0; 31]);
}

#[test]
fn marks_are_kept_for_an_hour_and_not_without_bound() {
    let mut history = of(0);
    let mark = |at_ms: u64| Mark {
        at_ms,
        kind: MarkKind::Failure,
        text: "é".repeat(1000),
        about: None,
    };
    for at_ms in 0..10_000 {
        history.mark(mark(at_ms));
    }
    assert_eq!(
        history.now().marks.len(),
        400,
        "all of them have just happened"
    );
    let told = history.past(&Subject::Application, Period::Hour).marks;
    assert_eq!(told.len(), 400);
    assert_eq!(told[0].at_ms, 9_600);
    assert_eq!(told[0].text.chars().count(), 401);
    history.mark(mark(3_600_000 + 9_999));
    assert_eq!(
        history
            .past(&Subject::Application, Period::Hour)
            .marks
            .len(),
        2
    );
}

#[test]
fn a_clock_that_is_put_back_begins_anew() {
    let mut history = of(60);
    let later = Instant::now() + Duration::from_secs(120);
    history.note(after(61), &makeup(&dependencies()), later, 1000);
    assert_eq!(
        history.past(&Subject::Application, Period::Minutes).at_ms,
        [1000]
    );
}

#[test]
fn what_is_told_of_a_moment_can_be_read_again() {
    let mut history = of(10);
    history.mark(Mark {
        at_ms: 9_000,
        kind: MarkKind::Scale,
        text: "Cart has 2 replicas".to_owned(),
        about: Some(name("Cart")),
    });
    let now = history.now();
    let told = serde_json::to_string(&now).unwrap();
    assert_eq!(serde_json::from_str::<Moment>(&told).unwrap(), now);
    let edge = history.edge(&name("Web"), &name("Cart"));
    let told = serde_json::to_string(&edge).unwrap();
    assert_eq!(serde_json::from_str::<EdgeDetail>(&told).unwrap(), edge);
}
