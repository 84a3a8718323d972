//! What the control plane promises of restarts and of other numbers of replicas, in simulated worlds.

use std::{collections::BTreeMap, time::Duration};

use anylith_control::{Change, Event, Exit, Notice, Refused, ReplicaState};
use anylith_core::Size;
use anylith_wire::control::ToReplica;

use crate::world::{Fault, World, micro, name, spec};

fn restart(group: Option<&str>) -> Event {
    Event::RestartAsked {
        group: group.map(name),
    }
}

fn scale(groups: &[(&str, u32)]) -> Event {
    let groups = groups
        .iter()
        .map(|(group, count)| (name(group), Size::Fixed(*count)));
    Event::ScaleAsked {
        groups: groups.collect(),
    }
}

fn pids(world: &World) -> BTreeMap<String, u32> {
    let processes = world.processes.iter();
    processes
        .map(|(name, process)| (name.to_string(), process.pid))
        .collect()
}

fn connect_all(world: &mut World) {
    let all: Vec<String> = world.processes.keys().map(ToString::to_string).collect();
    for replica in all {
        world.connects(&replica);
    }
}

fn failure(world: &World) -> Option<(Change, String)> {
    world.notices.iter().find_map(|notice| match notice {
        Notice::ChangeFailed { what, why, .. } => Some((*what, why.clone())),
        _ => None,
    })
}

/// The replica that kept the change from being made.
fn culprit(world: &World) -> Option<&str> {
    world.notices.iter().find_map(|notice| match notice {
        Notice::ChangeFailed { replica, .. } => replica.as_ref().map(anylith_core::Name::as_str),
        _ => None,
    })
}

#[test]
fn a_restart_renews_every_replica_and_never_has_fewer_than_wanted_ready() {
    for replicas in [1, 2, 5] {
        let mut world = World::ready(micro(replicas));
        let before = pids(&world);
        world.least = replicas as usize;
        world.happens(restart(None));
        assert!(world.status().is_ready());
        let after = pids(&world);
        assert!(before.keys().eq(after.keys()), "{after:?}");
        assert!(before.iter().all(|(name, pid)| after[name] != *pid));
        let all = 3 * replicas;
        assert_eq!(
            world.notices.last(),
            Some(&Notice::Restarted { replicas: all })
        );
        let renewed = |notice: &&Notice| matches!(notice, Notice::Renewed { .. });
        assert_eq!(world.notices.iter().filter(renewed).count(), all as usize);
        assert!(
            world
                .status()
                .replicas()
                .all(|replica| replica.restarts == 0)
        );
        world.check_directory();
    }
}

#[test]
fn a_restart_of_one_group_leaves_the_others_alone() {
    let mut world = World::ready(micro(2));
    let before = pids(&world);
    world.happens(restart(Some("Cart")));
    let after = pids(&world);
    let renewed = before.iter().filter(|(name, pid)| after[*name] != **pid);
    let renewed: Vec<&str> = renewed.map(|(name, _)| name.as_str()).collect();
    assert_eq!(renewed, ["Cart-1", "Cart-2"]);
}

#[test]
fn a_successor_that_cannot_start_leaves_all_the_old_ones_serving() {
    let mut world = World::ready(micro(2));
    let before = pids(&world);
    world.faults.insert("Cart", Fault::Fails);
    world.least = 2;
    world.happens(restart(None));
    world.pass(Duration::from_secs(5));
    // The groups before it are done.
    let (what, why) = failure(&world).unwrap();
    assert_eq!(what, Change::Restart);
    assert_eq!(why, "Cart-3 does not start: Cart failed: no table");
    assert_eq!(culprit(&world), Some("Cart-3"));
    assert_eq!(world.plane.change(), None);
    let after = pids(&world);
    for replica in ["Cart-1", "Cart-2", "Stock-1", "Stock-2"] {
        assert_eq!(after[replica], before[replica]);
    }
    world.pass(Duration::from_secs(20));
    assert!(world.status().is_ready(), "{:?}", world.status());
    assert_eq!(world.processes.len(), 6);
}

