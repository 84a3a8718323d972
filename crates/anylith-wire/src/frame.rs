//! The frame: 12 bytes of header, then its body.
//!
//! ```text
//!  0        4        8      9      10      12
//! ┌────────┬────────┬──────┬───────┬───────┬─ ─ ─ ─
//! │ length │ call   │ kind │ flags │ extra │ body …
//! └────────┴────────┴──────┴───────┴───────┴─ ─ ─ ─
//! ```
//!
//! Numbers are little-endian. `length` counts the body alone. A message that is too long for one frame
//! is begun by a frame with [`MORE`], whose body starts with the length of the whole, and is continued
//! by frames of the kind [`Kind::Body`]; frames of other calls may come in between.
//! `docs/protocol.md` tells the whole story.

/// The number of a call on its connection; free again once the serving end has ended the call.
pub type CallId = u32;

/// The length of a frame's header, in bytes.
pub const HEADER_BYTES: usize = 12;
/// The length of what begins the body of a request, in bytes: method, length of the context, deadline.
pub const REQUEST_HEAD_BYTES: usize = 12;
/// The longest context, in bytes.
pub const MAX_CONTEXT_BYTES: usize = u16::MAX as usize;
/// The most of a message that one frame carries, in bytes: what has to pass before a small frame can.
pub const CHUNK_BYTES: usize = 128 * 1024;
/// The longest body of a frame, in bytes.
pub const MAX_BODY_BYTES: usize = CHUNK_BYTES + REQUEST_HEAD_BYTES + MAX_CONTEXT_BYTES + 4;
/// The most messages of several frames that may be begun and not finished, in one direction.
pub const MAX_UNFINISHED: usize = 4;
/// The credit that both directions of a call begin with, in bytes.
pub const WINDOW_BYTES: u32 = 256 * 1024;
/// What an item takes of the credit besides its length, so that empty items are bounded, too.
pub const ITEM_OVERHEAD_BYTES: u32 = 64;

/// Flag: the message goes on in [`Kind::Body`] frames.
pub const MORE: u8 = 1;
/// Flag of a request: items follow it.
pub const ITEMS: u8 = 2;

/// What a frame is for. Calling end → serving end: `→`, the other way: `←`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// ↔ To be skipped: a request that was taken back before it left.
    Void = 0,
    /// → Begins a call. `extra` is the component's index.
    Request = 1,
    /// ← The answer; ends the call.
    Response = 2,
    /// ← There will be no (further) answer; ends the call.
    Failure = 3,
    /// ← The call is accepted, and its answer is a stream.
    Begin = 4,
    /// ↔ One item of a stream.
    Item = 5,
    /// ↔ No item follows; from the serving end it ends the call.
    End = 6,
    /// ↔ Items for so many more bytes may be sent.
    Credit = 7,
    /// → The answer is no longer wanted.
    Cancel = 8,
    /// ↔ Asks for a [`Kind::Pong`].
    Ping = 9,
    /// ↔ The peer is alive.
    Pong = 10,
    /// ↔ No new calls here (`extra` 0), or the connection is given up (`extra` 1) for the reason in the body.
    GoAway = 11,
    /// ↔ More of a message that a frame with [`MORE`] began.
    Body = 12,
    /// ← The components that take calls now.
    Offer = 13,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Void,
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Failure,
            4 => Self::Begin,
            5 => Self::Item,
            6 => Self::End,
            7 => Self::Credit,
            8 => Self::Cancel,
            9 => Self::Ping,
            10 => Self::Pong,
            11 => Self::GoAway,
            12 => Self::Body,
            13 => Self::Offer,
            _ => return None,
        })
    }

    /// The flags that a frame of this kind may have.
    fn flags(self) -> u8 {
        match self {
            Self::Void => u8::MAX,
            Self::Request => MORE | ITEMS,
            Self::Response | Self::Item | Self::Body => MORE,
            _ => 0,
        }
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The length of the body, in bytes.
    pub length: u32,
    /// The call that the frame belongs to; 0 where it belongs to none.
    pub call: CallId,
    /// What the frame is for.
    pub kind: Kind,
    /// [`MORE`], [`ITEMS`].
    pub flags: u8,
    /// Depends on the kind.
    pub extra: u16,
}

impl Header {
    /// The header of a frame that only concerns `call`, with a body of `length` bytes.
    pub fn new(kind: Kind, call: CallId, length: usize) -> Self {
        Self {
            length: length as u32,
            call,
            kind,
            flags: 0,
            extra: 0,
        }
    }

    /// The header as bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.call.to_le_bytes());
        bytes[KIND_AT] = self.kind as u8;
        bytes[9] = self.flags;
        bytes[10..12].copy_from_slice(&self.extra.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    ///
    /// An unknown kind or flag, or a length that no frame may have.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, ProtocolError> {
        let [l0, l1, l2, l3, c0, c1, c2, c3, kind, flags, e0, e1] = *bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let call = u32::from_le_bytes([c0, c1, c2, c3]);
        if length as usize > MAX_BODY_BYTES {
            return Err(ProtocolError::FrameTooLong { length });
        }
        let kind = Kind::of(kind).ok_or(ProtocolError::UnknownKind { kind })?;
        if flags & !kind.flags() != 0 {
            return Err(ProtocolError::UnknownFlags { kind, flags });
        }
        Ok(Self {
            length,
            call,
            kind,
            flags,
            extra: u16::from_le_bytes([e0, e1]),
        })
    }
}

/// Where in a header its kind is.
pub(crate) const KIND_AT: usize = 8;

