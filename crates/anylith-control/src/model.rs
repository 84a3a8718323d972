//! A model of an application that is reshaped: the orders in which things can happen, and faults at each moment.
//!
//! A control plane, its replicas and the connections between them are simulated. What happens next is chosen: at
//! random, or each possibility in turn. Whatever happens, each directory names components that answer, nobody drains
//! who is still named, and in the end one topology runs, and nothing of another.

mod upgrade;
mod world;

// Only this test asks.
#[cfg(test)]
use std::env;

use self::world::{Fault, SHAPES, SHAPES_OF_ONE, World};
use crate::defect::{Defect, plant};

/// How many interleavings are tried in every run of the tests. `ANYLITH_INTERLEAVINGS` sets another number, and
/// `cargo xtask interleavings` sets it to a million; `ANYLITH_FIRST_SEED` begins with another one than seed 0. With more than 100,000 every fault is tried at every moment; else a part.
const INTERLEAVINGS: u64 = 3_000;

/// Random numbers that are the same for the same seed.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    /// A number below `end`.
    fn roll(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

/// One run in which everything is left to chance. Returns what was wrong.
fn random(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed);
    let (from, to) = (dice.roll(SHAPES.len()), dice.roll(SHAPES.len()));
    let faults = dice.roll(4);
    let more = dice.roll(2);
    let mut world = World::ready(from).with_a_small_disk();
    world.asks_for(to);
    by_chance(world, dice, (faults, more), |world, dice| {
        world.asks_for(dice.roll(SHAPES.len()));
    })
}

/// The same with other numbers of replicas, among reshapes.
fn random_of_numbers(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed);
    let (from, faults, more) = (dice.roll(SHAPES.len()), dice.roll(4), dice.roll(3));
    let ask = |world: &mut World, dice: &mut Dice| match dice.roll(4) {
        0 => world.asks_for(dice.roll(SHAPES.len())),
        _ => {
            let mut number = || (dice.roll(3), 1 + dice.roll(3) as u32);
            let numbers = [number(), number()];
            world.asks_to_scale(&numbers[..=dice.roll(2)]);
        }
    };
    let mut world = World::ready(from).with_a_small_disk();
    ask(&mut world, &mut dice);
    by_chance(world, dice, (faults, more), ask)
}

/// The same with groups that sleep until they are called, in both topologies or in one.
fn random_of_sleepers(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed);
    let (from, to) = (dice.roll(SHAPES.len()), dice.roll(SHAPES.len()));
    let (faults, calls) = (dice.roll(3), 1 + dice.roll(3));
    let mut world = World::ready_asleep(from);
    world.asks_for_asleep(to, dice.roll(2) == 0);
    let called = (0..calls).map(|_| dice.roll(30)).collect::<Vec<_>>();
    let mut at = 0;
    by_chance_with(
        world,
        dice,
        (faults, 0),
        |_, _| {},
        |world, dice| {
            if called.contains(&at) {
                world.calls(dice);
            }
            at += 1;
        },
    )
}

/// The same with one `Cart` at a time. Some changes are restarts.
fn random_of_one(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed);
    let (from, faults, more) = (dice.roll(SHAPES_OF_ONE.len()), dice.roll(4), dice.roll(3));
    let ask = |world: &mut World, dice: &mut Dice| match dice.roll(4) {
        0 => world.restarts(),
        _ => {
            world.asks_for(SHAPES_OF_ONE[dice.roll(SHAPES_OF_ONE.len())]);
            if dice.roll(3) == 0 {
                world.bars();
            }
        }
    };
    let mut world = World::ready_alone(SHAPES_OF_ONE[from]).with_a_small_disk();
    ask(&mut world, &mut dice);
    by_chance(world, dice, (faults, more), ask)
}

/// Goes on until nothing happens any more, with so many faults, and then with so many more changes.
fn by_chance(
    world: World,
    dice: Dice,
    numbers: (usize, usize),
    ask: impl Fn(&mut World, &mut Dice),
) -> Result<(), String> {
    by_chance_with(world, dice, numbers, ask, |_, _| {})
}

