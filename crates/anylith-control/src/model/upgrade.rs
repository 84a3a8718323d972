//! The same application, while another build is rolled in.
//!
//! Whatever happens, who calls finds a callee of its own build where the interface has changed, as many replicas as are
//! wanted are called, and in the end all run one build.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anylith_core::{ComponentManifest, Directory, Fingerprint, Manifest, Name};
use anylith_wire::control::{ComponentState, FromReplica, Steer};

use super::{
    Dice, first_wrong, interleavings,
    world::{Process, SHAPES, SHAPES_OF_ONE, World, name},
};
use crate::{
    Event, Notice, Spec,
    defect::{Defect, plant},
};

/// As many as of a reshape would take minutes.
const FEWER: u64 = 4;

const COMPONENTS: [&str; 3] = ["Front", "Cart", "Stock"];

/// What the interfaces look like in a build, of which those of `changed` are its own.
pub(super) fn interfaces(build: u32, changed: &[&str]) -> BTreeMap<Name, Fingerprint> {
    let of = |component: &&str| {
        let own = u64::from(build) * u64::from(changed.contains(component));
        (name(component), Fingerprint(own))
    };
    COMPONENTS.iter().map(of).collect()
}

/// The builds of the application that is simulated.
#[derive(Debug, Default)]
pub(super) struct Builds {
    /// Those that are known, but for the first.
    interfaces: BTreeMap<u32, BTreeMap<Name, Fingerprint>>,
    /// The one that was asked for last, and whether it was asked to be rolled back.
    asked: Option<Asked>,
    /// One that is broken, until it stands, by its number.
    broken: Option<(u32, Breakage)>,
    /// Whether one was not.
    has_failed: bool,
}

/// What is wrong with a build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Breakage {
    /// So many components still come to be ready.
    left: usize,
    /// Nothing is wrong but with this one.
    only: Option<&'static str>,
    /// How long a component takes to start, or to fail at it.
    slow: Option<Duration>,
}

