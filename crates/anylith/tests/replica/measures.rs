//! What a replica tells of the calls that it has counted, and when.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use anylith::telemetry::{Outcome, Report, Way};
use anylith_core::{Metrics, Telemetry};
use anylith_wire::control::{ComponentState, FromReplica, ToReplica};

use crate::{
    Chef, Cook as _, Kettle as _, Notes, Waiter,
    control::{Control, Line, name, soon},
    cook_alone, join, waiter, whole,
};

/// Asks for a sign of life, and returns the report that comes with it; `None` if there is nothing new.
///
/// What comes before the answer to a second question comes with the first.
async fn asked(line: &mut Line) -> Option<Report> {
    let ping = ToReplica::Ping { measure: false };
    line.say(&ping).await;
    line.say(&ping).await;
    let (mut pongs, mut reported) = (0, None);
    while pongs < 2 {
        match line.hear().await {
            FromReplica::Pong { .. } => pongs += 1,
            FromReplica::Measured { report } if pongs == 1 => reported = Some(*report),
            // With the second question of before: the process had computed meanwhile.
            _ => {}
        }
    }
    reported
}

/// How many calls of `method` along `edge` have ended that went this way, and how many wait for their answer.
fn calls(report: &Report, edge: (&str, &str), method: &str, way: Way) -> (u64, u64) {
    let mut edges = report.numbers.edges.iter();
    let found = edges.find(|it| {
        (it.caller.as_str(), it.callee.as_str()) == edge && it.method == *method && it.way == way
    });
    found.map_or((0, 0), |it| (it.calls.all(), it.calls.in_flight))
}

const BOILED: ((&str, &str), &str) = (("Cook", "Kettle"), "boiled");

#[tokio::test]
async fn a_sign_of_life_brings_what_has_changed_in_absolute_numbers() {
    let control = Control::new();
    let (running, mut line) = whole(&control, &Arc::default()).await;
    let first = asked(&mut line).await.expect("nothing is known yet");
    assert_eq!(calls(&first, BOILED.0, BOILED.1, Way::Local), (0, 0));
    assert!(first.process.memory_bytes > 1 << 20, "{first:?}");
    assert_eq!(first.metrics, Metrics::All);

    let cook = running.component::<Chef>().unwrap();
    for _ in 0..3 {
        cook.kettle.boiled().await.unwrap();
    }
    let second = asked(&mut line).await.expect("three calls are new");
    assert_eq!(calls(&second, BOILED.0, BOILED.1, Way::Local), (3, 0));
    cook.kettle.boiled().await.unwrap();
    let third = asked(&mut line).await.expect("one more is new");
    assert_eq!(calls(&third, BOILED.0, BOILED.1, Way::Local), (4, 0));
    assert_eq!(
        (first.since_ms, second.since_ms),
        (third.since_ms, third.since_ms)
    );
    assert_eq!(running.report().numbers, third.numbers);
}

#[tokio::test]
async fn a_new_control_plane_hears_all_of_it_again() {
    let control = Control::new();
    let (running, mut line) = whole(&control, &Arc::default()).await;
    let cook = running.component::<Chef>().unwrap();
    cook.kettle.boiled().await.unwrap();
    asked(&mut line).await.expect("a call is new");
    drop(line);
    let (mut line, _) = control.called().await;
    let report = asked(&mut line).await.expect("this one knows nothing yet");
    assert_eq!(calls(&report, BOILED.0, BOILED.1, Way::Local), (1, 0));
}

#[tokio::test]
async fn the_last_calls_are_told_before_the_replica_ends() {
    let control = Control::new();
    let notes = Notes::holding();
    let (running, mut line) = whole(&control, &notes).await;
    asked(&mut line).await.expect("nothing is known yet");
    let cook = running.component::<Chef>().unwrap();
    let tea = tokio::spawn(async move { cook.tea().await });
    notes.until(|it| &it.begun, 1).await;
    line.say(&ToReplica::Stop {
        grace_ms: 20_000,
        others_stay: false,
    })
    .await;
    // It is made while the replica drains.
    notes.allow();
    soon(tea).await.unwrap().unwrap();
    let ended = tokio::spawn(running.wait());
    let mut last = None;
    while let Some(said) = line.next().await {
        if let FromReplica::Measured { report } = said {
            last = Some(*report);
        }
    }
    soon(ended).await.unwrap();
    let last = last.expect("it ended without a word");
    assert_eq!(calls(&last, BOILED.0, BOILED.1, Way::Local), (1, 0));
}