#[test]
fn a_successor_that_is_not_ready_in_time_ends_the_restart() {
    let mut world = World::ready(micro(1));
    world.faults.insert("Stock", Fault::Lazy);
    world.least = 1;
    world.happens(restart(Some("Stock")));
    world.pass(Duration::from_secs(59));
    assert_eq!(failure(&world), None);
    world.pass(Duration::from_secs(2));
    let (_, why) = failure(&world).unwrap();
    assert_eq!(why, "Stock-2 was not ready within 60s: Stock is starting");
    world.pass(Duration::from_secs(15));
    assert_eq!(world.processes.len(), 3);
    assert!(world.status().is_ready());
}

#[test]
fn where_a_later_successor_cannot_start_the_stand_in_goes_on_in_its_place() {
    let mut world = World::ready(micro(2));
    world.least = 2;
    world.faults.insert("Cart-1", Fault::Mute);
    world.happens(restart(Some("Cart")));
    world.pass(Duration::from_secs(61));
    let (_, why) = failure(&world).unwrap();
    assert!(
        why.starts_with("Cart-1 was not ready within 60s: it failed before: it did not connect"),
        "{why}"
    );
    let ids = |world: &World| world.plane.directory().replicas("Cart").len();
    assert_eq!(ids(&world), 2);
    world.faults.clear();
    world.pass(Duration::from_secs(60));
    assert!(world.status().is_ready(), "{:#?}", world.status());
    assert_eq!(world.processes.len(), 6, "the stand-in has left");
}

#[test]
fn a_restart_uses_the_stand_in_that_an_earlier_one_has_left_and_has_an_end() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Cart-1", Fault::Mute);
    world.happens(restart(Some("Cart")));
    world.pass(Duration::from_secs(61));
    assert!(failure(&world).is_some());
    world.notices.clear();
    // The stand-in cannot leave, since Cart-1 does not start.
    world.happens(restart(Some("Cart")));
    assert_eq!(
        world.plane.change().unwrap(),
        "restarted 0 of 2 replicas; Cart-1 starts"
    );
    world.pass(Duration::from_secs(90));
    let (_, why) = failure(&world).expect("it waits for ever");
    assert!(
        why.starts_with("Cart-1 was not ready within 60s: it failed before: it did not connect"),
        "{why}"
    );
    assert_eq!(world.plane.check_restart(None), Ok(()));
}

#[test]
fn a_change_that_is_given_up_says_what_the_replica_waited_for() {
    let mut world = World::ready(micro(1));
    world.faults.insert("Stock", Fault::Lazy);
    world.dies("Stock-1", Exit::Signal(9));
    world.happens(scale(&[("Cart", 2)]));
    world.pass(Duration::from_secs(61));
    let (_, why) = failure(&world).unwrap();
    assert_eq!(
        why,
        "Cart-2 was not ready within 60s: Cart waits for Stock; Cart has 1 replica again"
    );
    assert_eq!(culprit(&world), Some("Cart-2"));
}

#[test]
fn two_numbers_for_one_group_are_refused() {
    let world = World::ready(spec(&[
        ("Front", &["Front"], 1),
        ("rest", &["Cart", "Stock"], 1),
    ]));
    for (one, other) in [("Cart", "Stock"), ("Cart", "rest")] {
        let groups = [(name(one), 3.into()), (name(other), 5.into())].into();
        let refused = Refused::Twice {
            one: name(one),
            other: name(other),
        };
        assert_eq!(world.plane.check_scale(&groups), Err(refused));
    }
    let once = [(name("Cart"), 3.into()), (name("Front"), 2.into())].into();
    assert_eq!(world.plane.check_scale(&once), Ok(()));
}

#[test]
fn a_replica_that_dies_in_a_restart_is_waited_for_before_the_next_one_goes() {
    let mut world = World::ready(micro(2));
    world.will_happen(restart(Some("Stock")));
    // Whenever it dies, the end is the same.
    for step in 0..60 {
        if !world.settle_a_little(1) {
            break;
        }
        if step % 7 == 3 {
            world.dies_later("Stock-2");
        }
    }
    world.settle();
    world.pass(Duration::from_secs(60));
    assert!(world.status().is_ready(), "{:#?}", world.status());
    assert_eq!(world.processes.len(), 6);
    world.check_directory();
}

