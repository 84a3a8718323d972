//! What a control plane makes of what an earlier one has left, in simulated worlds.

use std::{collections::BTreeMap, time::Duration};

use anylith_control::{Action, Event, Notice};
use anylith_wire::control::{CONTROL_PROTOCOL, ComponentState, Hello, ToReplica};

use crate::world::{Fault, World, micro, name};

#[test]
fn a_new_control_plane_adopts_and_says_nothing_before_it_knows_all() {
    let mut world = World::ready(micro(2));
    let epoch = world.last_epoch;
    world.replaces_control();
    for replica in ["Cart-1", "Cart-2", "Front-1", "Front-2", "Stock-1"] {
        world.connects(replica);
        assert_eq!(world.last_epoch, epoch, "half a directory was published");
    }
    world.connects("Stock-2");
    assert!(world.last_epoch > epoch);
    assert!(world.status().is_ready());
    assert!(world.notices.contains(&Notice::Adopted { replicas: 6 }));
    assert_eq!((world.spawned, world.bound), (6, 0));
}

#[test]
fn who_does_not_come_back_to_a_new_control_plane_is_replaced() {
    let mut world = World::ready(micro(1));
    world.replaces_control();
    world.connects("Cart-1");
    world.connects("Front-1");
    world.pass(Duration::from_secs(5));
    assert!(world.status().is_ready());
    assert_eq!(world.spawned, 4);
}

#[test]
fn a_listener_is_bound_anew_only_if_nobody_hands_it_over() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Front-1", Fault::Stingy);
    world.replaces_control();
    for replica in [
        "Cart-1", "Cart-2", "Front-1", "Front-2", "Stock-1", "Stock-2",
    ] {
        world.connects(replica);
    }
    world.pass(Duration::from_secs(3));
    let asked = |of: &str| {
        let told = |(who, told): &&(anylith_core::Name, ToReplica)| {
            *who == of && matches!(told, ToReplica::HandOver { .. })
        };
        world.told.iter().filter(told).count()
    };
    assert_eq!((asked("Front-1"), asked("Front-2"), world.bound), (1, 1, 0));
    world.faults.insert("Front-2", Fault::Stingy);
    world.replaces_control();
    for replica in [
        "Cart-1", "Cart-2", "Front-1", "Front-2", "Stock-1", "Stock-2",
    ] {
        world.connects(replica);
    }
    world.pass(Duration::from_secs(5));
    assert_eq!(world.bound, 1);
}

#[test]
fn a_leftover_of_an_earlier_start_is_dismissed() {
    let mut world = World::ready(micro(1));
    let hello = |replica: &str, incarnation, protocol| Hello {
        protocol,
        replica: name(replica),
        incarnation,
        pid: 1,
        endpoint: None,
        epoch: 0,
        components: BTreeMap::new(),
    };
    let dismisses = |world: &mut World, hello| {
        let actions = world.plane.on(Event::Hello(hello), world.now);
        actions
            .iter()
            .any(|action| matches!(action, Action::Dismiss { .. }))
    };
    assert!(dismisses(&mut world, hello("Cart-1", 7, CONTROL_PROTOCOL)));
    assert!(dismisses(&mut world, hello("Karte-1", 1, CONTROL_PROTOCOL)));
    assert!(dismisses(
        &mut world,
        hello("Cart-1", 1, CONTROL_PROTOCOL + 1)
    ));
    assert!(world.status().is_ready());
}

#[test]
fn a_leftover_of_which_nothing_is_remembered_is_not_taken_for_the_one_that_was_started() {
    let mut world = World::new(micro(1));
    world.faults.insert("Stock-1", Fault::Mute);
    world.settle();
    let leftover = Hello {
        protocol: CONTROL_PROTOCOL,
        replica: name("Stock-1"),
        incarnation: 1,
        pid: 1,
        endpoint: Some("unix:/run/r/Stock-1.1.sock".parse().unwrap()),
        epoch: 3,
        components: BTreeMap::from([(name("Stock"), ComponentState::Ready)]),
    };
    let actions = world.plane.on(Event::Hello(leftover.clone()), world.now);
    let dismissed = Action::Dismiss {
        replica: name("Stock-1"),
    };
    assert!(actions.contains(&dismissed), "{actions:?}");
    world.faults.clear();
    world.connects("Stock-1");
    assert!(world.status().is_ready());
    // Nor later.
    let actions = world.plane.on(Event::Hello(leftover), world.now);
    assert!(actions.contains(&dismissed), "{actions:?}");
}

#[test]
fn an_epoch_that_a_replica_has_seen_never_comes_again() {
    let mut world = World::ready(micro(1));
    let mut hello = Hello {
        protocol: CONTROL_PROTOCOL,
        replica: name("Cart-1"),
        incarnation: 1,
        pid: world.processes["Cart-1"].pid,
        endpoint: None,
        epoch: 1000,
        components: BTreeMap::from([(name("Cart"), ComponentState::Stopped)]),
    };
    hello.endpoint = Some("unix:/run/r/Cart-1.1.sock".parse().unwrap());
    world.last_epoch = hello.epoch;
    world.happens(Event::Hello(hello));
    assert_eq!(world.last_epoch, 1001);
}

#[test]
fn a_socket_that_cannot_be_bound_wakes_nobody_once_everything_stops() {
    let mut world = World::ready(micro(1));
    world.happens(Event::ListenerFailed {
        listener: name("web"),
        error: "the address is in use".to_owned(),
    });
    world.faults.insert("Cart", Fault::Stuck);
    world.happens(Event::StopAsked);
    assert!(!world.done);
    // A tick that changes nothing fails it.
    world.pass(Duration::from_secs(15));
    assert!(world.done);
}
