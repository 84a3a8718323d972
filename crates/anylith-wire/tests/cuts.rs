//! The same bytes mean the same, wherever the transport cuts them.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::{
    io::IoSlice,
    time::{Duration, Instant},
};

use anylith_core::{CallContext, Fingerprint, Limits, Name};
use anylith_wire::{
    BATCH_SLICES, Batch, CallingEnd, CallingEvent, Hello, NewCall, ServedComponent, ServingEnd,
    ServingEvent,
};
use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn components() -> Vec<ServedComponent> {
    vec![ServedComponent {
        name: name("Shop"),
        fingerprint: Fingerprint(1),
        methods: 9,
    }]
}

/// Everything that an end has to send.
fn sent(mut fill: impl FnMut(&mut Batch)) -> Vec<u8> {
    let (mut bytes, mut batch) = (Vec::new(), Batch::default());
    loop {
        fill(&mut batch);
        if batch.is_empty() {
            return bytes;
        }
        let mut slices = [IoSlice::new(&[]); BATCH_SLICES];
        let count = batch.slices(&mut slices);
        slices[..count]
            .iter()
            .for_each(|slice| bytes.extend_from_slice(slice));
        batch.advance(batch.len());
    }
}

/// A calling end that was greeted at `now`.
fn greeted(now: Instant) -> CallingEnd {
    let mut end = CallingEnd::new(name("Caller-1"), &Limits::default(), now);
    let hello = Hello {
        message_bytes: 1 << 26,
        calls: 100,
        window_bytes: 1 << 18,
        replica: name("Shop-1"),
        components: components(),
    };
    let mut bytes = BytesMut::from(&hello.encode()[..]);
    assert_eq!(end.receive(&mut bytes, now), Ok(Some(CallingEvent::Ready)));
    end
}

/// What a serving end makes of `bytes`, cut into pieces of at most these lengths, one after the other.
fn events(bytes: &[u8], cuts: &[usize], now: Instant) -> Vec<ServingEvent> {
    let mut end = ServingEnd::new(name("Shop-1"), components(), &Limits::default(), now);
    let (mut arrived, mut events) = (BytesMut::new(), Vec::new());
    let (mut rest, mut cuts) = (bytes, cuts.iter().cycle());
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
        rest = later;
        arrived.extend_from_slice(piece);
        while let Some(event) = end.receive(&mut arrived, now).unwrap() {
            events.push(event);
        }
        assert!(
            rest.is_empty() || end.wanted() > arrived.len(),
            "it waits for what it has"
        );
    }
    assert!(arrived.is_empty());
    events
}

/// The bytes of these calls: the method, the length of the arguments, and the lengths of the items that follow
/// them; and the identifier and the length of the arguments of each.
fn calls_in_bytes(
    calls: &[(u16, usize, Vec<usize>)],
    now: Instant,
) -> (Vec<u8>, Vec<(u32, usize)>) {
    let mut end = greeted(now);
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for &(method, length, ref items) in calls {
        let context = CallContext::default();
        let deadline = (method % 2 == 0).then(|| now + Duration::from_secs(1));
        let call = NewCall {
            component: 0,
            method,
            deadline,
            context: &context,
            items: !items.is_empty(),
        };
        let id = end
            .begin(&call, &mut vec![method as u8; length], now)
            .unwrap();
        bytes.extend(sent(|batch| end.fill(batch, &mut Vec::new())));
        expected.push((id, length));
        for &item in items {
            end.send_item(id, Bytes::from(vec![1; item])).unwrap();
            bytes.extend(sent(|batch| end.fill(batch, &mut Vec::new())));
        }
    }
    (bytes, expected)
}

/// The identifier and the length of the arguments of each request.
fn requests(events: &[ServingEvent]) -> Vec<(u32, usize)> {
    let request = |event: &ServingEvent| match event {
        ServingEvent::Request(request) => Some((request.call, request.arguments.len())),
        _ => None,
    };
    events.iter().filter_map(request).collect()
}

#[test]
fn a_peer_that_sends_byte_by_byte_is_understood_from_its_greeting_on() {
    let now = Instant::now();
    let (bytes, expected) = calls_in_bytes(&[(0, 0, vec![]), (1, 300, vec![0, 7])], now);
    let whole = events(&bytes, &[bytes.len()], now);
    assert_eq!(requests(&whole), expected);
    assert!(events(&bytes, &[1], now) == whole);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_events(
        calls in vec((0..9_u16, 0..400_000_usize, vec(0..30_000_usize, 0..4)), 1..6),
        cuts in vec(1..200_000_usize, 1..8),
    ) {
        let now = Instant::now();
        let (bytes, expected) = calls_in_bytes(&calls, now);
        let whole = events(&bytes, &[bytes.len()], now);
        prop_assert_eq!(requests(&whole), expected);
        prop_assert!(events(&bytes, &cuts, now) == whole);
    }
}
