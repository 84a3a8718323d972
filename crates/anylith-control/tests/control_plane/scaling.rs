//! What the control plane promises of groups whose numbers follow what their replicas bear, in simulated worlds.

use std::{collections::BTreeSet, time::Duration};

use anylith_control::{Event, Exit, Notice, Refused, ReplicaState, ScalingStatus, Spec};
use anylith_core::{Scaling, Size, Target};
use anylith_wire::control::{FromReplica, Load, ToReplica};

use crate::world::{Fault, World, micro, name, spec};

/// `Stock` alone is scaled.
fn scaled(min: u32, max: u32) -> Spec {
    let mut spec = micro(1);
    spec.groups[2].scaling = Some(Scaling::between(min, max));
    spec.groups[2].replicas = min.max(1);
    spec
}

fn calls(concurrency: f64) -> Load {
    Load {
        concurrency_millis: (concurrency * 1000.0) as u64,
        calls: concurrency.ceil() as u64,
        ..Load::default()
    }
}

fn stock(world: &World) -> usize {
    let is_stock = |replica: &&anylith_core::Name| replica.as_str().starts_with("Stock-");
    world.processes.keys().filter(is_stock).count()
}

fn status(world: &World) -> ScalingStatus {
    let status = world.status();
    let group = status.groups.iter().find(|group| group.name == "Stock");
    group.and_then(|group| group.scaling.clone()).unwrap()
}

/// `replica` has a call that waits for `Stock`.
fn wants(world: &mut World, replica: &str) {
    let message = FromReplica::Wanted {
        component: name("Stock"),
    };
    world.happens(Event::Said {
        replica: name(replica),
        message,
    });
}

/// With nothing called for so long that nothing of `Stock` runs.
fn asleep() -> World {
    let mut world = World::ready(scaled(0, 3));
    world.pass(Duration::from_secs(75));
    assert_eq!(stock(&world), 0);
    assert!(world.plane.directory().is_asleep("Stock"));
    world
}

/// Who is asked what it bears where the group at this place is scaled, of all that are asked how they are.
fn asked_what_they_bear(place: usize) -> BTreeSet<String> {
    let mut spec = micro(1);
    spec.groups[place].scaling = Some(Scaling::between(1, 4));
    let mut world = World::ready(spec);
    world.pass(Duration::from_secs(3));
    let measured = world
        .told
        .iter()
        .filter_map(|(replica, message)| match message {
            ToReplica::Ping { measure } => Some((replica.as_str(), *measure)),
            _ => None,
        });
    let all: Vec<(&str, bool)> = measured.collect();
    // Once a second, each of the three, and always the same.
    assert_eq!(all.len(), 9);
    let asked = all.iter().filter(|(_, measure)| *measure);
    let asked: Vec<&str> = asked.map(|(replica, _)| *replica).collect();
    let names: BTreeSet<String> = asked.iter().map(ToString::to_string).collect();
    assert_eq!(asked.len(), 3 * names.len());
    names
}

#[test]
fn only_who_is_scaled_and_who_calls_that_is_asked_what_it_bears() {
    let names = |all: &[&str]| all.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(asked_what_they_bear(0), names(&["Front-1"]));
    assert_eq!(asked_what_they_bear(1), names(&["Front-1", "Cart-1"]));
    let all = names(&["Front-1", "Cart-1", "Stock-1"]);
    assert_eq!(asked_what_they_bear(2), all);
}

/// `Stock` says that it has 5 calls under way, and has looked `late` or not; its callers say that they wait for 60.
fn awaited(late: bool) -> World {
    let mut world = World::ready(scaled(1, 6));
    world.load = Load { late, ..calls(5.0) };
    for (replica, calls) in [("Front-1", 40_000), ("Cart-1", 20_000)] {
        let outgoing = [(name("Stock"), calls)].into();
        world.outgoing.insert(name(replica), outgoing);
    }
    world.pass(Duration::from_secs(20));
    world
}

