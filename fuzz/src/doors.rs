//! One function for each door. Each takes any bytes, and panics only if a promise is broken.

use std::time::Instant;

use anylith_core::{CallContext, Fingerprint, Limits, Name};
use anylith_wire::{
    Batch, CallingEnd, CallingEvent, Hello, NewCall, Readiness, ServedComponent, ServingEnd,
    ServingEvent, StandingOrders,
    control::{Decoder, FromReplica, Opening, ToReplica, encode},
    frame::{HEADER_BYTES, Header, Kind, MAX_BODY_BYTES, REQUEST_HEAD_BYTES, RequestHead},
};
use bytes::BytesMut;

pub use super::conversation::conversation;

/// A greeting that is taken is one that can be given.
pub fn hello(data: &[u8]) {
    let mut bytes = BytesMut::from(data);
    if let Ok(Some(hello)) = Hello::take(&mut bytes) {
        let again = Hello::take(&mut BytesMut::from(&hello.encode()[..]));
        assert_eq!(again, Ok(Some(hello)));
    }
}

/// A header that is read is written the same, and never claims more than a frame may have.
pub fn frame(data: &[u8]) {
    if let Some(bytes) = data.first_chunk::<HEADER_BYTES>()
        && let Ok(header) = Header::decode(bytes)
    {
        assert!(header.length as usize <= MAX_BODY_BYTES);
        assert_eq!(header.encode(), *bytes);
    }
    if let Some(bytes) = data.first_chunk::<REQUEST_HEAD_BYTES>() {
        assert_eq!(RequestHead::decode(bytes).encode(), *bytes);
    }
}

/// What a callee of ill will sends does not bring down a caller with calls in flight.
pub fn calling(data: &[u8]) {
    let now = Instant::now();
    let mut end = CallingEnd::new(name("Caller-1"), &limits(), now);
    let mut bytes = BytesMut::from(&greeting(vec![component()]).encode()[..]);
    assert_eq!(end.receive(&mut bytes, now), Ok(Some(CallingEvent::Ready)));
    let context = CallContext::default();
    for items in [false, true, false, true] {
        let call = NewCall {
            component: 0,
            method: 1,
            deadline: None,
            context: &context,
            items,
        };
        end.begin(&call, &mut vec![1; 100], now)
            .expect("there is room");
    }
    end.cancel(2);
    let mut batch = Batch::default();
    for piece in pieces(data) {
        bytes.extend_from_slice(piece);
        loop {
            match end.receive(&mut bytes, now) {
                Ok(Some(CallingEvent::Item { call, item })) => end.taken(call, item.len()),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return end.give_up(&error),
            }
        }
        assert!(end.wanted() <= HEADER_BYTES + MAX_BODY_BYTES);
        empty(&mut batch, |batch| end.fill(batch, &mut Vec::new()));
    }
}

/// What a callee offers is what it was greeted with, in order, and nothing else is on offer.
///
/// The input: how many components there are, then bodies, each behind its length.
pub fn offer(data: &[u8]) {
    let Some((count, mut data)) = data.split_first() else {
        return;
    };
    let count = u16::from(*count % 9);
    let components = (0..count).map(|number| ServedComponent {
        name: name(&format!("Shop{number}")),
        ..component()
    });
    let now = Instant::now();
    let mut end = CallingEnd::new(name("Caller-1"), &limits(), now);
    let mut bytes = BytesMut::from(&greeting(components.collect()).encode()[..]);
    assert_eq!(end.receive(&mut bytes, now), Ok(Some(CallingEvent::Ready)));
    while let Some((length, rest)) = data.split_first() {
        let (body, rest) = rest.split_at((*length as usize).min(rest.len()));
        data = rest;
        bytes.extend_from_slice(&Header::new(Kind::Offer, 0, body.len()).encode());
        bytes.extend_from_slice(body);
        let before: Vec<Readiness> = (0..count).map(|index| end.offers(index)).collect();
        let event = match end.receive(&mut bytes, now) {
            Ok(event) => event,
            Err(error) => return end.give_up(&error),
        };
        let (entries, over) = body.as_chunks::<3>();
        let index = |entry: &[u8; 3]| u16::from_le_bytes([entry[0], entry[1]]);
        assert!(over.is_empty() && entries.is_sorted_by_key(index));
        let said = |wanted: u16| match entries.iter().find(|entry| index(entry) == wanted) {
            None => Readiness::Closed,
            Some([_, _, 0]) => Readiness::Well,
            Some([_, _, 1]) => Readiness::Ill,
            Some(other) => panic!("{other:?} was taken"),
        };
        let after: Vec<Readiness> = (0..count).map(|index| end.offers(index)).collect();
        assert!((0..).zip(&after).all(|(index, how)| *how == said(index)));
        assert!(event.is_some() || before == after, "each change is told");
    }
}

