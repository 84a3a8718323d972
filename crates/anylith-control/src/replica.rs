//! The life of one replica.

use std::{collections::BTreeMap, time::Instant};

use anylith_core::{Endpoint, Name};
use anylith_wire::control::{ComponentState, Hello};

use crate::{
    action::{Failure, Notice},
    event::Exit,
    status::ReplicaState,
    timing::Timing,
};

/// From this many failures in a row on, it is called a crash loop.
const CRASH_LOOP: u32 = 3;

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

/// Due → Spawning → Starting → Serving → Draining → Stopped; a crash leads through Backoff back to Due, and
/// a new control plane begins at Adopting with those that already run.
#[derive(Debug)]
pub(crate) enum Life {
    /// It has no process, and gets one as soon as the sockets it serves are there.
    Due,
    /// It is external, and has not connected yet.
    Awaited,
    /// The driver starts its process at this moment.
    Spawning,
    /// It runs since before this control plane, and has until then to say so itself.
    Adopting { run: Run, until: Instant },
    /// It runs, and not all of its components were ready yet.
    Starting {
        run: Run,
        connect_by: Option<Instant>,
    },
    /// All of its components have been ready.
    Serving { run: Run, since: Instant },
    /// It is being stopped. `until` is there while it owes an answer.
    Draining {
        run: Run,
        until: Option<Instant>,
        stop_sent: bool,
    },
    /// It was killed, and its exit is still to be seen.
    Dying { run: Run },
    /// It has failed, and is started again at this instant.
    Backoff { retry_at: Instant },
    /// It has no process and gets none.
    Stopped,
}

/// What is known of a replica that runs.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its process; `None` if it is external.
    pub(crate) pid: Option<u32>,
    pub(crate) endpoint: Endpoint,
    pub(crate) connected: bool,
    pub(crate) components: BTreeMap<Name, ComponentState>,
    /// What it, or this control plane, said about its end before it came.
    last_words: Option<(Option<Name>, String)>,
}

impl Run {
    pub(crate) fn new(pid: Option<u32>, endpoint: Endpoint) -> Self {
        Self {
            pid,
            endpoint,
            connected: false,
            components: BTreeMap::new(),
            last_words: None,
        }
    }

    fn greet(&mut self, hello: Hello) -> Step {
        self.connected = true;
        self.components = hello.components;
        match hello.endpoint {
            Some(endpoint) => {
                self.endpoint = endpoint;
                Step::Resume
            }
            None => Step::Welcome,
        }
    }

    fn all_ready(&self, wanted: &[Name]) -> bool {
        wanted
            .iter()
            .all(|name| self.components.get(name) == Some(&ComponentState::Ready))
    }
}

/// What happens to one replica.
#[derive(Debug)]
pub(crate) enum Input {
    Spawned {
        run: Run,
    },
    SpawnFailed {
        error: String,
    },
    /// With where it answers if it is external and does not know yet.
    Hello {
        hello: Hello,
        endpoint: Endpoint,
    },
    Component {
        name: Name,
        state: ComponentState,
    },
    LastWords {
        component: Option<Name>,
        message: String,
    },
    Disconnected,
    Exited {
        exit: Exit,
    },
    Stop,
    Kill,
    Tick,
}

/// What follows for the control plane.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send it its bootstrap.
    Welcome,
    /// Send it the directory.
    Resume,
    /// Tell it to stop, all of it.
    Stop,
    Dismiss,
    Kill,
    Report(Notice),
}

/// What a replica must know of its surroundings.
pub(crate) struct Surroundings<'a> {
    pub(crate) now: Instant,
    pub(crate) timing: &'a Timing,
    /// Whether the whole application is being stopped.
    pub(crate) stopping: bool,
}

