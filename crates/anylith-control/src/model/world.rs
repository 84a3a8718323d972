//! The simulated application: what can happen in it next.

mod process;
mod shapes;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    time::{Duration, Instant},
};

use anylith_core::{Directory, Name, Scaling, Singleton, Size};
use anylith_wire::control::{ComponentState, FromReplica, Handed, ToReplica};

pub(super) use self::{
    process::Process,
    shapes::{SHAPES, SHAPES_OF_ONE, name, spec},
};

use self::process::not_started;
use super::upgrade::Builds;
use crate::{Action, ControlPlane, Event, Exit, Extra, Memory, Notice, Spec, Timing, fate::Fate};

/// Something that happens by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A replica reads the next message.
    Reads(Name),
    /// The control plane reads the next message of a replica.
    Hears(Name),
    /// The control plane learns of what has ended.
    Learns(Name),
    /// A component comes one state further.
    Moves(Name, Name),
    /// A replica connects.
    Connects(Name),
    /// The disk has room again.
    Room,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A process is killed.
    Dies(Name),
    /// A connection breaks.
    Breaks(Name),
    /// A component cannot start.
    Fails(Name, Name),
    /// A component takes very long to start.
    Lingers(Name, Name),
    /// The next process cannot be started.
    NoSpawn,
    /// The control plane is killed, and another one begins with what it has remembered.
    Control,
    /// After so many more times nothing can be written down any more.
    Full(u8),
}

/// The disk is about to be full, or is.
struct Full {
    /// How often something can still be written down.
    left: u8,
    /// What was written last.
    kept: (Spec, Memory),
}

/// A process that is over.
struct Over {
    build: u32,
    /// What the control plane has yet to learn.
    events: VecDeque<Event>,
}

/// An application, and what it was asked for.
pub(super) struct World {
    pub(super) plane: ControlPlane,
    now: Instant,
    pub(super) processes: BTreeMap<Name, Process>,
    /// Processes that are over, of which the control plane has yet to learn.
    over: BTreeMap<Name, Over>,
    pub(super) published: Directory,
    pub(super) notices: Vec<Notice>,
    asked: Option<(Spec, Spec)>,
    pub(super) builds: Builds,
    next_pid: u32,
    no_spawn: bool,
    full: Option<Full>,
    /// Whether the disk may fill.
    fills: bool,
    /// Whether all have been ready once.
    began: bool,
    crashed: bool,
    pub(super) faults: usize,
    pub(super) controls: usize,
    stopping: bool,
    done: bool,
    wrong: Option<String>,
    /// Whether there is one `Cart` at a time.
    pub(super) alone: bool,
    /// The group in which `Cart` never begins, until something else is asked for; and whether it has tried.
    barred: Option<Name>,
    has_tried: bool,
    /// A restart was asked for, and no reshape.
    restarts: bool,
    /// Other numbers were asked for.
    scales: bool,
    /// How often a state was handed over.
    handed: u64,
    /// What the control plane has been given for the next `Cart`.
    estate: Option<Handed>,
    /// It was begun with, and nobody was sent there: the next one may begin with the same, or without.
    begun_with: bool,
    /// The control plane was killed that knew more of `Cart` than was written down.
    forgotten: bool,
    /// The number of what was handed over last, as far as the control plane has heard.
    heard: u64,
}

/// The groups that nobody visits have nothing that runs until they are called.
#[cfg(test)]
fn sleeps(spec: &mut Spec) {
    let front = name("Front");
    for group in &mut spec.groups {
        if !group.components.contains(&front) {
            (group.replicas, group.scaling) = (0, Some(Scaling::between(0, 2)));
        }
    }
}

/// Signs of life are another matter, which has tests of its own.
fn timing() -> Timing {
    Timing {
        ask_every: Duration::from_secs(1 << 20),
        ..Timing::default()
    }
}

// Time is simulated, but for its beginning.
#[cfg(test)]
impl World {
    /// Started in a topology, with every replica ready.
    pub(super) fn ready(shape: usize) -> Self {
        Self::begun(spec(shape), false)
    }

    /// The same, and nothing runs of the groups that nobody visits: they sleep until they are called.
    pub(super) fn ready_asleep(shape: usize) -> Self {
        let mut spec = spec(shape);
        sleeps(&mut spec);
        Self::begun(spec, false)
    }

