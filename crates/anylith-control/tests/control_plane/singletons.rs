//! A component of which there is one at a time, in simulated worlds.

use std::time::Duration;

use anylith_control::{Event, Exit, Notice, Spec};
use anylith_core::Singleton;
use anylith_wire::control::{Handed, ToReplica};

use crate::world::{Fault, World, micro, name, spec};

/// There is one `Cart` at a time, and it hands over what it has.
fn one_cart(mut spec: Spec) -> Spec {
    spec.singletons
        .insert(name("Cart"), Singleton { hands_over: true });
    spec
}

/// Asks for a reshape of what runs into these groups.
fn reshape(to: &Spec) -> Event {
    Event::ReshapeAsked {
        topology: name("other"),
        groups: to.groups.clone(),
    }
}

/// What was said about `Cart`, or to stop, in order: `Cart-1 yields`.
fn said(world: &World) -> Vec<String> {
    let told = world.told.iter();
    let words = told.filter_map(|(replica, message)| match message {
        ToReplica::Yield { .. } => Some(format!("{replica} yields")),
        ToReplica::Stop { .. } => Some(format!("{replica} stops")),
        ToReplica::Grant { state, .. } => {
            let begins = state.as_ref().map_or("anew", |Handed(state)| state);
            Some(format!("{replica} begins {begins}"))
        }
        _ => None,
    });
    words.collect()
}

/// One whose drain takes long in the middle of a restart.
fn yielding() -> World {
    let mut world = World::ready(one_cart(micro(1)));
    world.faults.insert("Cart", Fault::Stuck);
    world.told.clear();
    world.happens(Event::RestartAsked {
        group: Some(name("Cart")),
    });
    assert_eq!(said(&world), ["Cart-1 yields"]);
    world
}

#[test]
fn who_leaves_is_told_to_stop_when_it_has_handed_over() {
    let mut world = yielding();
    // It drops its calls after its grace, and may then take its time to hand over.
    world.pass(Duration::from_secs(16));
    assert_eq!(said(&world), ["Cart-1 yields"]);
    world.faults.clear();
    world.hands_over(&name("Cart-1"), name("Cart"));
    world.settle();
    let expected = [
        "Cart-1 yields",
        "Cart-2 begins Cart",
        "Cart-1 stops",
        "Cart-2 yields",
        "Cart-1 begins Cart",
        "Cart-2 stops",
    ];
    let mut found = said(&world);
    // Who has left and who comes are told at the same moment.
    found.sort();
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    assert!(world.notices.contains(&Notice::Restarted { replicas: 1 }));
    assert_eq!(world.killed, 0);
}

#[test]
fn who_does_not_hand_over_in_its_time_is_killed_and_the_next_one_begins_anew() {
    let mut world = yielding();
    world.pass(Duration::from_secs(19));
    assert_eq!(world.killed, 1);
    assert!(said(&world).contains(&"Cart-2 begins anew".to_owned()));
    let overdue =
        |notice: &Notice| matches!(notice, Notice::Overdue { replica, .. } if *replica == "Cart-1");
    assert!(world.notices.iter().any(overdue));
}

#[test]
fn who_connects_again_while_it_makes_room_is_told_so_once_more() {
    let mut world = yielding();
    world.loses_connection("Cart-1");
    world.connects("Cart-1");
    assert_eq!(said(&world), ["Cart-1 yields", "Cart-1 yields"]);
    world.pass(Duration::from_secs(16));
    world.faults.clear();
    world.hands_over(&name("Cart-1"), name("Cart"));
    world.settle();
    assert!(said(&world).contains(&"Cart-2 begins Cart".to_owned()));
}

#[test]
fn who_has_not_heard_that_it_makes_room_serves_until_the_next_one_can_come() {
    let mut world = World::ready(one_cart(micro(1)));
    world.freezes("Cart-1");
    world.told.clear();
    world.happens(reshape(&spec(&[("all", &["Stock", "Cart", "Front"], 1)])));
    assert!(world.plane.directory().is_moving("Cart"));
    world.loses_connection("Cart-1");
    world.thaws("Cart-1");
    // The next one ends, and `Front` in its place waits for a `Cart`.
    world.dies("all-1", Exit::Signal(9));
    world.connects("Cart-1");
    world.settle();
    let named = world.plane.directory().replicas("Cart");
    assert_eq!(named.len(), 1, "{named:?}");
    world.pass(Duration::from_secs(60));
    assert!(world.status().is_ready(), "{:?}", world.status());
    assert_eq!(world.plane.directory().replicas("Cart")[0].replica, "all-1");
    assert!(said(&world).contains(&"all-1 begins Cart".to_owned()));
}

