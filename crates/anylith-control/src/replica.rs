//! One replica, and how each thing that happens to it moves its life on.

mod changing;
mod failing;
mod pulse;
mod stopping;

use std::{collections::BTreeSet, time::Instant};

use anylith_core::{Counters, Endpoint, Name};
use anylith_wire::control::{ComponentState, Hello};

use crate::{
    action::{Failure, Notice},
    defect::{Defect, planted},
    fate::Fate,
    input::{Input, Step, Surroundings, Word},
    life::Life,
    memory::Remembered,
    run::{Greeting, Run},
    spec::GroupSpec,
    status::ReplicaState,
};

/// From this many failures in a row on, it is called a crash loop.
pub const CRASH_LOOP: u32 = 3;

/// One replica: one that is wanted, or that has yet to leave.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) name: Name,
    /// Its group, and its number in it.
    pub(crate) group: Name,
    pub(crate) ordinal: u32,
    pub(crate) fate: Fate,
    /// What it is to have.
    pub(crate) components: Vec<Name>,
    /// Those of its components that a reshape brings into it while it runs. It is welcomed without them, since what it
    /// had before must not suffer from them.
    pub(crate) coming: BTreeSet<Name>,
    /// The components of which there is one at a time, and which another replica has, or this one is not to have yet.
    pub(crate) held: BTreeSet<Name>,
    /// Those that this one has.
    pub(crate) seated: BTreeSet<Name>,
    /// Those of them with which it was not asked to make room.
    pub(crate) needed: BTreeSet<Name>,
    pub(crate) external: bool,
    /// The build that its process runs, or that the next one is started from.
    pub(crate) build: u32,
    /// How often it was started.
    pub(crate) incarnation: u64,
    /// How often it was started again because it had failed.
    pub(crate) restarts: u64,
    /// How often it has failed since it was last stable.
    pub(crate) failures: u32,
    pub(crate) last_failure: Option<Failure>,
    /// What those of its processes have counted that are over.
    counted: Counters,
    pub(crate) life: Life,
}

impl Replica {
    /// The replica of `group` with this number, of which `past` is remembered. If its process runs since before, it has
    /// until `heard_by` to say so itself.
    pub(crate) fn new(
        ordinal: u32,
        group: &GroupSpec,
        past: Remembered,
        endpoint: Endpoint,
        heard_by: Instant,
    ) -> Self {
        let life = match past.pid {
            _ if group.external => Life::Awaited,
            Some(pid) => Life::Adopting {
                run: Run::new(Some(pid), endpoint),
                until: heard_by,
            },
            None => Life::Due,
        };
        Self {
            name: group.replica_name(ordinal),
            group: group.name.clone(),
            ordinal,
            fate: past.fate,
            components: group.components.clone(),
            coming: BTreeSet::new(),
            held: BTreeSet::new(),
            seated: BTreeSet::new(),
            needed: BTreeSet::new(),
            external: group.external,
            build: past.build,
            incarnation: past.incarnation,
            restarts: past.restarts,
            failures: 0,
            last_failure: None,
            counted: Counters::default(),
            life,
        }
    }

    /// Takes one input; returns what the control plane must do.
    pub(crate) fn on(&mut self, input: Input, around: &Surroundings<'_>) -> Vec<Step> {
        let life = std::mem::replace(&mut self.life, Life::Stopped);
        let counted = life.run().map(|run| run.counters);
        let (life, steps) = match input {
            Input::Launch => self.launch(life),
            Input::Spawned { run } => self.spawned(life, *run, around),
            Input::SpawnFailed { error } => self.spawn_failed(life, error, around),
            Input::Hello { hello, endpoint } => self.hello(life, hello, endpoint, around),
            Input::Said(word) => self.said(life, word, around),
            Input::Disconnected => self.disconnected(life, around),
            Input::Examined { traced } => self.examined(life, traced, around),
            Input::Exited { exit } => self.exited(life, exit, around),
            Input::Welcomed { components } => changing::welcomed(life, components, around),
            Input::Come { components } => changing::come(life, components, around),
            Input::Go { components } => changing::go(life, components, around),
            Input::Revive { component } => changing::revive(life, component),
            Input::Yield { component } => changing::make_room(life, component, around),
            Input::Stop => self.stop(life, around),
            Input::SendOff { others_stay } => self.send_off(life, others_stay, around),
            Input::Drain { due } => self.drain(life, &due, around),
            Input::Retry => self.retry(life),
            Input::Renew { build } => self.renew(life, build),
            Input::Kill => stopping::kill(life),
            Input::Tick => self.tick(life, around),
        };
        self.life = life;
        if let (Some(counted), None) = (counted, self.life.run()) {
            self.counted += counted;
        }
        steps
    }

