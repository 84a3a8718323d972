//! What an end of a connection has still to send, and in which order.
//!
//! Small frames are encoded one behind the other into one buffer, so that everything that is pending
//! leaves in one write. Large messages wait beside it, uncopied; each [`Batch`] takes all small frames and
//! then a chunk of each large message in turn, so a small call, a cancel or a ping never waits for more
//! than one batch.

use std::{collections::VecDeque, io::IoSlice};

use bytes::Bytes;

use crate::frame::{
    CHUNK_BYTES, CallId, HEADER_BYTES, Header, KIND_AT, Kind, MAX_UNFINISHED, MORE,
};

/// From this length on, in bytes, a message is not copied, but written from where it lies.
pub(crate) const LARGE_BYTES: usize = 16 * 1024;
/// A batch with this many bytes takes no further chunk.
const BATCH_BYTES: usize = 256 * 1024;
/// A batch with this many chunks takes no further one.
const BATCH_CHUNKS: usize = 16;
/// The most pieces that one write is asked to take; each chunk has its header before it.
pub const BATCH_SLICES: usize = 2 * BATCH_CHUNKS + 1;
/// With more small frames than this waiting, in bytes, an outbox is congested.
const CONGESTED_BYTES: usize = 4 * 1024 * 1024;
/// The same for large messages, which are not copied but kept.
const CONGESTED_LARGE_BYTES: usize = 64 * 1024 * 1024;
/// With more of either than this waiting, in bytes, an outbox is full, and no call begins.
const FULL_BYTES: usize = 64 * 1024 * 1024;
/// A buffer that grew beyond this is given back to the allocator instead of used again.
const KEPT_BYTES: usize = 256 * 1024;

/// The frames that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    small: Vec<u8>,
    /// How many bytes were handed to batches before those of `small`.
    base: u64,
    /// Bounded by the calls in flight and their credit: a call has one large message here at most.
    large: VecDeque<Large>,
    /// How many bytes of theirs wait.
    large_bytes: usize,
    /// Large messages of which one chunk is in a batch, but not the last.
    unfinished: usize,
    /// It was congested since [`Outbox::relieved`] said last that it is no more.
    congested: bool,
}

/// A message that is not copied.
#[derive(Debug)]
struct Large {
    header: Header,
    /// What goes before the body, in the first frame.
    head: Vec<u8>,
    body: Bytes,
    sent: usize,
    begun: bool,
    /// Whole frames of the same call that must not pass it.
    then: Vec<u8>,
}

