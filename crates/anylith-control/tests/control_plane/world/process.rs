//! The processes of a simulated deployment, and what they do when they are told something.

use std::collections::{BTreeMap, BTreeSet};

use anylith_control::{Event, Exit};
use anylith_core::{Directory, Name};
use anylith_wire::control::{
    Bootstrap, CONTROL_PROTOCOL, ComponentState, FromReplica, Handed, Hello, Load, Outcomes,
    ToReplica,
};

use super::{Fault, World, name};

/// One simulated process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(super) incarnation: u64,
    pub(crate) connected: bool,
    pub(crate) bootstrap: Option<Bootstrap>,
    pub(super) components: BTreeMap<Name, ComponentState>,
    pub(super) directory: Directory,
    /// Those that may not start before it is granted.
    held: BTreeSet<Name>,
    /// What it was sent and has not read, since it is frozen.
    pub(super) unread: Option<Vec<ToReplica>>,
}

impl World {
    pub(super) fn spawn(&mut self, replica: &Name, incarnation: u64) {
        assert!(!self.done, "{replica} was started after the end");
        self.spawned += 1;
        self.next_pid += 1;
        let process = Process {
            pid: self.next_pid,
            incarnation,
            connected: false,
            bootstrap: None,
            components: BTreeMap::new(),
            directory: Directory::default(),
            held: BTreeSet::new(),
            unread: None,
        };
        let pid = process.pid;
        let before = self.processes.insert(replica.clone(), process);
        assert!(before.is_none(), "{replica} has two processes");
        // An engine says so before it hears of anything else.
        self.events.push_front(Event::Spawned {
            replica: replica.clone(),
            pid,
        });
        self.hello_later(replica);
    }

    fn outcomes_of(&self, replica: &Name) -> Outcomes {
        let build = self.plane.build_of(replica);
        self.outcomes.get(&build).copied().unwrap_or_default()
    }

    /// What `replica` bears, if all of its group bear the same.
    fn part_of_load(&self, replica: &Name) -> Load {
        let group = |replica: &Name| replica.as_str().rsplit_once('-').map(|it| it.0.to_owned());
        let like = self
            .processes
            .keys()
            .filter(|one| group(one) == group(replica));
        Load {
            concurrency_millis: self.load.concurrency_millis / like.count().max(1) as u64,
            ..self.load
        }
    }

    /// What `replica` bears of each of its components that the directory has among its bursts.
    fn parts_of_bursts(&self, replica: &Name) -> BTreeMap<Name, Load> {
        let own = &self.processes[replica];
        let bursts = own.directory.bursts.keys();
        let bursts = bursts.filter(|component| own.components.contains_key(*component));
        let part = |component: &Name| {
            let ready =
                |one: &&Process| one.components.get(component) == Some(&ComponentState::Ready);
            let parts = self.processes.values().filter(ready).count();
            let all = self.under_way.get(component).copied().unwrap_or(0.0);
            Load {
                concurrency_millis: (all * 1000.0 / parts.max(1) as f64) as u64,
                calls: all.ceil() as u64,
                ..Load::default()
            }
        };
        bursts.map(|name| (name.clone(), part(name))).collect()
    }

    fn hello_later(&mut self, replica: &Name) {
        if self.faults.get(replica.as_str()) == Some(&Fault::Mute) {
            return;
        }
        let process = self.processes.get_mut(replica).unwrap();
        process.connected = true;
        self.events.push_back(Event::Hello(Hello {
            protocol: CONTROL_PROTOCOL,
            replica: replica.clone(),
            incarnation: process.incarnation,
            pid: process.pid,
            endpoint: None,
            epoch: 0,
            components: BTreeMap::new(),
        }));
    }

