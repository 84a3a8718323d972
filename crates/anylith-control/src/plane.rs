//! The control plane: all replicas and listeners of an application, and what they owe each other.

mod autoscale;
mod change;
mod look;
mod publish;
mod reshape;
mod singletons;
mod upgrade;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Instant,
};

use anylith_core::{Directory, Name};
use anylith_wire::control::{Bootstrap, CONTROL_PROTOCOL, FromReplica, Hello, ToReplica};

use self::{autoscale::Watchlist, change::UnderWay};
use crate::{
    action::{Action, Notice},
    defect::{Defect, planted},
    drain,
    endpoint::endpoint,
    event::Event,
    fate::{Ending, Fate},
    input::{Input, Step, Surroundings, Word},
    life::Life,
    listener::ListenerSocket,
    memory::{Extra, Interrupted, Memory, Remembered},
    readiness::Readiness,
    replica::Replica,
    run::Run,
    seats::Seats,
    spec::{GroupSpec, Spec},
    status::ReplicaState,
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
    /// Replicas that are gone for good. What they were started as is not given out twice.
    past: BTreeMap<Name, Remembered>,
    /// The build that stands.
    build: u32,
    change: Option<UnderWay>,
    /// The reshape in the middle of which the control plane before was killed, until people are told what becomes of it.
    interrupted: Option<Interrupted>,
    watch: Watchlist,
    listeners: BTreeMap<Name, ListenerSocket>,
    seats: Seats,
    directory: Directory,
    /// Whether replicas may have a directory of an earlier control plane, of which nothing is known but its epoch.
    directory_is_unknown: bool,
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
        let mut past = memory.replicas.clone();
        let heard_by = now + timing.reconnect;
        for (group, ordinal) in wanted(&spec) {
            let name = group.replica_name(ordinal);
            let mut past = past.remove(&name).unwrap_or_default();
            // One that does not run begins with what stands, but for one that an upgrade has started.
            if past.pid.is_none() && memory.rollout.is_none() {
                past.build = memory.build;
            }
            let endpoint = endpoint(&spec, &sockets, &name, past.incarnation);
            let replica = Replica::new(ordinal, group, past, endpoint, heard_by);
            replicas.insert(name, replica);
        }
        for (name, extra) in &memory.extra {
            let runs = past.get(name).is_some_and(|past| past.pid.is_some());
            let (true, false, Some(mut past)) =
                (runs, replicas.contains_key(name), past.remove(name))
            else {
                continue;
            };
            let group = spec.group(&extra.group);
            let stands_in = group.is_some() && past.fate == Fate::StandsIn;
            // A reshape had begun with it, and has not come to need it.
            if !stands_in && !planted(Defect::NoMemory) {
                past.fate = Fate::Leaves;
            }
            let group = group.cloned().unwrap_or_else(|| GroupSpec {
                name: extra.group.clone(),
                components: extra.components.clone(),
                replicas: 0,
                scaling: None,
                burst: false,
                external: false,
            });
            let endpoint = endpoint(&spec, &sockets, name, past.incarnation);
            let replica = Replica::new(extra.ordinal, &group, past, endpoint, heard_by);
            replicas.insert(name.clone(), replica);
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
            ..Directory::default()
        };
        let phase = Phase::Adopting {
            heard: BTreeSet::new(),
        };
        Self {
            seats: Seats::new(&spec, &memory.seats),
            spec,
            timing,
            sockets,
            replicas,
            past,
            build: memory.build,
            change: memory.rollout.clone().map(UnderWay::upgrade),
            interrupted: memory.reshape.clone(),
            watch: Watchlist::default(),
            listeners,
            directory,
            directory_is_unknown: memory.epoch > 0,
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
                    let run = Box::new(run);
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
            Event::RestartAsked { group } => self.restart(group.as_ref(), &mut actions),
            Event::ScaleAsked { groups } => self.scale(&groups, now, &mut actions),
            Event::ReshapeAsked { topology, groups } => {
                self.reshape(topology, groups, now, &mut actions);
            }
            Event::UpgradeAsked {
                build,
                interfaces,
                canary,
                observe_ms,
            } => self.upgrade(build, interfaces, canary, observe_ms, now, &mut actions),
            Event::Steered(steer) => self.steer(steer, now, &mut actions),
            Event::Kept => self.carry_out_decision(now, &mut actions),
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
        let change = self.change.as_ref().and_then(UnderWay::next_tick);
        let seats = match self.phase {
            Phase::Adopting { .. } | Phase::Running(_) => self.seats.next_tick(),
            // Nothing begins any more.
            Phase::Stopping { .. } | Phase::Done => None,
        };
        let others = stop.into_iter().chain(change).chain(seats);
        replicas.chain(listeners).chain(others).min()
    }

    /// What the next control plane must know if this one is killed now.
    pub fn memory(&self) -> Memory {
        let remembered = |replica: &Replica| Remembered {
            incarnation: replica.incarnation,
            restarts: replica.restarts,
            pid: replica.run().and_then(|run| run.pid),
            fate: replica.fate,
            build: replica.build,
        };
        let own = self.replicas.values().filter(|replica| !replica.external);
        let mut replicas = self.past.clone();
        let mut extra = BTreeMap::new();
        for replica in own {
            replicas.insert(replica.name.clone(), remembered(replica));
            let group = self.spec.group(&replica.group);
            if group.is_none_or(|group| replica.ordinal > group.replicas) {
                let one = Extra {
                    group: replica.group.clone(),
                    ordinal: replica.ordinal,
                    components: replica.components.clone(),
                };
                extra.insert(replica.name.clone(), one);
            }
        }
        Memory {
            epoch: self.directory.epoch,
            replicas,
            extra,
            seats: self.seats.memory(),
            build: self.build,
            rollout: self.rollout(),
            reshape: self.reshape_to_remember(),
        }
    }

    /// Whether it waits for [`Event::Kept`], once [`ControlPlane::memory`] is written down: what it is about to do cannot be
    /// undone, and the next control plane must know of it.
    pub fn awaits_keeping(&self) -> bool {
        match &self.change {
            Some(UnderWay::Reshape(reshape)) => reshape.decided().is_some(),
            Some(UnderWay::Roll(_) | UnderWay::Scale(_) | UnderWay::Upgrade(_)) | None => false,
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
        if let Some(replica) = self.replicas.get(&replica) {
            self.seats.greeted(replica, &hello);
            // What it was to give away it has again, if it has not heard of that.
            self.tell_seats_apart();
        }
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
            FromReplica::Component {
                name,
                state,
                reason,
            } => Word::Component {
                name,
                state,
                reason,
            },
            FromReplica::HandedOver {
                component,
                state,
                lost,
            } => return self.handed_over(replica, &component, (state, lost)),
            FromReplica::NotStarted { component, message } => {
                Word::NotStarted { component, message }
            }
            FromReplica::Failed { component, message } => Word::Last { component, message },
            FromReplica::Pong {
                calls,
                counters,
                outcomes,
                load,
                each,
                outgoing,
            } => Word::Alive {
                calls,
                counters,
                outcomes,
                load,
                each,
                outgoing,
            },
            FromReplica::Wanted { component } => return self.called(component, replica),
            // The engine keeps what is counted. It decides nothing.
            FromReplica::Measured { .. } | FromReplica::Spans { .. } | FromReplica::Unknown => {
                return;
            }
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
                self.give_up_change(actions);
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
        let Some(replica) = self.replicas.get_mut(name) else {
            return;
        };
        let ending = match self.phase {
            Phase::Stopping { .. } | Phase::Done => Ending::All,
            Phase::Adopting { .. } | Phase::Running(_) if replica.fate.ends_it() => Ending::Alone,
            Phase::Adopting { .. } | Phase::Running(_) => Ending::No,
        };
        let around = Surroundings {
            now,
            timing: &self.timing,
            ending,
        };
        for step in replica.on(input, &around) {
            let replica = name.clone();
            let grace_ms = self.timing.grace.as_millis() as u64;
            actions.extend(match step {
                Step::Spawn { incarnation } => Some(Action::Spawn {
                    replica,
                    incarnation,
                }),
                Step::Welcome => self.welcome(name, now),
                // While others are still to be heard of, its own directory is the better one.
                Step::Resume if matches!(self.phase, Phase::Adopting { .. }) => None,
                Step::Resume => {
                    let message = ToReplica::Directory(self.directory.clone());
                    Some(Action::Send { replica, message })
                }
                Step::Ask => self.ping(name),
                Step::Examine => Some(Action::Examine { replica }),
                Step::Start { components } => Some(Action::Send {
                    replica,
                    message: ToReplica::Start(Box::new(self.additions(components))),
                }),
                Step::Drain {
                    component,
                    others_stay,
                } => Some(Action::Send {
                    replica,
                    message: ToReplica::Drain {
                        component,
                        grace_ms,
                        others_stay,
                    },
                }),
                Step::Yield { component } => Some(Action::Send {
                    replica,
                    message: ToReplica::Yield {
                        component,
                        grace_ms,
                    },
                }),
                Step::Stop { others_stay } => Some(Action::Send {
                    replica,
                    message: ToReplica::Stop {
                        grace_ms,
                        others_stay,
                    },
                }),
                Step::Dismiss => Some(Action::Dismiss { replica }),
                Step::Kill => Some(Action::Kill { replica }),
                Step::Report(notice) => Some(Action::Report(notice)),
            });
        }
    }

    /// Whether the sockets of all listeners are there that `components` serve.
    fn has_sockets_of(&self, components: &[Name]) -> bool {
        let served = self.spec.listeners_of(components);
        let mut served = served.keys();
        served.all(|name| matches!(self.listeners.get(name), Some(ListenerSocket::Held)))
    }

    /// Asks a replica for a sign of life.
    fn ping(&self, name: &Name) -> Option<Action> {
        let measure = self.is_measured(&self.replicas.get(name)?.group);
        Some(Action::Send {
            replica: name.clone(),
            message: ToReplica::Ping { measure },
        })
    }

    fn welcome(&mut self, name: &Name, now: Instant) -> Option<Action> {
        let bootstrap = self.bootstrap(name)?;
        let components = bootstrap.components.clone();
        // Nothing else follows from it.
        self.tell(name, Input::Welcomed { components }, now, &mut Vec::new());
        Some(Action::Send {
            replica: name.clone(),
            message: ToReplica::Welcome(Box::new(bootstrap)),
        })
    }

    fn bootstrap(&self, name: &Name) -> Option<Bootstrap> {
        let replica = self.replicas.get(name)?;
        let components = replica.settled_in();
        let listeners = match replica.external {
            true => BTreeMap::new(),
            false => self.spec.listeners_of(&components),
        };
        Some(Bootstrap {
            app: self.spec.app.clone(),
            endpoints: vec![replica.run()?.endpoint.clone()],
            listeners,
            config: self.spec.config_of(&components),
            edges: self.spec.edges_of(&components),
            // The engine has the keys.
            identity: None,
            callers: Some(self.spec.allowed_callers(&components)),
            held: self.held_back(&components),
            limits: self.spec.limits.clone(),
            telemetry: self.spec.telemetry,
            directory: self.directory.clone(),
            group: replica.group.clone(),
            components,
        })
    }

    /// Compares what should be with what is, after every event.
    fn settle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.look_at_seats();
        self.tell_all(|| Input::Tick, now, actions);
        match &mut self.phase {
            Phase::Adopting { heard } => {
                let waits = |replica: &Replica| matches!(replica.life, Life::Adopting { .. });
                if !self.replicas.values().any(waits) {
                    let heard = std::mem::take(heard);
                    if !heard.is_empty() {
                        let replicas = heard.len();
                        actions.push(Action::Report(Notice::Adopted { replicas }));
                    }
                    self.phase = Phase::Running(Readiness::Never);
                    self.resolve_reshape(actions);
                    self.renew_unfinished(&heard, now, actions);
                    // What was called meanwhile has waited for this.
                    self.change_on(now, actions);
                }
                self.go_on(now, actions);
            }
            Phase::Running(_) => {
                self.change_on(now, actions);
                self.go_on(now, actions);
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
                let due = drain::due(&self.spec, &self.listeners, &self.replicas);
                let mut asks = Vec::new();
                self.tell_all(|| Input::Drain { due: due.clone() }, now, &mut asks);
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

    /// Changes what should be: by what was asked for, by what is called, and by what is ill for good.
    fn change_on(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.advance_change(now, actions);
        self.renew_unable(now, actions);
        self.dismiss_stand_ins(now, actions);
        self.autoscale(now, actions);
    }

    /// Brings what runs nearer to what should.
    fn go_on(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.bury(now);
        self.start(now, actions);
        if planted(Defect::DrainEarly) {
            self.exchange(now, actions);
        }
        let make_room = self.make_room(now);
        // Out of the directory first, and then the word to stop. While others are still to be heard of, it may not be
        // out of it yet.
        self.publish(actions);
        actions.extend(make_room);
        if matches!(self.phase, Phase::Running(_)) {
            for (replica, others_stay) in drain::leaving(&self.spec, &self.replicas) {
                self.tell(&replica, Input::SendOff { others_stay }, now, actions);
            }
        }
        self.exchange(now, actions);
        self.grant_seats(now, actions);
        self.notice_readiness(actions);
    }

    /// Fetches the sockets that are missing, and starts the replicas that miss nothing.
    fn start(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (listener, socket) in &mut self.listeners {
            actions.extend(socket.settle(listener, &self.spec, &self.replicas, &self.timing, now));
        }
        let due = self.replicas.values();
        let due =
            due.filter(|one| matches!(one.life, Life::Due) && self.has_sockets_of(&one.components));
        let due: Vec<Name> = due.map(|replica| replica.name.clone()).collect();
        for replica in due {
            self.tell(&replica, Input::Launch, now, actions);
        }
    }

    fn notice_readiness(&mut self, actions: &mut Vec<Action>) {
        let ready = self
            .replicas
            .values()
            .all(|one| one.state() == ReplicaState::Ready);
        let is_changing = self.change.is_some() || self.is_adjusting();
        let Phase::Running(readiness) = &mut self.phase else {
            return;
        };
        // A change tells itself how it goes. Who takes over in the middle of one, which may be paused for days, is told that
        // all is ready as who starts is.
        if is_changing && !(matches!(readiness, Readiness::Never) && ready) {
            return;
        }
        let notice = readiness.turn(ready);
        actions.extend(notice.map(Action::Report));
    }
}

/// Every replica that `spec` asks for.
fn wanted(spec: &Spec) -> impl Iterator<Item = (&GroupSpec, u32)> {
    let groups = spec.groups.iter();
    groups.flat_map(|group| (1..=group.replicas).map(move |ordinal| (group, ordinal)))
}