/// Where in the stream of bytes a frame lies, counted from the first byte of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// How much of a large message was still to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    All,
    Part,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    /// Whether so much waits that nothing new is to be begun. What was begun can still be told what concerns it.
    pub(crate) fn is_full(&self) -> bool {
        self.small.len() > FULL_BYTES || self.large_bytes > FULL_BYTES
    }

    /// Whether so much waits that the peer has to read before more is made for it.
    pub(crate) fn is_congested(&self) -> bool {
        self.small.len() > CONGESTED_BYTES || self.large_bytes > CONGESTED_LARGE_BYTES
    }

    /// Whether it was congested and is no more; says so once.
    pub(crate) fn relieved(&mut self) -> bool {
        let relieved = self.congested && !self.is_congested();
        self.congested &= !relieved;
        relieved
    }

    /// Adds bytes that are no frame: the greeting.
    pub(crate) fn push_raw(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    /// Adds a frame that is copied. Its `length` is that of the parts.
    pub(crate) fn push(&mut self, header: Header, parts: &[&[u8]]) -> Span {
        let start = self.base + self.small.len() as u64;
        self.small.extend_from_slice(&header.encode());
        for part in parts {
            self.small.extend_from_slice(part);
        }
        self.congested |= self.is_congested();
        Span {
            start,
            end: self.base + self.small.len() as u64,
        }
    }

    /// Adds a message that is not copied.
    pub(crate) fn push_large(&mut self, header: Header, head: Vec<u8>, body: Bytes) {
        let then = Vec::new();
        self.large_bytes += body.len();
        self.large.push_back(Large {
            header,
            head,
            body,
            sent: 0,
            begun: false,
            then,
        });
        self.congested |= self.is_congested();
    }

    /// Adds a frame behind the large message of its call, if there is one.
    pub(crate) fn push_behind(&mut self, header: Header, body: &[u8]) {
        match self
            .large
            .iter_mut()
            .find(|large| large.header.call == header.call)
        {
            Some(large) => {
                large.then.extend_from_slice(&header.encode());
                large.then.extend_from_slice(body);
            }
            None => {
                self.push(header, &[body]);
            }
        }
    }

    /// Drops what is left of the large message of `call`, and returns how much that was.
    ///
    /// Where a part has left, the frame that ends the call has to follow: it ends the message, too.
    pub(crate) fn drop_large(&mut self, call: CallId) -> Option<Unsent> {
        let at = self
            .large
            .iter()
            .position(|large| large.header.call == call)?;
        let large = self.large.remove(at)?;
        self.large_bytes -= large.body.len() - large.sent;
        if !large.begun {
            return Some(Unsent::All);
        }
        self.unfinished -= 1;
        Some(Unsent::Part)
    }

    /// Makes the frame at `span` void. Returns false if it has left already.
    pub(crate) fn void(&mut self, span: Span) -> bool {
        let Some(start) = span.start.checked_sub(self.base) else {
            return false;
        };
        match self.small.get_mut(start as usize + KIND_AT) {
            Some(kind) => {
                *kind = Kind::Void as u8;
                true
            }
            None => false,
        }
    }

    /// Moves what may leave now into `batch`, which must be empty. For each large message whose last byte
    /// is in it, calls `finished` with its call and the position of its end.
    pub(crate) fn fill(&mut self, batch: &mut Batch, mut finished: impl FnMut(CallId, u64)) {
        batch.clear();
        std::mem::swap(&mut batch.bytes, &mut self.small);
        let mut total = batch.bytes.len();
        while total < BATCH_BYTES && batch.chunks.len() < BATCH_CHUNKS {
            let may_begin = self.unfinished < MAX_UNFINISHED;
            let next = |large: &Large| large.begun || may_begin || large.body.len() <= CHUNK_BYTES;
            let Some(at) = self.large.iter().position(next) else {
                break;
            };
            let Some(mut large) = self.large.remove(at) else {
                break;
            };
            let was_begun = large.begun;
            let sent = large.sent;
            total += large.take_chunk(batch);
            self.large_bytes -= large.sent - sent;
            if large.sent < large.body.len() {
                self.unfinished += usize::from(!was_begun);
                self.large.push_back(large);
            } else {
                self.unfinished -= usize::from(was_begun);
                finished(large.header.call, self.base + total as u64);
                batch.bytes.extend_from_slice(&large.then);
                total += large.then.len();
            }
        }
        self.base += total as u64;
        batch.left = total;
    }
}

impl Large {
    /// Moves the next chunk into `batch`; returns how many bytes that is.
    fn take_chunk(&mut self, batch: &mut Batch) -> usize {
        let chunk = self
            .body
            .slice(self.sent..self.body.len().min(self.sent + CHUNK_BYTES));
        self.sent += chunk.len();
        let more = self.sent < self.body.len();
        let before = batch.bytes.len();
        let mut header = self.header;
        let mut head = std::mem::take(&mut self.head);
        if self.begun {
            header = Header::new(Kind::Body, header.call, 0);
        } else if more {
            // The whole length goes first, so that the receiver can refuse it at once.
            let whole = (head.len() + self.body.len()) as u32;
            head.splice(0..0, whole.to_le_bytes());
        }
        self.begun = true;
        header.flags |= if more { MORE } else { 0 };
        header.length = (head.len() + chunk.len()) as u32;
        batch.bytes.extend_from_slice(&header.encode());
        batch.bytes.extend_from_slice(&head);
        let copied = batch.bytes.len() - before;
        debug_assert_eq!(copied, HEADER_BYTES + head.len());
        let size = copied + chunk.len();
        batch.chunks.push((batch.bytes.len(), chunk));
        size
    }
}

/// Bytes on their way into a socket: filled by an end of a connection, emptied by writes.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Chunks, each with the position in `bytes` before which it goes.
    chunks: Vec<(usize, Bytes)>,
    written: usize,
    left: usize,
}

impl Batch {
    /// Whether everything was written.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// How many bytes are not written yet.
    pub fn len(&self) -> usize {
        self.left
    }

