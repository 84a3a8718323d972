//! Watches the application as long as somebody looks, and tells all who do.
//!
//! One task asks the supervisor, however many look. Each of them is first told how all is, and then what changes. What one
//! does not take in time is not kept for him: his connection is closed, and when he comes again he is told all anew.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anylith_supervisor::Overview;
use axum::response::sse::Event;
use serde::Serialize;
use tokio::sync::{Notify, mpsc};

use crate::{control::Control, difference::Difference, line::Line, now::Now, refusal::Refusal};

/// How often the supervisor is asked while somebody looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often it is asked what goes on: the supervisor knows it anew each second.
const NUMBERS_EVERY: Duration = Duration::from_millis(400);

/// So many events may wait for somebody who reads slowly.
const MOST_WAITING: usize = 32;

/// Watches the application as long as somebody looks, and tells all who do.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    control: Control,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    clients: Mutex<Vec<Client>>,
    /// Somebody has come.
    came: Notify,
}

/// Somebody who looks.
#[derive(Debug)]
struct Client {
    outbox: mpsc::Sender<Event>,
    line: Line,
    /// Whether he was told all; then he is told what changes.
    knows: bool,
    /// The last moment of which he was told what went on.
    told_ms: Option<u64>,
}

/// What the supervisor has last said.
#[derive(Debug, Default)]
enum Seen {
    #[default]
    Nothing,
    State(Box<Overview>),
    /// It does not answer.
    Lost,
}

/// What is told where the supervisor does not answer.
#[derive(Serialize)]
struct Lost {
    why: &'static str,
}

const LOST: Lost = Lost {
    why: "the supervisor does not answer",
};

impl Hub {
    pub(crate) fn new(control: Control) -> Self {
        Self {
            control,
            shared: Arc::default(),
        }
    }

    /// What is told to somebody who begins to look through `line`. Dropped, he does not look any more.
    pub(crate) fn look(&self, line: Line) -> mpsc::Receiver<Event> {
        let (outbox, events) = mpsc::channel(MOST_WAITING);
        let client = Client {
            outbox,
            line,
            knows: false,
            told_ms: None,
        };
        self.with_clients(|clients| clients.push(client));
        self.shared.came.notify_one();
        events
    }

    /// Asks and tells for ever.
    pub(crate) async fn watch(&self) {
        let (mut seen, mut asked_at) = (Seen::Nothing, None);
        loop {
            self.with_clients(|clients| clients.retain(|client| !client.outbox.is_closed()));
            if self.with_clients(|clients| clients.is_empty()) {
                (seen, asked_at) = (Seen::Nothing, None);
                self.shared.came.notified().await;
            }
            let now = self.control.overview().await;
            seen = self.tell(&seen, now);
            let are_new =
                self.with_clients(|clients| clients.iter().any(|it| it.told_ms.is_none()));
            if are_new || asked_at.is_none_or(|at: Instant| at.elapsed() >= NUMBERS_EVERY) {
                asked_at = Some(Instant::now());
                self.tell_numbers().await;
            }
            tokio::select! {
                () = self.shared.came.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Tells everybody what he does not know yet; returns what was seen.
    fn tell(&self, before: &Seen, now: Result<Overview, Refusal>) -> Seen {
        let (all, change, seen) = match now {
            Ok(state) => {
                let all = event("state", &state);
                let change = match before {
                    Seen::State(before) => Difference::between(before, &state)
                        .map(|difference| event("change", &difference)),
                    // Who was told that it does not answer is told all.
                    Seen::Lost | Seen::Nothing => Some(all.clone()),
                };
                (all, change, Seen::State(Box::new(state)))
            }
            Err(_) => {
                let lost = event("lost", &LOST);
                let change = match before {
                    Seen::Lost => None,
                    Seen::State(_) | Seen::Nothing => Some(lost.clone()),
                };
                (lost, change, Seen::Lost)
            }
        };
        self.with_clients(|clients| {
            clients.retain_mut(|client| {
                let event = match client.knows {
                    true => change.clone(),
                    false => Some(all.clone()),
                };
                client.knows = true;
                event.is_none_or(|event| client.take(event))
            });
        });
        seen
    }

    /// Tells everybody what goes on who was not told of this moment yet. Where the supervisor does not say it, nobody is.
    async fn tell_numbers(&self) {
        let Ok(moment) = self.control.now().await else {
            return;
        };
        let at_ms = Some(moment.at_ms);
        // Who has come meanwhile is told all before this.
        let is_due = |client: &Client| client.knows && client.told_ms != at_ms;
        if !self.with_clients(|clients| clients.iter().any(is_due)) {
            return;
        }
        let event = event("now", &Now::from(moment));
        self.with_clients(|clients| {
            clients.retain_mut(|client| {
                if !is_due(client) {
                    return true;
                }
                client.told_ms = at_ms;
                client.take(event.clone())
            });
        });
    }

    fn with_clients<T>(&self, act: impl FnOnce(&mut Vec<Client>) -> T) -> T {
        // Nobody leaves the list half changed.
        let clients = self.shared.clients.lock();
        act(&mut clients.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Client {
    /// Gives him an event; returns whether he goes on looking.
    fn take(&self, event: Event) -> bool {
        match self.outbox.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.line.hang_up();
                false
            }
        }
    }
}

/// An event called `name`, with `data` as JSON.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Event {
    // Names, texts and numbers always become JSON, which has no line breaks.
    let json = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(json)
}