    fn launch(&mut self, life: Life) -> (Life, Vec<Step>) {
        match life {
            // Due → Spawning.
            Life::Due => {
                self.incarnation += 1;
                let incarnation = self.incarnation;
                (Life::Spawning, vec![Step::Spawn { incarnation }])
            }
            life @ (Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Starting { .. }
            | Life::Serving { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => (life, vec![]),
        }
    }

    fn spawned(&self, life: Life, run: Run, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        match life {
            // Spawning → Dying. The stop came while the process was being started.
            Life::Spawning if around.stopping() => (Life::Dying { run }, vec![Step::Kill]),
            // Spawning → Starting.
            Life::Spawning => {
                let connect_by = Some(around.now + around.timing.connect);
                (Life::Starting { run, connect_by }, vec![])
            }
            // Only Spawning asks for a process.
            life @ (Life::Due
            | Life::Awaited
            | Life::Adopting { .. }
            | Life::Starting { .. }
            | Life::Serving { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => (life, vec![]),
        }
    }

    fn spawn_failed(
        &mut self,
        life: Life,
        error: String,
        around: &Surroundings<'_>,
    ) -> (Life, Vec<Step>) {
        match life {
            // Spawning → Backoff.
            Life::Spawning => self.fail(
                Failure {
                    component: None,
                    message: Some(error),
                    exit: None,
                },
                around,
            ),
            life @ (Life::Due
            | Life::Awaited
            | Life::Adopting { .. }
            | Life::Starting { .. }
            | Life::Serving { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => (life, vec![]),
        }
    }

    fn hello(
        &mut self,
        life: Life,
        hello: Hello,
        endpoint: Endpoint,
        around: &Surroundings<'_>,
    ) -> (Life, Vec<Step>) {
        // The process of another start: it lost its control plane before that one could note its pid.
        if !self.external && hello.incarnation != self.incarnation {
            return (life, vec![Step::Dismiss]);
        }
        let is_new = matches!(life, Life::Starting { .. }) && !self.external;
        if life
            .run()
            .is_some_and(|run| run.is_mistaken_in(&hello, is_new))
        {
            return (life, vec![Step::Dismiss]);
        }
        match life {
            // Awaited → Starting.
            Life::Awaited => {
                self.incarnation = hello.incarnation;
                let mut run = Run::new(None, endpoint);
                let steps = self.greet(&mut run, hello, around);
                (self.settled(run, around), steps)
            }
            // Adopting → Draining, if a stop waited for it.
            Life::Adopting { mut run, .. } if around.stopping() => {
                let steps = self.greet(&mut run, hello, around);
                (self.drained(run, around), steps)
            }
            // Adopting | Starting → Starting | Serving.
            Life::Adopting { mut run, .. } | Life::Starting { mut run, .. } => {
                let steps = self.greet(&mut run, hello, around);
                (self.settled(run, around), steps)
            }
            // It connected again.
            Life::Serving { mut run, since } => {
                let steps = self.greet(&mut run, hello, around);
                let since = well_since(&run, since, around);
                (Life::Serving { run, since }, steps)
            }
            // It connected again; what it was told may be lost, so it is told once more.
            Life::Draining { mut run, .. } => {
                let steps = self.greet(&mut run, hello, around);
                (self.drained(run, around), steps)
            }
            // It does not know yet that it is dead.
            life @ Life::Dying { .. } => (life, vec![]),
            life @ (Life::Due | Life::Spawning | Life::Backoff { .. } | Life::Stopped) => {
                (life, vec![Step::Dismiss])
            }
        }
    }

    fn greet(&self, run: &mut Run, hello: Hello, around: &Surroundings<'_>) -> Vec<Step> {
        let mut steps = self.heard(run, around);
        steps.push(match run.greet(hello, around.now) {
            Greeting::New => Step::Welcome,
            Greeting::Again => Step::Resume,
        });
        steps
    }

    /// Starting or Serving, as its components say.
    fn settled(&self, run: Run, around: &Surroundings<'_>) -> Life {
        if run.all_ready(&self.settled_in(), &self.held) {
            Life::Serving {
                run,
                since: Some(around.now),
            }
        } else {
            Life::Starting {
                run,
                connect_by: None,
            }
        }
    }

    fn said(&self, mut life: Life, word: Word, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        let drains = matches!(life, Life::Draining { .. });
        let Some(run) = life.listen() else {
            return (life, vec![]);
        };
        let mut steps = self.heard(run, around);
        match word {
            Word::Component {
                name,
                state,
                reason,
            } if self.components.contains(&name) || run.components.contains_key(&name) => {
                run.told.insert(name.clone());
                steps.extend(self.turned(run, name, (state, reason), drains, around));
            }
            // Of a component that it should not have.
            Word::Component { .. } => {}
            Word::NotStarted { component, message } => {
                run.enter(component.clone(), ComponentState::Stopped, None, around.now);
                run.unable.insert(component, message);
            }
            Word::Last { component, message } => run.say_last(component, message),
            Word::Alive {
                calls,
                counters,
                outcomes,
                load,
                each,
                outgoing,
            } => {
                run.calls = calls;
                run.counters = counters;
                run.outcomes = outcomes;
                run.accounts += 1;
                if load.is_some() {
                    run.new_outgoing.extend(outgoing.keys().cloned());
                    run.outgoing = outgoing;
                }
                run.load_is_new |= load.is_some();
                run.load = load.or(run.load);
                run.new_each.extend(each.keys().cloned());
                for (component, load) in each {
                    let load = run.each.contains_key(&component).then_some(load);
                    run.each.insert(component, load);
                }
            }
        }
        let life = match life {
            // Starting → Serving, with the last of its components.
            Life::Starting { run, .. } => self.settled(run, around),
            Life::Serving { run, since } => {
                let since = well_since(&run, since, around);
                Life::Serving { run, since }
            }
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => life,
        };
        (life, steps)
    }

    /// One of its components changed its state. Where it `drains`, none comes back.
    fn turned(
        &self,
        run: &mut Run,
        component: Name,
        (state, reason): (ComponentState, Option<String>),
        drains: bool,
        around: &Surroundings<'_>,
    ) -> Option<Step> {
        let replica = self.name.clone();
        let notice = match (state, reason.clone()) {
            (ComponentState::Stopped, Some(left)) => Some(Notice::CutShort {
                replica,
                component: component.clone(),
                left,
            }),
            (ComponentState::Unhealthy, Some(reason)) if !drains => {
                let is_news = run
                    .ill
                    .get(&component)
                    .is_none_or(|ill| ill.reason.is_empty());
                is_news.then(|| Notice::Unhealthy {
                    replica,
                    component: component.clone(),
                    reason,
                })
            }
            (ComponentState::Ready, _) if run.ill.contains_key(&component) => {
                Some(Notice::Healthy {
                    replica,
                    component: component.clone(),
                })
            }
            (
                ComponentState::Waiting
                | ComponentState::Starting
                | ComponentState::Ready
                | ComponentState::Unhealthy
                | ComponentState::Draining
                | ComponentState::Stopped,
                _,
            ) => None,
        };
        let ends = matches!(state, ComponentState::Draining | ComponentState::Stopped);
        if ends || !drains {
            run.enter(component, state, reason, around.now);
        }
        notice.map(Step::Report)
    }

    fn disconnected(&self, life: Life, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        let gone = if around.stopping() {
            Life::Stopped
        } else {
            Life::Awaited
        };
        let life = match life {
            // External: nobody sees its process, so its connection is its life.
            Life::Starting { .. } | Life::Serving { .. } if self.external => gone,
            Life::Draining { .. } | Life::Dying { .. } if self.external => gone,
            Life::Starting { mut run, .. } => {
                run.connected = false;
                Life::Starting {
                    run,
                    connect_by: Some(around.now + around.timing.connect),
                }
            }
            // It serves on with the directory it has, and comes back by itself.
            Life::Serving { mut run, since } => {
                run.connected = false;
                Life::Serving { run, since }
            }
            Life::Draining {
                mut run,
                until,
                stop_sent,
            } => {
                run.connected = false;
                let comes_back_by = around.now + around.timing.reconnect;
                let until = until.or(Some(comes_back_by));
                Life::Draining {
                    run,
                    until,
                    stop_sent,
                }
            }
            Life::Adopting { mut run, until } => {
                run.connected = false;
                Life::Adopting { run, until }
            }
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => life,
        };
        (life, vec![])
    }

    fn tick(&self, life: Life, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        let now = around.now;
        let replica = self.name.clone();
        match life {
            // Adopting → Dying. It lives, and serves nobody.
            Life::Adopting { mut run, until } if until <= now => {
                run.say_last(None, "it does not answer the control plane");
                let notice = Notice::Overdue {
                    replica,
                    what: "connect to the new control plane".to_owned(),
                };
                (Life::Dying { run }, vec![Step::Report(notice), Step::Kill])
            }
            // Starting → Dying.
            Life::Starting {
                mut run,
                connect_by: Some(by),
            } if by <= now => {
                run.say_last(
                    None,
                    "it did not connect to the control plane: does its `main` call `run` of the \
                     application, and nothing before it that waits?",
                );
                let notice = Notice::Overdue {
                    replica,
                    what: "connect to the control plane".to_owned(),
                };
                (Life::Dying { run }, vec![Step::Report(notice), Step::Kill])
            }
            // Draining → Dying, or Stopped if there is no process to kill.
            Life::Draining {
                until: Some(until), ..
            } if until <= now && self.external => (Life::Stopped, vec![]),
            Life::Draining {
                run,
                until: Some(until),
                ..
            } if until <= now => {
                let notice = Notice::Overdue {
                    replica,
                    what: unfinished(&run),
                };
                (Life::Dying { run }, vec![Step::Report(notice), Step::Kill])
            }
            // Starting → Serving, if another replica has got what this one waited for alone.
            Life::Starting {
                run,
                connect_by: None,
            } if run.all_ready(&self.settled_in(), &self.held) => {
                (self.settled(run, around), vec![])
            }
            // Backoff → Due.
            Life::Backoff { retry_at } if retry_at <= now => (Life::Due, vec![]),
            life @ (Life::Starting { .. } | Life::Serving { .. } | Life::Draining { .. }) => {
                self.ask(life, around)
            }
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => (life, vec![]),
        }
    }

    /// When this replica wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        self.life.next_tick()
    }

    /// What to call its state.
    pub(crate) fn state(&self) -> ReplicaState {
        self.life.state(&self.settled_in(), &self.held)
    }

    /// Those of `components` are to come into it that it does not have.
    pub(crate) fn takes_in(&mut self, components: &[Name]) {
        let comes = components.iter();
        let comes = comes.filter(|name| !self.components.contains(name));
        let comes: Vec<Name> = comes.cloned().collect();
        self.coming.extend(comes.iter().cloned());
        self.components.extend(comes);
    }

    /// Its components, but for those that are coming.
    pub(crate) fn settled_in(&self) -> Vec<Name> {
        let own = self.components.iter();
        let own = own.filter(|component| !self.coming.contains(*component));
        own.cloned().collect()
    }

    /// The components that its process has, and that have not stopped.
    pub(crate) fn all_here(&self) -> BTreeSet<Name> {
        let run = self.run().into_iter();
        let known = run.flat_map(|run| run.components.keys().filter(|name| run.has(name)));
        known.cloned().collect()
    }

    /// All that it is to have, or has.
    pub(crate) fn all_components(&self) -> Vec<Name> {
        self.components_with(self.run())
    }

    /// All that it is to have, or has by what is known of its process.
    fn components_with(&self, run: Option<&Run>) -> Vec<Name> {
        let mut all = self.components.clone();
        let run = run.into_iter();
        let more = run.flat_map(|run| run.components.keys());
        all.extend(
            more.filter(|component| !self.components.contains(component))
                .cloned(),
        );
        all
    }

    /// Whether all components of its process were ready, which some may be no more: then it is called all the same where no other is well.
    pub(crate) fn was_ready(&self) -> bool {
        matches!(self.life, Life::Serving { .. })
    }

    /// What is known of its process, if it has one.
    pub(crate) fn run(&self) -> Option<&Run> {
        self.life.run()
    }

    /// What all of its processes have counted.
    pub(crate) fn counters(&self) -> Counters {
        let mut all = self.counted;
        all += self.run().map(|run| run.counters).unwrap_or_default();
        all
    }

    fn retry(&mut self, life: Life) -> (Life, Vec<Step>) {
        match life {
            // Backoff → Due.
            Life::Backoff { .. } => {
                self.failures = 0;
                (Life::Due, vec![])
            }
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Starting { .. }
            | Life::Serving { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }
            | Life::Stopped) => (life, vec![]),
        }
    }

    fn renew(&mut self, life: Life, build: u32) -> (Life, Vec<Step>) {
        match life {
            // Stopped → Due.
            Life::Stopped => {
                (self.fate, self.build, self.failures) = (Fate::Stays, build, 0);
                (Life::Due, vec![])
            }
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Starting { .. }
            | Life::Serving { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }) => (life, vec![]),
        }
    }
}

/// Since when a process that serves is well, which it was `since` then: not while one of its components begins, and anew
/// from when that has begun. What could not begin disturbs nobody, unless the process ends with it.
fn well_since(run: &Run, since: Option<Instant>, around: &Surroundings<'_>) -> Option<Instant> {
    let begins = |state: &ComponentState| *state == ComponentState::Starting;
    match since {
        _ if planted(Defect::EachAlone) => since.or(Some(around.now)),
        _ if run.components.values().any(begins) => None,
        None if run.is_ending() => None,
        None => Some(around.now),
        Some(since) => Some(since),
    }
}

/// What a replica did not finish in its time: `finish its calls (2 of Cart, 1 of Stock)`.
fn unfinished(run: &Run) -> String {
    let calls = run.calls.iter();
    let calls: Vec<String> = calls
        .map(|(component, count)| format!("{count} of {component}"))
        .collect();
    match calls.is_empty() {
        true => "finish its calls".to_owned(),
        false => format!("finish its calls ({})", calls.join(", ")),
    }
}
