//! The simulated application: what can happen in it next, and what is wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    time::{Duration, Instant},
};

use anylith_core::{Directory, Endpoint, Limits, Name, Singleton, Telemetry};
use anylith_topology::Transport;
use anylith_wire::control::{
    CONTROL_PROTOCOL, ComponentState, FromReplica, Handed, Hello, ToReplica,
};

use super::upgrade::{self, Builds};
use crate::{Action, ControlPlane, Event, Exit, GroupSpec, Memory, Notice, Spec, Timing};

type Shape = &'static [(&'static str, &'static [&'static str], u32)];

/// The topologies among which is reshaped. Some have groups of the same name, which change in place.
pub(super) const SHAPES: [Shape; 8] = [
    &[("all", &["Stock", "Cart", "Front"], 1)],
    &[("all", &["Stock", "Cart", "Front"], 2)],
    &[
        ("Stock", &["Stock"], 1),
        ("Cart", &["Cart"], 1),
        ("Front", &["Front"], 1),
    ],
    &[
        ("Stock", &["Stock"], 2),
        ("Cart", &["Cart"], 1),
        ("Front", &["Front"], 2),
    ],
    &[("shop", &["Front", "Cart"], 1), ("rest", &["Stock"], 1)],
    &[("shop", &["Front"], 1), ("rest", &["Cart", "Stock"], 1)],
    &[("shop", &["Front", "Stock"], 2), ("rest", &["Cart"], 1)],
    &[("shop", &["Stock"], 1), ("rest", &["Front", "Cart"], 2)],
];

/// Those of them in which there is one `Cart`.
pub(super) const SHAPES_OF_ONE: [usize; 6] = [0, 2, 3, 4, 5, 6];

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
}

#[derive(Debug, Default)]
pub(super) struct Process {
    pid: u32,
    incarnation: u64,
    pub(super) build: u32,
    welcomed: Option<Endpoint>,
    connected: bool,
    pub(super) components: BTreeMap<Name, ComponentState>,
    /// Those that it was given while it ran.
    added: BTreeSet<Name>,
    lingers: BTreeSet<Name>,
    /// Those that wait to be granted.
    held: BTreeSet<Name>,
    /// `Cart` has begun.
    begun: bool,
    /// `Cart` was told to make room.
    yields: bool,
    /// What `Cart` has handed over here.
    handed: Option<Handed>,
    pub(super) directory: Directory,
    inbox: VecDeque<ToReplica>,
    outbox: VecDeque<Event>,
}