#[tokio::test]
async fn a_remote_call_is_counted_by_who_makes_it_and_by_who_serves_it() {
    let (there, here) = (Control::new(), Control::new());
    let (_kettle, mut kettle_line) = whole(&there, &Arc::default()).await;
    let (cook, mut cook_line) = cook_alone(&here, &Arc::default(), &there.endpoint()).await;
    let chef = cook.component::<Chef>().unwrap();
    for _ in 0..5 {
        chef.kettle.boiled().await.unwrap();
    }
    let caller = asked(&mut cook_line).await.unwrap();
    assert_eq!(calls(&caller, BOILED.0, BOILED.1, Way::Remote), (5, 0));
    assert_eq!(calls(&caller, BOILED.0, BOILED.1, Way::Local), (0, 0));
    let callee = asked(&mut kettle_line).await.unwrap();
    let served = callee.numbers.served.iter();
    let served: Vec<_> = served.filter(|it| it.calls.all() > 0).collect();
    let [served] = &served[..] else {
        panic!("{served:?}");
    };
    assert_eq!(
        (&served.component, &served.method),
        (&name("Kettle"), &name("boiled"))
    );
    assert_eq!(served.calls.count(Outcome::Answered), 5);
    let mut components = callee.numbers.components.iter();
    let kettle = components.find(|it| it.name == "Kettle").unwrap();
    assert_eq!(kettle.queued.count(), 5, "each has waited, however short");
    assert!(callee.numbers.edges.is_empty(), "it called nobody");
}

#[tokio::test]
async fn a_call_that_waits_is_in_flight_on_both_sides() {
    let (there, here) = (Control::new(), Control::new());
    let notes = Notes::holding();
    let (cook, mut cook_line) = whole(&there, &notes).await;
    let (waiting, mut waiter_line) = waiter(&here, &there.endpoint()).await;
    let waiter = waiting.component::<Waiter>().unwrap();
    let tea = tokio::spawn(async move { waiter.cook.tea().await });
    notes.until(|it| &it.begun, 1).await;
    let report = asked(&mut waiter_line).await.unwrap();
    assert_eq!(
        calls(&report, ("Waiter", "Cook"), "tea", Way::Remote),
        (0, 1)
    );
    let report = asked(&mut cook_line).await.unwrap();
    let in_flight = report.numbers.served.iter().map(|it| it.calls.in_flight);
    assert_eq!(in_flight.sum::<u64>(), 1);
    notes.allow();
    soon(tea).await.unwrap().unwrap();
    assert_eq!(notes.dropped.load(SeqCst), 1);
    let report = asked(&mut waiter_line).await.unwrap();
    assert_eq!(
        calls(&report, ("Waiter", "Cook"), "tea", Way::Remote),
        (1, 0)
    );
    drop(cook);
}

#[tokio::test]
async fn a_replica_that_counts_nothing_reports_nothing() {
    let control = Control::new();
    let running = join(&control, &Arc::default());
    let telemetry = Telemetry {
        metrics: Metrics::Off,
        ..Telemetry::default()
    };
    let mut line = control
        .welcomed_to_tell(&["Kettle", "Cook"], telemetry)
        .await;
    line.until("Cook", ComponentState::Ready).await;
    let running = soon(running).await.unwrap().unwrap();
    let cook = running.component::<Chef>().unwrap();
    cook.kettle.boiled().await.unwrap();
    assert_eq!(asked(&mut line).await, None);
    let report = running.report();
    assert!(report.numbers.edges.is_empty() && report.numbers.components.is_empty());
}
