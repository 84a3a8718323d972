//! The fuzz targets, without a fuzzer: random bytes, and real ones with mistakes in them.
//!
//! The seeds are fixed, so a failure here fails again.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]
#![allow(
    unreachable_pub,
    reason = "what is included here is public in the fuzz crate"
)]

#[path = "../../../fuzz/src/conversation.rs"]
mod conversation;
#[path = "../../../fuzz/src/doors.rs"]
mod doors;

use std::{fs, path::Path};

use anylith_core::Directory;
use anylith_wire::{
    Hello, ServedComponent,
    control::{self, FromReplica, ToReplica},
    frame::{Header, ITEMS, Kind, MORE, RequestHead},
};

/// Numbers that look random and are the same each time (Steele, Lea, Flood: SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Flips, overwrites, repeats or removes some of `bytes`.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes.truncate(at),
                3 => {
                    let copy = bytes[at..].to_vec();
                    bytes.extend_from_slice(&copy[..copy.len().min(100)]);
                }
                _ => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes.drain(at..end);
                }
            }
        }
    }
}

/// Feeds a door with random bytes, and with what `real` returns, as it is and spoiled.
fn knock(door: fn(&[u8]), rounds: usize, real: impl Fn(&mut Random) -> Vec<u8>) {
    let mut random = Random(rounds as u64);
    for _ in 0..rounds {
        let length = random.below(600);
        door(&random.bytes(length));
        let mut bytes = real(&mut random);
        door(&bytes);
        random.spoil(&mut bytes);
        door(&bytes);
    }
}

/// Frames that are well formed, one by one; whether they make sense together is another matter.
fn frames(random: &mut Random) -> Vec<u8> {
    const KINDS: [Kind; 14] = [
        Kind::Void,
        Kind::Request,
        Kind::Response,
        Kind::Failure,
        Kind::Begin,
        Kind::Item,
        Kind::End,
        Kind::Credit,
        Kind::Cancel,
        Kind::Ping,
        Kind::Pong,
        Kind::GoAway,
        Kind::Body,
        Kind::Offer,
    ];
    let mut bytes = Vec::new();
    for _ in 0..random.below(20) {
        let kind = KINDS[random.below(KINDS.len())];
        let length = match kind {
            Kind::Ping | Kind::Pong => 8,
            Kind::Credit => 4,
            _ => random.below(300),
        };
        let mut body = random.bytes(length);
        let mut header = Header::new(kind, random.below(6) as u32, 0);
        if matches!(
            kind,
            Kind::Request | Kind::Response | Kind::Item | Kind::Body
        ) {
            header.flags = if random.below(3) == 0 { MORE } else { 0 };
        }
        if kind == Kind::Request {
            header.flags |= if random.below(2) == 0 { ITEMS } else { 0 };
            let method = random.below(4) as u16;
            let head = RequestHead {
                method,
                context: 0,
                remaining_us: random.next(),
            };
            body.splice(0..0, head.encode());
        }
        if header.flags & MORE != 0 && kind != Kind::Body {
            let whole = (body.len() + random.below(300)) as u32;
            body.splice(0..0, whole.to_le_bytes());
        }
        header.length = body.len() as u32;
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&body);
    }
    bytes
}

#[test]
fn no_greeting_does_harm() {
    knock(doors::hello, 3000, |random| {
        let components = (0..random.below(5)).map(|number| ServedComponent {
            name: doors::name(&format!("Component{number}")),
            fingerprint: anylith_core::Fingerprint(random.next()),
            methods: random.next() as u16,
        });
        let components = components.collect();
        let replica = doors::name("Cart-1");
        Hello {
            message_bytes: 1,
            calls: 1,
            window_bytes: 1,
            replica,
            components,
        }
        .encode()
    });
}

#[test]
fn no_header_does_harm() {
    knock(doors::frame, 3000, frames);
}

#[test]
fn no_callee_does_harm() {
    knock(doors::calling, 2000, frames);
}

#[test]
fn no_caller_does_harm() {
    knock(doors::serving, 2000, frames);
}

#[test]
fn no_offer_does_harm() {
    knock(doors::offer, 2000, |random| {
        let mut bytes = vec![random.next() as u8];
        for _ in 0..random.below(5) {
            let mut indices: Vec<u16> = (0..9).filter(|_| random.below(2) == 0).collect();
            if random.below(5) == 0 {
                indices.reverse();
            }
            bytes.push(2 * indices.len() as u8);
            bytes.extend(indices.iter().flat_map(|index| index.to_le_bytes()));
        }
        bytes
    });
}

#[test]
fn no_control_message_does_harm() {
    knock(doors::control, 1000, |random| {
        let grace_ms = random.next() >> 12;
        let message = match random.below(3) {
            0 => control::encode(&ToReplica::Stop {
                grace_ms,
                others_stay: false,
            }),
            1 => control::encode(&ToReplica::Directory(Directory::default())),
            _ => control::encode(&FromReplica::Failed {
                component: Some(doors::name("Cart")),
                message: "it went away".to_owned(),
            }),
        };
        message.unwrap()
    });
}

/// What is kept of earlier finds.
#[test]
fn nothing_that_was_ever_found_does_harm() {
    let doors = [
        ("hello", doors::hello as fn(&[u8])),
        ("frame", doors::frame),
        ("calling", doors::calling),
        ("serving", doors::serving),
        ("offer", doors::offer),
        ("control", doors::control),
        ("conversation", doors::conversation),
    ];
    for (name, door) in doors {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let mut inputs = 0;
        for input in fs::read_dir(corpus.join(name)).unwrap() {
            door(&fs::read(input.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "nothing is kept for {name}");
    }
}

#[test]
fn two_ends_understand_each_other_however_the_bytes_are_cut() {
    let mut random = Random(7);
    for _ in 0..500 {
        let length = random.below(400);
        doors::conversation(&random.bytes(length));
    }
}
