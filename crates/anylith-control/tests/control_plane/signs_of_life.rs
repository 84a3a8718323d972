//! What the control plane promises about replicas that live and do not answer, in simulated worlds.

use std::time::Duration;

use crate::world::{Fault, World, micro, name};
use anylith_control::{Event, Notice, ReplicaState, Timing};
use anylith_wire::control::Hello;

fn state(world: &World, replica: &str) -> ReplicaState {
    world.status().replica(replica).unwrap().state
}

fn addresses(world: &World, component: &str) -> Vec<String> {
    let addresses = world.plane.directory().replicas(component);
    addresses
        .iter()
        .map(|one| one.replica.to_string())
        .collect()
}

fn note(world: &World, replica: &str) -> Option<String> {
    let notes = world.plane.notes(world.now);
    let found = notes.into_iter().find(|note| note.replica == replica);
    found.map(|note| note.text)
}

#[test]
fn a_frozen_replica_is_out_of_the_directory_after_five_seconds() {
    let mut world = World::ready(micro(2));
    world.freezes("Stock-1");
    world.pass(Duration::from_secs(5));
    assert_eq!(state(&world, "Stock-1"), ReplicaState::Ready);
    world.pass(Duration::from_secs(2));
    assert_eq!(state(&world, "Stock-1"), ReplicaState::Starting);
    assert_eq!(addresses(&world, "Stock"), ["Stock-2"]);
    let silent = Notice::Silent {
        replica: name("Stock-1"),
        silence: Duration::from_secs(5),
    };
    assert_eq!(world.notices.last(), Some(&silent));
    let note = note(&world, "Stock-1").unwrap();
    assert!(note.contains("no sign of life for 6s"), "{note}");
    assert_eq!(state(&world, "Stock-2"), ReplicaState::Ready);
}

#[test]
fn one_that_answers_in_time_is_ready_again_and_was_never_replaced() {
    let mut world = World::ready(micro(2));
    let pid = world.processes["Stock-1"].pid;
    for _ in 0..3 {
        world.freezes("Stock-1");
        world.pass(Duration::from_secs(14));
        assert_eq!(state(&world, "Stock-1"), ReplicaState::Starting);
        world.thaws("Stock-1");
        assert!(world.status().is_ready());
        assert_eq!(addresses(&world, "Stock"), ["Stock-1", "Stock-2"]);
        let replica = name("Stock-1");
        assert!(world.notices.contains(&Notice::Answers { replica }));
        assert_eq!(world.notices.last(), Some(&Notice::Recovered));
    }
    assert_eq!(world.processes["Stock-1"].pid, pid);
    assert_eq!(world.status().replica("Stock-1").unwrap().restarts, 0);
}

#[test]
fn one_that_stays_silent_is_killed_and_started_again_with_the_usual_backoff() {
    let mut world = World::ready(micro(2));
    for failures in 1..=3 {
        let pid = world.processes["Stock-1"].pid;
        world.freezes("Stock-1");
        world.pass(Duration::from_secs(18));
        assert_ne!(world.processes["Stock-1"].pid, pid);
        assert!(world.status().is_ready(), "{:?}", world.status());
        assert_eq!(
            world.status().replica("Stock-1").unwrap().restarts,
            failures
        );
    }
    // It was well for long before each time, so this is no crash loop.
    let failed = world.notices.iter().filter_map(|notice| match notice {
        Notice::Failed { failure, .. } => Some(failure.to_string()),
        Notice::CrashLoop { .. } => panic!("{notice:?}"),
        _ => None,
    });
    let failed: Vec<String> = failed.collect();
    assert_eq!(
        failed,
        ["it gave the control plane no sign of life for 15s"; 3]
    );
    world.check_directory();
}

#[test]
fn a_control_plane_that_was_stopped_itself_blames_nobody() {
    let mut world = World::ready(micro(2));
    let (spawned, epoch) = (world.spawned, world.last_epoch);
    for _ in 0..20 {
        // Questions are under way when it is stopped, and nothing is read in the meantime.
        world.pass(Duration::from_millis(900));
        for replica in ["Stock-1", "Cart-2"] {
            world.freezes(replica);
        }
        world.sleeps(Duration::from_secs(3600));
        for replica in ["Stock-1", "Cart-2"] {
            world.thaws(replica);
        }
    }
    assert_eq!((world.spawned, world.last_epoch), (spawned, epoch));
    assert!(world.status().is_ready());
}

#[test]
fn a_replica_that_a_debugger_holds_gets_no_calls_and_is_not_replaced() {
    let mut world = World::ready(micro(2));
    world.faults.insert("Stock-1", Fault::Traced);
    world.freezes("Stock-1");
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.spawned, 6);
    assert_eq!(addresses(&world, "Stock"), ["Stock-2"]);
    assert!(
        note(&world, "Stock-1")
            .unwrap()
            .contains("a debugger holds it")
    );
    // It is said once, and not every second.
    let silent = |notice: &&Notice| matches!(notice, Notice::Silent { .. });
    assert_eq!(world.notices.iter().filter(silent).count(), 1);
    world.thaws("Stock-1");
    assert!(world.status().is_ready());
}