#[test]
fn more_replicas_are_started_at_once_and_fewer_are_drained_from_the_highest() {
    let mut world = World::ready(micro(2));
    world.least = 2;
    world.happens(scale(&[("Cart", 4), ("Stock", 3)]));
    assert_eq!(world.processes.len(), 9);
    assert!(world.status().is_ready());
    let wanted = [(name("Cart"), 4), (name("Stock"), 3)].into();
    assert_eq!(
        world.notices.last(),
        Some(&Notice::Scaled { groups: wanted })
    );
    world.least = 1;
    world.happens(scale(&[("Cart", 1)]));
    let carts: Vec<String> = pids(&world)
        .into_keys()
        .filter(|replica| replica.starts_with("Cart"))
        .collect();
    assert_eq!(carts, ["Cart-1"]);
    assert_eq!(world.plane.spec().groups[1].replicas, 1);
    // What was started once is not started a second time under the same number.
    world.happens(scale(&[("Cart", 2)]));
    let endpoint = world.plane.directory().replicas("Cart")[1]
        .endpoint
        .to_string();
    assert!(endpoint.ends_with("Cart-2.2.sock"), "{endpoint}");
}

#[test]
fn other_numbers_are_reached_while_those_that_stay_are_ill() {
    let mut world = World::ready(micro(2));
    for replica in ["Cart-1", "Cart-2"] {
        world.feels(replica, "Cart", Some("the database is gone"));
    }
    for replicas in [1, 3] {
        world.happens(scale(&[("Cart", replicas)]));
        assert_eq!(world.plane.change(), None);
        let groups = [(name("Cart"), replicas)].into();
        assert_eq!(world.notices.last(), Some(&Notice::Scaled { groups }));
        assert_eq!(world.plane.check_restart(None), Ok(()));
    }
    // One that falls ill while others drain keeps nobody either.
    world.faults.insert("Stock-2", Fault::Deaf);
    world.happens(scale(&[("Stock", 1)]));
    world.feels("Stock-1", "Stock", Some("ill"));
    world.pass(Duration::from_secs(20));
    assert_eq!(world.plane.change(), None);
}

#[test]
fn a_change_that_is_refused_is_told_what_the_other_one_waits_for() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Cart-3", Fault::Mute);
    world.happens(scale(&[("Cart", 3)]));
    let why = |world: &World| world.plane.check_restart(None).unwrap_err().to_string();
    assert_eq!(
        why(&world),
        "another change is under way: scaling Cart to 3; Cart-3 starts, for which it has 60s before it is given up"
    );
    world.pass(Duration::from_secs(61));
    assert_eq!(world.plane.check_restart(None), Ok(()));
    world.faults.insert("Stock-2", Fault::Deaf);
    world.happens(scale(&[("Stock", 1)]));
    assert_eq!(
        why(&world),
        "another change is under way: scaling Stock to 1; Stock-2 drains"
    );
}

#[test]
fn a_limit_after_which_nothing_is_given_up_is_not_said_to_be_one() {
    let mut world = World::ready(micro(1));
    // All of it is ready, and what was before takes its time to leave.
    world.faults.insert("Cart-1", Fault::Deaf);
    let all = crate::world::spec(&[("all", &["Stock", "Cart", "Front"], 1)]);
    world.happens(Event::ReshapeAsked {
        topology: name("all"),
        groups: all.groups,
    });
    let refused = world.plane.check_restart(None).unwrap_err().to_string();
    let busy = "another change is under way: reshaping test to all; calls go to what is new, and the rest drains";
    assert_eq!(refused, busy);
}

#[test]
fn a_replica_that_does_not_drain_in_time_is_killed_and_forgotten() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Stock-2", Fault::Deaf);
    world.happens(scale(&[("Stock", 1)]));
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
    assert_eq!(world.processes.len(), 6);
    assert_eq!(
        world.status().replica("Stock-2").unwrap().state,
        ReplicaState::Draining
    );
    world.pass(Duration::from_secs(12));
    assert_eq!(world.processes.len(), 5);
    assert!(world.status().replica("Stock-2").is_none());
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Overdue { .. }))
    );
}