    /// The same, with one `Cart` at a time.
    pub(super) fn ready_alone(shape: usize) -> Self {
        let mut spec = spec(shape);
        let singleton = Singleton { hands_over: true };
        spec.singletons.insert(name("Cart"), singleton);
        Self::begun(spec, true)
    }

    fn begun(spec: Spec, alone: bool) -> Self {
        let now = Instant::now();
        let (memory, lost) = (Memory::default(), BTreeSet::new());
        let sockets = PathBuf::from("/run/m");
        let mut world = Self {
            plane: ControlPlane::new(spec, timing(), sockets, &memory, &lost, now),
            now,
            processes: BTreeMap::new(),
            over: BTreeMap::new(),
            published: Directory::default(),
            notices: Vec::new(),
            asked: None,
            builds: Builds::default(),
            next_pid: 100,
            no_spawn: false,
            full: None,
            fills: false,
            began: false,
            crashed: false,
            faults: 0,
            controls: 0,
            stopping: false,
            done: false,
            wrong: None,
            alone,
            barred: None,
            has_tried: false,
            restarts: false,
            scales: false,
            handed: 0,
            estate: None,
            begun_with: false,
            forgotten: false,
            heard: 0,
        };
        world.feed(Event::Tick);
        while let Some(first) = world.possible().first() {
            world.happens(first);
        }
        assert!(world.is_settled(), "it does not start");
        world.began = true;
        world.notices.clear();
        world
    }

    /// Among what may go wrong is that the disk fills.
    pub(super) fn with_a_small_disk(mut self) -> Self {
        self.fills = true;
        self
    }

    /// A reshape to another topology is asked for.
    pub(super) fn asks_for(&mut self, shape: usize) {
        self.asks_for_spec(spec(shape));
    }

    /// The same, to one in which the groups may sleep that nobody visits, if that is so.
    pub(super) fn asks_for_asleep(&mut self, shape: usize, asleep: bool) {
        let mut to = spec(shape);
        if asleep {
            sleeps(&mut to);
        }
        self.asks_for_spec(to);
    }

    fn asks_for_spec(&mut self, mut to: Spec) {
        to.singletons.clone_from(&self.plane.spec().singletons);
        for group in to.groups.iter_mut().filter(|group| group.burst) {
            // As many as there are by now.
            let known = self.plane.spec().group(&group.name);
            group.replicas = known.map_or(group.replicas, |known| known.replicas);
        }
        self.begins_anew();
        (self.restarts, self.scales) = (false, false);
        self.asked = Some((self.plane.spec().clone(), to.clone()));
        self.feed(Event::ReshapeAsked {
            topology: to.topology,
            groups: to.groups,
        });
    }

    /// `Cart` begins nowhere in the group to which the reshape that was asked for takes it.
    pub(super) fn bars(&mut self) {
        let home = |spec: &Spec| spec.group_of("Cart").map(|group| group.name.clone());
        let homes = self.asked.as_ref();
        let homes = homes.and_then(|(from, to)| Some((home(from)?, home(to)?)));
        self.barred = homes.filter(|(from, to)| from != to).map(|(_, to)| to);
    }

    /// Whether `component` of `replica`, which is about to be ready, fails instead.
    fn is_barred(&self, replica: &Name, component: &Name) -> bool {
        let group = self.plane.group_of(replica);
        *component == "Cart" && group.is_some_and(|group| self.barred.as_ref() == Some(group))
    }

    /// Each of these groups is to have so many replicas, or the one after it where that is too long a list.
    pub(super) fn asks_to_scale(&mut self, numbers: &[(usize, u32)]) {
        let mut to = self.plane.spec().clone();
        let fixed: Vec<usize> = (0..to.groups.len())
            .filter(|at| !to.groups[*at].burst)
            .collect();
        let mut groups = BTreeMap::new();
        for (which, replicas) in numbers {
            let group = &mut to.groups[fixed[which % fixed.len()]];
            group.replicas = *replicas;
            groups.insert(group.name.clone(), Size::Fixed(*replicas));
        }
        self.begins_anew();
        (self.restarts, self.scales) = (false, true);
        self.asked = Some((self.plane.spec().clone(), to));
        self.feed(Event::ScaleAsked { groups });
    }

