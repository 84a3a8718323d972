//! One replica, and how each thing that happens to it moves its life on.

mod pulse;

use std::time::Instant;

use anylith_core::{Endpoint, Name};
use anylith_wire::control::Hello;

use crate::{
    action::{Failure, Notice},
    event::Exit,
    input::{Input, Step, Surroundings, Word},
    life::Life,
    memory::Remembered,
    run::{Greeting, Run},
    spec::GroupSpec,
    status::ReplicaState,
};

/// From this many failures in a row on, it is called a crash loop.
pub const CRASH_LOOP: u32 = 3;

/// One replica that is wanted.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) name: Name,
    pub(crate) components: Vec<Name>,
    pub(crate) external: bool,
    /// How often it was started.
    pub(crate) incarnation: u64,
    /// How often it was started again because it had failed.
    pub(crate) restarts: u64,
    /// How often it has failed since it was last stable.
    pub(crate) failures: u32,
    pub(crate) last_failure: Option<Failure>,
    pub(crate) life: Life,
}

impl Replica {
    /// A replica of `group`, of which `past` is remembered. If its process runs since before, it has until
    /// `heard_by` to say so itself.
    pub(crate) fn new(
        name: Name,
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
            name,
            components: group.components.clone(),
            external: group.external,
            incarnation: past.incarnation,
            restarts: past.restarts,
            failures: 0,
            last_failure: None,
            life,
        }
    }

    /// Takes one input; returns what the control plane must do.
    pub(crate) fn on(&mut self, input: Input, around: &Surroundings<'_>) -> Vec<Step> {
        let life = std::mem::replace(&mut self.life, Life::Stopped);
        let (life, steps) = match input {
            Input::Spawned { run } => self.spawned(life, run, around),
            Input::SpawnFailed { error } => self.spawn_failed(life, error, around),
            Input::Hello { hello, endpoint } => self.hello(life, hello, endpoint, around),
            Input::Said(word) => self.said(life, word, around),
            Input::Disconnected => self.disconnected(life, around),
            Input::Examined { traced } => self.examined(life, traced, around),
            Input::Exited { exit } => self.exited(life, exit, around),
            Input::Stop => self.stop(life, around),
            Input::Kill => kill(life),
            Input::Tick => self.tick(life, around),
        };
        self.life = life;
        steps
    }

    fn spawned(&self, life: Life, run: Run, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        match life {
            // Spawning → Dying. The stop came while the process was being started.
            Life::Spawning if around.stopping => (Life::Dying { run }, vec![Step::Kill]),
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
            Life::Adopting { mut run, .. } if around.stopping => {
                let steps = self.greet(&mut run, hello, around);
                (draining(run), steps)
            }
            // Adopting | Starting → Starting | Serving.
            Life::Adopting { mut run, .. } | Life::Starting { mut run, .. } => {
                let steps = self.greet(&mut run, hello, around);
                (self.settled(run, around), steps)
            }
            // It connected again.
            Life::Serving { mut run, since } => {
                let steps = self.greet(&mut run, hello, around);
                (Life::Serving { run, since }, steps)
            }
            // It connected again; what it was told may be lost, so it is told once more.
            Life::Draining { mut run, .. } => {
                let steps = self.greet(&mut run, hello, around);
                (draining(run), steps)
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
        steps.push(match run.greet(hello) {
            Greeting::New => Step::Welcome,
            Greeting::Again => Step::Resume,
        });
        steps
    }

    /// Starting or Serving, as its components say.
    fn settled(&self, run: Run, around: &Surroundings<'_>) -> Life {
        if run.all_ready(&self.components) {
            Life::Serving {
                run,
                since: around.now,
            }
        } else {
            Life::Starting {
                run,
                connect_by: None,
            }
        }
    }

    fn said(&self, mut life: Life, word: Word, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        let Some(run) = life.listen() else {
            return (life, vec![]);
        };
        let steps = self.heard(run, around);
        match word {
            Word::Component { name, state } if self.components.contains(&name) => {
                run.components.insert(name, state);
            }
            // Of a component that it should not have.
            Word::Component { .. } => {}
            Word::Last { component, message } => run.say_last(component, message),
            Word::Alive { calls } => run.calls = calls,
        }
        let life = match life {
            // Starting → Serving, with the last of its components.
            Life::Starting { run, .. } => self.settled(run, around),
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Serving { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => life,
        };
        (life, steps)
    }

    fn disconnected(&self, life: Life, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        let gone = if around.stopping {
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

    fn exited(&mut self, life: Life, exit: Exit, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        match life {
            // Serving → Backoff. If it had been well for long, its earlier failures don't count.
            Life::Serving { run, since } => {
                self.forgive(since, around);
                self.fail(run.into_failure(exit), around)
            }
            // Starting | Adopting | Dying → Backoff.
            Life::Starting { run, .. } | Life::Adopting { run, .. } | Life::Dying { run } => {
                self.fail(run.into_failure(exit), around)
            }
            // Draining → Stopped. It did as it was told, or it was in a greater hurry.
            Life::Draining { .. } => (Life::Stopped, vec![]),
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Backoff { .. }
            | Life::Stopped) => (life, vec![]),
        }
    }

    /// A replica that was well for long has left its crashes behind.
    fn forgive(&mut self, since: Instant, around: &Surroundings<'_>) {
        if around.now.duration_since(since) >= around.timing.stable {
            self.failures = 0;
        }
    }

    /// → Backoff, or Stopped if nothing is to be started any more.
    fn fail(&mut self, failure: Failure, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        if around.stopping {
            return (Life::Stopped, vec![]);
        }
        self.failures = self.failures.saturating_add(1);
        self.restarts += 1;
        self.last_failure = Some(failure.clone());
        let (replica, failures) = (self.name.clone(), self.failures);
        let retry_in = around.timing.backoff(failures);
        let notice = if failures >= CRASH_LOOP {
            Notice::CrashLoop {
                replica,
                failure,
                failures,
                retry_in,
            }
        } else {
            Notice::Failed {
                replica,
                failure,
                retry_in,
            }
        };
        (
            Life::Backoff {
                retry_at: around.now + retry_in,
            },
            vec![Step::Report(notice)],
        )
    }

    fn stop(&self, life: Life, around: &Surroundings<'_>) -> (Life, Vec<Step>) {
        let timing = around.timing;
        match life {
            Life::Due | Life::Awaited | Life::Backoff { .. } | Life::Stopped => {
                (Life::Stopped, vec![])
            }
            // Starting → Draining. Not all of it runs, so it knows best in which order to stop.
            Life::Starting { run, .. } if run.connected => {
                let until = Some(around.now + timing.grace + timing.margin());
                (
                    Life::Draining {
                        run,
                        until,
                        stop_sent: true,
                    },
                    vec![Step::Stop],
                )
            }
            // Starting → Dying. It was never heard of, so nobody can have called it.
            Life::Starting { run, .. } => (Life::Dying { run }, vec![Step::Kill]),
            // Serving → Draining. Its components are asked one by one: see `drain.rs`.
            Life::Serving { run, .. } => {
                let until = (!run.connected).then_some(around.now + timing.reconnect);
                (
                    Life::Draining {
                        run,
                        until,
                        stop_sent: false,
                    },
                    vec![],
                )
            }
            // What they lead to comes by itself.
            life @ (Life::Spawning
            | Life::Adopting { .. }
            | Life::Draining { .. }
            | Life::Dying { .. }) => (life, vec![]),
        }
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
                    what: "connect to the new control plane",
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
                    what: "connect to the control plane",
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
                    what: "finish its calls",
                };
                (Life::Dying { run }, vec![Step::Report(notice), Step::Kill])
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
        self.life.state(&self.components)
    }

    /// What is known of its process, if it has one.
    pub(crate) fn run(&self) -> Option<&Run> {
        self.life.run()
    }
}

/// A drain in which it owes nothing yet.
fn draining(run: Run) -> Life {
    Life::Draining {
        run,
        until: None,
        stop_sent: false,
    }
}

/// → Dying or Stopped, whatever it was. One that is being spawned is killed when it is there.
fn kill(life: Life) -> (Life, Vec<Step>) {
    match life {
        Life::Adopting { run, .. }
        | Life::Starting { run, .. }
        | Life::Serving { run, .. }
        | Life::Draining { run, .. } => match run.pid {
            Some(_) => (Life::Dying { run }, vec![Step::Kill]),
            None => (Life::Stopped, vec![]),
        },
        life @ (Life::Spawning | Life::Dying { .. }) => (life, vec![]),
        Life::Due | Life::Awaited | Life::Backoff { .. } | Life::Stopped => (Life::Stopped, vec![]),
    }
}