#[test]
fn calls_that_a_replica_has_not_read_since_its_threads_compute_count_by_what_its_callers_say() {
    let mut world = awaited(true);
    assert_eq!(stock(&world), 4);
    assert_eq!(status(&world).why, "60.0 calls under way, for each 16");
    world.outgoing.clear();
    world.load = calls(5.0);
    world.pass(Duration::from_secs(80));
    assert_eq!(stock(&world), 1);
}

#[test]
fn what_callers_say_does_not_count_where_a_replica_sees_its_calls_itself() {
    let world = awaited(false);
    assert_eq!(stock(&world), 1);
    assert_eq!(status(&world).why, "5.0 calls under way, for each 16");
}

#[test]
fn a_caller_that_is_gone_waits_for_nothing() {
    let mut world = awaited(true);
    world.faults.insert("Front-1", Fault::Mute);
    world.faults.insert("Cart-1", Fault::Mute);
    world.dies("Front-1", Exit::Signal(9));
    world.dies("Cart-1", Exit::Signal(9));
    world.pass(Duration::from_secs(100));
    assert_eq!(stock(&world), 1);
}

#[test]
fn a_step_is_followed_within_three_seconds_and_left_after_the_cooldown() {
    let mut world = World::ready(scaled(1, 6));
    world.load = calls(60.0);
    world.pass(Duration::from_secs(2));
    assert_eq!(stock(&world), 4);
    assert_eq!(world.plane.directory().replicas("Stock").len(), 4);
    world.pass(Duration::from_secs(120));
    assert_eq!(stock(&world), 4);
    let now = status(&world);
    assert_eq!((now.wanted, now.min, now.max), (4, 1, 6));
    assert_eq!(now.why, "60.0 calls under way, for each 16");
    world.load = calls(0.0);
    world.pass(Duration::from_secs(50));
    assert_eq!(stock(&world), 4);
    world.pass(Duration::from_secs(30));
    assert_eq!(stock(&world), 1);
    world.check_directory();
    let moves = world.notices.iter().filter_map(|notice| match notice {
        Notice::Autoscaled { now, before, .. } => Some((*before, *now)),
        _ => None,
    });
    // Once up, and then down as the average falls.
    let moves: Vec<(u32, u32)> = moves.collect();
    assert_eq!(moves[0], (1, 4));
    assert!(
        moves[1..].iter().all(|(before, now)| now < before),
        "{moves:?}"
    );
    // What comes and goes by itself is no outage that was overcome.
    assert!(!world.notices.contains(&Notice::Recovered));
}

#[test]
fn more_than_the_most_is_never_had_and_the_status_says_what_would_be_right() {
    let mut world = World::ready(scaled(1, 2));
    world.load = calls(200.0);
    world.pass(Duration::from_secs(10));
    assert_eq!(stock(&world), 2);
    let why = status(&world).why;
    assert!(
        why.ends_with("13 would be right, and 2 is the most"),
        "{why}"
    );
}

#[test]
fn nothing_runs_of_what_is_not_called_and_the_first_call_starts_one() {
    let mut world = asleep();
    let why = status(&world).why;
    assert_eq!(why, "nothing was called for 60s; the next call starts one");
    assert!(world.status().is_ready());
    wants(&mut world, "Cart-1");
    assert_eq!(stock(&world), 1);
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
    assert!(!world.plane.directory().is_asleep("Stock"));
    assert_eq!(status(&world).why, "Cart-1 calls Stock");
    // It may be called again soon, so it stays for a while.
    world.pass(Duration::from_secs(59));
    assert_eq!(stock(&world), 1);
    world.pass(Duration::from_secs(10));
    assert_eq!(stock(&world), 0);
}

#[test]
fn many_callers_start_one_replica() {
    let mut world = asleep();
    let spawned = world.spawned;
    for _ in 0..3 {
        for replica in ["Cart-1", "Front-1"] {
            world.will_happen(Event::Said {
                replica: name(replica),
                message: FromReplica::Wanted {
                    component: name("Stock"),
                },
            });
        }
    }
    world.settle();
    assert_eq!(world.spawned, spawned + 1);
    assert_eq!(stock(&world), 1);
}