/// An application, and what it was asked for.
pub(super) struct World {
    pub(super) plane: ControlPlane,
    now: Instant,
    pub(super) processes: BTreeMap<Name, Process>,
    /// Of processes that are over, what the control plane has yet to learn.
    over: BTreeMap<Name, VecDeque<Event>>,
    pub(super) published: Directory,
    pub(super) notices: Vec<Notice>,
    asked: Option<(Spec, Spec)>,
    pub(super) builds: Builds,
    next_pid: u32,
    no_spawn: bool,
    /// Whether all have been ready once.
    began: bool,
    crashed: bool,
    pub(super) faults: usize,
    pub(super) controls: usize,
    stopping: bool,
    done: bool,
    wrong: Option<String>,
    /// Whether there is one `Cart` at a time.
    alone: bool,
    /// A restart was asked for, and no reshape.
    restarts: bool,
    /// How often a state was handed over.
    handed: u64,
    /// What the control plane has been given for the next `Cart`.
    estate: Option<Handed>,
    /// What was begun with last.
    taken: Option<Handed>,
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn groups(shape: usize) -> Vec<GroupSpec> {
    let group = |(of, components, replicas): &(&str, &[&str], u32)| GroupSpec {
        name: name(of),
        components: components.iter().map(|of| name(of)).collect(),
        replicas: *replicas,
        scaling: None,
        external: false,
    };
    SHAPES[shape].iter().map(group).collect()
}

/// `Front` calls `Cart` and `Stock`; `Cart` calls `Stock`.
pub(super) fn spec(shape: usize) -> Spec {
    Spec {
        app: name("model"),
        topology: name(&format!("shape{shape}")),
        groups: groups(shape),
        dependencies: BTreeMap::from([
            (name("Front"), vec![name("Cart"), name("Stock")]),
            (name("Cart"), vec![name("Stock")]),
            (name("Stock"), vec![]),
        ]),
        listeners: BTreeMap::new(),
        config: BTreeMap::new(),
        edges: Vec::new(),
        limits: Limits::default(),
        telemetry: Telemetry::default(),
        transport: Transport::default(),
        interfaces: upgrade::interfaces(0, &[]),
        singletons: BTreeMap::new(),
    }
}

fn handed_over(component: &Name, state: Option<Handed>) -> FromReplica {
    let (component, lost) = (component.clone(), None);
    FromReplica::HandedOver {
        component,
        state,
        lost,
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
            began: false,
            crashed: false,
            faults: 0,
            controls: 0,
            stopping: false,
            done: false,
            wrong: None,
            alone,
            restarts: false,
            handed: 0,
            estate: None,
            taken: None,
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

    /// A reshape to another topology is asked for.
    pub(super) fn asks_for(&mut self, shape: usize) {
        let mut to = spec(shape);
        to.singletons.clone_from(&self.plane.spec().singletons);
        self.begins_anew();
        self.restarts = false;
        self.asked = Some((self.plane.spec().clone(), to.clone()));
        self.feed(Event::ReshapeAsked {
            topology: to.topology,
            groups: to.groups,
        });
    }

    /// All replicas are to be started anew.
    pub(super) fn restarts(&mut self) {
        self.begins_anew();
        self.restarts = true;
        let spec = self.plane.spec().clone();
        self.asked = Some((spec.clone(), spec));
        self.feed(Event::RestartAsked { group: None });
    }

    /// What went wrong before is over.
    pub(super) fn begins_anew(&mut self) {
        self.notices.clear();
        (self.faults, self.controls, self.no_spawn) = (0, 0, false);
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
        steps
    }

    fn can_move(&self, process: &Process, component: &Name) -> bool {
        match process.components[component] {
            ComponentState::Waiting if process.held.contains(component) => false,
            ComponentState::Waiting => {
                let there = |of: &Name| {
                    let here = process.components.get(of) == Some(&ComponentState::Ready);
                    here || self.builds.is_there(of, process)
                };
                self.plane.spec().dependencies[component].iter().all(there)
            }
            // It takes longer than any change has patience for, and comes to an end then.
            ComponentState::Starting => {
                let is_over = |how: String| how.starts_with("rolling");
                !process.lingers.contains(component) || self.plane.change().is_none_or(is_over)
            }
            ComponentState::Draining => true,
            ComponentState::Ready | ComponentState::Unhealthy | ComponentState::Stopped => false,
        }
    }

    /// All that can go wrong now.
    pub(super) fn possible_faults(&self) -> Vec<Fault> {
        let mut faults = vec![Fault::NoSpawn, Fault::Control];
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
                let Some(events) = self.over.get_mut(replica) else {
                    return;
                };
                let event = events.pop_front();
                if events.is_empty() {
                    self.over.remove(replica);
                }
                event.into_iter().for_each(|event| self.feed(event));
            }
            Step::Connects(replica) => self.connects(replica),
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
                    Some(ComponentState::Starting)
                        if self.builds.fails(&self.processes[replica]) =>
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

    /// `Cart` has answered its last call.
    fn hands_over(&mut self, replica: &Name, component: &Name) {
        let process = self.processes.get_mut(replica).unwrap();
        if *component != "Cart" || !process.yields || !process.begun {
            return;
        }
        self.handed += 1;
        process.handed = Some(Handed(self.handed.to_string()));
        if process.connected {
            let message = handed_over(component, process.handed.clone());
            let replica = replica.clone();
            process.outbox.push_back(Event::Said { replica, message });
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
                let process = self.processes.get_mut(replica).unwrap();
                let message = "no table".to_owned();
                // Nobody can be there for it.
                self.crashed |= self.alone && *component == "Cart";
                if process.added.contains(component) {
                    process
                        .components
                        .insert(component.clone(), ComponentState::Stopped);
                    if process.connected {
                        let component = component.clone();
                        process.outbox.push_back(Event::Said {
                            replica: replica.clone(),
                            message: FromReplica::NotStarted { component, message },
                        });
                    }
                } else {
                    self.crashed = true;
                    self.ends(replica, Exit::Code(1));
                }
            }
            Fault::Lingers(replica, component) => {
                let process = self.processes.get_mut(replica).unwrap();
                process.lingers.insert(component.clone());
            }
            Fault::NoSpawn => self.no_spawn = true,
            Fault::Control => self.replaces_control(),
        }
    }

    fn replaces_control(&mut self) {
        self.controls += 1;
        let mut memory = self.plane.memory();
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
        let (spec, lost) = (self.plane.spec().clone(), BTreeSet::new());
        let sockets = PathBuf::from("/run/m");
        self.plane = ControlPlane::new(spec, timing(), sockets, &memory, &lost, self.now);
        self.feed(Event::Tick);
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
        self.over.insert(replica.clone(), events);
    }

    fn connects(&mut self, replica: &Name) {
        let process = self.processes.get_mut(replica).unwrap();
        process.connected = true;
        let mut components = process.components.clone();
        // That it has stopped is said after what it hands over.
        let state = components.get_mut(&name("Cart"));
        let handed = process.handed.clone();
        let untold = state.filter(|state| handed.is_some() && **state == ComponentState::Stopped);
        let told_later = untold.map(|state| *state = ComponentState::Draining);
        process.outbox.push_back(Event::Hello(Hello {
            protocol: CONTROL_PROTOCOL,
            replica: replica.clone(),
            incarnation: process.incarnation,
            pid: process.pid,
            endpoint: process.welcomed.clone(),
            epoch: process.directory.epoch,
            components,
        }));
        if told_later.is_some() {
            let (replica, cart) = (replica.clone(), name("Cart"));
            let message = handed_over(&cart, handed);
            process.outbox.push_back(Event::Said {
                replica: replica.clone(),
                message,
            });
            self.says(&replica, &cart, ComponentState::Stopped);
        }
    }

    fn reads(&mut self, replica: &Name) {
        let process = self.processes.get_mut(replica).unwrap();
        match process.inbox.pop_front() {
            Some(ToReplica::Welcome(bootstrap)) => {
                process.welcomed = bootstrap.endpoints.first().cloned();
                process.directory = bootstrap.directory;
                for component in &bootstrap.components {
                    process
                        .components
                        .insert(component.clone(), ComponentState::Waiting);
                }
                process.held = bootstrap.held.iter().cloned().collect();
                for component in &bootstrap.held {
                    self.says(replica, component, ComponentState::Waiting);
                }
            }
            Some(ToReplica::Directory(directory)) => process.directory = directory,
            Some(ToReplica::Start(additions)) => {
                let mut begun = additions.components;
                begun.retain(|component| {
                    let state = process.components.get(component);
                    state.is_none_or(|state| *state == ComponentState::Stopped)
                });
                process.added.extend(begun.iter().cloned());
                for component in begun.iter().filter(|it| additions.held.contains(it)) {
                    process.held.insert(component.clone());
                    (process.begun, process.yields, process.handed) = (false, false, None);
                }
                for component in begun {
                    self.says(replica, &component, ComponentState::Waiting);
                }
            }
            Some(ToReplica::Drain { component, .. }) => {
                let state = process.components.get(&component);
                if state.is_some_and(|state| *state != ComponentState::Stopped) {
                    self.says(replica, &component, ComponentState::Draining);
                }
            }
            Some(ToReplica::Yield { component, .. }) => {
                let state = process.components.get(&component);
                if state.is_some_and(|state| *state != ComponentState::Stopped) {
                    process.yields = true;
                    self.says(replica, &component, ComponentState::Draining);
                }
            }
            Some(ToReplica::Grant { component, state }) => {
                if process.held.remove(&component) && state != self.estate {
                    let estate = self.estate.clone();
                    self.finds(format!(
                        "{component} begins with {state:?}, and not {estate:?}"
                    ));
                }
            }
            Some(ToReplica::Stop { .. }) => {
                let cart = name("Cart");
                if process.components.get(&cart) == Some(&ComponentState::Draining) {
                    self.hands_over(replica, &cart);
                    self.says(replica, &cart, ComponentState::Stopped);
                }
                self.ends_well(replica);
            }
            Some(_) | None => {}
        }
    }

    fn says(&mut self, replica: &Name, component: &Name, state: ComponentState) {
        let process = self.processes.get_mut(replica).unwrap();
        process.components.insert(component.clone(), state);
        if self.alone && *component == "Cart" {
            process.begun |= state == ComponentState::Starting;
        }
        if process.connected {
            process.outbox.push_back(Event::Said {
                replica: replica.clone(),
                message: FromReplica::Component {
                    name: component.clone(),
                    state,
                    reason: None,
                },
            });
        }
    }

    /// Time passes until the control plane wants to be woken.
    pub(super) fn waits(&mut self) {
        // Who waits for ever would wait for a sign of life.
        self.now = self
            .plane
            .next_tick()
            .map_or(self.now, |at| at.max(self.now));
        self.feed(Event::Tick);
    }

    pub(super) fn feed(&mut self, event: Event) {
        // Until it is heard of that it is ready nobody calls it, and another one may begin with the same.
        let is_ready =
            |it: &Name, state: &ComponentState| *it == "Cart" && *state == ComponentState::Ready;
        match &event {
            Event::Said { message, .. } => match message {
                // It is said again over each new connection.
                FromReplica::HandedOver { state, .. } if self.taken != *state => {
                    self.estate.clone_from(state);
                }
                FromReplica::Component { name, state, .. } if is_ready(name, state) => {
                    self.taken = self.estate.take().or(self.taken.take());
                }
                _ => {}
            },
            Event::Hello(hello) if hello.components.iter().any(|(it, at)| is_ready(it, at)) => {
                self.taken = self.estate.take().or(self.taken.take());
            }
            _ => {}
        }
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.plane.on(event, self.now) {
                events.extend(self.carry_out(action));
            }
        }
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
        if directory.epoch <= self.published.epoch {
            self.finds(format!("epoch {} came again", directory.epoch));
        }
        for (component, addresses) in &directory.components {
            for address in addresses {
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
                let moves = self.alone && component == "Cart" && directory.is_moving(component);
                if directory.replicas(component).is_empty() && !moves {
                    self.finds(format!("{component} is nowhere"));
                    return;
                }
            }
        }
        for process in self.processes.values_mut().filter(|one| one.connected) {
            process
                .inbox
                .push_back(ToReplica::Directory(directory.clone()));
        }
        self.published = directory;
    }