    pub(super) fn hear(&mut self, replica: &Name, message: ToReplica) {
        let Some(process) = self
            .processes
            .get_mut(replica)
            .filter(|process| process.connected)
        else {
            return;
        };
        if let Some(unread) = &mut process.unread {
            unread.push(message);
            return;
        }
        self.told.push((replica.clone(), message.clone()));
        match message {
            ToReplica::Welcome(bootstrap) => {
                let waiting = bootstrap
                    .components
                    .iter()
                    .map(|of| (of.clone(), ComponentState::Waiting));
                process.components = waiting.collect();
                process.directory = bootstrap.directory.clone();
                let held = bootstrap.held.clone();
                process.bootstrap = Some(*bootstrap);
                self.hold_back(replica, held);
                self.start_components(replica);
            }
            ToReplica::Start(additions) => {
                let (held, others): (Vec<Name>, Vec<Name>) = additions
                    .components
                    .into_iter()
                    .partition(|component| additions.held.contains(component));
                for component in others {
                    self.says(replica, component, ComponentState::Waiting);
                }
                self.hold_back(replica, held);
                self.start_components(replica);
            }
            ToReplica::Grant { component, .. } => {
                process.held.remove(&component);
                self.start_components(replica);
            }
            ToReplica::Yield { component, .. } => {
                if self.faults.get(component.as_str()) != Some(&Fault::Stuck) {
                    self.hands_over(replica, component);
                }
            }
            ToReplica::Directory(directory) => {
                assert!(
                    directory.epoch >= process.directory.epoch,
                    "{replica} saw an epoch go back"
                );
                process.directory = directory;
                self.start_components(replica);
            }
            ToReplica::Drain { component, .. } => {
                self.check_drain(&component);
                if self.faults.get(component.as_str()) != Some(&Fault::Stuck) {
                    self.says(replica, component, ComponentState::Stopped);
                }
            }
            ToReplica::Stop { .. } if self.faults.get(replica.as_str()) == Some(&Fault::Deaf) => {}
            ToReplica::Stop { .. } => {
                let process = self.processes.remove(replica).unwrap();
                self.events.push_back(Event::Disconnected {
                    replica: replica.clone(),
                });
                let (replica, pid) = (replica.clone(), process.pid);
                self.events.push_back(Event::Exited {
                    replica,
                    pid,
                    exit: Exit::Code(0),
                });
            }
            ToReplica::HandOver { listener } => {
                if self.faults.get(replica.as_str()) != Some(&Fault::Stingy) {
                    self.events.push_back(Event::ListenerHeld { listener });
                }
            }
            ToReplica::Ping { measure } => {
                let message = FromReplica::Pong {
                    calls: self.calls.clone(),
                    counters: self.counters,
                    outcomes: self.outcomes_of(replica),
                    load: measure.then(|| self.part_of_load(replica)),
                    each: match measure {
                        true => self.parts_of_bursts(replica),
                        false => BTreeMap::new(),
                    },
                    outgoing: match self.outgoing.get(replica) {
                        Some(outgoing) if measure => outgoing.clone(),
                        Some(_) | None => BTreeMap::new(),
                    },
                };
                self.events.push_back(Event::Said {
                    replica: replica.clone(),
                    message,
                });
            }
            other => panic!("{other:?}"),
        }
    }

    /// These components wait until they are granted.
    fn hold_back(&mut self, replica: &Name, held: Vec<Name>) {
        for component in held {
            let process = self.processes.get_mut(replica).unwrap();
            process.held.insert(component.clone());
            self.says(replica, component, ComponentState::Waiting);
        }
    }

    /// A component hands its state over, and has stopped.
    pub(crate) fn hands_over(&mut self, replica: &Name, component: Name) {
        self.events.push_back(Event::Said {
            replica: replica.clone(),
            message: FromReplica::HandedOver {
                component: component.clone(),
                state: Some(Handed(component.to_string())),
                lost: None,
            },
        });
        self.says(replica, component, ComponentState::Stopped);
    }

    /// Nobody who can still call it may be left.
    fn check_drain(&self, component: &Name) {
        let spec = self.plane.spec();
        for caller in spec.callers_of(component) {
            let state = |process: &Process| process.components.get(caller).copied();
            let calls = self
                .processes
                .values()
                .filter_map(state)
                .any(|state| state == ComponentState::Ready);
            assert!(!calls, "{component} is drained while {caller} calls it");
        }
    }