impl Breakage {
    fn by_chance(dice: &mut Dice) -> Self {
        Self {
            left: dice.roll(12),
            only: (dice.roll(2) == 0).then_some("Cart"),
            // What is well for as long has left its failures behind.
            slow: (dice.roll(2) == 0).then_some(Duration::from_secs(12)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    from: u32,
    to: u32,
    rolled_back: bool,
}

impl Builds {
    fn of(&self, build: u32) -> BTreeMap<Name, Fingerprint> {
        let known = self.interfaces.get(&build).cloned();
        known.unwrap_or_else(|| interfaces(0, &[]))
    }

    /// Whether `process` is told of somebody who takes its calls of `component`, or is started for them.
    pub(super) fn is_there(&self, component: &Name, process: &Process) -> bool {
        let fitting = process.directory.clone().fitting(&self.of(process.build));
        fitting.can_call(component.as_str())
    }

    /// How long the start of a component takes in `build`, if that takes any time.
    pub(super) fn slowness(&self, build: u32) -> Option<Duration> {
        let (_, breakage) = self.broken.filter(|(broken, _)| *broken == build)?;
        breakage.slow
    }

    /// Whether `component` of `process`, which is about to be ready, fails instead.
    pub(super) fn fails(&mut self, process: &Process, component: &Name) -> bool {
        let fails = match &mut self.broken {
            Some((build, breakage)) if *build == process.build => {
                let is_wrong = breakage.only.is_none_or(|only| *component == only);
                let fails = is_wrong && breakage.left == 0;
                breakage.left = breakage.left.saturating_sub(usize::from(is_wrong));
                fails
            }
            Some(_) | None => false,
        };
        self.has_failed |= fails;
        fails
    }
}

impl World {
    /// An upgrade is asked for; returns whether it can be made.
    pub(super) fn asks_to_upgrade(
        &mut self,
        changed: &[&str],
        canary: Option<u8>,
        observe_ms: u64,
        broken: Option<Breakage>,
    ) -> bool {
        let from = self.plane.build();
        let to = self
            .builds
            .interfaces
            .keys()
            .max()
            .map_or(1, |last| last + 1);
        let mut interfaces = self.builds.of(from);
        for component in changed {
            interfaces.insert(name(component), Fingerprint(u64::from(to)));
        }
        let manifest = manifest(&interfaces, self.plane.spec());
        if self
            .plane
            .check_upgrade(&manifest, canary, observe_ms)
            .is_err()
        {
            return false;
        }
        self.builds.interfaces.insert(to, interfaces.clone());
        self.builds.broken = broken.map(|breakage| (to, breakage));
        self.builds.has_failed = false;
        self.builds.asked = Some(Asked {
            from,
            to,
            rolled_back: false,
        });
        self.begins_anew();
        self.feed(Event::UpgradeAsked {
            build: to,
            interfaces,
            canary,
            observe_ms,
        });
        true
    }

    fn steers(&mut self, steer: Steer) {
        let is_taken = self.plane.check_steer(steer).is_ok();
        if let (true, Steer::Rollback, Some(asked)) = (is_taken, steer, &mut self.builds.asked) {
            asked.rolled_back = true;
        }
        self.feed(Event::Steered(steer));
    }

    /// Somebody calls what sleeps, if there is anything.
    pub(super) fn calls(&mut self, dice: &mut Dice) {
        let spec = self.plane.spec();
        let mut calls: Vec<(Name, Name)> = Vec::new();
        for (replica, process) in self.processes.iter().filter(|(_, one)| one.connected) {
            let ready = process.components.iter();
            let ready = ready.filter(|(_, state)| **state == ComponentState::Ready);
            let callees = ready.flat_map(|(component, _)| &spec.dependencies[component]);
            let asleep = callees.filter(|callee| process.directory.is_asleep(callee.as_str()));
            calls.extend(asleep.map(|callee| (replica.clone(), callee.clone())));
        }
        if let Some((replica, component)) = calls.get(dice.roll(calls.len())).cloned() {
            let message = FromReplica::Wanted { component };
            self.feed(Event::Said { replica, message });
        }
    }

    /// Whether nothing happens any more until somebody says so.
    fn is_paused(&self) -> bool {
        let change = self.plane.change();
        self.possible().is_empty() && change.is_some_and(|how| how.contains("paused"))
    }

    /// What is wrong with a directory while two builds are there.
    pub(super) fn judge_upgrade(&self, directory: &Directory) -> Result<(), String> {
        if self.builds.asked.is_none() {
            return Ok(());
        }
        let spec = self.plane.spec();
        // Of what sleeps there are as many as are wanted once they have started.
        let awake = spec.groups.iter().filter(|group| group.scaling.is_none());
        for group in awake {
            for component in &group.components {
                let named = directory.replicas(component.as_str()).len();
                if self.moves(component, directory) {
                    continue;
                }
                if named < group.replicas as usize {
                    return Err(format!("{component} is named {named} times only"));
                }
            }
        }
        for (replica, process) in &self.processes {
            let ready = |component: &Name| {
                process.components.get(component) == Some(&ComponentState::Ready)
            };
            for component in process.components.keys().filter(|name| ready(name)) {
                let callees = spec.dependencies[component].iter();
                for callee in callees.filter(|callee| !ready(callee)) {
                    if directory.is_asleep(callee.as_str()) || self.moves(callee, directory) {
                        continue;
                    }
                    if !self.answers(callee, process.build, directory) {
                        return Err(format!(
                            "{component} of {replica} finds no {callee} of build {}",
                            process.build
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether there is one of `component`, which is on its way; or it is beside that one where it has failed to begin, and the
    /// process has ended with it.
    pub(super) fn moves(&self, component: &Name, directory: &Directory) -> bool {
        let home = self.plane.spec().group_of(component.as_str());
        let is_beside = home.is_some_and(|home| home.components.contains(&name("Cart")));
        let may_be_down = *component != "Cart" && is_beside && self.builds.has_failed;
        let is_moving = *component == "Cart" && directory.is_moving(component.as_str());
        self.alone && (is_moving || may_be_down)
    }

    /// Whether `directory` names somebody who understands calls of `component` from `build`.
    fn answers(&self, component: &Name, build: u32, directory: &Directory) -> bool {
        let looks = |build: u32| self.builds.of(build).get(component).copied();
        let mut named = directory.replicas(component.as_str()).iter();
        named.any(|address| {
            let found = self.build_of(&address.replica);
            found.is_some_and(|found| looks(found) == looks(build))
        })
    }

    /// All run one build, and it is the right one.
    fn upgrade_verdict(&self) -> Result<(), String> {
        let Some(asked) = self.builds.asked else {
            return Ok(());
        };
        let (stands, memory) = (self.plane.build(), self.plane.memory());
        if memory.rollout.is_some() {
            return Err("it is over, and still remembered".to_owned());
        }
        let found: BTreeSet<u32> = self.processes.values().map(|one| one.build).collect();
        if found != BTreeSet::from([stands]) {
            return Err(format!("build {stands} stands, and {found:?} run"));
        }
        if self.plane.spec().interfaces != self.builds.of(stands) {
            return Err(format!("the interfaces are not those of build {stands}"));
        }
        if !self.published.interfaces.is_empty() {
            return Err("the directory still tells builds apart".to_owned());
        }
        let wanted: BTreeSet<Name> = self
            .plane
            .spec()
            .groups
            .iter()
            .flat_map(|group| group.replica_names().collect::<Vec<_>>())
            .collect();
        let running: BTreeSet<Name> = self.processes.keys().cloned().collect();
        if wanted != running {
            return Err(format!("{wanted:?} are to run, and {running:?} do"));
        }
        if self.builds.has_failed && stands == asked.to {
            return Err(format!(
                "build {stands} stands, and does not start: {asked:?}"
            ));
        }
        let may_fail = self.builds.has_failed || asked.rolled_back || self.faults > 0;
        match stands {
            build if build == asked.to => {}
            build if build == asked.from && may_fail => {}
            build => return Err(format!("build {build} stands: {asked:?}")),
        }
        let made = |notice: &&Notice| matches!(notice, Notice::Upgraded { .. });
        let failed = |notice: &&Notice| matches!(notice, Notice::ChangeFailed { .. });
        let told = (
            self.notices.iter().filter(made).count(),
            self.notices.iter().filter(failed).count(),
        );
        // Who has asked is gone with the control plane that he asked.
        let right = [(1, 0), (0, 1)][usize::from(stands == asked.from)];
        match self.controls > 0 || told == right {
            true => Ok(()),
            false => Err(format!("people were told {told:?}, and not {right:?}")),
        }
    }
}

/// What a build says of itself.
fn manifest(interfaces: &BTreeMap<Name, Fingerprint>, spec: &Spec) -> Manifest {
    let components = spec.dependencies.iter();
    Manifest {
        app: spec.app.clone(),
        summary: String::new(),
        components: components
            .map(|(component, dependencies)| ComponentManifest {
                name: component.clone(),
                implementation: String::new(),
                summary: String::new(),
                dependencies: dependencies.clone(),
                listeners: Vec::new(),
                methods: Vec::new(),
                fingerprint: interfaces[component],
                misfits: Vec::new(),
                singleton: spec.singletons.get(component).copied(),
            })
            .collect(),
    }
}

/// One run in which everything is left to chance. Returns what was wrong.
fn random(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed);
    let shape = dice.roll(SHAPES.len());
    let mut world = match dice.roll(5) {
        0 => World::ready_asleep(shape),
        1 | 2 => World::ready_alone(SHAPES_OF_ONE[shape % SHAPES_OF_ONE.len()]),
        _ => World::ready(shape),
    };
    for _ in 0..=dice.roll(2) {
        let changed: Vec<&str> = COMPONENTS
            .into_iter()
            .filter(|_| dice.roll(2) == 0)
            .collect();
        let canary = (dice.roll(3) == 0).then(|| 1 + dice.roll(100) as u8);
        let observe_ms = [0, 3000][dice.roll(2)];
        let broken = (dice.roll(3) == 0).then(|| Breakage::by_chance(&mut dice));
        if world.asks_to_upgrade(&changed, canary, observe_ms, broken) {
            to_its_end(&mut world, &mut dice)?;
        }
    }
    Ok(())
}

fn to_its_end(world: &mut World, dice: &mut Dice) -> Result<(), String> {
    let (mut faults, mut steers, mut calls) = (dice.roll(4), dice.roll(4), dice.roll(3));
    for _ in 0..10_000 {
        let asked = world.builds.asked;
        if asked.is_some_and(|asked| asked.to == world.plane.build()) {
            world.builds.broken = None;
        }
        if faults > 0 && dice.roll(16) == 0 {
            let faulty = world.possible_faults();
            faults -= 1;
            world.goes_wrong(&faulty[dice.roll(faulty.len())]);
            world.verdict()?;
            continue;
        }
        if calls > 0 && dice.roll(16) == 0 {
            calls -= 1;
            world.calls(dice);
            world.verdict()?;
            continue;
        }
        if steers > 0 && dice.roll(16) == 0 {
            steers -= 1;
            world.steers([Steer::Pause, Steer::Resume, Steer::Rollback][dice.roll(3)]);
            world.verdict()?;
            continue;
        }
        let possible = world.possible();
        if !possible.is_empty() {
            world.happens(&possible[dice.roll(possible.len())]);
        } else if world.is_settled() {
            return world.upgrade_verdict();
        } else if world.is_paused() {
            world.steers([Steer::Resume, Steer::Rollback][dice.roll(2)]);
        } else {
            world.waits();
        }
        world.verdict()?;
    }
    Err(format!("it never ends: {:?}", world.plane.change()))
}

#[test]
fn every_interleaving_of_an_upgrade_ends_with_the_old_build_or_the_new_one() {
    plant(None);
    if let Some((seed, wrong)) = first_wrong(interleavings() / FEWER, random) {
        panic!("seed {seed}: {wrong}");
    }
}

#[test]
fn every_planted_defect_of_an_upgrade_is_found() {
    for defect in [
        Defect::CallersFirst,
        Defect::NoLastCallee,
        Defect::TooFew,
        Defect::OtherBuild,
        Defect::NoRollout,
        Defect::EachAlone,
    ] {
        plant(Some(defect));
        let found = first_wrong(interleavings() / FEWER, random);
        plant(None);
        assert!(found.is_some(), "{defect:?} was not found");
    }
}

#[test]
fn a_fault_at_any_moment_of_an_upgrade_leaves_one_build() {
    plant(None);
    let (mut runs, exhaustive) = (0, interleavings() > 100_000);
    for shape in [0, 2, 3] {
        let (steps, most) = in_turn(shape, None).unwrap();
        for at in 0..steps {
            for which in 0..most {
                // All of them together take minutes.
                runs += 1;
                if !exhaustive && runs % 23 != 0 {
                    continue;
                }
                if let Err(wrong) = in_turn(shape, Some((at, which))) {
                    panic!("shape {shape}, fault {which} at {at}: {wrong}");
                }
            }
        }
    }
}

/// One run in which things happen in turn, and a fault at its step. Returns how many steps there were, and how many faults
/// were possible at most.
fn in_turn(shape: usize, fault: Option<(usize, usize)>) -> Result<(usize, usize), String> {
    let mut world = World::ready(shape);
    assert!(world.asks_to_upgrade(&["Cart", "Stock"], None, 0, None));
    let mut most = 0;
    for step in 0..10_000 {
        let faulty = world.possible_faults();
        if let Some((_, which)) = fault.filter(|(at, _)| *at == step)
            && let Some(fault) = faulty.get(which)
        {
            world.goes_wrong(fault);
            world.verdict()?;
        }
        most = most.max(faulty.len());
        match world.possible().first() {
            Some(first) => world.happens(first),
            None if world.is_settled() => {
                world.upgrade_verdict()?;
                return Ok((step, most));
            }
            None => world.waits(),
        }
        world.verdict()?;
    }
    Err("it never ends".to_owned())
}

#[test]
fn groups_that_call_each_other_through_what_changes_are_not_upgraded() {
    plant(None);
    // `shop` has Front and Stock, and `rest` has Cart.
    let mut world = World::ready(6);
    assert!(!world.asks_to_upgrade(&["Cart", "Stock"], None, 0, None));
    assert!(world.asks_to_upgrade(&["Cart"], None, 0, None));
}