    /// All replicas are to be started anew.
    pub(super) fn restarts(&mut self) {
        self.begins_anew();
        (self.restarts, self.scales) = (true, false);
        let spec = self.plane.spec().clone();
        self.asked = Some((spec.clone(), spec));
        self.feed(Event::RestartAsked { group: None });
    }

    /// What went wrong before is over.
    pub(super) fn begins_anew(&mut self) {
        self.notices.clear();
        (self.faults, self.controls, self.no_spawn) = (0, 0, false);
        (self.barred, self.has_tried) = (None, false);
        self.full = None;
        for process in self.processes.values_mut() {
            process.lingers.clear();
        }
    }

    /// Everything is to stop.
    pub(super) fn stops(&mut self) {
        self.stopping = true;
        self.feed(Event::StopAsked);
    }

    /// Whether nothing runs, and the control plane knows it.
    pub(super) fn has_stopped(&self) -> bool {
        self.done && self.processes.is_empty()
    }

    pub(super) fn pids(&self) -> BTreeMap<Name, u32> {
        let processes = self.processes.iter();
        processes
            .map(|(name, one)| (name.clone(), one.pid))
            .collect()
    }

    /// All that can happen next.
    pub(super) fn possible(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self.over.keys().cloned().map(Step::Learns).collect();
        for (replica, process) in &self.processes {
            if !process.connected {
                steps.push(Step::Connects(replica.clone()));
            }
            if process.connected && !process.inbox.is_empty() {
                steps.push(Step::Reads(replica.clone()));
            }
            if !process.outbox.is_empty() {
                steps.push(Step::Hears(replica.clone()));
            }
            let movable = process.components.keys();
            let movable = movable.filter(|component| self.can_move(process, component));
            steps.extend(movable.map(|component| Step::Moves(replica.clone(), component.clone())));
        }
        // Somebody makes room when nothing goes on without it.
        if steps.is_empty() && self.full.is_some() {
            steps.push(Step::Room);
        }
        steps
    }

    fn can_move(&self, process: &Process, component: &Name) -> bool {
        match process.components[component] {
            ComponentState::Waiting if process.held.contains(component) => false,
            ComponentState::Waiting => {
                let there = |of: &Name| match process.components.get(of) {
                    Some(ComponentState::Ready) => true,
                    // A replica waits for its own, whoever else is there.
                    Some(ComponentState::Waiting | ComponentState::Starting)
                        if !process.held.contains(of) =>
                    {
                        false
                    }
                    Some(_) | None => self.builds.is_there(of, process),
                };
                self.plane.spec().dependencies[component].iter().all(there)
            }
            // It takes longer than any change has patience for, and comes to an end then.
            ComponentState::Starting if process.busy_until(component) > Some(self.now) => false,
            ComponentState::Starting => {
                let is_over = |how: String| how.starts_with("rolling") || how.contains("stuck");
                !process.lingers.contains(component) || self.plane.change().is_none_or(is_over)
            }
            ComponentState::Draining => true,
            ComponentState::Ready | ComponentState::Unhealthy | ComponentState::Stopped => false,
        }
    }

    /// All that can go wrong now.
    pub(super) fn possible_faults(&self) -> Vec<Fault> {
        let mut faults = vec![Fault::NoSpawn];
        // Nobody else knows of a grant that was not written down and has had no effect yet. That takes a write that fails
        // although its room was set aside, and a kill at this moment.
        if self.full.is_none() || !self.processes.values().any(Process::is_about_to_begin) {
            faults.push(Fault::Control);
        }
        if self.fills && self.full.is_none() {
            faults.extend([Fault::Full(0), Fault::Full(1)]);
        }
        for (replica, process) in &self.processes {
            faults.push(Fault::Dies(replica.clone()));
            if process.connected {
                faults.push(Fault::Breaks(replica.clone()));
            }
            let starting = process.components.iter();
            let starting = starting.filter(|(_, state)| **state == ComponentState::Starting);
            for (component, _) in starting {
                faults.push(Fault::Fails(replica.clone(), component.clone()));
                faults.push(Fault::Lingers(replica.clone(), component.clone()));
            }
        }
        faults
    }

