//! The control plane: all replicas and listeners of an application, and what they owe each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Instant,
};

use anylith_core::{Address, Directory, Name};
use anylith_wire::control::{Bootstrap, CONTROL_PROTOCOL, FromReplica, Hello, ToReplica};

use crate::{
    action::{Action, Notice},
    drain,
    endpoint::endpoint,
    event::Event,
    input::{Input, Step, Surroundings, Word},
    life::Life,
    listener::ListenerSocket,
    memory::{Memory, Remembered},
    note::{self, Scene},
    readiness::Readiness,
    replica::Replica,
    run::Run,
    spec::Spec,
    status::{GroupStatus, Note, ReplicaState, ReplicaStatus, Status},
    timing::Timing,
};

/// Holds what is wanted, compares it with what runs, and says what makes the difference go away.
#[derive(Debug)]
pub struct ControlPlane {
    spec: Spec,
    timing: Timing,
    /// The folder in which replicas bind their sockets.
    sockets: PathBuf,
    replicas: BTreeMap<Name, Replica>,
    listeners: BTreeMap<Name, ListenerSocket>,
    directory: Directory,
    phase: Phase,
}

/// Adopting → Running → Stopping → Done.
#[derive(Debug)]
enum Phase {
    /// Replicas of an earlier control plane have not all been heard of. Until then the directory they have
    /// is better than any that could be published.
    Adopting {
        heard: BTreeSet<Name>,
    },
    Running(Readiness),
    /// Until `by`, then all is killed.
    Stopping {
        by: Instant,
    },
    Done,
}

impl ControlPlane {
    /// A control plane for `spec`, whose replicas bind their sockets in the folder `sockets`.
    ///
    /// `memory` is what the control plane before this one left behind, with the processes that are still
    /// alive and no others; those are adopted. `lost` are the listeners whose sockets the engine does not
    /// hold. Nothing happens before the first event: begin with [`Event::Tick`].
    pub fn new(
        spec: Spec,
        timing: Timing,
        sockets: PathBuf,
        memory: &Memory,
        lost: &BTreeSet<Name>,
        now: Instant,
    ) -> Self {
        let mut replicas = BTreeMap::new();
        for group in &spec.groups {
            for name in group.replica_names() {
                let past = memory.replicas.get(&name).copied().unwrap_or_default();
                let endpoint = endpoint(&spec, &sockets, &name, past.incarnation);
                let replica =
                    Replica::new(name.clone(), group, past, endpoint, now + timing.reconnect);
                replicas.insert(name, replica);
            }
        }
        let socket = |listener: &Name| match lost.contains(listener) {
            true => ListenerSocket::lost(),
            false => ListenerSocket::Held,
        };
        let listeners = spec
            .listeners
            .keys()
            .map(|name| (name.clone(), socket(name)))
            .collect();
        let directory = Directory {
            epoch: memory.epoch,
            components: BTreeMap::new(),
        };
        let phase = Phase::Adopting {
            heard: BTreeSet::new(),
        };
        Self {
            spec,
            timing,
            sockets,
            replicas,
            listeners,
            directory,
            phase,
        }
    }

