//! What the control plane promises, in simulated worlds.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod signs_of_life;
mod world;

use std::{collections::BTreeMap, time::Duration};

use anylith_control::{Action, Event, Exit, Notice, ReplicaState};
use anylith_topology::Transport;
use anylith_wire::control::{CONTROL_PROTOCOL, ComponentState, FromReplica, Hello, ToReplica};
use proptest::prelude::*;
use world::{Fault, World, micro, name, spec};

fn state(world: &World, replica: &str) -> ReplicaState {
    world.status().replica(replica).unwrap().state
}

#[test]
fn all_replicas_are_spawned_at_once_and_become_ready_in_dependency_order() {
    let mut world = World::new(micro(2));
    world.faults.insert("Stock-1", Fault::Mute);
    world.settle();
    assert_eq!(world.spawned, 6);
    assert_eq!(world.notices, []);
    assert!(!world.status().is_ready());
    world.faults.clear();
    world.connects("Stock-1");
    assert!(world.status().is_ready());
    assert_eq!(world.notices, [Notice::Ready]);
}

#[test]
fn a_replica_that_dies_is_out_of_the_directory_and_back_at_once() {
    let mut world = World::ready(micro(2));
    let before = world.processes["Cart-1"]
        .bootstrap
        .clone()
        .unwrap()
        .endpoint;
    let epoch = world.last_epoch;
    world.dies("Cart-1", Exit::Signal(9));
    assert!(world.status().is_ready(), "it needs no time");
    assert_ne!(
        world.processes["Cart-1"]
            .bootstrap
            .clone()
            .unwrap()
            .endpoint,
        before
    );
    assert_eq!(world.status().replica("Cart-1").unwrap().restarts, 1);
    assert!(world.last_epoch >= epoch + 2, "out, and in again");
    assert_eq!(world.notices.last(), Some(&Notice::Recovered));
    world.check_directory();
}

#[test]
fn a_crash_loop_waits_longer_each_time_and_names_the_component() {
    let mut world = World::new(micro(1));
    world.faults.insert("Cart", Fault::Fails);
    world.settle();
    world.pass(Duration::from_secs(120));
    let loops: Vec<(u32, Duration)> = world
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::CrashLoop {
                replica,
                failure,
                failures,
                retry_in,
            } => {
                assert_eq!(*replica, "Cart-1");
                assert_eq!(failure.to_string(), "Cart failed: no table");
                Some((*failures, *retry_in))
            }
            _ => None,
        })
        .collect();
    assert!(loops.is_sorted());
    assert_eq!(loops.last().unwrap().1, Duration::from_secs(10));
    assert!((15..25).contains(&loops.len()), "{loops:?}");
    assert_eq!(state(&world, "Cart-1"), ReplicaState::Backoff);
    let notes = world.plane.notes(world.now);
    let front = notes.iter().find(|note| note.replica == "Front-1").unwrap();
    assert_eq!(front.text, "Front waits for Cart");
    world.faults.clear();
    world.pass(Duration::from_secs(10));
    assert!(world.status().is_ready());
}

#[test]
fn crashes_of_long_ago_are_forgiven() {
    let mut world = World::ready(micro(1));
    for _ in 0..20 {
        world.pass(Duration::from_secs(11));
        world.dies("Stock-1", Exit::Signal(11));
        assert!(world.status().is_ready());
    }
    assert!(
        !world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::CrashLoop { .. }))
    );
    assert_eq!(world.status().replica("Stock-1").unwrap().restarts, 20);
}

#[test]
fn a_lost_connection_that_comes_back_takes_nobody_out_of_the_directory() {
    let mut world = World::ready(micro(1));
    let epoch = world.last_epoch;
    world.loses_connection("Stock-1");
    world.pass(Duration::from_secs(4));
    assert_eq!(
        (state(&world, "Stock-1"), world.last_epoch),
        (ReplicaState::Ready, epoch)
    );
    world.connects("Stock-1");
    assert_eq!(world.spawned, 3);
}

#[test]
fn a_replica_that_drains_by_its_own_decision_is_out_of_the_directory() {
    let mut world = World::ready(micro(2));
    let message = FromReplica::Component {
        name: name("Stock"),
        state: ComponentState::Draining,
    };
    world.happens(Event::Said {
        replica: name("Stock-1"),
        message,
    });
    assert_eq!(state(&world, "Stock-1"), ReplicaState::Draining);
    let addresses = world.plane.directory().replicas("Stock");
    assert_eq!(
        addresses
            .iter()
            .map(|it| it.replica.as_str())
            .collect::<Vec<_>>(),
        ["Stock-2"]
    );
    world.dies("Stock-1", Exit::Code(0));
    assert!(world.status().is_ready());
}