    /// A component says how it is, if it runs.
    pub(crate) fn feels(&mut self, replica: &str, component: &str, reason: Option<&str>) {
        let state = match reason {
            Some(_) => ComponentState::Unhealthy,
            None => ComponentState::Ready,
        };
        let Some(process) = self.processes.get_mut(replica) else {
            return;
        };
        if !matches!(
            process.components.get(component),
            Some(ComponentState::Ready | ComponentState::Unhealthy)
        ) {
            return;
        }
        process.components.insert(name(component), state);
        if process.connected && process.unread.is_none() {
            self.happens(Event::Said {
                replica: name(replica),
                message: FromReplica::Component {
                    name: name(component),
                    state,
                    reason: reason.map(str::to_owned),
                },
            });
        }
    }

    fn says(&mut self, replica: &Name, component: Name, state: ComponentState) {
        let process = self.processes.get_mut(replica).unwrap();
        process.components.insert(component.clone(), state);
        if process.connected {
            let message = FromReplica::Component {
                name: component,
                state,
                reason: None,
            };
            self.events.push_back(Event::Said {
                replica: replica.clone(),
                message,
            });
        }
    }

    /// A component that was to start in `replica` beside others turns out to be unable to.
    pub(crate) fn cannot_start(&mut self, replica: &str, component: &str) {
        self.says_that_it_cannot_start(&name(replica), name(component));
        self.settle();
    }

    fn says_that_it_cannot_start(&mut self, replica: &Name, component: Name) {
        let process = self.processes.get_mut(replica).unwrap();
        process
            .components
            .insert(component.clone(), ComponentState::Stopped);
        let message = FromReplica::NotStarted {
            component,
            message: "no table".to_owned(),
        };
        let replica = replica.clone();
        self.events.push_back(Event::Said { replica, message });
    }

    fn start_components(&mut self, replica: &Name) {
        loop {
            let spec = self.plane.spec();
            let Some(process) = self.processes.get(replica) else {
                return;
            };
            let is_there = |of: &Name| match process.components.get(of) {
                Some(ComponentState::Ready) => true,
                // Another replica has it, until this one is granted it.
                Some(_) if !process.held.contains(of) => false,
                Some(_) | None => process.directory.can_call(of.as_str()),
            };
            let next = process.components.iter().find(|(of, state)| {
                **state == ComponentState::Waiting
                    && !process.held.contains(*of)
                    && spec.dependencies[*of].iter().all(is_there)
            });
            let Some(next) = next.map(|(of, _)| of.clone()) else {
                return;
            };
            let is_ailing = self
                .ailing
                .is_none_or(|build| build == self.plane.build_of(replica));
            let here = self.faults.get(&*format!("{next} in {replica}"));
            let fault = here.or(self.faults.get(next.as_str()).filter(|_| is_ailing));
            if fault == Some(&Fault::Lazy) {
                if process.components[&next] == ComponentState::Waiting {
                    self.says(replica, next, ComponentState::Starting);
                }
                return;
            }
            if fault == Some(&Fault::Unable) {
                self.says_that_it_cannot_start(replica, next);
                continue;
            }
            if fault == Some(&Fault::Fails) {
                let process = self.processes.remove(replica).unwrap();
                let (replica, pid) = (replica.clone(), process.pid);
                let message = FromReplica::Failed {
                    component: Some(next),
                    message: "no table".to_owned(),
                };
                self.events.extend([
                    Event::Said {
                        replica: replica.clone(),
                        message,
                    },
                    Event::Disconnected {
                        replica: replica.clone(),
                    },
                    Event::Exited {
                        replica,
                        pid,
                        exit: Exit::Code(1),
                    },
                ]);
                return;
            }
            self.says(replica, next, ComponentState::Ready);
        }
    }
}