    pub(super) fn happens(&mut self, step: &Step) {
        match step {
            Step::Learns(replica) => {
                let Some(over) = self.over.get_mut(replica) else {
                    return;
                };
                let event = over.events.pop_front();
                if over.events.is_empty() {
                    self.over.remove(replica);
                }
                event.into_iter().for_each(|event| self.feed(event));
            }
            Step::Connects(replica) => self.connects(replica),
            Step::Room => {
                self.full = None;
                self.feed(Event::Tick);
            }
            Step::Reads(replica) => self.reads(replica),
            Step::Hears(replica) => {
                let process = self.processes.get_mut(replica);
                let event = process.and_then(|process| process.outbox.pop_front());
                event.into_iter().for_each(|event| self.feed(event));
            }
            Step::Moves(replica, component) => {
                let process = self.processes.get(replica);
                let state = process.and_then(|process| process.components.get(component));
                match state {
                    Some(ComponentState::Waiting) => {
                        self.says(replica, component, ComponentState::Starting);
                    }
                    Some(ComponentState::Starting) if self.is_barred(replica, component) => {
                        self.has_tried = true;
                        self.fails_to_start(replica, component);
                    }
                    Some(ComponentState::Starting)
                        if self.builds.fails(&self.processes[replica], component) =>
                    {
                        self.ends(replica, Exit::Code(1));
                    }
                    Some(ComponentState::Starting) => {
                        self.says(replica, component, ComponentState::Ready);
                    }
                    Some(ComponentState::Draining) => {
                        self.hands_over(replica, component);
                        self.says(replica, component, ComponentState::Stopped);
                    }
                    Some(_) | None => {}
                }
            }
        }
    }

    pub(super) fn goes_wrong(&mut self, fault: &Fault) {
        self.faults += 1;
        match fault {
            Fault::Dies(replica) => {
                self.crashed = true;
                self.ends(replica, Exit::Signal(9));
            }
            Fault::Breaks(replica) => {
                let process = self.processes.get_mut(replica).unwrap();
                process.connected = false;
                process.inbox.clear();
                process.outbox.clear();
                let replica = replica.clone();
                self.feed(Event::Disconnected { replica });
            }
            Fault::Fails(replica, component) => {
                // Nobody can be there for it.
                self.crashed |= self.alone && *component == "Cart";
                self.crashed |= !self.processes[replica].added.contains(component);
                self.fails_to_start(replica, component);
            }
            Fault::Lingers(replica, component) => {
                let spec = self.plane.spec();
                let home = spec.group_of(component.as_str());
                // It was woken, and nobody else is there.
                self.crashed |= home.is_some_and(|home| home.scaling.is_some());
                let process = self.processes.get_mut(replica).unwrap();
                process.lingers.insert(component.clone());
            }
            Fault::NoSpawn => self.no_spawn = true,
            Fault::Control => self.replaces_control(),
            Fault::Full(left) => {
                let kept = (self.plane.spec().clone(), self.plane.memory());
                self.full = Some(Full { left: *left, kept });
            }
        }
    }

    /// A component cannot start: what came into a living process disturbs nobody there, and else the process ends.
    fn fails_to_start(&mut self, replica: &Name, component: &Name) {
        let process = self.processes.get_mut(replica).unwrap();
        if !process.added.contains(component) {
            self.ends(replica, Exit::Code(1));
            return;
        }
        process
            .components
            .insert(component.clone(), ComponentState::Stopped);
        process.unable.insert(component.clone());
        if process.connected {
            process.outbox.push_back(not_started(replica, component));
        }
    }

