//! Cuts what arrives into frames, and joins the frames of long messages.

use bytes::{Buf, Bytes, BytesMut};

use crate::frame::{
    CallId, HEADER_BYTES, Header, Kind, MAX_CONTEXT_BYTES, MAX_UNFINISHED, MORE, ProtocolError,
    REQUEST_HEAD_BYTES,
};

/// Room for the rest of a long message is made in steps, as its bytes really come.
const FIRST_ROOM_BYTES: usize = 512 * 1024;
/// An item up to this length is copied out of the read buffer, so that items which wait for a slow
/// reader do not keep whole buffers alive.
const COPIED_ITEM_BYTES: usize = 4 * 1024;

/// A whole message: one frame, or several joined.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) extra: u16,
    pub(crate) call: CallId,
    pub(crate) body: Bytes,
    /// Of a [`Kind::Cancel`]: the request was not complete, so its call was never begun.
    pub(crate) never_begun: bool,
}

/// Takes frames out of a read buffer.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// The longest message, in bytes.
    limit: usize,
    /// At most [`MAX_UNFINISHED`], or the connection is given up.
    unfinished: Vec<Unfinished>,
    /// How long the read buffer must get before the next frame is complete.
    wanted: usize,
}

#[derive(Debug)]
struct Unfinished {
    header: Header,
    whole: usize,
    body: BytesMut,
}

impl Inbox {
    /// An inbox for messages of at most `limit` bytes.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit: limit as usize,
            unfinished: Vec::new(),
            wanted: 0,
        }
    }

    /// How long the read buffer must get, in bytes, before [`Inbox::next`] has anything to return.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Takes the next whole message from the front of `bytes`.
    pub(crate) fn next(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
        loop {
            let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
                self.wanted = HEADER_BYTES;
                return Ok(None);
            };
            let header = Header::decode(header)?;
            let end = HEADER_BYTES + header.length as usize;
            if bytes.len() < end {
                self.wanted = end;
                return Ok(None);
            }
            match header.kind {
                Kind::Void => bytes.advance(end),
                Kind::Body => {
                    let frame = self.go_on(&header, &bytes[HEADER_BYTES..end])?;
                    bytes.advance(end);
                    if frame.is_some() {
                        return Ok(frame);
                    }
                }
                _ if header.flags & MORE != 0 => {
                    self.begin(header, &bytes[HEADER_BYTES..end])?;
                    bytes.advance(end);
                }
                _ => return self.whole(&header, bytes).map(Some),
            }
        }
    }

    /// A message of one frame.
    fn whole(&mut self, header: &Header, bytes: &mut BytesMut) -> Result<Frame, ProtocolError> {
        let length = header.length as usize;
        self.check(header.kind, length)?;
        let mut never_begun = false;
        if !self.unfinished.is_empty() {
            match header.kind {
                // These end a call, and with it what was begun of its messages.
                Kind::Failure | Kind::Cancel => {
                    self.unfinished.retain(|part| {
                        let ended = part.header.call == header.call;
                        never_begun |= ended && part.header.kind == Kind::Request;
                        !ended
                    });
                }
                Kind::Item | Kind::End | Kind::Request | Kind::Response
                    if self
                        .unfinished
                        .iter()
                        .any(|part| part.header.call == header.call) =>
                {
                    return Err(ProtocolError::Parts);
                }
                _ => {}
            }
        }
        let body = if length == 0 {
            bytes.advance(HEADER_BYTES);
            Bytes::new()
        } else if header.kind == Kind::Item && length <= COPIED_ITEM_BYTES {
            let body = Bytes::copy_from_slice(&bytes[HEADER_BYTES..HEADER_BYTES + length]);
            bytes.advance(HEADER_BYTES + length);
            body
        } else {
            let mut frame = bytes.split_to(HEADER_BYTES + length);
            frame.advance(HEADER_BYTES);
            frame.freeze()
        };
        Ok(Frame {
            never_begun,
            ..Frame::new(header, body)
        })
    }

    /// The first frame of a message of several.
    fn begin(&mut self, header: Header, body: &[u8]) -> Result<(), ProtocolError> {
        let Some((whole, body)) = body.split_first_chunk::<4>() else {
            return Err(ProtocolError::Malformed { kind: header.kind });
        };
        let whole = u32::from_le_bytes(*whole) as usize;
        self.check(header.kind, whole)?;
        let doubled = self
            .unfinished
            .iter()
            .any(|part| part.header.call == header.call);
        if doubled || self.unfinished.len() == MAX_UNFINISHED || body.len() >= whole {
            return Err(ProtocolError::Parts);
        }
        let mut room = BytesMut::with_capacity(whole.min(FIRST_ROOM_BYTES));
        room.extend_from_slice(body);
        self.unfinished.push(Unfinished {
            header,
            whole,
            body: room,
        });
        Ok(())
    }

    /// A further frame of a message of several; returns the message if it was the last.
    fn go_on(&mut self, header: &Header, body: &[u8]) -> Result<Option<Frame>, ProtocolError> {
        let of_call = |part: &Unfinished| part.header.call == header.call;
        let at = self
            .unfinished
            .iter()
            .position(of_call)
            .ok_or(ProtocolError::Parts)?;
        let part = &mut self.unfinished[at];
        let more = header.flags & MORE != 0;
        let length = part.body.len() + body.len();
        // The lengths have to add up: the last frame is the one that completes the message.
        if more != (length < part.whole) || length > part.whole || body.is_empty() {
            return Err(ProtocolError::Parts);
        }
        if part.body.capacity() < length {
            part.body
                .reserve((part.whole - part.body.len()).min(length.max(FIRST_ROOM_BYTES)));
        }
        part.body.extend_from_slice(body);
        if more {
            return Ok(None);
        }
        let done = self.unfinished.swap_remove(at);
        Ok(Some(Frame::new(&done.header, done.body.freeze())))
    }

    fn check(&self, kind: Kind, length: usize) -> Result<(), ProtocolError> {
        let limit = match kind {
            Kind::Request => self.limit + REQUEST_HEAD_BYTES + MAX_CONTEXT_BYTES,
            Kind::Response | Kind::Item => self.limit,
            _ => return Ok(()),
        };
        if length > limit {
            let (length, limit) = (length as u64, self.limit as u64);
            return Err(ProtocolError::MessageTooLong { length, limit });
        }
        Ok(())
    }
}

impl Frame {
    fn new(header: &Header, body: Bytes) -> Self {
        let Header {
            kind,
            flags,
            extra,
            call,
            ..
        } = *header;
        Self {
            kind,
            flags: flags & !MORE,
            extra,
            call,
            body,
            never_begun: false,
        }
    }

    /// The body as a number of 32 bits.
    pub(crate) fn number(&self) -> Result<u32, ProtocolError> {
        let body: [u8; 4] = (&self.body[..])
            .try_into()
            .map_err(|_| ProtocolError::Malformed { kind: self.kind })?;
        Ok(u32::from_le_bytes(body))
    }
}
