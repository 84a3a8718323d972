//! A component of which there is one at a time, in simulated worlds.

use std::time::Duration;

use anylith_control::{Cause, Event, Exit, Notice, Spec};
use anylith_core::{Name, Singleton};
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

/// Where it began, in order: `Cart-1 begins anew`.
fn begun(world: &World) -> Vec<String> {
    let mut said = said(world);
    said.retain(|it| it.contains(" begins "));
    said
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
    let change = world.plane.change();
    assert!(change.unwrap().ends_with("what there is one of moves"));
    // Who is to have it begins anew, too, and `Front` in it waits for somebody to call.
    world.faults.clear();
    world.dies("shop-1", Exit::Signal(9));
    world.pass(Duration::from_secs(60));
    assert!(world.status().is_ready(), "{:?}", world.status());
    let named = world.plane.directory().replicas("Cart");
    assert_eq!(named[0].replica, "shop-1");
}

/// `Front` has a group of its own, and `Cart` is beside `Stock`.
fn apart() -> World {
    World::ready(one_cart(spec(&[
        ("shop", &["Front"], 1),
        ("rest", &["Cart", "Stock"], 1),
    ])))
}

/// `Cart` is to come to `Front`, where that runs.
fn brought() -> Event {
    reshape(&spec(&[
        ("shop", &["Front", "Cart"], 1),
        ("rest", &["Stock"], 1),
    ]))
}

/// One that can start neither where a reshape has brought it nor where it was, and is tried again there.
fn unable() -> World {
    let mut world = apart();
    world.faults.insert("Cart", Fault::Unable);
    world.happens(brought());
    world.pass(Duration::from_secs(5));
    assert!(attempts(&world) > 3, "{:?}", world.notices);
    world
}

/// How a change that was asked for has failed: what brought that about, and why.
fn failure(world: &World) -> Option<(Cause, &str, Option<&str>)> {
    world.notices.iter().find_map(|notice| match notice {
        Notice::ChangeFailed {
            cause,
            why,
            replica,
            ..
        } => Some((*cause, why.as_str(), replica.as_ref().map(Name::as_str))),
        _ => None,
    })
}

/// Whether it was said that what is new is called.
fn has_switched(world: &World) -> bool {
    let switched = |notice: &Notice| matches!(notice, Notice::Switched { .. });
    world.notices.iter().any(switched)
}

#[test]
fn one_that_does_not_start_in_a_new_process_is_back_where_it_was_and_calls_wait_all_the_while() {
    let mut world = World::ready(one_cart(spec(&[("all", &["Stock", "Cart", "Front"], 1)])));
    world.told.clear();
    world.faults.insert("Cart in Cart-1", Fault::Fails);
    world.happens(reshape(&micro(1)));
    // It is tried again at once, and soon.
    for _ in 0..30 {
        let directory = world.plane.directory();
        assert_eq!(directory.replicas("Front")[0].replica, "all-1");
        let is_there = !directory.replicas("Cart").is_empty();
        assert!(is_there || directory.is_moving("Cart"), "{directory:?}");
        world.pass(Duration::from_millis(10));
    }
    let (cause, why, replica) = failure(&world).unwrap();
    assert_eq!((cause, replica), (Cause::Obstacle, Some("Cart-1")));
    assert_eq!(why, "Cart-1 does not start: Cart failed: no table");
    assert!(!has_switched(&world));
    assert_eq!(world.plane.spec().topology, "test");
    assert_eq!(world.processes.len(), 1);
    let tried = begun(&world);
    assert_eq!(tried[..3], ["Cart-1 begins Cart"; 3]);
    let names = world.plane.directory().replicas("Cart");
    assert_eq!(names[0].replica, "all-1");
    assert_eq!(begun(&world).last().unwrap(), "all-1 begins Cart");
}

#[test]
fn one_that_does_not_start_in_a_process_that_runs_is_back_at_once() {
    let mut world = apart();
    world.told.clear();
    world.faults.insert("Cart in shop-1", Fault::Unable);
    world.happens(brought());
    let why = "Cart does not start in shop-1: no table";
    let failed = (Cause::Obstacle, why, Some("shop-1"));
    assert_eq!(failure(&world), Some(failed));
    assert_eq!(world.plane.spec().topology, "test");
    let all = ["rest-1 yields", "shop-1 begins Cart", "rest-1 begins Cart"];
    assert_eq!(said(&world), all);
    assert!(world.status().is_ready());
    assert_eq!((world.killed, world.spawned), (0, 2));
}

#[test]
fn who_is_at_work_has_the_seat_whoever_is_remembered_for_it() {
    let mut world = apart();
    let kept = world.kept();
    world.happens(brought());
    assert_eq!(begun(&world).last().unwrap(), "shop-1 begins Cart");
    world.told.clear();
    // Nothing could be written down since then.
    world.replaces_control_by(kept);
    for replica in ["rest-1", "shop-1"] {
        world.connects(replica);
    }
    assert_eq!(said(&world), ["shop-1 yields", "rest-1 begins Cart"]);
    assert!(world.status().is_ready(), "{:?}", world.status());
    assert_eq!(world.plane.directory().replicas("Cart").len(), 1);
}

#[test]
fn one_that_does_not_get_ready_in_its_new_place_is_back_after_a_while() {
    let mut world = apart();
    world.faults.insert("Cart in shop-1", Fault::Lazy);
    world.happens(brought());
    world.pass(Duration::from_secs(59));
    assert_eq!(failure(&world), None);
    world.pass(Duration::from_secs(60));
    let why = "Cart was not ready in shop-1 in time: Cart is starting";
    let failed = (Cause::Obstacle, why, Some("shop-1"));
    assert_eq!(failure(&world), Some(failed));
    assert_eq!(begun(&world).last().unwrap(), "rest-1 begins Cart");
    assert!(world.status().is_ready());
}