    /// Takes one event at `now`; returns what the engine must do, in this order.
    ///
    /// An event about a replica that is not wanted, or not (any more) in a state to which it belongs,
    /// changes nothing.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick => {}
            Event::Hello(hello) => self.hello(hello, now, &mut actions),
            Event::Said { replica, message } => self.said(&replica, message, now, &mut actions),
            Event::Disconnected { replica } => {
                self.tell(&replica, Input::Disconnected, now, &mut actions);
            }
            Event::Spawned { replica, pid } => {
                if let Some(incarnation) = self.replicas.get(&replica).map(|one| one.incarnation) {
                    let run = Run::new(
                        Some(pid),
                        endpoint(&self.spec, &self.sockets, &replica, incarnation),
                    );
                    self.tell(&replica, Input::Spawned { run }, now, &mut actions);
                }
            }
            Event::SpawnFailed { replica, error } => {
                self.tell(&replica, Input::SpawnFailed { error }, now, &mut actions);
            }
            Event::Exited { replica, pid, exit } => {
                let run = self.replicas.get(&replica).and_then(Replica::run);
                if run.is_some_and(|run| run.pid == Some(pid)) {
                    self.tell(&replica, Input::Exited { exit }, now, &mut actions);
                }
            }
            Event::Examined { replica, traced } => {
                self.tell(&replica, Input::Examined { traced }, now, &mut actions);
            }
            Event::ListenerShut { listener } => self.set_listener(&listener, ListenerSocket::Shut),
            Event::ListenerHeld { listener } => self.set_listener(&listener, ListenerSocket::Held),
            Event::ListenerFailed { listener, error } => {
                let retry_at = now + self.timing.hand_over;
                self.set_listener(&listener, ListenerSocket::Unbindable { retry_at });
                actions.push(Action::Report(Notice::ListenerLost { listener, error }));
            }
            Event::StopAsked => self.stop(now, &mut actions),
            Event::KillAsked => {
                self.stop(now, &mut actions);
                self.tell_all(|| Input::Kill, now, &mut actions);
            }
        }
        self.settle(now, &mut actions);
        actions
    }

    /// When it wants [`Event::Tick`]; `None` if only another event can change anything.
    pub fn next_tick(&self) -> Option<Instant> {
        let replicas = self.replicas.values().filter_map(Replica::next_tick);
        let listeners = self
            .listeners
            .values()
            .filter_map(ListenerSocket::next_tick);
        let stop = match self.phase {
            Phase::Stopping { by } => Some(by),
            Phase::Adopting { .. } | Phase::Running(_) | Phase::Done => None,
        };
        replicas.chain(listeners).chain(stop).min()
    }

    /// What the next control plane must know if this one is killed now.
    pub fn memory(&self) -> Memory {
        let remembered = |replica: &Replica| Remembered {
            incarnation: replica.incarnation,
            restarts: replica.restarts,
            pid: replica.run().and_then(|run| run.pid),
        };
        let own = self.replicas.values().filter(|replica| !replica.external);
        let replicas = own
            .map(|replica| (replica.name.clone(), remembered(replica)))
            .collect();
        Memory {
            epoch: self.directory.epoch,
            replicas,
        }
    }

    /// What should be.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The directory as it was last published.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The application as it is now, with its listeners at `urls`.
    pub fn status(&self, urls: &BTreeMap<Name, String>) -> Status {
        let replica_status = |id: Name| {
            let replica = &self.replicas[&id];
            ReplicaStatus {
                pid: replica.run().and_then(|run| run.pid),
                address: replica.run().map(|run| run.endpoint.clone()),
                state: replica.state(),
                restarts: replica.restarts,
                id,
            }
        };
        let groups = self.spec.groups.iter().map(|group| GroupStatus {
            name: group.name.clone(),
            components: group.components.clone(),
            replicas: group.replica_names().map(replica_status).collect(),
        });
        Status {
            app: self.spec.app.clone(),
            topology: self.spec.topology.clone(),
            epoch: self.directory.epoch,
            groups: groups.collect(),
            listeners: urls.clone(),
        }
    }

    /// Why replicas are not ready or not stopped, one line for each that is not and has a reason.
    pub fn notes(&self, now: Instant) -> Vec<Note> {
        let scene = Scene {
            spec: &self.spec,
            timing: &self.timing,
            directory: &self.directory,
            listeners: &self.listeners,
            now,
        };
        let of = |replica: &Replica| {
            let text = note::about(replica, scene)?;
            Some(Note {
                replica: replica.name.clone(),
                text,
            })
        };
        self.replicas.values().filter_map(of).collect()
    }

    fn hello(&mut self, hello: Hello, now: Instant, actions: &mut Vec<Action>) {
        let replica = hello.replica.clone();
        if hello.protocol != CONTROL_PROTOCOL {
            let protocol = hello.protocol;
            let notice = Notice::ForeignProtocol {
                replica: replica.clone(),
                protocol,
            };
            actions.extend([Action::Report(notice), Action::Dismiss { replica }]);
            return;
        }
        if !self.replicas.contains_key(&replica) {
            actions.push(Action::Dismiss { replica });
            return;
        }
        // Nobody may see an epoch twice, whatever became of the memory.
        self.directory.epoch = self.directory.epoch.max(hello.epoch);
        if let Phase::Adopting { heard } = &mut self.phase
            && hello.endpoint.is_some()
        {
            heard.insert(replica.clone());
        }
        let endpoint = endpoint(&self.spec, &self.sockets, &replica, hello.incarnation);
        self.tell(&replica, Input::Hello { hello, endpoint }, now, actions);
    }

    fn said(
        &mut self,
        replica: &Name,
        message: FromReplica,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let word = match message {
            // Who it is, once more: now with the port that the system gave it.
            FromReplica::Hello(hello) if hello.replica != *replica => return,
            FromReplica::Hello(hello) => return self.hello(hello, now, actions),
            FromReplica::Component { name, state } => Word::Component { name, state },
            FromReplica::Failed { component, message } => Word::Last { component, message },
            FromReplica::Pong { calls } => Word::Alive { calls },
            FromReplica::Unknown => return,
        };
        self.tell(replica, Input::Said(word), now, actions);
    }

    fn set_listener(&mut self, listener: &Name, socket: ListenerSocket) {
        if let Some(known) = self.listeners.get_mut(listener) {
            *known = socket;
        }
    }

    fn stop(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Adopting { .. } | Phase::Running(_) => {
                // Each replica has its own limit; this one is for what nobody thought of.
                let by = now + (self.timing.grace + self.timing.margin()) * 4;
                self.phase = Phase::Stopping { by };
                actions.push(Action::Report(Notice::Stopping));
                for (listener, socket) in &mut self.listeners {
                    let shut = socket.shut(listener, &self.spec, &self.replicas, &self.timing, now);
                    actions.extend(shut);
                }
                self.tell_all(|| Input::Stop, now, actions);
            }
            Phase::Stopping { .. } | Phase::Done => {}
        }
    }

    fn tell_all(&mut self, input: impl Fn() -> Input, now: Instant, actions: &mut Vec<Action>) {
        let names: Vec<Name> = self.replicas.keys().cloned().collect();
        for name in names {
            self.tell(&name, input(), now, actions);
        }
    }

    /// Gives a replica its input, and makes actions of what follows.
    fn tell(&mut self, name: &Name, input: Input, now: Instant, actions: &mut Vec<Action>) {
        let around = Surroundings {
            now,
            timing: &self.timing,
            stopping: matches!(self.phase, Phase::Stopping { .. } | Phase::Done),
        };
        let Some(replica) = self.replicas.get_mut(name) else {
            return;
        };
        let steps = replica.on(input, &around);
        for step in steps {
            let replica = name.clone();
            let grace_ms = self.timing.grace.as_millis() as u64;
            actions.extend(match step {
                Step::Welcome => self.bootstrap(name).map(|bootstrap| {
                    let message = ToReplica::Welcome(Box::new(bootstrap));
                    Action::Send { replica, message }
                }),
                // While others are still to be heard of, its own directory is the better one.
                Step::Resume if matches!(self.phase, Phase::Adopting { .. }) => None,
                Step::Resume => {
                    let message = ToReplica::Directory(self.directory.clone());
                    Some(Action::Send { replica, message })
                }
                Step::Ask => Some(Action::Send {
                    replica,
                    message: ToReplica::Ping,
                }),
                Step::Examine => Some(Action::Examine { replica }),
                Step::Stop => Some(Action::Send {
                    replica,
                    message: ToReplica::Stop { grace_ms },
                }),
                Step::Dismiss => Some(Action::Dismiss { replica }),
                Step::Kill => Some(Action::Kill { replica }),
                Step::Report(notice) => Some(Action::Report(notice)),
            });
        }
    }

    fn bootstrap(&self, name: &Name) -> Option<Bootstrap> {
        let replica = self.replicas.get(name)?;
        let group = self.spec.group_of(replica.components.first()?.as_str())?;
        let listeners = match group.external {
            true => BTreeMap::new(),
            false => self.spec.listeners_of(group),
        };
        Some(Bootstrap {
            app: self.spec.app.clone(),
            group: group.name.clone(),
            components: group.components.clone(),
            endpoint: replica.run()?.endpoint.clone(),
            listeners,
            config: self.spec.config_of(group),
            edges: self.spec.edges_of(group),
            // The engine has the keys.
            identity: None,
            callers: Some(self.spec.allowed_callers(group)),
            limits: self.spec.limits.clone(),
            directory: self.directory.clone(),
        })
    }

    /// Compares what should be with what is, after every event.
    fn settle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.tell_all(|| Input::Tick, now, actions);
        match &mut self.phase {
            Phase::Adopting { heard } => {
                let waits = |replica: &Replica| matches!(replica.life, Life::Adopting { .. });
                if !self.replicas.values().any(waits) {
                    if !heard.is_empty() {
                        let replicas = heard.len();
                        actions.push(Action::Report(Notice::Adopted { replicas }));
                    }
                    self.phase = Phase::Running(Readiness::Never);
                }
                self.start(now, actions);
                self.publish(actions);
                self.notice_readiness(actions);
            }
            Phase::Running(_) => {
                self.start(now, actions);
                self.publish(actions);
                self.notice_readiness(actions);
            }
            Phase::Stopping { by } => {
                if *by <= now {
                    *by = now + self.timing.grace;
                    self.tell_all(|| Input::Kill, now, actions);
                }
                self.listeners
                    .values_mut()
                    .for_each(|socket| socket.expire(now));
                // Out of the directory first, and then the word to drain.
                let asks = drain::advance(
                    &self.spec,
                    &self.listeners,
                    &mut self.replicas,
                    &self.timing,
                    now,
                );
                self.publish(actions);
                actions.extend(asks);
                if self
                    .replicas
                    .values()
                    .all(|one| matches!(one.life, Life::Stopped))
                {
                    self.phase = Phase::Done;
                    actions.push(Action::Done);
                }
            }
            Phase::Done => {}
        }
    }

    /// Fetches the sockets that are missing, and starts the replicas that miss nothing.
    fn start(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (listener, socket) in &mut self.listeners {
            actions.extend(socket.settle(listener, &self.spec, &self.replicas, &self.timing, now));
        }
        for replica in self.replicas.values_mut() {
            let (listeners, components) = (&self.listeners, &replica.components);
            let mut served = self
                .spec
                .listeners
                .iter()
                .filter(|(_, by)| components.contains(by));
            let has_sockets =
                served.all(|(name, _)| matches!(listeners[name], ListenerSocket::Held));
            if matches!(replica.life, Life::Due) && has_sockets {
                replica.life = Life::Spawning;
                replica.incarnation += 1;
                let incarnation = replica.incarnation;
                actions.push(Action::Spawn {
                    replica: replica.name.clone(),
                    incarnation,
                });
            }
        }
    }

    /// Publishes the directory if it has changed, and if it can be known.
    fn publish(&mut self, actions: &mut Vec<Action>) {
        if self
            .replicas
            .values()
            .any(|replica| matches!(replica.life, Life::Adopting { .. }))
        {
            return;
        }
        let mut components: BTreeMap<Name, Vec<Address>> = BTreeMap::new();
        for replica in self.replicas.values() {
            for component in &replica.components {
                if let Some(endpoint) = replica.life.answers(component) {
                    let address = Address {
                        replica: replica.name.clone(),
                        endpoint: endpoint.clone(),
                    };
                    components
                        .entry(component.clone())
                        .or_default()
                        .push(address);
                }
            }
        }
        if components != self.directory.components {
            self.directory = Directory {
                epoch: self.directory.epoch + 1,
                components,
            };
            actions.push(Action::Publish(self.directory.clone()));
        }
    }

    fn notice_readiness(&mut self, actions: &mut Vec<Action>) {
        let ready = self
            .replicas
            .values()
            .all(|one| one.state() == ReplicaState::Ready);
        let Phase::Running(readiness) = &mut self.phase else {
            return;
        };
        let notice = readiness.turn(ready);
        actions.extend(notice.map(Action::Report));
    }
}