/// What begins the body of a request, before the context and the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead {
    /// The method's index in its component.
    pub method: u16,
    /// The length of the context, in bytes; 0 where there is none.
    pub context: u16,
    /// The time that is left for the call, in microseconds; [`RequestHead::NO_DEADLINE`] for no limit.
    ///
    /// A length of time and not an instant, so that the clocks of two hosts need not agree.
    pub remaining_us: u64,
}

impl RequestHead {
    /// There is no limit.
    pub const NO_DEADLINE: u64 = u64::MAX;

    /// The head as bytes.
    pub fn encode(&self) -> [u8; REQUEST_HEAD_BYTES] {
        let mut bytes = [0; REQUEST_HEAD_BYTES];
        bytes[0..2].copy_from_slice(&self.method.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.context.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.remaining_us.to_le_bytes());
        bytes
    }

    /// Reads the head of a request.
    pub fn decode(bytes: &[u8; REQUEST_HEAD_BYTES]) -> Self {
        let [m0, m1, c0, c1, us @ ..] = *bytes;
        Self {
            method: u16::from_le_bytes([m0, m1]),
            context: u16::from_le_bytes([c0, c1]),
            remaining_us: u64::from_le_bytes(us),
        }
    }
}

/// Why a connection is of no more use: the peer broke the protocol, or is gone without having closed it.
///
/// [`ProtocolError::is_breach`] tells the two apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The first bytes are not those of this protocol.
    #[error("it does not speak Anylith's protocol")]
    Magic,
    /// The peer speaks another version.
    #[error("it speaks version {theirs} of the protocol, and this process version {ours}")]
    Version {
        /// The version of this process.
        ours: u16,
        /// The peer's version.
        theirs: u16,
    },
    /// The greeting cannot be read.
    #[error("its greeting is malformed: {0}")]
    Hello(&'static str),
    /// The greeting claims what the peer's certificate does not.
    #[error("its greeting claims {0} that its certificate does not name")]
    Impostor(&'static str),
    /// A length that no frame may have.
    #[error("a frame of {length} bytes is longer than any may be")]
    FrameTooLong {
        /// The length it claims, in bytes.
        length: u32,
    },
    /// A kind of frame that this version does not have.
    #[error("there is no frame of kind {kind}")]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// A flag that this kind of frame does not have.
    #[error("a {kind:?} frame has no flags {flags:#04x}")]
    UnknownFlags {
        /// The frame's kind.
        kind: Kind,
        /// Its flags.
        flags: u8,
    },
    /// A message that is longer than was agreed.
    #[error("a message of {length} bytes is longer than the {limit} that were agreed")]
    MessageTooLong {
        /// The length it claims, in bytes.
        length: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// More messages were begun than may be unfinished, or a part fits to none.
    #[error("the parts of a message do not fit together")]
    Parts,
    /// A frame whose body is too short, too long, or not what its kind asks for.
    #[error("a {kind:?} frame is malformed")]
    Malformed {
        /// The frame's kind.
        kind: Kind,
    },
    /// A frame that this end or this state of a call does not allow.
    #[error("a {kind:?} frame came out of turn for call {call}")]
    OutOfTurn {
        /// The frame's kind.
        kind: Kind,
        /// The call.
        call: CallId,
    },
    /// An item that there was no credit for.
    #[error("an item came without credit in call {call}")]
    NoCredit {
        /// The call.
        call: CallId,
    },
    /// The peer gave up, because this end broke the protocol or was silent for it.
    #[error("it gave up: {0}")]
    GivenUp(String),
    /// The peer took nothing of what it was sent.
    #[error("it took nothing of what it was sent for {seconds} s")]
    Stalled {
        /// For how long, in seconds.
        seconds: u64,
    },
    /// The peer did not answer a ping.
    #[error("it did not answer for {seconds} s")]
    Silent {
        /// How long it was silent, in seconds.
        seconds: u64,
    },
}

impl ProtocolError {
    /// Whether the peer did what the protocol does not allow. One that hangs, or that the network has cut off, does not.
    pub fn is_breach(&self) -> bool {
        match self {
            Self::GivenUp(_) | Self::Stalled { .. } | Self::Silent { .. } => false,
            Self::Magic
            | Self::Version { .. }
            | Self::Hello(_)
            | Self::Impostor(_)
            | Self::FrameTooLong { .. }
            | Self::UnknownKind { .. }
            | Self::UnknownFlags { .. }
            | Self::MessageTooLong { .. }
            | Self::Parts
            | Self::Malformed { .. }
            | Self::OutOfTurn { .. }
            | Self::NoCredit { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for (kind, flags) in [
            (Kind::Request, MORE | ITEMS),
            (Kind::Item, MORE),
            (Kind::Ping, 0),
        ] {
            let header = Header {
                length: 7,
                call: 0xdead_beef,
                kind,
                flags,
                extra: 513,
            };
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn a_length_is_refused_before_its_bytes_come() {
        let header = Header {
            length: u32::MAX,
            ..Header::new(Kind::Response, 1, 0)
        };
        assert!(matches!(
            Header::decode(&header.encode()),
            Err(ProtocolError::FrameTooLong { length: u32::MAX })
        ));
    }

    #[test]
    fn an_unknown_kind_or_flag_is_refused() {
        let mut bytes = Header::new(Kind::Response, 1, 0).encode();
        bytes[9] = ITEMS;
        assert!(matches!(
            Header::decode(&bytes),
            Err(ProtocolError::UnknownFlags { .. })
        ));
        bytes[KIND_AT] = 200;
        assert_eq!(
            Header::decode(&bytes),
            Err(ProtocolError::UnknownKind { kind: 200 })
        );
    }
}