#[test]
fn a_call_that_comes_while_the_last_replica_drains_is_answered_by_its_successor() {
    let mut world = World::ready(scaled(0, 3));
    world.faults.insert("Stock-1", Fault::Deaf);
    world.pass(Duration::from_secs(62));
    assert!(world.plane.directory().is_asleep("Stock"));
    assert_eq!(stock(&world), 1);
    wants(&mut world, "Cart-1");
    // It does not stop, and is killed in the end; then it is started anew.
    world.faults.clear();
    world.pass(Duration::from_secs(30));
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
    world.check_directory();
}

#[test]
fn the_dependents_of_what_sleeps_start_without_it() {
    let mut world = asleep();
    world.dies("Cart-1", anylith_control::Exit::Signal(9));
    world.pass(Duration::from_secs(1));
    assert_eq!(stock(&world), 0);
    assert!(world.status().is_ready(), "{:?}", world.status());
    assert_eq!(world.plane.directory().replicas("Cart").len(), 1);
}

#[test]
fn what_fails_again_and_again_is_not_waited_for() {
    let mut world = asleep();
    world.faults.insert("Stock", Fault::Fails);
    wants(&mut world, "Cart-1");
    assert!(world.plane.directory().is_asleep("Stock"));
    world.pass(Duration::from_secs(5));
    assert!(!world.plane.directory().can_call("Stock"));
    world.faults.clear();
    world.pass(Duration::from_secs(15));
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
}

#[test]
fn the_number_that_is_wanted_survives_the_control_plane() {
    let mut world = World::ready(scaled(1, 6));
    world.load = calls(60.0);
    world.pass(Duration::from_secs(2));
    let spawned = world.spawned;
    world.replaces_control();
    let replicas: Vec<String> = world.processes.keys().map(ToString::to_string).collect();
    for replica in replicas {
        world.connects(&replica);
    }
    world.pass(Duration::from_secs(60));
    assert_eq!((stock(&world), status(&world).wanted), (4, 4));
    assert_eq!(world.spawned, spawned);
}

#[test]
fn what_slept_sleeps_on_under_the_next_control_plane_and_wakes_when_it_is_called() {
    let mut world = asleep();
    world.replaces_control();
    for replica in ["Front-1", "Cart-1"] {
        world.connects(replica);
    }
    assert_eq!(stock(&world), 0);
    assert!(world.plane.directory().is_asleep("Stock"));
    wants(&mut world, "Front-1");
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
}

#[test]
fn a_call_before_all_have_been_heard_of_is_not_forgotten() {
    let mut world = asleep();
    world.replaces_control();
    world.connects("Cart-1");
    wants(&mut world, "Cart-1");
    assert_eq!(stock(&world), 0);
    world.connects("Front-1");
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
}

#[test]
fn somebody_sets_a_range_a_number_and_a_range_again() {
    let scale = |size| Event::ScaleAsked {
        groups: [(name("Stock"), size)].into(),
    };
    let mut world = World::ready(micro(1));
    world.happens(scale(Size::Between { min: 2, max: 5 }));
    assert_eq!(stock(&world), 2);
    world.load = calls(80.0);
    world.pass(Duration::from_secs(4));
    assert_eq!(stock(&world), 5);
    world.happens(scale(Size::Fixed(3)));
    world.pass(Duration::from_secs(60));
    assert_eq!(stock(&world), 3);
    assert_eq!(status(&world).why, "it was set to this number");
    world.happens(scale(Size::Between { min: 1, max: 2 }));
    assert_eq!(stock(&world), 2);
}

