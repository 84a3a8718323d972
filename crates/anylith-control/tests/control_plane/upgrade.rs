//! Another build, replica by replica.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anylith_control::{Event, Exit, Notice, Refused, ReplicaState, ReplicaStatus, UpgradePlan};
use anylith_core::{ComponentManifest, Fingerprint, Manifest, Name, Scaling};
use anylith_wire::control::{FromReplica, Outcomes, Steer};

use crate::world::{Fault, World, micro, name, spec};

/// What a build says of itself in which the interfaces of `changed` are other ones.
fn manifest(changed: &[&str]) -> Manifest {
    let spec = micro(1);
    let component = |(component, dependencies): (&Name, &Vec<Name>)| {
        let serves = spec.listeners.iter().filter(|(_, by)| *by == component);
        ComponentManifest {
            name: component.clone(),
            implementation: String::new(),
            summary: String::new(),
            dependencies: dependencies.clone(),
            listeners: serves.map(|(listener, _)| listener.clone()).collect(),
            methods: Vec::new(),
            fingerprint: Fingerprint(u64::from(changed.iter().any(|it| *component == **it))),
            misfits: Vec::new(),
            singleton: None,
        }
    };
    Manifest {
        app: spec.app.clone(),
        summary: String::new(),
        components: spec.dependencies.iter().map(component).collect(),
    }
}

/// The interfaces of [`manifest`].
fn interfaces(changed: &[&str]) -> BTreeMap<Name, Fingerprint> {
    let components = manifest(changed).components.into_iter();
    components
        .map(|component| (component.name, component.fingerprint))
        .collect()
}

/// So many replicas of each component, of a build whose interfaces are all the same.
fn ready(replicas: u32) -> World {
    let mut spec = micro(replicas);
    spec.interfaces = interfaces(&[]);
    World::ready(spec)
}

fn asked(changed: &[&str], canary: Option<u8>) -> Event {
    Event::UpgradeAsked {
        build: 1,
        interfaces: interfaces(changed),
        canary,
        observe_ms: 3000,
    }
}

fn builds(world: &World) -> BTreeSet<u32> {
    let status = world.status();
    let builds = status.replicas().map(|replica| replica.build);
    builds.collect()
}

/// Each replica of `build` says how its calls have ended, and says the same whenever it is asked.
fn counted(world: &mut World, build: u32, answered: u64, failed: u64) {
    world.outcomes.insert(build, Outcomes { answered, failed });
    let status = world.status();
    let own = status.replicas().filter(|replica| replica.build == build);
    for replica in own {
        world.happens(Event::Said {
            replica: replica.id.clone(),
            message: FromReplica::Pong {
                calls: BTreeMap::new(),
                counters: Default::default(),
                outcomes: Outcomes { answered, failed },
                load: None,
                each: BTreeMap::new(),
                outgoing: BTreeMap::new(),
            },
        });
    }
}

#[test]
fn every_replica_gets_the_new_build_and_as_many_as_are_wanted_are_ready() {
    let mut world = ready(2);
    world.least = 2;
    world.happens(asked(&["Stock"], None));
    world.pass(Duration::from_secs(10));
    assert_eq!(builds(&world), BTreeSet::from([1]));
    assert_eq!(world.status().replicas().count(), 6);
    assert!(world.notices.contains(&Notice::Upgraded { replicas: 6 }));
    assert_eq!(world.plane.build(), 1);
    assert_eq!(world.plane.spec().interfaces, interfaces(&["Stock"]));
    assert_eq!(world.plane.memory().rollout, None);
}

#[test]
fn a_build_whose_calls_fail_goes_away_by_itself() {
    let mut world = ready(2);
    world.least = 2;
    world.happens(asked(&[], None));
    // The first of it are there, and are watched.
    assert_eq!(builds(&world), BTreeSet::from([0, 1]));
    counted(&mut world, 0, 1000, 10);
    counted(&mut world, 1, 100, 60);
    world.pass(Duration::from_secs(10));
    assert_eq!(builds(&world), BTreeSet::from([0]));
    let why = given_up(&world);
    // Front says it first, and calls Stock, which is asked before anybody is blamed.
    let expected =
        "Stock fails 60 of 100 calls with the new build, and failed 20 of 2000 with the old one";
    assert_eq!(why, Some(expected));
    assert_eq!(world.plane.build(), 0);
}

