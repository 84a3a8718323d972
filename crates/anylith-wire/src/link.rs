//! What the calling and the serving end of a connection have in common: the greeting, what goes in and
//! out, and whether the peer is alive.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::{
    frame::{CallId, Header, Kind, ProtocolError},
    hello::Hello,
    inbox::{Frame, Inbox},
    outbox::{Batch, Outbox},
};

/// After this long without a byte from the peer, while calls are in flight, it is asked for a sign of life.
///
/// Together with [`PATIENCE`] it is well below the ten seconds that a call has where nothing else is said, so that
/// an idempotent call to a peer that hangs is sent to another replica while there is time for the answer. It is
/// not less, since a machine that swaps or a container without CPU can keep a process from running for a second
/// or two, and giving up costs every call on the connection.
pub const QUIET: Duration = Duration::from_secs(2);
/// A peer that was asked and is silent for this long is given up.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// The same for a connection without calls. A calling end asks first, and a serving end, which hears of that, only if
/// nobody does: so each end of a connection of which the other host is gone finds out in seconds.
pub const IDLE: Duration = Duration::from_secs(5);
pub(crate) const IDLE_SERVING: Duration = Duration::from_secs(15);
/// A peer that is to be left anyhow is asked after so long, and given up after so long again.
pub const HURRY: Duration = Duration::from_secs(1);
/// A peer that takes nothing of what it is sent for this long is given up, whatever it says meanwhile: what waits for it
/// takes memory, and the time of those who wait for an answer.
pub const STALLED: Duration = Duration::from_secs(30);
/// A peer that has not finished its greeting after this long is given up. No call waits on such a connection, and
/// a replica that has only just started may be slow.
const GREETING: Duration = Duration::from_secs(5);

/// `extra` of a [`Kind::GoAway`]: no new calls.
pub(crate) const DRAINING: u16 = 0;
/// `extra` of a [`Kind::GoAway`]: the connection is given up.
pub(crate) const GIVEN_UP: u16 = 1;
/// The longest reason for giving up that is sent, in bytes.
const MAX_REASON_BYTES: usize = 512;

/// One end of a connection, whichever.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) ours: Hello,
    /// The peer's greeting; `None` until it came.
    pub(crate) peer: Option<Hello>,
    /// How long the peer's greeting is, in bytes, as far as it came.
    greeting: usize,
    /// How long it may be.
    longest_greeting: usize,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    heard: Instant,
    pinged: Option<Instant>,
    /// How long it may be quiet while there are no calls.
    idle: Duration,
    /// It is to be left, so it is asked sooner, and has less time to answer.
    hurried: bool,
    /// The last ping that was not answered yet. Only the last, so that pings cannot pile up answers.
    owed: Option<[u8; 8]>,
    /// How many bytes of the outbox the driver wrote.
    pub(crate) written: u64,
    /// Since when the transport has taken nothing, although there is something for it.
    stalled: Option<Instant>,
}

impl Link {
    /// An end that greets with `ours`, and takes a greeting of at most `longest_greeting` bytes. It asks for a sign of
    /// life after so long without calls.
    pub(crate) fn new(ours: Hello, longest_greeting: usize, idle: Duration, now: Instant) -> Self {
        let inbox = Inbox::new(ours.message_bytes);
        let outbox = Outbox::default();
        Self {
            ours,
            peer: None,
            greeting: 0,
            longest_greeting,
            inbox,
            outbox,
            heard: now,
            pinged: None,
            idle,
            hurried: false,
            owed: None,
            written: 0,
            stalled: None,
        }
    }

    /// The longest message that may be sent, in bytes.
    pub(crate) fn message_limit(&self) -> usize {
        let theirs = self
            .peer
            .as_ref()
            .map_or(u32::MAX, |peer| peer.message_bytes);
        theirs.min(self.ours.message_bytes) as usize
    }

    /// The credit with which a direction that is sent begins, in bytes.
    pub(crate) fn send_window(&self) -> u32 {
        self.peer.as_ref().map_or(0, |peer| peer.window_bytes)
    }

    /// The peer is known to live at `now`.
    pub(crate) fn heard(&mut self, now: Instant) {
        // A greeting that comes byte by byte gets no more time for it.
        if self.peer.is_none() {
            return;
        }
        self.heard = self.heard.max(now);
        self.pinged = None;
    }

