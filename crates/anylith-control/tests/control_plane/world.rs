//! A deployment without processes: the control plane, its replicas and a clock, all simulated.

mod process;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    time::{Duration, Instant},
};

use anylith_control::{
    Action, ControlPlane, Event, Exit, GroupSpec, Memory, Notice, Spec, Status, Timing,
};
use anylith_core::{Counters, Directory, Endpoint, Limits, Name, Telemetry};
use anylith_topology::Transport;
use anylith_wire::control::{CONTROL_PROTOCOL, Hello, Load, Outcomes, ToReplica};

use self::process::Process;

/// What replicas do wrong, by the name of the replica or of the component, or by both: `Cart in Cart-1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never connects.
    Mute,
    /// Its start fails, with words.
    Fails,
    /// It cannot start beside others that run.
    Unable,
    /// It never answers a drain.
    Stuck,
    /// It ignores that it should hand over a socket.
    Stingy,
    /// It is held by a debugger.
    Traced,
    /// It never becomes ready.
    Lazy,
    /// It does not do as it is told when it should stop.
    Deaf,
    /// Connections wait at this listener that nobody takes in.
    Crowded,
}

pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    pub(crate) now: Instant,
    pub(crate) processes: BTreeMap<Name, Process>,
    pub(crate) faults: BTreeMap<&'static str, Fault>,
    /// The build whose components do wrong; `None` for those of all.
    pub(crate) ailing: Option<u32>,
    pub(crate) notices: Vec<Notice>,
    /// The calls that every replica says it has.
    pub(crate) calls: BTreeMap<Name, u64>,
    /// What every replica says that it has counted.
    pub(crate) counters: Counters,
    /// How the calls of all replicas of a build have ended, by what they say.
    pub(crate) outcomes: BTreeMap<u32, Outcomes>,
    /// What all replicas that are asked bear together, each its part.
    pub(crate) load: Load,
    /// Component → how many calls are under way in all replicas together that have it and are asked, each its part.
    pub(crate) under_way: BTreeMap<Name, f64>,
    /// Replica → component → how many calls of it are under way from there, in thousandths, by what it says if it is asked.
    pub(crate) outgoing: BTreeMap<Name, BTreeMap<Name, u64>>,
    /// Each component has at least so many addresses, from now on.
    pub(crate) least: usize,
    /// Everything that replicas were told, in order.
    pub(crate) told: Vec<(Name, ToReplica)>,
    pub(crate) spawned: usize,
    pub(crate) bound: usize,
    /// How many processes were killed or dismissed.
    pub(crate) killed: usize,
    pub(crate) shut: usize,
    pub(crate) done: bool,
    pub(crate) last_epoch: u64,
    events: VecDeque<Event>,
    next_pid: u32,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// `Front` serves `web` and calls `Cart` and `Stock`; `Cart` calls `Stock`.
pub(crate) fn spec(groups: &[(&str, &[&str], u32)]) -> Spec {
    let group = |(of, components, replicas): &(&str, &[&str], u32)| GroupSpec {
        name: name(of),
        components: components.iter().map(|of| name(of)).collect(),
        replicas: *replicas,
        scaling: None,
        burst: false,
        external: false,
    };
    Spec {
        app: name("puppet"),
        topology: name("test"),
        groups: groups.iter().map(group).collect(),
        dependencies: BTreeMap::from([
            (name("Front"), vec![name("Cart"), name("Stock")]),
            (name("Cart"), vec![name("Stock")]),
            (name("Stock"), vec![]),
        ]),
        listeners: BTreeMap::from([(name("web"), name("Front"))]),
        config: BTreeMap::new(),
        edges: Vec::new(),
        limits: Limits::default(),
        telemetry: Telemetry::default(),
        transport: Transport::default(),
        singletons: BTreeMap::new(),
        interfaces: BTreeMap::new(),
    }
}

pub(crate) fn micro(replicas: u32) -> Spec {
    spec(&[
        ("Front", &["Front"], replicas),
        ("Cart", &["Cart"], replicas),
        ("Stock", &["Stock"], replicas),
    ])
}

impl World {
    pub(crate) fn new(spec: Spec) -> Self {
        let now = Instant::now();
        let plane = plane(spec, &Memory::default(), &BTreeSet::new(), now);
        Self {
            plane,
            now,
            processes: BTreeMap::new(),
            faults: BTreeMap::new(),
            ailing: None,
            notices: Vec::new(),
            calls: BTreeMap::new(),
            counters: Counters::default(),
            outcomes: BTreeMap::new(),
            load: Load::default(),
            under_way: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            least: 0,
            told: Vec::new(),
            spawned: 0,
            bound: 0,
            killed: 0,
            shut: 0,
            done: false,
            last_epoch: 0,
            events: VecDeque::from([Event::Tick]),
            next_pid: 100,
        }
    }

