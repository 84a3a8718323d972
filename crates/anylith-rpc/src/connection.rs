//! A connection to a serving replica, shared by all callers of this process.
//!
//! Callers and the [`Driver`] meet in [`State`], behind a lock that is never held across an await, and for no longer
//! than it takes to decode what one read brought. A caller encodes its request into the shared outbox and wakes the driver;
//! the driver writes everything that is pending at once, reads, and wakes the callers whose answers came.

mod driver;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use anylith_core::{Execution, Name, Refusal};
use anylith_wire::{
    CallId, CallingEnd, CallingEvent, Failure, NewCall, Readiness, ServedComponent,
};
use bytes::Bytes;
use slab::Slab;
use tokio::sync::Notify;

use crate::{
    balancer::{Health, Outcome},
    defect,
    network::Shared,
};

pub(crate) use driver::{Driver, OpenError, open};

/// The first byte of an answer that is an error of the implementation's own: answers are `Result`s in postcard.
const ERROR: u8 = 1;

/// An open connection to a replica.
#[derive(Debug)]
pub(crate) struct Connection {
    state: Mutex<State>,
    peer: Name,
    components: Vec<ServedComponent>,
    /// How the peer does with each of them.
    healths: Vec<Arc<Health>>,
    /// Whose callers look for another way when the peer takes other calls than before.
    network: Weak<Shared>,
    /// Calls in flight, for the driver, which does not want the lock.
    in_flight: AtomicUsize,
    /// How many calls were lost when it broke.
    lost: AtomicU32,
    /// The peer was given up, since it read or said nothing for too long.
    silent: AtomicBool,
    /// Whether it takes new calls.
    open: AtomicBool,
    /// When it took the last.
    closed: OnceLock<Instant>,
    /// Rung when the peer goes away.
    farewell: Notify,
}

#[derive(Debug)]
struct State {
    end: CallingEnd,
    /// Call → its mailbox. A number of a call may be used again before its last owner has looked into
    /// the mailbox, so mailboxes have keys of their own.
    mailbox_of: Vec<usize>,
    mailboxes: Slab<Mailbox>,
    driver: Option<Waker>,
    /// The driver was woken and has not yet looked.
    asked: bool,
    /// Close once no calls are in flight.
    retired: bool,
    /// When the peer last said what it takes calls for; at first, when it greeted.
    offered: Instant,
}

/// What arrived for one call and was not looked at yet.
#[derive(Debug)]
struct Mailbox {
    call: CallId,
    /// The index of the component that is called.
    component: u16,
    begun: Instant,
    /// It goes by a key.
    keyed: bool,
    waker: Option<Waker>,
    stream: bool,
    /// Bounded by the credit of the call.
    items: VecDeque<Bytes>,
    over: Option<Over>,
}

#[derive(Debug)]
enum Over {
    Message(Bytes),
    End,
    Failed(Failure),
}

impl Mailbox {
    /// Notes what came back of the replica that was called.
    fn note(&self, outcome: Outcome, healths: &[Arc<Health>], now: Instant) {
        let health = &healths[usize::from(self.component)];
        if self.keyed {
            health.note_of_key(outcome, now);
        } else {
            health.note(outcome, now.saturating_duration_since(self.begun), now);
        }
    }
}

impl Over {
    /// What it says of the peer, if anything; `stream`: its answer was a stream that had begun.
    fn outcome(&self, stream: bool) -> Option<Outcome> {
        match self {
            Self::Message(message) if message.first() == Some(&ERROR) => Some(Outcome::Erred),
            Self::Message(_) => Some(Outcome::Answered),
            Self::End if stream => None,
            Self::End => Some(Outcome::Answered),
            Self::Failed(failure) => match failure {
                Failure::NotExecuted(Refusal::Overloaded(_)) => Some(Outcome::Refused),
                Failure::NotExecuted(Refusal::Moved { .. }) => Some(Outcome::Away),
                // The connection broke: that counts once, and not for each of its calls.
                Failure::NotExecuted(Refusal::NotSent) | Failure::Unknown(_) => None,
                Failure::NotExecuted(_) | Failure::Executed(_) => Some(Outcome::Erred),
                // A stream that was open for long says nothing of how long an answer takes.
                Failure::DeadlineExceeded(Execution::Unknown) if !stream => Some(Outcome::Late),
                Failure::DeadlineExceeded(_) | Failure::Cancelled => None,
                Failure::Panicked(_) | Failure::Denied | Failure::Incompatible(_) => {
                    Some(Outcome::Failed)
                }
            },
        }
    }
}