/// The same, with something that somebody does before each step.
fn by_chance_with(
    mut world: World,
    mut dice: Dice,
    (mut faults, mut more): (usize, usize),
    ask: impl Fn(&mut World, &mut Dice),
    mut meanwhile: impl FnMut(&mut World, &mut Dice),
) -> Result<(), String> {
    for _ in 0..10_000 {
        meanwhile(&mut world, &mut dice);
        let possible = world.possible();
        // Now and then something goes wrong.
        if faults > 0 && dice.roll(12) == 0 {
            let faulty = world.possible_faults();
            if !faulty.is_empty() {
                faults -= 1;
                world.goes_wrong(&faulty[dice.roll(faulty.len())]);
                world.verdict()?;
                continue;
            }
        }
        if possible.is_empty() {
            if world.is_settled() {
                world.final_verdict()?;
                if more == 0 {
                    return Ok(());
                }
                more -= 1;
                ask(&mut world, &mut dice);
            } else {
                world.waits();
            }
        } else {
            world.happens(&possible[dice.roll(possible.len())]);
        }
        world.verdict()?;
    }
    Err("it never ends".to_owned())
}

/// One run in which things happen in turn, and `faults` at their steps. Returns how many steps there were.
fn in_turn(from: usize, to: usize, faults: &[(usize, usize)]) -> Result<(usize, usize), String> {
    let mut world = World::ready(from).with_a_small_disk();
    world.asks_for(to);
    run_in_turn(world, faults)
}

fn run_in_turn(mut world: World, faults: &[(usize, usize)]) -> Result<(usize, usize), String> {
    let mut most = 0;
    for step in 0..10_000 {
        for (_, which) in faults.iter().filter(|(at, _)| *at == step) {
            let possible = world.possible_faults();
            if let Some(fault) = possible.get(*which) {
                world.goes_wrong(fault);
                world.verdict()?;
            }
        }
        most = most.max(world.possible_faults().len());
        let possible = world.possible();
        match possible.first() {
            Some(first) => world.happens(first),
            None if world.is_settled() => {
                world.final_verdict()?;
                return Ok((step, most));
            }
            None => world.waits(),
        }
        world.verdict()?;
    }
    Err("it never ends".to_owned())
}

fn interleavings() -> u64 {
    number_in("ANYLITH_INTERLEAVINGS").unwrap_or(INTERLEAVINGS)
}

fn number_in(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse().ok();
    Some(number.unwrap_or_else(|| panic!("{variable} is no number: {text}")))
}

/// The first of so many random runs that goes wrong.
fn first_wrong(runs: u64, random: impl Fn(u64) -> Result<(), String>) -> Option<(u64, String)> {
    let first = number_in("ANYLITH_FIRST_SEED").unwrap_or(0);
    (first..first + runs).find_map(|seed| Some((seed, random(seed).err()?)))
}

#[test]
fn every_interleaving_of_a_reshape_ends_with_the_old_topology_or_the_new_one() {
    plant(None);
    if let Some((seed, wrong)) = first_wrong(interleavings(), random) {
        panic!("seed {seed}: {wrong}");
    }
}

#[test]
fn every_interleaving_of_a_scale_ends_with_the_old_numbers_or_the_new_ones() {
    plant(None);
    if let Some((seed, wrong)) = first_wrong(interleavings() / 2, random_of_numbers) {
        panic!("seed {seed}: {wrong}");
    }
}

#[test]
fn every_interleaving_of_a_reshape_of_what_sleeps_ends_with_the_old_topology_or_the_new_one() {
    plant(None);
    if let Some((seed, wrong)) = first_wrong(interleavings() / 2, random_of_sleepers) {
        panic!("seed {seed}: {wrong}");
    }
}

#[test]
fn in_every_interleaving_there_is_one_of_a_singleton_and_it_has_what_was_handed_over() {
    plant(None);
    if let Some((seed, wrong)) = first_wrong(interleavings() / 2, random_of_one) {
        panic!("seed {seed}: {wrong}");
    }
}

#[test]
fn a_fault_at_any_moment_leaves_one_of_a_singleton() {
    plant(None);
    for from in SHAPES_OF_ONE {
        for to in SHAPES_OF_ONE.into_iter().filter(|to| *to != from) {
            let begin = || {
                let mut world = World::ready_alone(from);
                world.asks_for(to);
                world
            };
            let (steps, most) = run_in_turn(begin(), &[]).unwrap();
            let mut runs = from + to;
            for at in 0..steps {
                for which in 0..most {
                    // All of them together take minutes.
                    runs += 1;
                    if interleavings() <= 100_000 && runs % 7 != 0 {
                        continue;
                    }
                    if let Err(wrong) = run_in_turn(begin(), &[(at, which)]) {
                        panic!("{from} to {to}, fault {which} at {at}: {wrong}");
                    }
                }
            }
        }
    }
}