#[test]
fn a_build_that_fails_as_often_as_the_old_one_stays() {
    let mut world = ready(1);
    world.happens(asked(&[], None));
    counted(&mut world, 0, 1000, 300);
    counted(&mut world, 1, 100, 33);
    world.pass(Duration::from_secs(10));
    assert_eq!(builds(&world), BTreeSet::from([1]));
}

#[test]
fn what_the_old_build_has_failed_still_counts_when_it_is_gone() {
    let mut world = ready(1);
    world.happens(asked(&[], None));
    counted(&mut world, 0, 1000, 700);
    world.pass(Duration::from_secs(4));
    assert_eq!(
        builds(&world),
        BTreeSet::from([1]),
        "and all are still watched"
    );
    assert!(world.plane.change().is_some());
    counted(&mut world, 1, 100, 70);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.plane.build(), 1);
}

/// What was said of an upgrade that was given up.
fn given_up(world: &World) -> Option<&str> {
    world.notices.iter().find_map(|notice| match notice {
        Notice::ChangeFailed { why, .. } => Some(why.as_str()),
        _ => None,
    })
}

/// One replica of each group runs the new build beside the old one, for as long as nobody says how it goes on.
fn canary() -> World {
    let mut world = ready(1);
    world.happens(asked(&[], Some(10)));
    world.pass(Duration::from_secs(10));
    assert!(world.plane.change().is_some_and(|it| it.contains("paused")));
    world
}

#[test]
fn a_build_that_dies_again_and_again_is_not_forgiven_for_living_in_between() {
    let mut world = canary();
    for _ in 0..3 {
        assert_eq!(given_up(&world), None);
        world.pass(Duration::from_secs(12));
        world.dies("Cart-2", Exit::Signal(11));
    }
    world.pass(Duration::from_secs(5));
    let expected = "Cart-2 does not run with the new build: crashed (SIGSEGV); in Cart it has failed 3 times, \
                    and the old build never meanwhile";
    assert_eq!(given_up(&world), Some(expected));
    assert_eq!(builds(&world), BTreeSet::from([0]));
    // What has nothing to do with an upgrade is forgiven as ever.
    for _ in 0..5 {
        world.pass(Duration::from_secs(12));
        world.dies("Cart-1", Exit::Signal(11));
        assert!(world.status().is_ready());
    }
}

#[test]
fn a_build_that_dies_as_often_as_the_old_one_stays() {
    let mut world = canary();
    for _ in 0..20 {
        world.pass(Duration::from_secs(12));
        world.dies("Cart-1", Exit::Signal(11));
        world.pass(Duration::from_secs(1));
        world.dies("Cart-2", Exit::Signal(11));
    }
    assert_eq!(given_up(&world), None);
    world.happens(Event::Steered(Steer::Resume));
    world.pass(Duration::from_secs(10));
    assert_eq!(builds(&world), BTreeSet::from([1]));
}