#[test]
fn a_replica_that_never_connects_is_killed_and_started_again() {
    let mut world = World::new(micro(1));
    world.faults.insert("Stock-1", Fault::Mute);
    world.settle();
    world.pass(Duration::from_secs(29));
    assert_eq!(world.spawned, 3);
    world.faults.clear();
    world.pass(Duration::from_secs(2));
    assert_eq!(world.spawned, 4);
    assert!(world.status().is_ready());
}

#[test]
fn everything_stops_callers_first() {
    for groups in [
        spec(&[("all", &["Stock", "Cart", "Front"], 3)]),
        micro(3),
        spec(&[("a", &["Front", "Stock"], 3), ("b", &["Cart"], 3)]),
    ] {
        let mut world = World::ready(groups);
        world.happens(Event::StopAsked);
        assert!(world.done);
        // That nobody is drained before his callers is checked whenever a replica is told to.
        let is_drain = |(_, told): &&(_, ToReplica)| matches!(told, ToReplica::Drain { .. });
        assert_eq!(world.told.iter().filter(is_drain).count(), 9);
        assert!(
            world
                .status()
                .replicas()
                .all(|one| one.state == ReplicaState::Stopped)
        );
    }
}

#[test]
fn a_stuck_replica_is_killed_and_the_others_still_drain() {
    let mut world = World::ready(micro(1));
    world.faults.insert("Cart", Fault::Stuck);
    world.happens(Event::StopAsked);
    assert!(!world.done);
    world.pass(Duration::from_secs(12));
    assert!(world.done);
    assert!(world.told.iter().any(|(_, told)| {
        matches!(told, ToReplica::Drain { component, .. } if *component == "Stock")
    }));
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Overdue { .. }))
    );
}

#[test]
fn a_stop_while_it_starts_ends_it_all() {
    let mut world = World::new(micro(2));
    world.faults.insert("Stock-1", Fault::Mute);
    world.faults.insert("Cart", Fault::Fails);
    world.settle();
    world.happens(Event::StopAsked);
    world.pass(Duration::from_secs(1));
    assert!(world.done);
}

#[test]
fn killing_needs_nobodys_answer() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Front", Fault::Stuck);
    world.happens(Event::StopAsked);
    world.happens(Event::KillAsked);
    assert!(world.done);
}

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
        components: BTreeMap::new(),
    };
    hello.endpoint = Some("unix:/run/r/Cart-1.1.sock".parse().unwrap());
    world.last_epoch = hello.epoch;
    world.happens(Event::Hello(hello));
    assert_eq!(world.last_epoch, 1001);
}

#[test]
fn a_replica_whose_port_is_not_known_yet_is_not_in_the_directory() {
    let mut spec = micro(1);
    spec.transport = Transport::Tcp;
    let mut world = World::new(spec);
    world.settle();
    assert!(world.plane.directory().replicas("Stock").is_empty());
    let hello = Hello {
        protocol: CONTROL_PROTOCOL,
        replica: name("Stock-1"),
        incarnation: 1,
        pid: world.processes["Stock-1"].pid,
        endpoint: Some("tcp:127.0.0.1:4711".parse().unwrap()),
        epoch: 0,
        components: BTreeMap::from([(name("Stock"), ComponentState::Ready)]),
    };
    world.happens(Event::Hello(hello));
    let addresses = world.plane.directory().replicas("Stock");
    assert_eq!(addresses[0].endpoint.to_string(), "tcp:127.0.0.1:4711");
}

#[test]
fn external_replicas_come_and_go_by_themselves() {
    let mut spec = micro(1);
    spec.groups[2].external = true;
    let mut world = World::new(spec);
    world.settle();
    assert_eq!(world.spawned, 2);
    let hello = Hello {
        protocol: CONTROL_PROTOCOL,
        replica: name("Stock-1"),
        incarnation: 1,
        pid: 1,
        endpoint: None,
        epoch: 0,
        components: BTreeMap::new(),
    };
    world.happens(Event::Hello(hello));
    let ready = |state| FromReplica::Component {
        name: name("Stock"),
        state,
    };
    let replica = name("Stock-1");
    world.happens(Event::Said {
        replica: replica.clone(),
        message: ready(ComponentState::Ready),
    });
    assert!(world.status().is_ready());
    assert_eq!(world.status().replica("Stock-1").unwrap().pid, None);
    world.happens(Event::Disconnected { replica });
    assert!(world.plane.directory().replicas("Stock").is_empty());
    world.happens(Event::StopAsked);
    world.pass(Duration::from_secs(60));
    assert!(world.done);
}