#[test]
fn a_number_that_cannot_be_reached_is_taken_back_each_time_that_it_is_asked_for() {
    let mut world = World::ready(micro(1));
    let before = world.plane.spec().clone();
    world.faults.insert("Cart-3", Fault::Mute);
    for _ in 0..2 {
        world.happens(scale(&[("Cart", 3), ("Stock", 2)]));
        world.pass(Duration::from_secs(61));
        let (what, why) = failure(&world).unwrap();
        assert_eq!(what, Change::Scale);
        let late = "Cart-3 was not ready within 60s: it failed before: it did not connect";
        assert!(why.starts_with(late), "{why}");
        assert!(
            why.ends_with("; Cart has 1 replica, Stock has 1 again"),
            "{why}"
        );
        assert_eq!(*world.plane.spec(), before);
        world.pass(Duration::from_secs(15));
        assert!(world.status().is_ready());
        assert_eq!(world.processes.len(), 3, "what came has left");
        world.notices.clear();
    }
    // Also where it fails at once, and where there was a range.
    world.faults.insert("Cart", Fault::Fails);
    let range = Size::Between { min: 3, max: 4 };
    world.happens(Event::ScaleAsked {
        groups: [(name("Cart"), range)].into(),
    });
    world.pass(Duration::from_secs(15));
    let (_, why) = failure(&world).unwrap();
    assert!(why.starts_with("Cart-2 does not start: "), "{why}");
    assert_eq!(*world.plane.spec(), before);
    assert_eq!(world.plane.check_restart(None), Ok(()));
}

#[test]
fn who_asks_for_a_number_hears_of_one_that_did_not_start_before() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Cart-1", Fault::Mute);
    world.dies("Cart-1", Exit::Signal(9));
    world.pass(Duration::from_secs(5));
    world.happens(scale(&[("Cart", 3)]));
    world.pass(Duration::from_secs(61));
    let (_, why) = failure(&world).unwrap();
    assert!(why.starts_with("Cart-1 "), "{why}");
    assert!(why.ends_with("; Cart has 3 replicas all the same"), "{why}");
    // Fewer can be had of what is ill.
    world.happens(scale(&[("Cart", 1)]));
    world.pass(Duration::from_secs(15));
    let groups = [(name("Cart"), 1)].into();
    assert!(world.notices.contains(&Notice::Scaled { groups }));
}

#[test]
fn one_change_is_made_at_a_time_and_only_what_can_be_done() {
    let mut world = World::ready(micro(1));
    let check = |world: &World, group: &str| world.plane.check_restart(Some(&name(group)));
    assert!(matches!(
        check(&world, "Crat"),
        Err(Refused::UnknownGroup { known, .. }) if known.len() == 3
    ));
    assert_eq!(check(&world, "Cart"), Ok(()));
    let many = [(name("Cart"), 0.into())].into();
    assert!(matches!(
        world.plane.check_scale(&many),
        Err(Refused::Number { .. })
    ));
    world.faults.insert("Cart-2", Fault::Mute);
    world.happens(restart(Some("Cart")));
    assert_eq!(
        world.plane.change().unwrap(),
        "restarted 0 of 1 replicas; Cart-2 starts"
    );
    assert!(matches!(check(&world, "Stock"), Err(Refused::Busy { .. })));
    let spawned = world.spawned;
    world.happens(scale(&[("Stock", 3)]));
    assert_eq!(world.spawned, spawned, "what is refused changes nothing");
    world.happens(Event::StopAsked);
    let (_, why) = failure(&world).unwrap();
    assert_eq!(why, "the application is being stopped");
    assert!(world.done);
}

/// The control plane is killed after each thing that happens in a restart: the next one puts all in order.
#[test]
fn a_control_plane_that_is_killed_in_a_restart_leaves_nothing_to_mend() {
    for event in [restart(Some("Cart")), scale(&[("Cart", 1), ("Stock", 3)])] {
        for steps in 1.. {
            let mut world = World::ready(micro(2));
            world.will_happen(event.clone());
            let goes_on = world.settle_a_little(steps);
            world.replaces_control();
            connect_all(&mut world);
            // Who drains when it is found is let go, and not killed.
            let killed = world.killed;
            world.pass(Duration::from_secs(30));
            connect_all(&mut world);
            world.pass(Duration::from_secs(30));
            assert!(
                world.status().is_ready(),
                "after {steps}: {:#?}",
                world.status()
            );
            let wanted = world.plane.spec().groups.iter();
            let wanted: u32 = wanted.map(|group| group.replicas).sum();
            assert_eq!(world.processes.len(), wanted as usize, "after {steps}");
            assert_eq!(world.killed, killed, "after {steps}");
            world.check_directory();
            if !goes_on {
                assert!(steps > 4, "it took only {steps} steps");
                break;
            }
        }
    }
}