    /// Started, with every replica ready.
    pub(crate) fn ready(spec: Spec) -> Self {
        let mut world = Self::new(spec);
        world.settle();
        assert!(world.status().is_ready(), "{:?}", world.status());
        world
    }

    pub(crate) fn status(&self) -> Status {
        self.plane.status(&BTreeMap::new())
    }

    pub(crate) fn happens(&mut self, event: Event) {
        self.events.push_back(event);
        self.settle();
    }

    /// Lets everything happen that needs no time.
    pub(crate) fn settle(&mut self) {
        while let Some(event) = self.events.pop_front() {
            self.take(event);
        }
    }

    /// Lets the first so many things happen.
    pub(crate) fn settle_a_little(&mut self, most: usize) -> bool {
        for _ in 0..most {
            match self.events.pop_front() {
                Some(event) => self.take(event),
                None => return false,
            }
            while let Some(Event::Spawned { .. }) = self.events.front() {
                self.events
                    .pop_front()
                    .into_iter()
                    .for_each(|event| self.take(event));
            }
        }
        true
    }

    /// Something is to happen, and nothing does yet.
    pub(crate) fn will_happen(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Lets time pass, and everything happen that it brings.
    pub(crate) fn pass(&mut self, length: Duration) {
        let until = self.now + length;
        while let Some(tick) = self.plane.next_tick().filter(|tick| *tick <= until) {
            // A tick in the past would spin an engine.
            assert!(tick >= self.now || self.events.is_empty());
            self.now = self.now.max(tick);
            let before = self.plane.next_tick();
            self.happens(Event::Tick);
            assert!(
                self.plane.next_tick() != before,
                "a tick that changes nothing comes again and again"
            );
        }
        self.now = until;
    }

    /// A process dies by itself.
    pub(crate) fn dies(&mut self, replica: &str, exit: Exit) {
        if let Some(process) = self.processes.remove(replica) {
            if process.connected {
                self.events.push_back(Event::Disconnected {
                    replica: name(replica),
                });
            }
            self.happens(Event::Exited {
                replica: name(replica),
                pid: process.pid,
                exit,
            });
        }
    }

    /// The same, but it is only noticed when its turn comes.
    pub(crate) fn dies_later(&mut self, replica: &str) {
        if let Some(process) = self.processes.remove(replica) {
            let replica = name(replica);
            if process.connected {
                self.events.push_back(Event::Disconnected {
                    replica: replica.clone(),
                });
            }
            self.events.push_back(Event::Exited {
                replica,
                pid: process.pid,
                exit: Exit::Signal(9),
            });
        }
    }

    /// A process stops running without dying, as SIGSTOP makes it.
    pub(crate) fn freezes(&mut self, replica: &str) {
        if let Some(process) = self.processes.get_mut(replica) {
            process.unread.get_or_insert_default();
        }
    }

    /// It runs again, and reads what it was sent.
    pub(crate) fn thaws(&mut self, replica: &str) {
        let Some(process) = self.processes.get_mut(replica) else {
            return;
        };
        for message in process.unread.take().unwrap_or_default() {
            self.hear(&name(replica), message);
        }
        self.settle();
    }

    /// The control plane itself stops running for a while, and all others go on.
    pub(crate) fn sleeps(&mut self, length: Duration) {
        self.now += length;
        self.happens(Event::Tick);
    }

    /// The connection breaks, and the replica does not come back before it is told to.
    pub(crate) fn loses_connection(&mut self, replica: &str) {
        if let Some(process) = self.processes.get_mut(replica)
            && std::mem::take(&mut process.connected)
        {
            // What it had not read by then it never reads.
            process.unread.iter_mut().for_each(Vec::clear);
            self.happens(Event::Disconnected {
                replica: name(replica),
            });
        }
    }

    pub(crate) fn connects(&mut self, replica: &str) {
        if self.faults.get(replica) == Some(&Fault::Mute) {
            return;
        }
        let Some(process) = self.processes.get_mut(replica) else {
            return;
        };
        if process.unread.is_some() {
            return;
        }
        process.connected = true;
        let hello = Hello {
            protocol: CONTROL_PROTOCOL,
            replica: name(replica),
            incarnation: process.incarnation,
            pid: process.pid,
            endpoint: process
                .bootstrap
                .as_ref()
                .map(|bootstrap| bootstrap.endpoints[0].clone()),
            epoch: process.directory.epoch,
            components: process.components.clone(),
        };
        self.happens(Event::Hello(hello));
    }

    /// What is written down.
    pub(crate) fn kept(&self) -> (Spec, Memory) {
        (self.plane.spec().clone(), self.plane.memory())
    }

    /// Kills the control plane and starts the next one, which has only what was remembered. Who connects
    /// again is up to the test.
    pub(crate) fn replaces_control(&mut self) {
        self.replaces_control_by(self.kept());
    }

    /// The same, with what was kept before: since then nothing could be written down.
    pub(crate) fn replaces_control_by(&mut self, (spec, mut memory): (Spec, Memory)) {
        for (replica, past) in &mut memory.replicas {
            past.pid = past.pid.filter(|_| self.processes.contains_key(replica));
        }
        let held = |listener: &&Name| {
            let group = spec.group_of(spec.listeners[*listener].as_str()).unwrap();
            group
                .replica_names()
                .any(|replica| self.processes.contains_key(&replica))
        };
        let lost = spec.listeners.keys().filter(held).cloned().collect();
        for process in self.processes.values_mut() {
            process.connected = false;
        }
        self.events.clear();
        self.plane = plane(spec, &memory, &lost, self.now);
        self.happens(Event::Tick);
    }

    fn take(&mut self, event: Event) {
        let actions = self.plane.on(event, self.now);
        if self.plane.awaits_keeping() {
            self.events.push_front(Event::Kept);
        }
        for action in actions {
            match action {
                Action::Spawn {
                    replica,
                    incarnation,
                } => self.spawn(&replica, incarnation),
                Action::Send { replica, message } => self.hear(&replica, message),
                Action::Publish(directory) => self.publish(&directory),
                Action::Kill { replica } | Action::Dismiss { replica } => {
                    let Some(process) = self.processes.remove(&replica) else {
                        continue;
                    };
                    self.killed += 1;
                    self.events.push_back(Event::Exited {
                        replica,
                        pid: process.pid,
                        exit: Exit::Signal(9),
                    });
                }
                Action::Bind { listener } => {
                    self.bound += 1;
                    self.events.push_back(Event::ListenerHeld { listener });
                }
                Action::Examine { replica } => {
                    let traced = self.faults.get(replica.as_str()) == Some(&Fault::Traced);
                    self.events.push_back(Event::Examined { replica, traced });
                }
                Action::Shut { listener } => {
                    self.shut += 1;
                    if self.faults.get(listener.as_str()) != Some(&Fault::Crowded) {
                        self.events.push_back(Event::ListenerShut { listener });
                    }
                }
                Action::Report(notice) => self.notices.push(notice),
                Action::Done => {
                    assert!(
                        self.processes.is_empty(),
                        "done, with {:?} left",
                        self.processes
                    );
                    self.done = true;
                }
            }
        }
    }

    fn publish(&mut self, directory: &Directory) {
        assert!(
            directory.epoch > self.last_epoch,
            "epoch {} came again",
            directory.epoch
        );
        self.last_epoch = directory.epoch;
        for component in ["Front", "Cart", "Stock"] {
            let ready = directory.replicas(component).len();
            assert!(ready >= self.least, "{component} has only {ready} replicas");
        }
        let connected: Vec<Name> = self.processes.keys().cloned().collect();
        for replica in connected {
            self.hear(&replica, ToReplica::Directory(directory.clone()));
        }
    }

    /// Every address in the directory is one of a process that lives.
    pub(crate) fn check_directory(&self) {
        for (component, whereabouts) in &self.plane.directory().components {
            for address in whereabouts.replicas() {
                let process = self.processes.get(&address.replica);
                let endpoint: Option<&Endpoint> = process
                    .and_then(|process| process.bootstrap.as_ref())
                    .map(|it| &it.endpoints[0]);
                assert_eq!(
                    endpoint,
                    Some(&address.endpoint),
                    "{component} at {}",
                    address.replica
                );
            }
        }
    }
}

fn plane(spec: Spec, memory: &Memory, lost: &BTreeSet<Name>, now: Instant) -> ControlPlane {
    ControlPlane::new(
        spec,
        Timing::default(),
        PathBuf::from("/run/r"),
        memory,
        lost,
        now,
    )
}