    fn replaces_control(&mut self) {
        self.controls += 1;
        let kept = self.full.as_ref().map(|full| full.kept.clone());
        let (mut spec, mut memory) =
            kept.unwrap_or_else(|| (self.plane.spec().clone(), self.plane.memory()));
        memory.carry_out_decision(&mut spec);
        for (replica, past) in &mut memory.replicas {
            let process = self.processes.get(replica);
            past.pid = process
                .map(|process| process.pid)
                .filter(|pid| past.pid == Some(*pid));
        }
        for process in self.processes.values_mut() {
            process.connected = false;
            process.inbox.clear();
            process.outbox.clear();
        }
        self.over.clear();
        self.finds_strays(&spec, &mut memory);
        // Of others only those know who have seen them, for as long as they live.
        self.published.epoch = memory.epoch;
        if self.alone && self.full.is_some() {
            // What was handed over is lost with who knew of it, and so is that it is on its way. There is one all the same.
            (self.forgotten, self.crashed) = (true, true);
        }
        let lost = BTreeSet::new();
        let sockets = PathBuf::from("/run/m");
        self.plane = ControlPlane::new(spec, timing(), sockets, &memory, &lost, self.now);
        self.feed(Event::Tick);
    }

    /// Processes of which nothing was written down are taken for what they are called, as the supervisor does, or ended.
    fn finds_strays(&mut self, spec: &Spec, memory: &mut Memory) {
        let place = |replica: &Name| {
            let mut places = spec.groups.iter().flat_map(|group| {
                let ordinals = 1..=group.replicas + 2;
                ordinals.map(move |ordinal| (group, ordinal))
            });
            places.find(|(group, ordinal)| group.replica_name(*ordinal) == *replica)
        };
        self.processes.retain(|replica, process| {
            let past = memory.replicas.get(replica);
            if past.is_some_and(|past| past.pid == Some(process.pid)) {
                return true;
            }
            let Some((group, ordinal)) = place(replica) else {
                return false;
            };
            let past = memory.replicas.entry(replica.clone()).or_default();
            (past.pid, past.incarnation) = (Some(process.pid), process.incarnation);
            (past.build, past.fate) = (process.build, Fate::Stays);
            if ordinal > group.replicas {
                past.fate = Fate::StandsIn;
                let extra = Extra {
                    group: group.name.clone(),
                    ordinal,
                    components: group.components.clone(),
                };
                memory.extra.insert(replica.clone(), extra);
            }
            true
        });
    }

    fn ends(&mut self, replica: &Name, exit: Exit) {
        if let Some(process) = self.processes.get_mut(replica) {
            process.outbox.clear();
        }
        self.is_over(replica, exit);
    }

    /// It does as it was told, and what it said last is heard.
    fn ends_well(&mut self, replica: &Name) {
        self.is_over(replica, Exit::Code(0));
    }

    fn is_over(&mut self, replica: &Name, exit: Exit) {
        let Some(process) = self.processes.remove(replica) else {
            return;
        };
        let mut events = process.outbox;
        if process.connected {
            events.push_back(Event::Disconnected {
                replica: replica.clone(),
            });
        }
        events.push_back(Event::Exited {
            replica: replica.clone(),
            pid: process.pid,
            exit,
        });
        let build = process.build;
        self.over.insert(replica.clone(), Over { build, events });
    }

    /// The build of `replica` as far as the control plane can know: also of one that has ended, until it learns of it.
    pub(super) fn build_of(&self, replica: &Name) -> Option<u32> {
        let running = self.processes.get(replica).map(|process| process.build);
        running.or_else(|| self.over.get(replica).map(|over| over.build))
    }

    /// Time passes until the control plane wants to be woken.
    pub(super) fn waits(&mut self) {
        // Who waits for ever would wait for a sign of life.
        let busy = self.processes.values();
        let busy = busy.flat_map(|process| process.busy.values().copied());
        let busy = busy.filter(|until| *until > self.now);
        let next = self.plane.next_tick().into_iter().chain(busy).min();
        self.now = next.map_or(self.now, |at| at.max(self.now));
        self.feed(Event::Tick);
    }