/// Both builds have answered a hundred calls a second for an hour, and failed a thousandth of them.
fn long_canary() -> World {
    let mut world = canary();
    for second in 1..=3600 {
        for build in [0, 1] {
            calls(&mut world, build, second * 100, second / 10);
        }
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(given_up(&world), None);
    world
}

/// Each replica of `build` says so when it is asked next.
fn calls(world: &mut World, build: u32, answered: u64, failed: u64) {
    world.outcomes.insert(build, Outcomes { answered, failed });
}

/// After how many seconds a build is given up of which from now on so many of a hundred calls fail.
fn given_up_after(mut world: World, failing: u64) -> u64 {
    for second in 1.. {
        let answered = 360_000 + second * 100;
        calls(&mut world, 0, answered, 360);
        calls(&mut world, 1, answered, 360 + second * failing);
        world.pass(Duration::from_secs(1));
        if let Some(why) = given_up(&world) {
            assert!(why.starts_with("Stock fails "), "{why}");
            assert!(why.ends_with(", within the last 60s"), "{why}");
            return second;
        }
        assert!(second < 1000, "it is never given up");
    }
    unreachable!("it returns")
}

#[test]
fn a_build_that_begins_to_fail_after_an_hour_goes_away_within_seconds() {
    let (all, some) = (
        given_up_after(long_canary(), 100),
        given_up_after(long_canary(), 10),
    );
    assert!(all <= 5, "{all} s where all calls fail");
    assert!(some <= 30, "{some} s where a tenth of them do");
}

#[test]
fn what_fails_lately_in_both_builds_is_no_fault_of_the_new_one() {
    let mut world = long_canary();
    for second in 1..=120 {
        for build in [0, 1] {
            calls(&mut world, build, 360_000 + second * 100, 360 + second * 50);
        }
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(given_up(&world), None);
}

#[test]
fn a_canary_waits_until_it_is_told() {
    let mut world = ready(4);
    world.happens(asked(&[], Some(50)));
    world.pass(Duration::from_secs(600));
    let status = world.status();
    let new = status.replicas().filter(|replica| replica.build == 1);
    assert_eq!(new.count(), 6, "two of four in each group");
    let paused = "the upgrade is paused; 6 new replicas beside 9 old ones";
    assert_eq!(world.plane.change().as_deref(), Some(paused));
    let how = paused.to_owned();
    assert!(world.notices.contains(&Notice::UpgradePaused { how }));
    world.happens(Event::Steered(Steer::Resume));
    world.pass(Duration::from_secs(10));
    assert_eq!(builds(&world), BTreeSet::from([1]));
}

#[test]
fn what_is_said_to_an_upgrade_has_to_fit_how_it_is() {
    let mut world = ready(1);
    let check = |world: &World, steer| match world.plane.check_steer(steer) {
        Ok(()) => "",
        Err(Refused::Unsteerable { why }) => why,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(check(&world, Steer::Pause), "no upgrade is under way");
    world.happens(asked(&[], None));
    assert_eq!(check(&world, Steer::Resume), "the upgrade is not paused");
    world.happens(Event::Steered(Steer::Pause));
    assert_eq!(check(&world, Steer::Resume), "");
    let scale = BTreeMap::from([(name("Cart"), 3.into())]);
    let busy = world.plane.check_scale(&scale).unwrap_err().to_string();
    assert!(busy.contains("the upgrade is paused"), "{busy}");
    world.happens(Event::Steered(Steer::Rollback));
    world.pass(Duration::from_secs(10));
    assert_eq!(builds(&world), BTreeSet::from([0]));
    assert_eq!(check(&world, Steer::Rollback), "no upgrade is under way");
}

#[test]
fn what_cannot_be_rolled_in_says_what_to_do_instead() {
    let why = |spec: &anylith_control::Spec, manifest: &Manifest| match UpgradePlan::new(
        spec, manifest, None, 0,
    ) {
        Err(Refused::Unrollable { what, mend }) => format!("{what}: {mend}"),
        other => panic!("{other:?}"),
    };
    let mut spec_here = micro(1);
    spec_here.interfaces = interfaces(&[]);
    let anew = "such a build cannot be rolled in: `anylith stop`, and run the new one";
    let mut other = manifest(&[]);
    other.app = name("other");
    assert!(why(&spec_here, &other).starts_with("that is a build of other, and puppet runs"));
    let mut less = manifest(&[]);
    less.components
        .retain(|component| component.name != "Stock");
    let expected = format!("the new build has no component Stock: {anew}");
    assert_eq!(why(&spec_here, &less), expected);
    let mut more = manifest(&[]);
    let mut cellar = more.components[0].clone();
    cellar.name = name("Cellar");
    more.components.push(cellar);
    let expected = format!("the new build has a component more, Cellar: {anew}");
    assert_eq!(why(&spec_here, &more), expected);
    let mut dependent = manifest(&[]);
    for component in &mut dependent.components {
        if component.name == "Cart" {
            component.dependencies.clear();
        }
    }
    let expected = format!("Cart is no longer dependent on Stock in the new build: {anew}");
    assert_eq!(why(&spec_here, &dependent), expected);
    let mut deaf = manifest(&[]);
    deaf.components
        .iter_mut()
        .for_each(|it| it.listeners.clear());
    assert!(why(&spec_here, &deaf).contains("serves other listeners in the new build: see web"));
    let mut elsewhere = spec_here.clone();
    elsewhere.groups[1].external = true;
    let expected = "the replicas of Cart are started elsewhere, and so is their build chosen there: `anylith stop` here";
    assert!(why(&elsewhere, &manifest(&[])).starts_with(expected));
    // Front and Stock call Cart, and Cart calls Stock.
    let mut circle = spec(&[("shop", &["Front", "Stock"], 1), ("rest", &["Cart"], 1)]);
    circle.interfaces = interfaces(&[]);
    let expected = "call each other, through interfaces that change: `anylith reshape micro` first";
    assert!(why(&circle, &manifest(&["Cart", "Stock"])).contains(expected));
    assert!(UpgradePlan::new(&circle, &manifest(&["Cart"]), None, 0).is_ok());
}

/// One old replica of each group is left, and no replica of `Stock` that begins from now on is well.
fn half_way(fault: Fault) -> World {
    let mut world = ready(2);
    world.least = 2;
    world.happens(asked(&["Stock"], Some(100)));
    world.pass(Duration::from_secs(10));
    assert_eq!(builds(&world), BTreeSet::from([0, 1]));
    world.faults.insert("Stock", fault);
    world.happens(Event::Steered(Steer::Rollback));
    world
}

/// How the rollback came to be stuck, each time that it did.
fn stuck(world: &World) -> Vec<&str> {
    let notices = world.notices.iter();
    let stuck = notices.filter_map(|notice| match notice {
        Notice::RollbackStuck { how, .. } => Some(how.as_str()),
        _ => None,
    });
    stuck.collect()
}

#[test]
fn a_rollback_to_a_build_that_crashes_says_where_it_stands_and_goes_on_once_it_does_not() {
    let mut world = half_way(Fault::Fails);
    world.pass(Duration::from_secs(30));
    let how = stuck(&world).concat();
    let why = "does not run with the old build any more: Stock failed: no table; ";
    assert!(how.starts_with("the rollback is stuck: Stock-"), "{how}");
    assert!(how.contains(why), "{how}");
    let many = "; 1 new replica beside 8 old ones";
    assert!(how.ends_with(many), "{how}");
    assert_eq!(world.plane.change(), Some(how));
    // It goes on by itself.
    world.faults.clear();
    world.pass(Duration::from_secs(30));
    assert_eq!(builds(&world), BTreeSet::from([0]));
    assert_eq!(stuck(&world).len(), 1);
    assert_eq!(world.plane.memory().rollout, None);
}

#[test]
fn a_rollback_to_a_build_that_does_not_get_ready_says_so_and_can_be_turned_forward() {
    let mut world = half_way(Fault::Lazy);
    world.pass(Duration::from_secs(59));
    assert_eq!(stuck(&world), Vec::<&str>::new());
    world.pass(Duration::from_secs(2));
    let how = stuck(&world).concat();
    assert!(how.contains(" was not ready within 60s"), "{how}");
    // The next control plane knows it.
    world.replaces_control();
    for replica in world.processes.keys().cloned().collect::<Vec<_>>() {
        world.connects(replica.as_str());
    }
    assert!(world.plane.change().unwrap().contains("stuck"));
    let refused = world.plane.check_steer(Steer::Pause);
    assert!(refused.is_err(), "nothing is under way that could pause");
    world.faults.clear();
    world.happens(Event::Steered(Steer::Resume));
    world.pass(Duration::from_secs(30));
    assert_eq!(builds(&world), BTreeSet::from([1]));
    assert_eq!(world.plane.build(), 1);
}

/// `Stock` sleeps, and the others run.
fn asleep() -> World {
    let mut spec = micro(1);
    spec.interfaces = interfaces(&[]);
    spec.groups[2].scaling = Some(Scaling::between(0, 2));
    let mut world = World::ready(spec);
    world.pass(Duration::from_secs(75));
    assert!(!world.processes.contains_key("Stock-1"));
    world
}

#[test]
fn what_sleeps_is_seen_to_start_and_sleeps_on_and_wakes_in_the_new_build() {
    let mut world = asleep();
    world.happens(asked(&[], None));
    assert!(world.processes.contains_key("Stock-1"), "it is tried");
    world.pass(Duration::from_secs(10));
    assert!(world.notices.contains(&Notice::Upgraded { replicas: 2 }));
    assert!(!world.processes.contains_key("Stock-1"));
    world.happens(Event::Said {
        replica: name("Front-1"),
        message: FromReplica::Wanted {
            component: name("Stock"),
        },
    });
    assert_eq!(builds(&world), BTreeSet::from([1]));
    assert!(world.processes.contains_key("Stock-1"));
}

#[test]
fn what_sleeps_and_is_called_in_two_ways_is_there_for_both_until_the_upgrade_is_over() {
    let mut world = asleep();
    world.happens(asked(&["Stock"], None));
    // As long as there are callers of a build, its Stock is there.
    let of = |world: &World, group: &str, build| {
        let status = world.status();
        let own = status.groups.iter().find(|it| it.name == group).unwrap();
        let ready = |one: &&ReplicaStatus| one.build == build && one.state == ReplicaState::Ready;
        own.replicas.iter().filter(ready).count()
    };
    for _ in 0..100 {
        for build in [0, 1] {
            let calls = of(&world, "Front", build) + of(&world, "Cart", build) > 0;
            assert!(
                !calls || of(&world, "Stock", build) > 0,
                "{:?}",
                world.status()
            );
        }
        world.pass(Duration::from_millis(100));
    }
    assert!(world.notices.contains(&Notice::Upgraded { replicas: 3 }));
    world.pass(Duration::from_secs(75));
    assert!(!world.processes.contains_key("Stock-1"), "it sleeps again");
    assert_eq!(builds(&world), BTreeSet::from([1]));
}

#[test]
fn a_plan_says_what_sleeps_and_what_is_woken() {
    let mut spec = micro(1);
    spec.interfaces = interfaces(&[]);
    spec.groups[1].replicas = 0;
    spec.groups[2].replicas = 0;
    let plan = UpgradePlan::new(&spec, &manifest(&["Stock"]), None, 0).unwrap();
    let text = plan.to_string();
    assert!(
        text.contains("~ Stock, asleep, and started for it: Stock\n"),
        "{text}"
    );
    assert!(text.contains("~ Cart, asleep: Cart; calls Stock"), "{text}");
    assert!(text.contains("drain the 2 of the old build"), "{text}");
    assert!(
        text.contains("1 processes now, 5 at the peak, 1 after"),
        "{text}"
    );
}

#[test]
fn a_plan_reads_as_what_happens_in_its_order() {
    let mut spec = micro(2);
    spec.interfaces = interfaces(&[]);
    let plan = UpgradePlan::new(&spec, &manifest(&["Stock"]), Some(50), 3000).unwrap();
    let expected = "\
interfaces that change: Stock
~ Stock, 2 replicas: Stock
~ Front, 2 replicas: Front; calls Stock within one build only
~ Cart, 2 replicas: Cart; calls Stock within one build only
1. start 3 replicas of the new build, one beside each group
2. when they are ready, watch them for 3s
3. when 50 % of each group are of it, 3 replicas in all, wait for `--resume`
4. drain the 6 of the old build and start them anew, one by one
5. watch all for 3s, and stop those that were added
6 processes now, 9 at the peak, 6 after
";
    assert_eq!(plan.to_string(), expected);
}
