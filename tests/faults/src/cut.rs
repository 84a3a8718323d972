//! Where in the bytes of a connection it breaks: after each byte of a frame in turn, first on the way of requests, then of answers.
//!
//! It reads just enough of `docs/protocol.md` to know where a frame begins, and what kind it is of.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::link::Way;

/// Up to this byte of a frame it is tried: all of its header, and every number that begins the body.
pub(crate) const FRAME_BYTES: usize = 80;

/// The magic, the version and the length of a greeting.
const GREETING: usize = 14;

/// The header of a frame.
const HEADER: usize = 12;

/// Where one connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) way: Way,
    /// So many bytes of a frame still pass.
    pub(crate) byte: usize,
}

/// Every place once, and then again.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Place>,
    cut: BTreeSet<Place>,
}

impl Sweep {
    /// How many places there are.
    pub(crate) const PLACES: usize = 2 * (FRAME_BYTES + 1);

    /// Begins at the place with this number, with none cut.
    pub(crate) fn begin(&self, first: usize) {
        let mut waiting: VecDeque<Place> = (0..=FRAME_BYTES)
            .flat_map(|byte| [Way::In, Way::Out].map(|way| Place { way, byte }))
            .collect();
        waiting.rotate_left(first % Self::PLACES);
        *self.state() = State {
            waiting,
            cut: BTreeSet::new(),
        };
    }

    /// The place for one more connection; `None` if each has one, or was cut.
    pub(crate) fn take(&self) -> Option<Place> {
        self.state().waiting.pop_front()
    }

    /// A connection has ended: at its place, or before it came there.
    pub(crate) fn give_back(&self, place: Place, was_cut: bool) {
        let mut state = self.state();
        if was_cut {
            state.cut.insert(place);
        } else {
            state.waiting.push_back(place);
        }
    }

    /// At how many places a connection was cut.
    pub(crate) fn cut(&self) -> usize {
        self.state().cut.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of one way of a connection, up to the place where it is cut.
#[derive(Debug)]
pub(crate) struct Cutter {
    place: Place,
    greeted: bool,
    /// Bytes of a greeting or a frame whose header was seen, and that still have to come.
    rest: usize,
    /// The begin of a header.
    held: Vec<u8>,
    /// The frame has begun in which the place is, so many bytes further on.
    left: Option<usize>,
}

/// What passes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    All(Vec<u8>),
    /// This, and then nothing.
    UpTo(Vec<u8>),
}

impl Cutter {
    pub(crate) fn at(place: Place) -> Self {
        Self {
            place,
            greeted: false,
            rest: 0,
            held: Vec::new(),
            left: None,
        }
    }

    /// Takes the next bytes, and says which of all that it holds pass.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Passing {
        if let Some(left) = &mut self.left {
            if let Some(last) = bytes.get(..*left) {
                return Passing::UpTo(last.to_vec());
            }
            *left -= bytes.len();
            return Passing::All(bytes.to_vec());
        }
        let mut bytes = [&std::mem::take(&mut self.held), bytes].concat();
        let mut at = 0;
        while at < bytes.len() {
            let rest = self.rest.min(bytes.len() - at);
            self.rest -= rest;
            at += rest;
            let header = if self.greeted { HEADER } else { GREETING };
            let Some(head) = bytes.get(at..at + header) else {
                break;
            };
            let length = if self.greeted {
                &head[..4]
            } else {
                &head[10..]
            };
            let length = length.try_into().map_or(0, u32::from_le_bytes) as usize;
            if self.greeted && self.is_meant(head[8], header + length) {
                let cut = at + self.place.byte;
                self.left = Some(cut.saturating_sub(bytes.len()));
                return match bytes.len() < cut {
                    true => Passing::All(bytes),
                    false => Passing::UpTo(bytes[..cut].to_vec()),
                };
            }
            self.greeted = true;
            at += header;
            self.rest = length;
        }
        self.held = bytes.split_off(at.min(bytes.len()));
        Passing::All(bytes)
    }

    /// Whether a frame of this kind and length is one in which the place is.
    fn is_meant(&self, kind: u8, length: usize) -> bool {
        let wanted = match self.place.way {
            Way::In => 1,
            Way::Out => 2,
        };
        kind == wanted && length >= self.place.byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, body: usize) -> Vec<u8> {
        let mut frame = u32::try_from(body).unwrap().to_le_bytes().to_vec();
        frame.extend([0, 0, 0, 0, kind, 0, 0, 0]);
        frame.resize(HEADER + body, 7);
        frame
    }

    fn greeting() -> Vec<u8> {
        let mut greeting = b"ANYLITH\n\x01\x00\x05\x00\x00\x00".to_vec();
        greeting.resize(GREETING + 5, 9);
        greeting
    }

    /// What passes of `bytes` that arrive in pieces of that size.
    fn passed(way: Way, byte: usize, bytes: &[u8], piece: usize) -> Option<usize> {
        let mut cutter = Cutter::at(Place { way, byte });
        let mut passed = 0;
        for piece in bytes.chunks(piece) {
            match cutter.pass(piece) {
                Passing::All(bytes) => passed += bytes.len(),
                Passing::UpTo(bytes) => return Some(passed + bytes.len()),
            }
        }
        None
    }

    #[test]
    fn a_connection_is_cut_at_each_byte_of_a_frame_however_its_bytes_arrive() {
        let before = [greeting(), frame(13, 4), frame(9, 8)].concat();
        for (way, kind) in [(Way::In, 1), (Way::Out, 2)] {
            let bytes = [before.clone(), frame(kind, 100), frame(kind, 3)].concat();
            for byte in 0..=FRAME_BYTES {
                for piece in [1, 5, 13, 64, 1000] {
                    let cut = passed(way, byte, &bytes, piece);
                    assert_eq!(cut, Some(before.len() + byte), "{way:?} {byte} in {piece}s");
                }
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_short_for_the_place_passes() {
        let bytes = [greeting(), frame(1, 3), frame(1, 60)].concat();
        let cut = passed(Way::In, 40, &bytes, 1000);
        assert_eq!(cut, Some(greeting().len() + HEADER + 3 + 40));
    }

    #[test]
    fn every_place_is_cut_once_also_where_some_connections_do_not_come_to_theirs() {
        let sweep = Sweep::default();
        sweep.begin(17);
        let mut number = 0;
        while let Some(place) = sweep.take() {
            number += 1;
            sweep.give_back(place, number % 3 == 0);
        }
        assert_eq!(sweep.cut(), Sweep::PLACES);
    }
}