    pub(super) fn feed(&mut self, event: Event) {
        let is_ready =
            |it: &Name, state: &ComponentState| *it == "Cart" && *state == ComponentState::Ready;
        match &event {
            Event::Said { message, .. } => match message {
                FromReplica::HandedOver { state, .. } => self.hears_of(state.as_ref()),
                FromReplica::Component { name, state, .. } if is_ready(name, state) => {
                    self.begun_with = true;
                }
                _ => {}
            },
            Event::Hello(hello) if hello.components.iter().any(|(it, at)| is_ready(it, at)) => {
                self.begun_with = true;
            }
            _ => {}
        }
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions = self.plane.on(event, self.now);
            let is_kept = self.is_kept();
            for action in actions {
                events.extend(self.carry_out(action));
            }
            if is_kept && self.plane.awaits_keeping() {
                events.push_back(Event::Kept);
            }
        }
    }

    /// Writes down what is to be remembered, if there is room.
    fn is_kept(&mut self) -> bool {
        match &mut self.full {
            None => true,
            Some(Full { left: 0, .. }) => false,
            Some(Full { left, kept }) => {
                *left -= 1;
                *kept = (self.plane.spec().clone(), self.plane.memory());
                true
            }
        }
    }

    /// `Cart` hands over. It says so again over each new connection, also when others have come since.
    fn hears_of(&mut self, state: Option<&Handed>) {
        let number = state.and_then(|Handed(number)| number.parse().ok());
        if let Some(number) = number.filter(|number| *number > self.heard) {
            self.heard = number;
            (self.estate, self.begun_with) = (state.cloned(), false);
        }
    }

    /// Whether the next `Cart` may begin with `state`.
    fn may_begin_with(&self, state: Option<&Handed>) -> bool {
        self.forgotten || state == self.estate.as_ref() || (self.begun_with && state.is_none())
    }

    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn {
                replica,
                incarnation,
            } => {
                if std::mem::take(&mut self.no_spawn) {
                    let error = "no memory".to_owned();
                    return Some(Event::SpawnFailed { replica, error });
                }
                self.next_pid += 1;
                let pid = self.next_pid;
                let process = Process {
                    pid,
                    incarnation,
                    build: self.plane.build_of(&replica),
                    ..Process::default()
                };
                let before = self.processes.insert(replica.clone(), process);
                if before.is_some() || self.over.contains_key(&replica) {
                    self.finds(format!("{replica} has two processes"));
                }
                return Some(Event::Spawned { replica, pid });
            }
            Action::Send { replica, message } => {
                self.judge(&replica, &message);
                let process = self.processes.get_mut(&replica);
                if let Some(process) = process.filter(|process| process.connected) {
                    process.inbox.push_back(message);
                }
            }
            Action::Publish(directory) => self.publish(directory),
            Action::Kill { replica } | Action::Dismiss { replica } => {
                self.ends(&replica, Exit::Signal(9));
            }
            Action::Report(notice) => self.notices.push(notice),
            Action::Done => self.done = true,
            other @ (Action::Examine { .. } | Action::Shut { .. } | Action::Bind { .. }) => {
                self.finds(format!("it wants {other:?}"));
            }
        }
        None
    }

    fn publish(&mut self, directory: Directory) {
        let seen = self.processes.values().map(|it| it.directory.epoch);
        if seen
            .chain([self.published.epoch])
            .any(|seen| directory.epoch <= seen)
        {
            self.finds(format!("epoch {} came again", directory.epoch));
        }
        for (component, whereabouts) in &directory.components {
            for address in whereabouts.replicas() {
                let Some(process) = self.processes.get(&address.replica) else {
                    // It is not known yet that it has died.
                    continue;
                };
                let is_other = process.welcomed.as_ref() != Some(&address.endpoint);
                let state = process.components.get(component);
                if !is_other && state != Some(&ComponentState::Ready) {
                    let replica = &address.replica;
                    self.finds(format!(
                        "{component} is named in {replica}, and is {state:?}"
                    ));
                    return;
                }
            }
        }
        if self.began && !self.crashed && !self.stopping {
            if let Err(wrong) = self.judge_upgrade(&directory) {
                self.finds(wrong);
                return;
            }
            for component in ["Front", "Cart", "Stock"] {
                let moves = self.moves(&name(component), &directory);
                let sleeps = directory.is_asleep(component);
                if directory.replicas(component).is_empty() && !moves && !sleeps {
                    self.finds(format!("{component} is nowhere"));
                    return;
                }
            }
        }
        if !directory.replicas("Cart").is_empty() {
            // From now on it is called, and what it began with is no more what it has.
            (self.estate, self.begun_with, self.forgotten) = (None, false, false);
        }
        for process in self.processes.values_mut().filter(|one| one.connected) {
            process
                .inbox
                .push_back(ToReplica::Directory(directory.clone()));
        }
        self.published = directory;
    }

    fn finds(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }
}