#[test]
fn a_replica_that_still_starts_may_be_busy_for_longer() {
    let mut world = World::new(micro(1));
    world.faults.insert("Stock-1", Fault::Mute);
    world.settle();
    world.faults.clear();
    let hello = Hello {
        protocol: anylith_wire::control::CONTROL_PROTOCOL,
        replica: name("Stock-1"),
        incarnation: 1,
        pid: world.processes["Stock-1"].pid,
        endpoint: None,
        epoch: 0,
        components: [].into(),
    };
    // It is connected, and then its first component blocks every thread.
    world.freezes("Stock-1");
    world.processes.get_mut("Stock-1").unwrap().connected = true;
    world.happens(Event::Hello(hello));
    world.pass(Duration::from_secs(29));
    assert_eq!(world.spawned, 3);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.spawned, 4);
    assert!(world.status().is_ready());
}

#[test]
fn a_replica_whose_connection_does_not_come_back_is_replaced_in_the_end() {
    let mut world = World::ready(micro(2));
    world.loses_connection("Stock-1");
    world.pass(Duration::from_secs(7));
    assert_eq!(addresses(&world, "Stock"), ["Stock-2"]);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.spawned, 6);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.spawned, 7);
    assert!(world.status().is_ready());
}

#[test]
fn a_silent_external_replica_gets_no_calls_and_is_left_alone() {
    let mut spec = micro(1);
    spec.groups[2].external = true;
    let mut world = World::new(spec);
    world.settle();
    let hello = Hello {
        protocol: anylith_wire::control::CONTROL_PROTOCOL,
        replica: name("Stock-1"),
        incarnation: 1,
        pid: 1,
        endpoint: Some("unix:/run/r/test.sock".parse().unwrap()),
        epoch: 0,
        components: [(name("Stock"), anylith_wire::control::ComponentState::Ready)].into(),
    };
    world.happens(Event::Hello(hello));
    assert!(world.status().is_ready());
    world.pass(Duration::from_secs(600));
    assert!(addresses(&world, "Stock").is_empty());
    let message = anylith_wire::control::FromReplica::Pong {
        calls: [].into(),
        counters: Default::default(),
        outcomes: Default::default(),
        load: None,
        each: std::collections::BTreeMap::new(),
        outgoing: std::collections::BTreeMap::new(),
    };
    let replica = name("Stock-1");
    world.happens(Event::Said { replica, message });
    assert!(world.status().is_ready());
}

#[test]
fn a_stop_says_of_every_replica_what_it_waits_for() {
    let mut world = World::ready(micro(1));
    world.faults.insert("Front", Fault::Stuck);
    world.calls = [(name("Front"), 2)].into();
    world.happens(Event::StopAsked);
    world.pass(Duration::from_secs(2));
    assert_eq!(
        note(&world, "Front-1").unwrap(),
        "Front finishes 2 calls, for 9 s at most"
    );
    // It is still called by others, which is what is said of them.
    assert_eq!(note(&world, "Stock-1"), None);
    world.pass(Timing::default().grace);
    assert!(world.done);
}

#[test]
fn a_component_is_not_drained_while_connections_wait_at_its_listener() {
    let mut world = World::ready(micro(2));
    world.faults.insert("web", Fault::Crowded);
    world.told.clear();
    world.happens(Event::StopAsked);
    world.pass(Duration::from_millis(1900));
    assert_eq!(world.shut, 1);
    let drained = |world: &World| {
        let told = world.told.iter();
        told.filter(|(_, told)| matches!(told, anylith_wire::control::ToReplica::Drain { .. }))
            .count()
    };
    assert_eq!(drained(&world), 0);
    assert_eq!(
        note(&world, "Front-1").unwrap(),
        "takes in what waits at web"
    );
    let listener = name("web");
    world.happens(Event::ListenerShut { listener });
    assert!(world.done);
    assert_eq!(drained(&world), 6);
}

#[test]
fn connections_that_nobody_takes_in_do_not_keep_the_application_from_stopping() {
    let mut world = World::ready(micro(1));
    world.faults.insert("web", Fault::Crowded);
    world.happens(Event::StopAsked);
    world.pass(Duration::from_secs(3));
    assert!(world.done);
    // Where nobody can take them in, nobody waits for it.
    let mut world = World::ready(micro(1));
    world.faults.insert("web", Fault::Crowded);
    world.freezes("Front-1");
    world.pass(Duration::from_secs(7));
    world.happens(Event::StopAsked);
    assert_eq!(world.shut, 0);
}