#[test]
fn one_that_does_not_begin_in_its_new_place_is_back_where_it_was_with_what_it_had() {
    plant(None);
    for from in SHAPES_OF_ONE {
        for to in SHAPES_OF_ONE.into_iter().filter(|to| *to != from) {
            let begin = || {
                let mut world = World::ready_alone(from);
                world.asks_for(to);
                world.bars();
                world
            };
            // That everybody finds it or waits for it, all the while, is seen with each directory.
            let (steps, most) = run_in_turn(begin(), &[]).unwrap();
            let mut runs = from + to;
            for at in 0..steps {
                for which in 0..most {
                    // All of them together take minutes.
                    runs += 1;
                    if interleavings() <= 100_000 && runs % 13 != 0 {
                        continue;
                    }
                    if let Err(wrong) = run_in_turn(begin(), &[(at, which)]) {
                        panic!("{from} to {to}, fault {which} at {at}: {wrong}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_fault_at_any_moment_of_a_reshape_leaves_the_old_topology_or_the_new_one() {
    plant(None);
    let (mut runs, exhaustive) = (0, interleavings() > 100_000);
    for from in 0..SHAPES.len() {
        for to in (0..SHAPES.len()).filter(|to| *to != from) {
            let (steps, most) = in_turn(from, to, &[]).unwrap();
            for at in 0..steps {
                for which in 0..most {
                    // All of them together take minutes.
                    runs += 1;
                    if !exhaustive && runs % 7 != 0 {
                        continue;
                    }
                    if let Err(wrong) = in_turn(from, to, &[(at, which)]) {
                        panic!("{from} to {to}, fault {which} at {at}: {wrong}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_planted_defect_is_found() {
    for defect in [
        Defect::SwitchEarly,
        Defect::SwitchUnkept,
        Defect::DrainEarly,
        Defect::ForgetComing,
        Defect::ForgetNew,
        Defect::NoMemory,
    ] {
        plant(Some(defect));
        let found = first_wrong(INTERLEAVINGS, random);
        plant(None);
        assert!(found.is_some(), "{defect:?} was not found");
    }
    plant(Some(Defect::KeepNumber));
    let found = first_wrong(INTERLEAVINGS, random_of_numbers);
    plant(None);
    assert!(found.is_some(), "a number that is kept was not found");
    for defect in [
        Defect::TwoAtOnce,
        Defect::ForgetHolder,
        Defect::ForgetState,
        Defect::SwitchUnseated,
        Defect::NoWayBack,
    ] {
        plant(Some(defect));
        let found = first_wrong(INTERLEAVINGS, random_of_one);
        plant(None);
        assert!(found.is_some(), "{defect:?} was not found");
    }
}

#[test]
fn without_a_fault_every_reshape_is_made() {
    plant(None);
    for from in 0..SHAPES.len() {
        for to in (0..SHAPES.len()).filter(|to| *to != from) {
            in_turn(from, to, &[]).unwrap();
        }
    }
}

#[test]
fn a_stop_at_any_moment_of_a_reshape_stops_everything() {
    plant(None);
    for from in 0..SHAPES.len() {
        for to in (0..SHAPES.len()).filter(|to| *to != from) {
            let (steps, _) = in_turn(from, to, &[]).unwrap();
            for at in 0..steps {
                let mut world = World::ready(from);
                world.asks_for(to);
                for step in 0.. {
                    if step == at {
                        world.stops();
                    }
                    match world.possible().first() {
                        Some(first) => world.happens(first),
                        None if world.has_stopped() => break,
                        None => panic!("{from} to {to}, stopped at {at}: it does not stop"),
                    }
                    world.verdict().unwrap();
                }
            }
        }
    }
}

#[test]
fn a_component_that_does_not_start_in_a_living_replica_disturbs_nobody_there() {
    plant(None);
    let mut world = World::ready(4);
    let before = world.pids();
    world.asks_for(5);
    let mut failed = false;
    while !world.is_settled() || !world.possible().is_empty() {
        let faults = world.possible_faults();
        let fails = faults.iter().find(
            |fault| matches!(fault, Fault::Fails(replica, _) if before.contains_key(replica)),
        );
        match (fails, world.possible().first()) {
            (Some(fault), _) if !failed => {
                failed = true;
                world.goes_wrong(fault);
            }
            (_, Some(first)) => world.happens(first),
            (_, None) => world.waits(),
        }
        world.verdict().unwrap();
    }
    assert!(failed);
    world.final_verdict().unwrap();
    assert_eq!(world.pids(), before);
}
