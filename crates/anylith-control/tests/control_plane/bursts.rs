//! What the control plane promises of replicas that are started of one component alone, in simulated worlds.

use std::time::Duration;

use anylith_control::{Event, Exit, GroupSpec, Notice, Refused, ReplicaState, Spec};
use anylith_core::{Burst, Name, Size};
use anylith_wire::control::ToReplica;

use crate::world::{Fault, World, micro, name, spec};

/// All in one process, of so many replicas, with bursts of `Stock`.
fn monolith(replicas: u32) -> Spec {
    with_burst(spec(&[("all", &["Stock", "Cart", "Front"], replicas)]))
}

fn with_burst(mut spec: Spec) -> Spec {
    spec.groups
        .push(GroupSpec::of_burst(&Burst::of(name("Stock"))));
    spec
}

/// So many calls of `Stock` are under way.
fn bears(world: &mut World, calls: f64) {
    world.under_way.insert(name("Stock"), calls);
}

/// With two replicas of `Stock` beside the one process.
fn bursting() -> World {
    let mut world = World::ready(monolith(1));
    bears(&mut world, 40.0);
    world.pass(Duration::from_secs(3));
    assert_eq!(alone(&world), ["Stock-burst-1", "Stock-burst-2"]);
    world
}

/// The replicas of `Stock` alone that run.
fn alone(world: &World) -> Vec<String> {
    let names = world.processes.keys().map(ToString::to_string);
    names.filter(|name| name.contains("-burst-")).collect()
}

/// Those of them that the directory has for bursts, of those that it names.
fn named(world: &World) -> Vec<Name> {
    let directory = world.plane.directory();
    let replicas = directory.replicas("Stock").iter();
    let names = replicas.map(|address| address.replica.clone());
    names
        .filter(|replica| directory.is_for_burst("Stock", replica))
        .collect()
}

fn why(world: &World) -> String {
    let status = world.status();
    let mut groups = status.groups.iter();
    let group = groups.find(|group| group.name == "Stock-burst").unwrap();
    group.scaling.clone().unwrap().why
}

#[test]
fn without_a_burst_nothing_is_there_for_one_and_the_home_alone_is_asked() {
    let mut world = World::ready(monolith(1));
    world.pass(Duration::from_secs(3));
    assert_eq!(world.processes.len(), 1);
    assert!(world.status().is_ready());
    let directory = world.plane.directory();
    assert!(directory.bursts[&name("Stock")].is_empty());
    assert!(!directory.is_asleep("Stock"));
    let asked = world.told.iter().filter_map(|(_, message)| match message {
        ToReplica::Ping { measure } => Some(*measure),
        _ => None,
    });
    assert!(asked.into_iter().all(|measure| measure));
}

#[test]
fn a_burst_brings_replicas_of_that_component_alone_and_they_leave_when_it_is_over() {
    let mut world = bursting();
    assert_eq!(world.plane.directory().replicas("Stock").len(), 3);
    assert_eq!(named(&world), ["Stock-burst-1", "Stock-burst-2"]);
    assert_eq!(world.plane.directory().replicas("Cart").len(), 1);
    world.pass(Duration::from_secs(120));
    assert_eq!(why(&world), "40.0 calls under way, for each 16");
    assert_eq!(alone(&world).len(), 2);
    bears(&mut world, 3.0);
    world.pass(Duration::from_secs(50));
    assert_eq!(alone(&world).len(), 2, "they left before the cooldown");
    world.pass(Duration::from_secs(60));
    assert_eq!(alone(&world).len(), 0);
    assert!(named(&world).is_empty());
    let moves = world.notices.iter().filter_map(|notice| match notice {
        Notice::Autoscaled { group, now, .. } => Some((group.as_str(), *now)),
        _ => None,
    });
    let moves: Vec<(&str, u32)> = moves.collect();
    assert_eq!(moves.first(), Some(&("Stock-burst", 2)));
    assert_eq!(moves.last(), Some(&("Stock-burst", 0)));
    assert!(!world.notices.contains(&Notice::Recovered));
}

#[test]
fn what_several_homes_bear_is_not_a_burst_before_each_has_its_part() {
    let mut world = World::ready(monolith(3));
    bears(&mut world, 45.0);
    world.pass(Duration::from_secs(20));
    assert!(alone(&world).is_empty());
    bears(&mut world, 60.0);
    world.pass(Duration::from_secs(20));
    assert_eq!(alone(&world).len(), 1);
}

#[test]
fn load_of_another_component_is_no_burst() {
    let mut world = World::ready(monolith(1));
    world.under_way.insert(name("Cart"), 500.0);
    world.pass(Duration::from_secs(20));
    assert!(alone(&world).is_empty());
}

#[test]
fn there_are_never_more_than_the_most() {
    let mut world = World::ready(monolith(1));
    bears(&mut world, 1000.0);
    world.pass(Duration::from_secs(20));
    assert_eq!(alone(&world).len(), Burst::MOST as usize);
    let why = why(&world);
    assert!(
        why.ends_with("63 would be right, and 5 is the most"),
        "{why}"
    );
}

#[test]
fn one_that_leaves_is_out_of_the_directory_before_it_is_told_to_stop() {
    let mut world = bursting();
    world.faults.insert("Stock-burst-2", Fault::Deaf);
    bears(&mut world, 0.0);
    world.pass(Duration::from_secs(70));
    assert!(named(&world).is_empty());
    assert_eq!(alone(&world), ["Stock-burst-2"]);
    let told = world.told.iter();
    let mut named = false;
    for (replica, message) in told.filter(|(replica, _)| *replica == "Stock-burst-2") {
        match message {
            ToReplica::Directory(directory) => {
                named = directory.is_for_burst("Stock", replica);
            }
            ToReplica::Stop { .. } => assert!(!named, "it was still called"),
            _ => {}
        }
    }
    world.faults.clear();
    world.pass(Duration::from_secs(30));
    assert!(alone(&world).is_empty());
}

