//! What the control plane makes of components that say they are not well.

use std::time::Duration;

use anylith_control::{Event, Exit, Notice, ReplicaState};
use anylith_core::Counters;
use anylith_wire::control::{ComponentState, FromReplica};

use crate::world::{Fault, World, micro, name};

fn addresses(world: &World, component: &str) -> Vec<String> {
    let addresses = world.plane.directory().replicas(component);
    let addresses = addresses.iter();
    addresses.map(|one| one.replica.to_string()).collect()
}

fn note(world: &World, replica: &str) -> Option<String> {
    let notes = world.plane.notes(world.now);
    let found = notes.into_iter().find(|note| note.replica == replica);
    found.map(|note| note.text)
}

#[test]
fn an_unhealthy_component_leaves_the_directory_and_its_process_stays() {
    let mut world = World::ready(micro(2));
    let pid = world.processes["Cart-1"].pid;
    world.feels("Cart-1", "Cart", Some("the database is gone"));
    assert_eq!(addresses(&world, "Cart"), ["Cart-2"]);
    let status = world.status();
    let cart = status.replica("Cart-1").unwrap();
    // The words of `state` are a contract.
    assert_eq!(cart.state, ReplicaState::Starting);
    assert_eq!(cart.unhealthy[&name("Cart")], "the database is gone");
    world.pass(Duration::from_secs(3600));
    let text = note(&world, "Cart-1").unwrap();
    assert_eq!(
        text,
        "Cart is unhealthy, for 3600 s: the database is gone; other replicas are called"
    );
    assert_eq!((world.spawned, world.processes["Cart-1"].pid), (6, pid));
    world.feels("Cart-1", "Cart", None);
    assert_eq!(addresses(&world, "Cart"), ["Cart-1", "Cart-2"]);
    assert!(world.status().is_ready());
    let (replica, component) = (name("Cart-1"), name("Cart"));
    assert!(
        world
            .notices
            .contains(&Notice::Healthy { replica, component })
    );
}

#[test]
fn where_no_replica_is_healthy_all_are_called() {
    let mut world = World::ready(micro(2));
    world.feels("Cart-1", "Cart", Some("ill"));
    world.feels("Cart-2", "Cart", Some("ill"));
    assert_eq!(addresses(&world, "Cart"), ["Cart-1", "Cart-2"]);
    let text = note(&world, "Cart-2").unwrap();
    assert!(text.ends_with("it is called all the same, since no other replica is healthy"));
    world.feels("Cart-2", "Cart", None);
    assert_eq!(addresses(&world, "Cart"), ["Cart-2"]);
    world.dies("Cart-2", Exit::Signal(9));
    assert!(
        addresses(&world, "Cart").contains(&"Cart-2".to_owned()),
        "it is back"
    );
}

#[test]
fn a_new_control_plane_learns_who_is_unhealthy() {
    let mut world = World::ready(micro(2));
    world.feels("Cart-1", "Cart", Some("ill"));
    world.replaces_control();
    for replica in [
        "Cart-1", "Cart-2", "Front-1", "Front-2", "Stock-1", "Stock-2",
    ] {
        world.connects(replica);
    }
    assert_eq!(addresses(&world, "Cart"), ["Cart-2"]);
    world.feels("Cart-1", "Cart", None);
    assert!(world.status().is_ready());
}

#[test]
fn a_component_that_does_not_agree_after_its_start_is_not_ready_and_says_why() {
    let mut world = World::new(micro(1));
    world.faults.insert("Stock-1", Fault::Mute);
    world.settle();
    world.faults.clear();
    world.faults.insert("Stock", Fault::Lazy);
    world.connects("Stock-1");
    let message = FromReplica::Component {
        name: name("Stock"),
        state: ComponentState::Starting,
        reason: Some("no schema".to_owned()),
    };
    let replica = name("Stock-1");
    world.happens(Event::Said { replica, message });
    assert!(addresses(&world, "Stock").is_empty());
    let text = note(&world, "Stock-1").unwrap();
    assert_eq!(text, "Stock is not healthy yet: no schema");
}

#[test]
fn a_restart_replaces_the_unhealthy_first_and_takes_nobody_away_for_it() {
    let mut world = World::ready(micro(2));
    world.feels("Cart-2", "Cart", Some("ill"));
    world.least = 1;
    world.happens(Event::RestartAsked {
        group: Some(name("Cart")),
    });
    let renewed = world.notices.iter().filter_map(|notice| match notice {
        Notice::Renewed { replica } => Some(replica.to_string()),
        _ => None,
    });
    assert_eq!(renewed.collect::<Vec<_>>(), ["Cart-2", "Cart-1"]);
    assert!(world.status().is_ready());
}

#[test]
fn what_processes_count_is_summed_up_over_their_restarts() {
    let mut world = World::ready(micro(1));
    let counts = |retried, denied| Counters {
        retried,
        denied,
        ..Counters::default()
    };
    world.counters = counts(3, 1);
    world.pass(Duration::from_secs(2));
    world.dies("Stock-1", Exit::Signal(9));
    world.counters = counts(2, 0);
    world.pass(Duration::from_secs(2));
    let status = world.status();
    let stock = status.replica("Stock-1").unwrap();
    assert_eq!(stock.counters, counts(5, 1));
    let json = serde_json::to_value(stock).unwrap();
    assert_eq!(
        json["counters"],
        serde_json::json!({"retried": 5, "denied": 1})
    );
    let back: anylith_control::ReplicaStatus = serde_json::from_value(json).unwrap();
    assert_eq!(back, *stock);
}