/// What a call in progress has to say.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The one answer; the call is over.
    Message(Bytes),
    /// The answer is a stream.
    Stream,
    /// An item of it.
    Item(Bytes),
    /// Its end; the call is over.
    End,
    /// The call is over without an answer.
    Failed(Failure),
}

impl Connection {
    fn new(peer: Name, end: CallingEnd, healths: Vec<Arc<Health>>, network: Weak<Shared>) -> Self {
        let components = end.components().to_vec();
        let state = State {
            end,
            mailbox_of: Vec::new(),
            mailboxes: Slab::new(),
            driver: None,
            asked: false,
            retired: false,
            offered: Instant::now(),
        };
        Self {
            state: Mutex::new(state),
            peer,
            components,
            healths,
            network,
            in_flight: AtomicUsize::new(0),
            lost: AtomicU32::new(0),
            silent: AtomicBool::new(false),
            open: AtomicBool::new(true),
            closed: OnceLock::new(),
            farewell: Notify::new(),
        }
    }

    /// The peer's own name for itself.
    pub(crate) fn peer(&self) -> &Name {
        &self.peer
    }

    /// What the peer serves.
    pub(crate) fn components(&self) -> &[ServedComponent] {
        &self.components
    }

    /// Whether the peer takes calls for its component at `index`, and when it said so.
    pub(crate) fn offers(&self, index: u16) -> (Readiness, Instant) {
        let state = self.lock();
        (state.end.offers(index), state.offered)
    }

    /// Whether it takes new calls.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// Since when it takes none, if it takes none.
    pub(crate) fn closed(&self) -> Option<Instant> {
        self.closed.get().copied()
    }

    /// Takes no new calls from now on.
    fn shut(&self) {
        self.closed.get_or_init(Instant::now);
        self.open.store(false, Relaxed);
    }

    /// How the peer does with the component at `index`, which it serves.
    pub(crate) fn health(&self, index: u16) -> &Health {
        &self.healths[usize::from(index)]
    }

    /// How many calls were lost when it broke; 0 if it did not.
    pub(crate) fn lost(&self) -> u32 {
        self.lost.load(Relaxed)
    }

    /// Whether the peer was given up, since it read or said nothing for too long.
    pub(crate) fn fell_silent(&self) -> bool {
        self.silent.load(Relaxed)
    }

    /// Waits until the peer goes away: it answers the calls in flight, and takes no others over this connection.
    pub(crate) async fn gone_away(&self) {
        self.farewell.notified().await;
    }

    /// Closes it once no calls are in flight.
    pub(crate) fn retire(&self) {
        self.shut();
        let mut state = self.lock();
        state.retired = true;
        state.end.hurry();
        state.ask();
    }