/// What a caller of ill will sends does not bring down a replica, nor begin more than it may.
pub fn serving(data: &[u8]) {
    let now = Instant::now();
    let mut end = ServingEnd::new(name("Shop-1"), vec![component()], &limits(), now);
    let mut bytes = BytesMut::from(&greeting(Vec::new()).encode()[..]);
    assert_eq!(end.receive(&mut bytes, now), Ok(Some(ServingEvent::Ready)));
    let mut batch = Batch::default();
    for piece in pieces(data) {
        bytes.extend_from_slice(piece);
        loop {
            match end.receive(&mut bytes, now) {
                Ok(Some(ServingEvent::Request(request))) => {
                    assert!(request.component == 0 && request.method < 3);
                    assert!(request.arguments.len() <= limits().message_bytes as usize);
                    match request.method {
                        0 => end.respond(request.call, &mut request.arguments.to_vec()),
                        1 => end.begin_stream(request.call),
                        _ => {}
                    }
                }
                Ok(Some(ServingEvent::Item { call, item })) => {
                    end.taken(call, item.len());
                    if end.may_send(call) {
                        end.send_item(call, item)
                            .expect("it came in, so it may go out");
                    }
                }
                Ok(Some(ServingEvent::ItemsEnded { call })) => end.end_stream(call),
                Ok(Some(ServingEvent::Cancelled { call })) => end.end_stream(call),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return end.give_up(&error),
            }
        }
        assert!(end.in_flight() <= limits().calls_per_connection as usize);
        assert!(end.wanted() <= HEADER_BYTES + MAX_BODY_BYTES);
        empty(&mut batch, |batch| end.fill(batch, &mut Vec::new()));
    }
}

/// A control message that is read is written the same, whoever it is for, and so are orders in a file.
pub fn control(data: &[u8]) {
    fn read<T>(data: &[u8])
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let mut decoder = Decoder::default();
        for piece in pieces(data) {
            decoder.feed(piece);
            loop {
                match decoder.next::<T>() {
                    Ok(Some(message)) => {
                        let mut again = Decoder::default();
                        again.feed(&encode(&message).expect("it was short enough to be read"));
                        assert_eq!(
                            again.next::<T>().expect("it was just written"),
                            Some(message)
                        );
                    }
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    }
    read::<Opening>(data);
    read::<FromReplica>(data);
    read::<ToReplica>(data);
    let after_a_length = data.get(4..).unwrap_or_default();
    if let Ok(orders) = serde_json::from_slice::<StandingOrders>(after_a_length) {
        let again = serde_json::to_vec(&orders).expect("it was read from JSON");
        let again = serde_json::from_slice::<StandingOrders>(&again);
        assert_eq!(again.expect("it was just written"), orders);
    }
}

/// Cuts `data` where its own bytes say so.
fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = (*data.first()? as usize * 7).clamp(1, data.len());
        let (piece, rest) = data.split_at(length);
        data = rest;
        Some(piece)
    })
}

/// Lets everything leave that wants to.
fn empty(batch: &mut Batch, mut fill: impl FnMut(&mut Batch)) {
    loop {
        fill(batch);
        if batch.is_empty() {
            return;
        }
        batch.advance(batch.len());
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        message_bytes: 1 << 20,
        calls_per_connection: 16,
        ..Limits::default()
    }
}

pub(crate) fn component() -> ServedComponent {
    ServedComponent {
        name: name("Shop"),
        fingerprint: Fingerprint(1),
        methods: 3,
    }
}

fn greeting(components: Vec<ServedComponent>) -> Hello {
    Hello {
        message_bytes: 1 << 20,
        calls: 16,
        window_bytes: 4096,
        replica: name("Peer-1"),
        components,
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("it is a name")
}
