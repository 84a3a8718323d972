//! What the control plane promises, in simulated worlds.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod adoption;
mod bursts;
mod changes;
mod health;
mod scaling;
mod signs_of_life;
mod singletons;
mod trouble;
mod upgrade;
mod world;

use std::{collections::BTreeMap, time::Duration};

use anylith_control::{Event, Exit, Notice, ReplicaState};
use anylith_topology::Transport;
use anylith_wire::control::{CONTROL_PROTOCOL, ComponentState, FromReplica, Hello, ToReplica};
use world::{Fault, World, micro, name, spec};

/// The state of a replica.
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
        .endpoints[0]
        .clone();
    let epoch = world.last_epoch;
    world.dies("Cart-1", Exit::Signal(9));
    assert!(world.status().is_ready(), "it needs no time");
    assert_ne!(
        world.processes["Cart-1"]
            .bootstrap
            .clone()
            .unwrap()
            .endpoints[0],
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
        reason: None,
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
        reason: None,
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