#[test]
fn who_has_it_and_is_not_called_makes_room_for_anybody_who_waits() {
    let mut world = World::ready(one_cart(spec(&[("all", &["Stock", "Cart", "Front"], 1)])));
    world.faults.insert("rest-1", Fault::Mute);
    world.happens(reshape(&spec(&[
        ("shop", &["Front", "Cart"], 1),
        ("rest", &["Stock"], 1),
    ])));
    // It begins anew where it was, as the last of what is new gets ready.
    world.faults.insert("Cart", Fault::Lazy);
    world.dies("all-1", Exit::Signal(9));
    world.loses_connection("shop-1");
    world.faults.remove("rest-1");
    world.connects("rest-1");
    let switched = |notice: &Notice| matches!(notice, Notice::Switched { .. });
    assert!(world.notices.iter().any(switched), "{:?}", world.notices);
    // Who is to have it begins anew, too, and `Front` in it waits for somebody to call.
    world.faults.clear();
    world.dies("shop-1", Exit::Signal(9));
    world.pass(Duration::from_secs(60));
    assert!(world.status().is_ready(), "{:?}", world.status());
    let named = world.plane.directory().replicas("Cart");
    assert_eq!(named[0].replica, "shop-1");
}

/// One that cannot start where a reshape has brought it, and is tried again there.
fn unable() -> World {
    let mut world = World::ready(one_cart(spec(&[
        ("shop", &["Front"], 1),
        ("rest", &["Cart", "Stock"], 1),
    ])));
    world.faults.insert("Cart", Fault::Unable);
    world.happens(reshape(&spec(&[
        ("shop", &["Front", "Cart"], 1),
        ("rest", &["Stock"], 1),
    ])));
    world.pass(Duration::from_secs(5));
    assert!(attempts(&world) > 3, "{:?}", world.notices);
    world
}

/// How often it was said that it could not start.
fn attempts(world: &World) -> usize {
    let failed = |notice: &&Notice| matches!(notice, Notice::NotStarted { .. });
    world.notices.iter().filter(failed).count()
}

#[test]
fn one_that_cannot_start_is_started_again_and_again_with_what_was_handed_over() {
    let mut world = unable();
    world.faults.clear();
    world.pass(Duration::from_secs(10));
    assert!(world.status().is_ready(), "{:?}", world.status());
    let begins = "shop-1 begins Cart".to_owned();
    assert_eq!(said(&world).last(), Some(&begins));
}

#[test]
fn one_that_waits_to_be_started_again_wakes_nobody_once_everything_stops() {
    let mut world = unable();
    world.faults.insert("Stock", Fault::Stuck);
    world.happens(Event::StopAsked);
    // A tick that changes nothing fails it.
    world.pass(Duration::from_secs(15));
    assert!(world.done);
}

#[test]
fn one_that_waits_to_be_started_again_wakes_nobody_once_another_replica_has_it() {
    let mut world = unable();
    // The reshape is not taken back for it, and ends.
    world.pass(Duration::from_secs(60));
    assert_eq!(world.plane.change(), None);
    world.faults.insert("Cart", Fault::Lazy);
    world.happens(Event::RestartAsked {
        group: Some(name("shop")),
    });
    assert!(world.processes.contains_key("shop-2"));
    world.pass(Duration::from_secs(30));
    let before = attempts(&world);
    world.faults.clear();
    world.dies("shop-2", Exit::Signal(9));
    world.pass(Duration::from_secs(30));
    assert!(world.status().is_ready(), "{:?}", world.status());
    assert_eq!(attempts(&world), before, "nothing has failed since");
}

#[test]
fn the_status_says_which_replica_waits_for_its_turn_with_what_there_is_one_of() {
    let mut world = World::ready(one_cart(micro(1)));
    let standby = |world: &World| {
        let status = world.status();
        let waiting = status.replicas().filter(|one| !one.standby.is_empty());
        let names = waiting.map(|one| (one.id.to_string(), one.standby.clone()));
        names.collect::<Vec<_>>()
    };
    assert_eq!(standby(&world), []);
    world.happens(Event::UpgradeAsked {
        build: 1,
        interfaces: world.plane.spec().interfaces.clone(),
        canary: Some(10),
        observe_ms: 0,
    });
    world.pass(Duration::from_secs(2));
    assert!(world.plane.change().is_some_and(|it| it.contains("paused")));
    // It is no part of the canary: the old one serves on, and the new one waits beside it.
    assert_eq!(standby(&world), [("Cart-2".to_owned(), vec![name("Cart")])]);
}