    /// The pieces that are not written yet, in order, as a vectored write wants them.
    ///
    /// Returns how many of `slices` were set.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; BATCH_SLICES]) -> usize {
        let mut skip = self.written;
        let mut count = 0;
        let mut add = |piece: &'a [u8]| {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            if skipped < piece.len() {
                slices[count] = IoSlice::new(&piece[skipped..]);
                count += 1;
            }
        };
        let mut at = 0;
        for (end, chunk) in &self.chunks {
            add(&self.bytes[at..*end]);
            add(chunk);
            at = *end;
        }
        add(&self.bytes[at..]);
        count
    }

    /// Notes that the next `count` bytes were written.
    pub fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.left);
        self.written += count;
        self.left -= count;
    }

    fn clear(&mut self) {
        debug_assert!(self.is_empty());
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        self.chunks.clear();
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(batch: &mut Batch) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); BATCH_SLICES];
        let count = batch.slices(&mut slices);
        let bytes: Vec<u8> = slices[..count]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect();
        assert_eq!(bytes.len(), batch.len());
        batch.advance(bytes.len());
        bytes
    }

    fn large(outbox: &mut Outbox, call: CallId, length: usize) {
        let body = Bytes::from(vec![call as u8; length]);
        outbox.push_large(Header::new(Kind::Response, call, 0), Vec::new(), body);
    }

    #[test]
    fn a_small_frame_passes_a_large_message() {
        let (mut outbox, mut batch) = (Outbox::default(), Batch::default());
        large(&mut outbox, 1, 10 * BATCH_BYTES);
        outbox.fill(&mut batch, |_, _| panic!("it is not finished"));
        assert!(written(&mut batch).len() <= 2 * BATCH_BYTES);
        outbox.push(Header::new(Kind::Cancel, 7, 0), &[]);
        outbox.fill(&mut batch, |_, _| panic!("it is not finished"));
        assert!(written(&mut batch).starts_with(&Header::new(Kind::Cancel, 7, 0).encode()));
    }

    #[test]
    fn only_so_many_large_messages_are_unfinished_at_a_time() {
        let (mut outbox, mut batch) = (Outbox::default(), Batch::default());
        for call in 0..10 {
            large(&mut outbox, call, 20 * CHUNK_BYTES);
        }
        assert_eq!(outbox.large_bytes, 200 * CHUNK_BYTES);
        outbox.drop_large(3);
        let mut finished = Vec::new();
        while !outbox.is_empty() {
            outbox.fill(&mut batch, |call, _| finished.push(call));
            written(&mut batch);
            assert!(outbox.unfinished <= MAX_UNFINISHED);
        }
        finished.sort_unstable();
        assert_eq!(finished, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
        assert_eq!(outbox.large_bytes, 0);
    }

    #[test]
    fn a_frame_can_be_voided_until_it_leaves() {
        let (mut outbox, mut batch) = (Outbox::default(), Batch::default());
        let first = outbox.push(Header::new(Kind::Ping, 0, 8), &[&[0; 8]]);
        outbox.fill(&mut batch, |_, _| {});
        let second = outbox.push(Header::new(Kind::Ping, 0, 8), &[&[0; 8]]);
        assert!(!outbox.void(first));
        assert!(outbox.void(second));
        written(&mut batch);
        outbox.fill(&mut batch, |_, _| {});
        assert_eq!(written(&mut batch)[KIND_AT], Kind::Void as u8);
    }

    #[test]
    fn a_batch_can_be_written_byte_by_byte() {
        let (mut outbox, mut batch) = (Outbox::default(), Batch::default());
        outbox.push(Header::new(Kind::Ping, 0, 3), &[b"abc"]);
        large(&mut outbox, 1, LARGE_BYTES);
        large(&mut outbox, 2, LARGE_BYTES);
        let mut ends = Vec::new();
        outbox.fill(&mut batch, |call, end| ends.push((call, end)));
        assert_eq!(ends.last(), Some(&(2, batch.len() as u64)));
        let whole: Vec<u8> = {
            let mut slices = [IoSlice::new(&[]); BATCH_SLICES];
            let count = batch.slices(&mut slices);
            slices[..count]
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect()
        };
        let mut cut = Vec::new();
        while !batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH_SLICES];
            batch.slices(&mut slices);
            cut.push(slices[0][0]);
            batch.advance(1);
        }
        assert_eq!(cut, whole);
    }
}