#[test]
fn the_status_is_written_as_scripts_expect_it() {
    let world = World::ready(micro(1));
    let urls = [(name("web"), "http://127.0.0.1:80".to_owned())].into();
    let status = serde_json::to_value(world.plane.status(&urls)).unwrap();
    let expected = serde_json::json!({
        "app": "puppet", "topology": "test", "epoch": 3,
        "groups": [
            {"name": "Front", "components": ["Front"], "replicas": [
                {"id": "Front-1", "pid": status["groups"][0]["replicas"][0]["pid"],
                 "address": "unix:/run/r/Front-1.1.sock", "state": "ready", "restarts": 0}]},
            {"name": "Cart", "components": ["Cart"], "replicas": [
                {"id": "Cart-1", "pid": status["groups"][1]["replicas"][0]["pid"],
                 "address": "unix:/run/r/Cart-1.1.sock", "state": "ready", "restarts": 0}]},
            {"name": "Stock", "components": ["Stock"], "replicas": [
                {"id": "Stock-1", "pid": status["groups"][2]["replicas"][0]["pid"],
                 "address": "unix:/run/r/Stock-1.1.sock", "state": "ready", "restarts": 0}]},
        ],
        "listeners": {"web": "http://127.0.0.1:80"},
    });
    assert_eq!(status, expected);
}

/// What can go wrong.
#[derive(Debug, Clone)]
enum Trouble {
    Dies(usize),
    LosesConnection(usize),
    Connects(usize),
    Freezes(usize),
    Thaws(usize),
    ControlIsReplaced,
    Passes(u64),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        4 => (0..6usize).prop_map(Trouble::Dies),
        2 => (0..6usize).prop_map(Trouble::LosesConnection),
        4 => (0..6usize).prop_map(Trouble::Connects),
        1 => (0..6usize).prop_map(Trouble::Freezes),
        1 => (0..6usize).prop_map(Trouble::Thaws),
        1 => Just(Trouble::ControlIsReplaced),
        4 => (0..8000u64).prop_map(Trouble::Passes),
    ]
}

const REPLICAS: [&str; 6] = [
    "Front-1", "Front-2", "Cart-1", "Cart-2", "Stock-1", "Stock-2",
];

fn meets(world: &mut World, trouble: &Trouble) {
    match trouble {
        Trouble::Dies(who) => world.dies(REPLICAS[*who], Exit::Signal(9)),
        Trouble::LosesConnection(who) => world.loses_connection(REPLICAS[*who]),
        Trouble::Connects(who) => world.connects(REPLICAS[*who]),
        Trouble::Freezes(who) => world.freezes(REPLICAS[*who]),
        Trouble::Thaws(who) => world.thaws(REPLICAS[*who]),
        Trouble::ControlIsReplaced => world.replaces_control(),
        Trouble::Passes(ms) => world.pass(Duration::from_millis(*ms)),
    }
}

proptest! {
    /// Whatever went wrong: when nothing more does, everything is ready again, and the directory true.
    #[test]
    fn any_trouble_is_overcome(troubles in prop::collection::vec(trouble(), 0..60)) {
        let mut world = World::ready(micro(2));
        for trouble in &troubles {
            meets(&mut world, trouble);
        }
        for replica in REPLICAS {
            world.thaws(replica);
            world.connects(replica);
        }
        world.pass(Duration::from_secs(30));
        prop_assert!(world.status().is_ready(), "{:#?}", world.status());
        world.check_directory();
    }

    /// Whatever went wrong: a stop comes to its end, and nothing is left or started again.
    #[test]
    fn a_stop_always_ends(
        before in prop::collection::vec(trouble(), 0..40),
        after in prop::collection::vec(trouble(), 0..40),
    ) {
        let mut world = World::ready(micro(2));
        for trouble in &before {
            meets(&mut world, trouble);
        }
        world.happens(Event::StopAsked);
        for trouble in after.iter().filter(|it| !matches!(it, Trouble::ControlIsReplaced)) {
            meets(&mut world, trouble);
        }
        world.pass(Duration::from_secs(120));
        prop_assert!(world.done);
        prop_assert!(world.processes.is_empty());
    }
}