#[test]
fn a_range_that_cannot_be_is_refused() {
    let world = World::ready(micro(1));
    let check = |group: &str, min, max| {
        let groups = [(name(group), Size::Between { min, max })].into();
        world.plane.check_scale(&groups)
    };
    let group = name("Stock");
    let (min, max) = (4, 2);
    assert_eq!(
        check("Stock", 4, 2),
        Err(Refused::Range { group, min, max })
    );
    let (group, listener) = (name("Front"), name("web"));
    assert_eq!(check("Front", 0, 2), Err(Refused::Shut { group, listener }));
    assert_eq!(check("Stock", 0, 2), Ok(()));
    assert!(matches!(check("Stock", 0, 0), Err(Refused::Number { .. })));
}

#[test]
fn a_restart_leaves_asleep_what_sleeps() {
    let mut world = asleep();
    world.happens(Event::RestartAsked { group: None });
    assert_eq!(stock(&world), 0);
    assert_eq!(
        world.notices.last(),
        Some(&Notice::Restarted { replicas: 2 })
    );
}

#[test]
fn a_reshape_keeps_the_number_of_a_group_that_stays() {
    let mut world = World::ready(scaled(1, 6));
    world.load = calls(60.0);
    world.pass(Duration::from_secs(2));
    let mut wanted = spec(&[("pair", &["Front", "Cart"], 1), ("Stock", &["Stock"], 1)]);
    wanted.groups[1].scaling = Some(Scaling::between(1, 6));
    world.happens(Event::ReshapeAsked {
        topology: name("pair"),
        groups: wanted.groups,
    });
    assert_eq!(world.plane.change(), None);
    assert_eq!(stock(&world), 4);
    assert_eq!(status(&world).wanted, 4);
}

#[test]
fn a_reshape_to_another_target_forgets_what_was_judged_by_the_one_before() {
    let mut world = World::ready(scaled(1, 6));
    world.load = calls(60.0);
    world.pass(Duration::from_secs(3));
    assert_eq!(status(&world).why, "60.0 calls under way, for each 16");
    let mut wanted = spec(&[("pair", &["Front", "Cart"], 1), ("Stock", &["Stock"], 1)]);
    let target = Target::Concurrency(20);
    wanted.groups[1].scaling = Some(Scaling {
        target,
        ..Scaling::between(1, 6)
    });
    world.happens(Event::ReshapeAsked {
        topology: name("pair"),
        groups: wanted.groups,
    });
    let now = status(&world);
    assert_eq!((now.target, now.why.as_str()), (target, "not measured yet"));
    world.pass(Duration::from_secs(2));
    assert_eq!(status(&world).why, "60.0 calls under way, for each 20");
}

#[test]
fn an_application_of_which_something_sleeps_can_be_stopped() {
    let mut world = asleep();
    wants(&mut world, "Cart-1");
    world.happens(Event::StopAsked);
    wants(&mut world, "Cart-1");
    world.pass(Duration::from_secs(20));
    assert!(world.done);
    assert!(world.plane.directory().components.is_empty());
    let status = world.status();
    let mut replicas = status.replicas();
    assert!(replicas.all(|replica| replica.state == ReplicaState::Stopped));
}

/// A reshape from [`asleep`], in which `pages-1` does not get ready, and in which `Stock` and `more` are in a group that
/// is called as before.
fn reshaped_asleep(more: &[&str], replicas: u32) -> World {
    let mut world = asleep();
    world.faults.insert("pages-1", Fault::Mute);
    let pages = ["Front", "Cart"];
    let pages: Vec<&str> = pages.into_iter().filter(|it| !more.contains(it)).collect();
    let stock: Vec<&str> = ["Stock"].iter().chain(more).copied().collect();
    let mut to = spec(&[("pages", &pages, 1), ("Stock", &stock, replicas)]);
    to.groups[1].scaling = (replicas == 0).then(|| Scaling::between(0, 3));
    world.happens(Event::ReshapeAsked {
        topology: name("night"),
        groups: to.groups,
    });
    assert!(world.plane.change().is_some());
    world
}