    /// Takes the peer's greeting, or nothing while it is not complete.
    pub(crate) fn greeting(
        &mut self,
        bytes: &mut BytesMut,
    ) -> Result<Option<Hello>, ProtocolError> {
        self.greeting = Hello::length(bytes, self.longest_greeting)?;
        Hello::take(bytes)
    }

    /// How long the read buffer must get, in bytes, before there is anything to take from it.
    pub(crate) fn wanted(&self) -> usize {
        match self.peer {
            Some(_) => self.inbox.wanted(),
            None => self.greeting,
        }
    }

    /// The next frame that concerns a call or the connection as a whole. Pings are answered here.
    pub(crate) fn next(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
        while let Some(frame) = self.inbox.next(bytes)? {
            match frame.kind {
                Kind::Ping => {
                    let malformed = ProtocolError::Malformed { kind: frame.kind };
                    self.owed = Some((&frame.body[..]).try_into().map_err(|_| malformed)?);
                }
                Kind::Pong => {}
                Kind::GoAway if frame.extra == GIVEN_UP => {
                    let reason = &frame.body[..frame.body.len().min(MAX_REASON_BYTES)];
                    let reason = String::from_utf8_lossy(reason).into_owned();
                    return Err(ProtocolError::GivenUp(reason));
                }
                _ => return Ok(Some(frame)),
            }
        }
        Ok(None)
    }

    /// The transport took `count` bytes more.
    pub(crate) fn written(&mut self, count: usize) {
        self.written += count as u64;
        if count > 0 {
            self.stalled = None;
        }
    }

    /// The transport takes nothing more at `now`.
    pub(crate) fn held_up(&mut self, now: Instant) {
        self.stalled.get_or_insert(now);
    }

    /// When [`Link::on_timeout`] has something to do, if `busy`: whether there are calls in flight.
    pub(crate) fn next_timeout(&self, busy: bool) -> Instant {
        let sign = self.sign_wanted(busy);
        match self.stalled {
            Some(since) => sign.min(since + STALLED),
            None => sign,
        }
    }

    /// When the peer is to be asked for a sign of life, or to have given one.
    fn sign_wanted(&self, busy: bool) -> Instant {
        match self.pinged {
            _ if self.peer.is_none() => self.heard + GREETING,
            Some(pinged) if self.hurried => pinged + HURRY,
            Some(pinged) => pinged + PATIENCE,
            None if self.hurried && busy => self.heard + HURRY,
            None if busy => self.heard + QUIET,
            None => self.heard + self.idle,
        }
    }

    /// Pings a quiet peer, or gives one up that is silent or takes nothing.
    pub(crate) fn on_timeout(&mut self, busy: bool, now: Instant) -> Result<(), ProtocolError> {
        if let Some(since) = self.stalled.filter(|since| now >= *since + STALLED) {
            let seconds = now.duration_since(since).as_secs();
            return Err(ProtocolError::Stalled { seconds });
        }
        if now < self.sign_wanted(busy) {
            return Ok(());
        }
        if self.pinged.is_some() || self.peer.is_none() {
            let seconds = now.duration_since(self.heard).as_secs();
            return Err(ProtocolError::Silent { seconds });
        }
        self.pinged = Some(now);
        self.outbox.push(Header::new(Kind::Ping, 0, 8), &[&[0; 8]]);
        Ok(())
    }

    /// Asks for a sign of life sooner if there are calls, and gives the peer less time for it.
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// Whether there is anything to send.
    pub(crate) fn has_output(&self) -> bool {
        self.owed.is_some() || !self.outbox.is_empty()
    }

    /// See [`Outbox::fill`].
    pub(crate) fn fill(&mut self, batch: &mut Batch, finished: impl FnMut(CallId, u64)) {
        if let Some(owed) = self.owed.take() {
            self.outbox.push(Header::new(Kind::Pong, 0, 8), &[&owed]);
        }
        self.outbox.fill(batch, finished);
    }

    /// Tells the peer why the connection is given up.
    pub(crate) fn give_up(&mut self, error: &ProtocolError) {
        let mut reason = error.to_string();
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        let header = Header {
            extra: GIVEN_UP,
            ..Header::new(Kind::GoAway, 0, reason.len())
        };
        self.outbox.push(header, &[reason.as_bytes()]);
    }
}
