//! A simulated process: what it reads, what it says, and what its components do.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use anylith_core::{Directory, Endpoint, Name};
use anylith_wire::control::{
    CONTROL_PROTOCOL, ComponentState, FromReplica, Handed, Hello, ToReplica,
};

use super::{World, name};
use crate::Event;

#[derive(Debug, Default)]
pub(in crate::model) struct Process {
    pub(super) pid: u32,
    pub(super) incarnation: u64,
    pub(in crate::model) build: u32,
    pub(super) welcomed: Option<Endpoint>,
    pub(in crate::model) connected: bool,
    pub(in crate::model) components: BTreeMap<Name, ComponentState>,
    /// Those that it was given while it ran.
    pub(super) added: BTreeSet<Name>,
    /// Those of them that could not start.
    pub(super) unable: BTreeSet<Name>,
    pub(super) lingers: BTreeSet<Name>,
    /// Those whose start takes its time, and until when.
    pub(super) busy: BTreeMap<Name, Instant>,
    /// Those that wait to be granted.
    pub(super) held: BTreeSet<Name>,
    /// `Cart` has begun.
    pub(super) begun: bool,
    /// `Cart` was told to make room.
    pub(super) yields: bool,
    /// What `Cart` has handed over here.
    pub(super) handed: Option<Handed>,
    pub(in crate::model) directory: Directory,
    pub(super) inbox: VecDeque<ToReplica>,
    pub(super) outbox: VecDeque<Event>,
}

impl Process {
    /// Whether it was granted `Cart`, and does not say so yet.
    pub(super) fn is_about_to_begin(&self) -> bool {
        let waits = self.components.get("Cart") == Some(&ComponentState::Waiting);
        waits && !self.held.contains("Cart")
    }

    /// Until when the start of `component` takes, if it takes any time.
    pub(super) fn busy_until(&self, component: &Name) -> Option<Instant> {
        self.busy.get(component).copied()
    }
}

impl World {
    /// `Cart` has answered its last call.
    pub(super) fn hands_over(&mut self, replica: &Name, component: &Name) {
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

    pub(super) fn connects(&mut self, replica: &Name) {
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
        // The greeting says that they have stopped. That it was so from the beginning is said, too.
        let unable = process.unable.iter();
        let unable = unable.map(|component| not_started(replica, component));
        process.outbox.extend(unable);
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

    pub(super) fn reads(&mut self, replica: &Name) {
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
                process
                    .unable
                    .retain(|component| !begun.contains(component));
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
                if process.held.remove(&component) && !self.may_begin_with(state.as_ref()) {
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

    pub(super) fn says(&mut self, replica: &Name, component: &Name, state: ComponentState) {
        let now = self.now;
        let process = self.processes.get_mut(replica).unwrap();
        process.components.insert(component.clone(), state);
        if state == ComponentState::Starting {
            let busy = self.builds.slowness(process.build).map(|slow| now + slow);
            process
                .busy
                .extend(busy.map(|until| (component.clone(), until)));
        }
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
}

/// That `component` could not start in `replica`, which goes on without it.
pub(super) fn not_started(replica: &Name, component: &Name) -> Event {
    let (component, message) = (component.clone(), "no table".to_owned());
    Event::Said {
        replica: replica.clone(),
        message: FromReplica::NotStarted { component, message },
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