#[test]
fn one_that_dies_leaves_the_directory_and_comes_again() {
    let mut world = bursting();
    let spawned = world.spawned;
    world.faults.insert("Stock-burst-1", Fault::Mute);
    world.dies("Stock-burst-1", Exit::Signal(9));
    assert_eq!(named(&world), ["Stock-burst-2"]);
    assert_eq!(world.plane.directory().replicas("Stock").len(), 2);
    world.faults.clear();
    world.connects("Stock-burst-1");
    assert_eq!(world.spawned, spawned + 1);
    world.pass(Duration::from_secs(5));
    assert_eq!(named(&world).len(), 2);
    world.check_directory();
}

#[test]
fn one_that_does_not_start_disturbs_nobody() {
    let mut world = World::ready(monolith(1));
    world.faults.insert("Stock-burst-1", Fault::Mute);
    bears(&mut world, 20.0);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
    assert!(named(&world).is_empty());
    world.faults.clear();
    bears(&mut world, 0.0);
    world.pass(Duration::from_secs(120));
    assert!(alone(&world).is_empty());
}

#[test]
fn a_burst_survives_the_control_plane() {
    let mut world = bursting();
    let spawned = world.spawned;
    world.replaces_control();
    for replica in ["all-1", "Stock-burst-1", "Stock-burst-2"] {
        world.connects(replica);
    }
    assert_eq!(named(&world).len(), 2);
    world.pass(Duration::from_secs(30));
    assert_eq!((alone(&world).len(), world.spawned), (2, spawned));
    bears(&mut world, 0.0);
    world.pass(Duration::from_secs(120));
    assert!(alone(&world).is_empty());
}

#[test]
fn one_that_dies_with_the_control_plane_is_missed_by_the_next() {
    let mut world = bursting();
    world.replaces_control();
    world.dies("Stock-burst-1", Exit::Signal(9));
    for replica in ["all-1", "Stock-burst-2"] {
        world.connects(replica);
    }
    world.pass(Duration::from_secs(10));
    assert_eq!(named(&world).len(), 2);
    world.check_directory();
}

#[test]
fn a_reshape_takes_a_burst_along_where_the_new_topology_has_it() {
    let mut world = bursting();
    let before = world.spawned;
    let wanted = with_burst(spec(&[
        ("pair", &["Front", "Cart"], 1),
        ("rest", &["Stock"], 1),
    ]));
    world.happens(Event::ReshapeAsked {
        topology: name("pair"),
        groups: wanted.groups,
    });
    assert_eq!(world.plane.change(), None);
    assert_eq!(named(&world).len(), 2);
    assert_eq!(world.spawned, before + 2);
    assert_eq!(world.plane.directory().replicas("Stock").len(), 3);
}

#[test]
fn a_reshape_folds_a_burst_where_the_new_topology_has_none() {
    let mut world = bursting();
    world.happens(Event::ReshapeAsked {
        topology: name("micro"),
        groups: micro(1).groups,
    });
    assert_eq!(world.plane.change(), None);
    assert!(alone(&world).is_empty());
    assert!(world.plane.directory().bursts.is_empty());
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
    assert!(
        world
            .status()
            .groups
            .iter()
            .all(|it| it.name != "Stock-burst")
    );
}

#[test]
fn a_reshape_that_is_taken_back_leaves_the_burst_as_it_was() {
    let mut world = bursting();
    world.faults.insert("Cart-1", Fault::Mute);
    world.happens(Event::ReshapeAsked {
        topology: name("micro"),
        groups: micro(1).groups,
    });
    world.pass(Duration::from_secs(150));
    assert_eq!(world.plane.change(), None);
    assert_eq!(named(&world).len(), 2);
    assert_eq!(world.processes.len(), 3);
}

#[test]
fn a_restart_starts_those_for_a_burst_anew_as_well() {
    let mut world = bursting();
    world.least = 1;
    world.happens(Event::RestartAsked { group: None });
    assert_eq!(
        world.notices.last(),
        Some(&Notice::Restarted { replicas: 3 })
    );
    assert_eq!(named(&world).len(), 2);
}

#[test]
fn somebody_sets_the_number_for_a_burst_and_a_range_again() {
    let mut world = bursting();
    let scale = |size| Event::ScaleAsked {
        groups: [(name("Stock-burst"), size)].into(),
    };
    world.happens(scale(Size::Fixed(1)));
    assert_eq!(alone(&world).len(), 1);
    bears(&mut world, 0.0);
    world.pass(Duration::from_secs(120));
    assert_eq!(alone(&world).len(), 1);
    world.happens(scale(Size::Between { min: 0, max: 2 }));
    world.pass(Duration::from_secs(120));
    assert!(alone(&world).is_empty());
}

#[test]
fn everything_stops_in_the_midst_of_a_burst() {
    let mut world = bursting();
    world.happens(Event::StopAsked);
    world.pass(Duration::from_secs(20));
    assert!(world.done);
    let status = world.status();
    assert!(
        status
            .replicas()
            .all(|it| it.state == ReplicaState::Stopped)
    );
}

#[test]
fn replicas_alone_are_refused_of_what_serves_a_listener() {
    let world = World::ready(monolith(1));
    let mut groups = micro(1).groups;
    groups.push(GroupSpec::of_burst(&Burst::of(name("Front"))));
    let refused = world.plane.check_reshape(&name("other"), &groups);
    assert!(
        matches!(refused, Err(Refused::Foreign { .. })),
        "{refused:?}"
    );
}