impl Replica {
    /// Takes one input; returns what the control plane must do.
    pub(crate) fn on(&mut self, input: Input, around: &Surroundings<'_>) -> Vec<Step> {
        let life = std::mem::replace(&mut self.life, Life::Stopped);
        let (life, steps) = match input {
            Input::Spawned { run } => self.spawned(life, run, around),
            Input::SpawnFailed { error } => self.spawn_failed(life, error, around),
            Input::Hello { hello, endpoint } => self.hello(life, hello, endpoint, around),
            Input::Component { name, state } => self.component(life, name, state, around),
            Input::LastWords { component, message } => {
                (last_words(life, component, message), vec![])
            }
            Input::Disconnected => self.disconnected(life, around),
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
        match life {
            // Awaited → Starting.
            Life::Awaited => {
                self.incarnation = hello.incarnation;
                let mut run = Run::new(None, endpoint);
                let step = run.greet(hello);
                (self.settled(run, around), vec![step])
            }
            // Adopting → Draining, if a stop waited for it.
            Life::Adopting { mut run, .. } if around.stopping => {
                let step = run.greet(hello);
                (
                    Life::Draining {
                        run,
                        until: None,
                        stop_sent: false,
                    },
                    vec![step],
                )
            }
            // Adopting | Starting → Starting | Serving.
            Life::Adopting { mut run, .. } | Life::Starting { mut run, .. } => {
                let step = run.greet(hello);
                (self.settled(run, around), vec![step])
            }
            // It connected again.
            Life::Serving { mut run, since } => {
                let step = run.greet(hello);
                (Life::Serving { run, since }, vec![step])
            }
            // It connected again; what it was told may be lost, so it is told once more.
            Life::Draining { mut run, .. } => {
                let step = run.greet(hello);
                (
                    Life::Draining {
                        run,
                        until: None,
                        stop_sent: false,
                    },
                    vec![step],
                )
            }
            // It does not know yet that it is dead.
            life @ Life::Dying { .. } => (life, vec![]),
            life @ (Life::Due | Life::Spawning | Life::Backoff { .. } | Life::Stopped) => {
                (life, vec![Step::Dismiss])
            }
        }
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

    fn component(
        &self,
        life: Life,
        name: Name,
        state: ComponentState,
        around: &Surroundings<'_>,
    ) -> (Life, Vec<Step>) {
        if !self.components.contains(&name) {
            return (life, vec![]);
        }
        let life = match life {
            // Starting → Serving, with the last of its components.
            Life::Starting { mut run, .. } => {
                run.components.insert(name, state);
                self.settled(run, around)
            }
            Life::Serving { mut run, since } => {
                run.components.insert(name, state);
                Life::Serving { run, since }
            }
            Life::Draining {
                mut run,
                until,
                stop_sent,
            } => {
                run.components.insert(name, state);
                Life::Draining {
                    run,
                    until,
                    stop_sent,
                }
            }
            life @ (Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped) => life,
        };
        (life, vec![])
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
                if around.now.duration_since(since) >= around.timing.stable {
                    self.failures = 0;
                }
                self.fail(failure(run, exit), around)
            }
            // Starting | Adopting | Dying → Backoff.
            Life::Starting { run, .. } | Life::Adopting { run, .. } | Life::Dying { run } => {
                self.fail(failure(run, exit), around)
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
                run.say("it does not answer the control plane");
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
                run.say(
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
            life @ (Life::Due
            | Life::Awaited
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

    /// When this replica wants a tick.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match &self.life {
            Life::Adopting { until, .. } => Some(*until),
            Life::Starting { connect_by, .. } => *connect_by,
            Life::Draining { until, .. } => *until,
            Life::Backoff { retry_at } => Some(*retry_at),
            Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Serving { .. }
            | Life::Dying { .. }
            | Life::Stopped => None,
        }
    }

    /// What is known of its process, if it has one.
    pub(crate) fn run(&self) -> Option<&Run> {
        match &self.life {
            Life::Adopting { run, .. }
            | Life::Starting { run, .. }
            | Life::Serving { run, .. }
            | Life::Draining { run, .. }
            | Life::Dying { run } => Some(run),
            Life::Due | Life::Awaited | Life::Spawning | Life::Backoff { .. } | Life::Stopped => {
                None
            }
        }
    }

    /// Where calls to `component` may be sent, if they may.
    pub(crate) fn answers(&self, component: &Name) -> Option<&Endpoint> {
        match &self.life {
            Life::Starting { run, .. } | Life::Serving { run, .. } | Life::Draining { run, .. } => {
                let ready = run.components.get(component) == Some(&ComponentState::Ready);
                // Without a port nobody can call it: its second hello, which says it, is on its way.
                let callable = !matches!(&run.endpoint, Endpoint::Tcp(at) if at.port() == 0);
                (ready && callable).then_some(&run.endpoint)
            }
            Life::Due
            | Life::Awaited
            | Life::Spawning
            | Life::Adopting { .. }
            | Life::Dying { .. }
            | Life::Backoff { .. }
            | Life::Stopped => None,
        }
    }

    /// What to call its state.
    pub(crate) fn state(&self) -> ReplicaState {
        match &self.life {
            Life::Due | Life::Awaited | Life::Spawning => ReplicaState::Starting,
            Life::Adopting { .. } | Life::Starting { .. } => ReplicaState::Starting,
            Life::Serving { run, .. } if run.all_ready(&self.components) => ReplicaState::Ready,
            // Somebody sent it a signal: it drains by its own decision.
            Life::Serving { .. } | Life::Draining { .. } => ReplicaState::Draining,
            // It does not serve any more, and soon it will wait for its restart.
            Life::Dying { .. } | Life::Backoff { .. } => ReplicaState::Backoff,
            Life::Stopped => ReplicaState::Stopped,
        }
    }
}

impl Run {
    fn say(&mut self, message: &str) {
        self.last_words = Some((None, message.to_owned()));
    }
}

fn failure(run: Run, exit: Exit) -> Failure {
    let (component, message) = run
        .last_words
        .map_or((None, None), |(who, what)| (who, Some(what)));
    Failure {
        component,
        message,
        exit: Some(exit),
    }
}

fn last_words(life: Life, component: Option<Name>, message: String) -> Life {
    let words = Some((component, message));
    match life {
        Life::Starting { run, connect_by } => Life::Starting {
            run: Run {
                last_words: words,
                ..run
            },
            connect_by,
        },
        Life::Serving { run, since } => Life::Serving {
            run: Run {
                last_words: words,
                ..run
            },
            since,
        },
        Life::Draining {
            run,
            until,
            stop_sent,
        } => Life::Draining {
            run: Run {
                last_words: words,
                ..run
            },
            until,
            stop_sent,
        },
        Life::Adopting { run, until } => Life::Adopting {
            run: Run {
                last_words: words,
                ..run
            },
            until,
        },
        life @ (Life::Due
        | Life::Awaited
        | Life::Spawning
        | Life::Dying { .. }
        | Life::Backoff { .. }
        | Life::Stopped) => life,
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