#[test]
fn a_stop_in_a_restart_ends_it_all() {
    for steps in 0..60 {
        let mut world = World::ready(micro(2));
        world.will_happen(restart(None));
        world.settle_a_little(steps);
        world.happens(Event::StopAsked);
        world.pass(Duration::from_secs(30));
        assert!(world.done, "after {steps}");
    }
}

#[test]
fn who_dies_while_it_leaves_is_not_started_again() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Stock-2", Fault::Deaf);
    world.happens(scale(&[("Stock", 1)]));
    world.dies("Stock-2", Exit::Signal(11));
    assert_eq!((world.spawned, world.processes.len()), (6, 5));
    assert!(world.status().is_ready());
}

/// Whether others stayed, each time that a replica was told to stop.
fn told_that_others_stay(world: &World) -> Vec<(&str, bool)> {
    let told = world.told.iter();
    told.filter_map(|(replica, message)| match message {
        ToReplica::Stop { others_stay, .. } => Some((replica.as_str(), *others_stay)),
        _ => None,
    })
    .collect()
}

#[test]
fn who_leaves_alone_is_told_that_others_stay_to_take_its_connections() {
    let mut world = World::ready(micro(3));
    world.happens(restart(Some("Front")));
    let told = told_that_others_stay(&world);
    let leaves = ["Front-1", "Front-2", "Front-3", "Front-4"];
    assert_eq!(told, leaves.map(|replica| (replica, true)));
    world.told.clear();
    // Both at once, and neither counts on the other.
    world.happens(scale(&[("Front", 1)]));
    let told = told_that_others_stay(&world);
    assert_eq!(told, [("Front-2", true), ("Front-3", true)]);
}

#[test]
fn who_leaves_nobody_behind_that_serves_is_not_told_that_others_stay() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Front-1", Fault::Mute);
    world.dies("Front-1", Exit::Signal(11));
    world.happens(scale(&[("Front", 1)]));
    assert_eq!(told_that_others_stay(&world), [("Front-2", false)]);
}

#[test]
fn who_leaves_is_told_once_more_when_those_that_stayed_stop_too() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Front-2", Fault::Deaf);
    world.happens(scale(&[("Front", 1)]));
    assert_eq!(told_that_others_stay(&world), [("Front-2", true)]);
    world.told.clear();
    world.happens(Event::StopAsked);
    let told = told_that_others_stay(&world);
    assert!(told.contains(&("Front-2", false)), "{told:?}");
    assert!(told.iter().all(|(_, others_stay)| !others_stay), "{told:?}");
}

#[test]
fn a_reshape_in_which_a_control_plane_is_killed_is_told_its_end_by_the_next_one() {
    let all = || crate::world::spec(&[("all", &["Stock", "Cart", "Front"], 1)]);
    // Nothing of the new one gets ready; or all does, and what was before takes its time to leave.
    for (fault, stands) in [
        (("all-1", Fault::Mute), "test"),
        (("Cart-1", Fault::Deaf), "all"),
    ] {
        let mut world = World::ready(micro(1));
        world.faults.insert(fault.0, fault.1);
        world.happens(Event::ReshapeAsked {
            topology: name("all"),
            groups: all().groups,
        });
        assert!(world.plane.change().is_some());
        world.replaces_control();
        world.pass(Duration::from_secs(60));
        let end = Notice::ReshapeResolved {
            to: name("all"),
            stands: name(stands),
        };
        let told = world.notices.iter().filter(|notice| **notice == end);
        assert_eq!(told.count(), 1, "{:?}", world.notices);
        assert_eq!(world.plane.memory().reshape, None);
        world.replaces_control();
        world.pass(Duration::from_secs(60));
        let told = world.notices.iter().filter(|notice| **notice == end);
        assert_eq!(told.count(), 1, "{:?}", world.notices);
    }
}