    /// Nobody may be sent away who is still called.
    fn judge(&mut self, replica: &Name, message: &ToReplica) {
        let named = |component: &Name| {
            let mut addresses = self.published.replicas(component.as_str()).iter();
            addresses.any(|address| address.replica == *replica)
        };
        let named = match message {
            ToReplica::Drain { component, .. } | ToReplica::Yield { component, .. } => {
                named(component)
            }
            ToReplica::Stop { .. } => self.published.components.keys().any(named),
            _ => false,
        };
        if named && !self.stopping {
            self.finds(format!("{replica} is told {message:?}, and is called"));
        }
    }

    fn finds(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }

    /// What has been wrong so far.
    pub(super) fn verdict(&mut self) -> Result<(), String> {
        let at_work = |process: &&Process| match process.components.get(&name("Cart")) {
            Some(ComponentState::Starting | ComponentState::Ready | ComponentState::Unhealthy) => {
                true
            }
            Some(ComponentState::Draining) => process.begun,
            Some(ComponentState::Waiting | ComponentState::Stopped) | None => false,
        };
        if self.alone && self.processes.values().filter(at_work).count() > 1 {
            self.finds("there are two of Cart".to_owned());
        }
        match self.wrong.take() {
            Some(wrong) => Err(wrong),
            None => Ok(()),
        }
    }

