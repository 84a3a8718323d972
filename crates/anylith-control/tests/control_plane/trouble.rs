//! What the control plane promises whatever goes wrong, in simulated worlds.

use std::time::Duration;

use anylith_control::{Event, Exit};
use proptest::prelude::*;

use crate::world::{World, micro, name};

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
    Restart(Option<usize>),
    Scale(usize, u32),
    Ill(usize),
    Well(usize),
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
        1 => prop::option::of(0..3usize).prop_map(Trouble::Restart),
        1 => (0..3usize, 1..4u32).prop_map(|(group, count)| Trouble::Scale(group, count)),
        1 => (0..6usize).prop_map(Trouble::Ill),
        1 => (0..6usize).prop_map(Trouble::Well),
    ]
}

const GROUPS: [&str; 3] = ["Front", "Cart", "Stock"];

/// The component that a replica has.
fn component(replica: &str) -> &str {
    replica.split('-').next().unwrap()
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
        Trouble::Restart(group) => world.happens(Event::RestartAsked {
            group: group.map(|group| name(GROUPS[group])),
        }),
        Trouble::Scale(group, count) => world.happens(Event::ScaleAsked {
            groups: [(name(GROUPS[*group]), (*count).into())].into(),
        }),
        Trouble::Ill(who) => world.feels(REPLICAS[*who], component(REPLICAS[*who]), Some("ill")),
        Trouble::Well(who) => world.feels(REPLICAS[*who], component(REPLICAS[*who]), None),
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
            world.feels(replica, component(replica), None);
        }
        for _ in 0..4 {
            let all: Vec<String> = world.processes.keys().map(ToString::to_string).collect();
            for replica in all {
                world.thaws(&replica);
                world.connects(&replica);
            }
            world.pass(Duration::from_secs(30));
        }
        // A change may be under way; it comes to its end.
        world.pass(Duration::from_secs(180));
        prop_assert!(world.status().is_ready(), "{:#?}", world.status());
        world.check_directory();
        let wanted: u32 = world.plane.spec().groups.iter().map(|group| group.replicas).sum();
        prop_assert_eq!(world.processes.len(), wanted as usize);
        prop_assert_eq!(world.plane.change(), None);
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