#[test]
fn what_sleeps_and_is_called_in_a_reshape_wakes_as_it_was_and_goes_on_as_it_is_to_be() {
    for (more, replicas) in [
        (&[][..], 0),
        (&["Cart"][..], 0),
        (&["Cart"][..], 1),
        (&[][..], 1),
    ] {
        for ends_well in [true, false] {
            // Who came is called by nobody when it goes again, as the model sees.
            if !ends_well && !more.is_empty() {
                continue;
            }
            let mut world = reshaped_asleep(more, replicas);
            wants(&mut world, "Cart-1");
            let named = |world: &World, component: &str| -> Vec<String> {
                let named = world.plane.directory().replicas(component).iter();
                named.map(|it| it.replica.to_string()).collect()
            };
            // It does not wait for the reshape.
            assert_eq!(named(&world, "Stock"), ["Stock-1"], "{more:?}");
            assert_eq!(named(&world, "Cart"), ["Cart-1"]);
            let awake = world.processes[&name("Stock-1")].pid;
            if ends_well {
                world.faults.clear();
            }
            // Until it is given up; or not so long that it would sleep again.
            world.pass(Duration::from_secs(if ends_well { 30 } else { 70 }));
            assert_eq!(world.plane.change(), None);
            let stands = if ends_well { "night" } else { "test" };
            assert_eq!(world.plane.spec().topology, stands);
            if ends_well && !more.is_empty() {
                assert_eq!(named(&world, "Cart"), ["Stock-1"], "{replicas}");
            }
            let process = world.processes.get(&name("Stock-1"));
            assert!(process.is_none_or(|process| process.pid == awake));
            assert!(world.status().is_ready(), "{:?}", world.status());
            world.check_directory();
        }
    }
}

#[test]
fn what_was_woken_into_a_new_process_and_fails_there_after_that_was_taken_back_begins_anew() {
    let mut world = asleep();
    world.faults.insert("pages-1", Fault::Mute);
    world.faults.insert("Stock in Stock-1", Fault::Lazy);
    let to = spec(&[("pages", &["Cart", "Stock"], 1), ("Stock", &["Front"], 1)]);
    world.happens(Event::ReshapeAsked {
        topology: name("night"),
        groups: to.groups,
    });
    let new = world.processes[&name("Stock-1")].pid;
    wants(&mut world, "Cart-1");
    // It does not sleep again meanwhile.
    world.load = calls(1.0);
    world.pass(Duration::from_secs(61));
    assert_eq!(world.plane.spec().topology, "test");
    assert_eq!(world.processes[&name("Stock-1")].pid, new);
    world.faults.clear();
    world.cannot_start("Stock-1", "Stock");
    assert_ne!(world.processes[&name("Stock-1")].pid, new);
    assert!(world.status().is_ready(), "{:?}", world.status());
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
    assert_eq!(world.plane.change(), None);
}

#[test]
fn what_was_woken_into_a_new_process_and_is_not_known_there_after_that_was_taken_back_comes() {
    let mut world = asleep();
    world.faults.insert("pages-1", Fault::Mute);
    let to = spec(&[("pages", &["Cart", "Stock"], 1), ("Stock", &["Front"], 1)]);
    world.happens(Event::ReshapeAsked {
        topology: name("night"),
        groups: to.groups,
    });
    let new = world.processes[&name("Stock-1")].pid;
    world.load = calls(1.0);
    world.pass(Duration::from_secs(55));
    // The connection breaks before it hears of it.
    world.freezes("Stock-1");
    wants(&mut world, "Cart-1");
    world.loses_connection("Stock-1");
    world.thaws("Stock-1");
    world.pass(Duration::from_secs(6));
    assert_eq!(world.plane.spec().topology, "test");
    world.connects("Stock-1");
    assert!(world.status().is_ready(), "{:?}", world.status());
    assert_eq!(world.plane.directory().replicas("Stock").len(), 1);
    assert_eq!(world.processes[&name("Stock-1")].pid, new);
    assert_eq!(world.plane.change(), None);
}