    /// Whether nothing is under way, and nothing waits for time to pass.
    pub(super) fn is_settled(&self) -> bool {
        let all_ready = self.plane.status(&BTreeMap::new()).is_ready();
        self.plane.change().is_none() && all_ready && self.possible().is_empty()
    }

    /// One topology runs, and nothing of another.
    pub(super) fn final_verdict(&self) -> Result<(), String> {
        let Some((from, to)) = &self.asked else {
            return Ok(());
        };
        let stands = self.plane.spec();
        if *stands != *from && *stands != *to {
            return Err(format!("neither the one nor the other stands: {stands:?}"));
        }
        if self.faults == 0 && stands != to {
            return Err("it was taken back although nothing went wrong".to_owned());
        }
        let mut wanted: BTreeMap<Name, BTreeSet<&Name>> = BTreeMap::new();
        let mut places: BTreeMap<&Name, BTreeSet<Name>> = BTreeMap::new();
        for group in &stands.groups {
            for replica in group.replica_names() {
                for component in &group.components {
                    places.entry(component).or_default().insert(replica.clone());
                }
                wanted.insert(replica, group.components.iter().collect());
            }
        }
        let runs = |process: &'_ Process| -> BTreeSet<Name> {
            let states = process.components.iter();
            let ready = states.filter(|(_, state)| **state != ComponentState::Stopped);
            ready.map(|(component, _)| component.clone()).collect()
        };
        let found: BTreeMap<Name, BTreeSet<Name>> = self
            .processes
            .iter()
            .map(|(replica, process)| (replica.clone(), runs(process)))
            .collect();
        let same = found.len() == wanted.len()
            && found.iter().all(|(replica, components)| {
                wanted
                    .get(replica)
                    .is_some_and(|wanted| wanted.iter().copied().eq(components))
            });
        if !same {
            return Err(format!(
                "{} is to run, and there is {found:?}",
                stands.topology
            ));
        }
        for (component, replicas) in places {
            let named = self.published.replicas(component.as_str()).iter();
            let named: BTreeSet<Name> = named.map(|address| address.replica.clone()).collect();
            if named != replicas {
                return Err(format!(
                    "{component} is named in {named:?}, and is in {replicas:?}"
                ));
            }
        }
        let made = |notice: &&Notice| matches!(notice, Notice::Reshaped { .. });
        let failed = |notice: &&Notice| matches!(notice, Notice::ChangeFailed { .. });
        let made = self.notices.iter().filter(made).count();
        let failed = self.notices.iter().filter(failed).count();
        let told = (made, failed);
        if self.restarts {
            return Ok(());
        }
        let right = match (from == to, self.controls > 0, stands == to) {
            (true, _, _) => (0, 0),
            // Who has asked is gone with the control plane that he asked.
            (false, true, _) => return Ok(()),
            (false, false, true) => (1, 0),
            (false, false, false) => (0, 1),
        };
        match told == right {
            true => Ok(()),
            false => Err(format!("people were told {told:?}, and not {right:?}")),
        }
    }
}