    /// Begins a call, which goes by a key or does not; see [`CallingEnd::begin`].
    pub(crate) fn begin(
        self: &Arc<Self>,
        call: &NewCall<'_>,
        arguments: &mut Vec<u8>,
        keyed: bool,
        now: Instant,
    ) -> Result<Call, Failure> {
        let health = self.health(call.component);
        let mut state = self.lock();
        let id = match state.end.begin(call, arguments, now) {
            Ok(id) => id,
            Err(failure) => {
                // As many as fit are on their way: that counts as a refusal of the peer's own.
                if matches!(failure, Failure::NotExecuted(Refusal::Overloaded(_))) {
                    health.note(Outcome::Refused, Duration::ZERO, now);
                }
                return Err(failure);
            }
        };
        let mailbox = state.mailboxes.insert(Mailbox {
            call: id,
            component: call.component,
            begun: now,
            keyed,
            waker: None,
            stream: false,
            items: VecDeque::new(),
            over: None,
        });
        let index = id as usize;
        if state.mailbox_of.len() <= index {
            state.mailbox_of.resize(index + 1, 0);
        }
        state.mailbox_of[index] = mailbox;
        self.in_flight.store(state.end.in_flight(), Relaxed);
        state.ask();
        drop(state);
        health.begin();
        Ok(Call {
            connection: self.clone(),
            component: call.component,
            mailbox,
            over: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be a bug of the machine; calls fail by their deadlines then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sees to it that the driver sends what is in the outbox.
    fn ask(&mut self) {
        if !self.asked {
            self.asked = true;
            if let Some(driver) = &self.driver {
                driver.wake_by_ref();
            }
        }
    }

    fn mailbox(&mut self, call: CallId) -> Option<&mut Mailbox> {
        let key = *self.mailbox_of.get(call as usize)?;
        self.mailboxes
            .get_mut(key)
            .filter(|mailbox| mailbox.call == call)
    }

    /// Puts what an event says into its mailbox, and notes what it says of the peer. Returns the waker of the
    /// call's owner.
    fn deliver(
        &mut self,
        event: CallingEvent,
        healths: &[Arc<Health>],
        now: Instant,
    ) -> Option<Waker> {
        let (call, over) = match event {
            CallingEvent::Ready | CallingEvent::GoingAway | CallingEvent::Offered => return None,
            CallingEvent::Answered { call, message } => {
                (call, Some(Over::Message(defect::delivered(message))))
            }
            CallingEvent::Failed { call, failure } => {
                (call, Some(Over::Failed(defect::told(failure))))
            }
            CallingEvent::Ended { call } => (call, Some(Over::End)),
            CallingEvent::Begun { call } => {
                let mailbox = self.mailbox(call)?;
                if !std::mem::replace(&mut mailbox.stream, true) {
                    mailbox.note(Outcome::Answered, healths, now);
                }
                (call, None)
            }
            CallingEvent::Item { call, item } => {
                let mailbox = self.mailbox(call)?;
                mailbox.stream = true;
                mailbox.items.push_back(item);
                (call, None)
            }
            CallingEvent::Writable { call } => (call, None),
        };
        let mailbox = self.mailbox(call)?;
        if let Some(over) = over {
            if let Some(outcome) = over.outcome(mailbox.stream) {
                mailbox.note(outcome, healths, now);
            }
            mailbox.over = Some(over);
        }
        mailbox.waker.take()
    }
}

/// A call in progress. Dropping it takes the call back.
#[derive(Debug)]
pub(crate) struct Call {
    connection: Arc<Connection>,
    component: u16,
    mailbox: usize,
    /// The callee was told, or told us, that the call has ended.
    over: bool,
}

impl Call {
    /// The next thing that happens.
    pub(crate) fn poll_progress(&mut self, cx: &mut Context<'_>, told: bool) -> Poll<Progress> {
        let mut state = self.connection.lock();
        let state = &mut *state;
        let mailbox = &mut state.mailboxes[self.mailbox];
        if mailbox.stream && !told {
            return Poll::Ready(Progress::Stream);
        }
        if let Some(item) = mailbox.items.pop_front() {
            if mailbox.over.is_none() {
                let call = mailbox.call;
                state.end.taken(call, item.len());
                if state.end.has_output() {
                    state.ask();
                }
            }
            return Poll::Ready(Progress::Item(item));
        }
        match mailbox.over.take() {
            Some(over) => {
                self.over = true;
                Poll::Ready(match over {
                    Over::Message(message) => Progress::Message(message),
                    Over::End => Progress::End,
                    Over::Failed(failure) => Progress::Failed(failure),
                })
            }
            None => {
                match &mut mailbox.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Whether an item may be sent; if not, the task of the last [`Call::poll_progress`] is woken when it may.
    pub(crate) fn may_send(&self) -> bool {
        let state = self.connection.lock();
        let mailbox = &state.mailboxes[self.mailbox];
        mailbox.over.is_none() && state.end.may_send(mailbox.call)
    }

    /// Sends an item; see [`CallingEnd::send_item`].
    pub(crate) fn send_item(&self, item: Bytes) -> Result<(), Failure> {
        let mut state = self.connection.lock();
        let mailbox = &state.mailboxes[self.mailbox];
        if mailbox.over.is_none() {
            let call = mailbox.call;
            state.end.send_item(call, item)?;
            state.ask();
        }
        Ok(())
    }

    /// Says that no further item follows.
    pub(crate) fn end_items(&self) {
        let mut state = self.connection.lock();
        let mailbox = &state.mailboxes[self.mailbox];
        if mailbox.over.is_none() {
            let call = mailbox.call;
            state.end.end_items(call);
            state.ask();
        }
    }
}

impl Call {
    /// Whether its end was seen.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes the call back, if it is not over. Returns what the callee may have done.
    pub(crate) fn cancel(&mut self) -> Execution {
        let mut state = self.connection.lock();
        let mailbox = &state.mailboxes[self.mailbox];
        let call = mailbox.call;
        if std::mem::replace(&mut self.over, true) || mailbox.over.is_some() {
            return Execution::Unknown;
        }
        let waited = (!mailbox.stream && !mailbox.keyed).then(|| mailbox.begun.elapsed());
        let execution = state.end.cancel(call);
        self.connection
            .in_flight
            .store(state.end.in_flight(), Relaxed);
        state.ask();
        drop(state);
        if let Some(waited) = waited {
            self.connection.health(self.component).given_up(waited);
        }
        execution
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.over {
            self.cancel();
        }
        self.connection.lock().mailboxes.remove(self.mailbox);
        self.connection.health(self.component).end();
    }
}