#[test]
fn one_that_starts_nowhere_any_more_is_said_to_run_nowhere() {
    let mut world = unable();
    assert!(!has_switched(&world));
    world.pass(Duration::from_secs(120));
    let why =
        "Cart does not start in shop-1: no table; and Cart does not run in rest-1 yet: no table";
    assert_eq!(
        failure(&world),
        Some((Cause::Obstacle, why, Some("shop-1")))
    );
    assert_eq!(world.plane.change(), None);
}

#[test]
fn one_that_dies_in_its_new_place_and_does_not_come_back_is_no_success() {
    let mut world = World::ready(one_cart(micro(1)));
    // What was before takes its time to leave.
    world.faults.insert("Stock-1", Fault::Deaf);
    world.happens(reshape(&spec(&[("all", &["Stock", "Cart", "Front"], 1)])));
    assert!(has_switched(&world));
    world.faults.insert("Cart", Fault::Fails);
    world.dies("all-1", Exit::Signal(9));
    world.pass(Duration::from_secs(120));
    let (cause, why, replica) = failure(&world).unwrap();
    assert_eq!((cause, replica), (Cause::Unsettled, Some("all-1")));
    let begins = "calls go to what other has, but Cart does not run in all-1 yet: failed ";
    assert!(why.starts_with(begins), "{why}");
    assert!(why.ends_with("Cart failed: no table"), "{why}");
    let made = |notice: &Notice| matches!(notice, Notice::Reshaped { .. });
    assert!(!world.notices.iter().any(made));
}

/// Asks for another build, which is watched for a moment only.
fn another_build(world: &World) -> Event {
    Event::UpgradeAsked {
        build: 1,
        interfaces: world.plane.spec().interfaces.clone(),
        canary: None,
        observe_ms: 1000,
    }
}

/// A build in which `Cart` does `fault`, rolled in until the one that was there makes room.
fn rolled_in(fault: Fault) -> World {
    let mut world = World::ready(one_cart(micro(1)));
    world.told.clear();
    world.faults.insert("Cart", fault);
    world.ailing = Some(1);
    world.happens(another_build(&world));
    world.pass(Duration::from_secs(1));
    assert!(said(&world).contains(&"Cart-1 yields".to_owned()));
    world
}

/// The old build runs alone, and has what its `Cart` had.
fn is_back(world: &World) {
    let status = world.status();
    let all = status.replicas().all(|one| one.build == 0);
    assert!(all && status.is_ready(), "{status:?}");
    assert_eq!(begun(world).last().unwrap(), "Cart-1 begins Cart");
}

#[test]
fn a_build_in_which_it_does_not_start_goes_away_by_itself_and_calls_wait_all_the_while() {
    let mut world = World::ready(one_cart(micro(1)));
    world.told.clear();
    world.faults.insert("Cart", Fault::Fails);
    world.ailing = Some(1);
    world.happens(another_build(&world));
    for _ in 0..200 {
        world.pass(Duration::from_millis(10));
        let directory = world.plane.directory();
        let is_there = !directory.replicas("Cart").is_empty();
        assert!(is_there || directory.is_moving("Cart"), "{directory:?}");
    }
    is_back(&world);
    let (cause, why, _) = failure(&world).unwrap();
    assert_eq!(cause, Cause::Obstacle);
    let words = "does not run with the new build: Cart failed: no table";
    assert!(why.contains(words), "{why}");
}

/// Whoever was told last to begin ends, as one does whose start has failed.
fn fails_where_it_begins(world: &mut World) {
    let granted = world.told.iter().rev().find_map(|(replica, message)| {
        matches!(message, ToReplica::Grant { .. }).then(|| replica.clone())
    });
    world.dies(granted.unwrap().as_str(), Exit::Code(1));
}

#[test]
fn those_who_take_their_time_to_fail_in_turn_are_not_forgiven_for_standing_by() {
    let mut world = rolled_in(Fault::Lazy);
    for _ in 0..3 {
        assert_eq!(failure(&world), None);
        world.pass(Duration::from_secs(12));
        fails_where_it_begins(&mut world);
    }
    world.pass(Duration::from_secs(3));
    is_back(&world);
    let (_, why, replica) = failure(&world).unwrap();
    let words = "in Cart it has failed 3 times, and the old build never meanwhile";
    assert!(why.contains(words), "{why}");
    assert!(replica.is_some());
}

#[test]
fn a_seat_that_stays_empty_is_as_bad_as_a_replica_that_does_not_get_ready() {
    let mut world = rolled_in(Fault::Lazy);
    // Each of the two stands by while the other one tries, and so is ready now and then.
    for _ in 0..2 {
        world.pass(Duration::from_secs(28));
        fails_where_it_begins(&mut world);
    }
    assert_eq!(failure(&world), None);
    world.pass(Duration::from_secs(7));
    is_back(&world);
    let (_, why, _) = failure(&world).unwrap();
    let words = "Cart was not ready within 60s with the new build";
    assert!(why.starts_with(words), "{why}");
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
    let begins = "rest-1 begins Cart".to_owned();
    assert_eq!(said(&world).last(), Some(&begins));
    assert!(world.plane.change().is_none());
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
    // The reshape is taken back, and ends.
    world.pass(Duration::from_secs(120));
    assert_eq!(world.plane.change(), None);
    world.faults.insert("Cart", Fault::Lazy);
    world.happens(Event::RestartAsked {
        group: Some(name("rest")),
    });
    assert!(world.processes.contains_key("rest-2"));
    world.pass(Duration::from_secs(30));
    let before = attempts(&world);
    world.faults.clear();
    world.dies("rest-2", Exit::Signal(9));
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
