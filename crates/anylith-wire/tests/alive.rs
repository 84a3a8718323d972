//! Time passes only here: peers that fall silent, and deadlines.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::time::{Duration, Instant};

use anylith_core::{
    CallContext, Execution, Fingerprint, Limits, LostAnswer, Name, Overload, Refusal,
};
use anylith_wire::{
    Batch, CallId, CallingEnd, CallingEvent, Failure, HURRY, Hello, IDLE, NewCall, PATIENCE,
    ProtocolError, QUIET, STALLED, ServedComponent, ServingEnd,
};
use bytes::BytesMut;

fn greeted(now: Instant) -> CallingEnd {
    let name = |text| Name::new(text).unwrap();
    let mut end = CallingEnd::new(name("Caller-1"), &Limits::default(), now);
    let component = ServedComponent {
        name: name("Shop"),
        fingerprint: Fingerprint(1),
        methods: 1,
    };
    let hello = Hello {
        message_bytes: 1 << 26,
        calls: 100,
        window_bytes: 1 << 18,
        replica: name("Shop-1"),
        components: vec![component],
    };
    let mut bytes = BytesMut::from(&hello.encode()[..]);
    assert_eq!(end.receive(&mut bytes, now), Ok(Some(CallingEvent::Ready)));
    end
}

fn begin(end: &mut CallingEnd, deadline: Option<Instant>, now: Instant) -> CallId {
    let context = CallContext::default();
    let call = NewCall {
        component: 0,
        method: 0,
        deadline,
        context: &context,
        items: false,
    };
    end.begin(&call, &mut vec![1; 10], now).unwrap()
}

/// Hands everything to a transport that takes it.
fn send(end: &mut CallingEnd) -> usize {
    let mut batch = Batch::default();
    end.fill(&mut batch, &mut Vec::new());
    let count = batch.len();
    batch.advance(count);
    end.written(count);
    count
}

#[test]
fn a_peer_that_falls_silent_is_pinged_and_then_given_up() {
    let now = Instant::now();
    let mut end = greeted(now);
    begin(&mut end, None, now);
    send(&mut end);
    let mut events = Vec::new();
    let quiet = end.next_timeout().unwrap();
    assert_eq!(quiet, now + QUIET);
    end.on_timeout(quiet, &mut events).unwrap();
    assert!(send(&mut end) > 0, "a ping");
    let silent = end.next_timeout().unwrap();
    assert_eq!(silent, quiet + PATIENCE);
    let error = end.on_timeout(silent, &mut events).unwrap_err();
    assert_eq!(
        error,
        ProtocolError::Silent {
            seconds: (QUIET + PATIENCE).as_secs()
        }
    );
    assert_eq!(events, []);
}

#[test]
fn a_peer_that_is_gone_is_found_without_any_call() {
    let now = Instant::now();
    let mut end = greeted(now);
    let quiet = end.next_timeout().unwrap();
    assert_eq!(quiet, now + IDLE);
    end.on_timeout(quiet, &mut Vec::new()).unwrap();
    assert!(send(&mut end) > 0, "a ping");
    let silent = end.next_timeout().unwrap();
    assert_eq!(silent, quiet + PATIENCE);
    assert!(end.on_timeout(silent, &mut Vec::new()).is_err());
}

#[test]
fn a_call_to_a_peer_that_was_asked_already_does_not_wait_anew() {
    let now = Instant::now();
    let mut end = greeted(now);
    let quiet = end.next_timeout().unwrap();
    end.on_timeout(quiet, &mut Vec::new()).unwrap();
    begin(&mut end, None, quiet + PATIENCE / 2);
    assert_eq!(end.next_timeout(), Some(quiet + PATIENCE));
}

#[test]
fn calls_to_a_peer_that_is_to_be_left_and_hangs_end_soon() {
    let now = Instant::now();
    let mut end = greeted(now);
    begin(&mut end, None, now);
    send(&mut end);
    end.hurry();
    let quiet = end.next_timeout().unwrap();
    assert_eq!(quiet, now + HURRY);
    end.on_timeout(quiet, &mut Vec::new()).unwrap();
    let silent = end.next_timeout().unwrap();
    assert_eq!(silent, quiet + HURRY);
    assert!(end.on_timeout(silent, &mut Vec::new()).is_err());
}

#[test]
fn a_peer_that_never_greets_is_given_up() {
    let now = Instant::now();
    let name = Name::new("Caller-1").unwrap();
    let mut end = CallingEnd::new(name, &Limits::default(), now);
    let silent = end.next_timeout().unwrap();
    assert!(end.on_timeout(silent, &mut Vec::new()).is_err());
}

#[test]
fn a_call_that_expires_says_whether_its_request_had_left() {
    let now = Instant::now();
    let mut end = greeted(now);
    let later = now + Duration::from_secs(1);
    let sent = begin(&mut end, Some(later), now);
    send(&mut end);
    let waiting = begin(&mut end, Some(later), now);
    let mut events = Vec::new();
    end.on_timeout(later, &mut events).unwrap();
    let expired = |call, execution| CallingEvent::Failed {
        call,
        failure: Failure::DeadlineExceeded(execution),
    };
    let expected = [
        expired(sent, Execution::Unknown),
        expired(waiting, Execution::NotExecuted),
    ];
    assert_eq!(events, expected);
    assert_eq!(
        end.in_flight(),
        1,
        "the serving end has not ended the one that left"
    );
}

#[test]
fn a_request_is_lost_only_once_its_last_byte_was_written() {
    let now = Instant::now();
    let reason = LostAnswer::Disconnected("reset".into());
    for missing in [0, 1] {
        let mut end = greeted(now);
        let call = begin(&mut end, None, now);
        let mut batch = Batch::default();
        end.fill(&mut batch, &mut Vec::new());
        end.written(batch.len() - missing);
        batch.advance(batch.len());
        let failure = match missing {
            0 => Failure::Unknown(reason.clone()),
            _ => Failure::NotExecuted(Refusal::NotSent),
        };
        assert_eq!(end.broken(&reason), [(call, failure)]);
    }
}

#[test]
fn a_callee_that_takes_nothing_is_given_up_although_it_speaks() {
    let now = Instant::now();
    let mut end = greeted(now);
    begin(&mut end, None, now);
    let mut batch = Batch::default();
    end.fill(&mut batch, &mut Vec::new());
    end.held_up(now);
    // It takes a byte, and from then on none.
    let later = now + STALLED / 2;
    end.written(1);
    end.held_up(later);
    end.held_up(later + Duration::from_secs(1));
    let (mut at, mut events) = (later, Vec::new());
    let error = loop {
        end.receive(&mut BytesMut::new(), at).unwrap();
        at = end.next_timeout().unwrap().min(at + QUIET / 2);
        if let Err(error) = end.on_timeout(at, &mut events) {
            break error;
        }
    };
    let seconds = STALLED.as_secs();
    assert_eq!(error, ProtocolError::Stalled { seconds });
    assert_eq!(at, later + STALLED);
    // What it was sent of the call is not all of it.
    let reason = LostAnswer::Disconnected(error.to_string());
    let fates = end.broken(&reason);
    assert!(
        matches!(fates[..], [(_, Failure::NotExecuted(Refusal::NotSent))]),
        "{fates:?}"
    );
}

#[test]
fn a_caller_that_takes_nothing_is_given_up_although_it_speaks() {
    let now = Instant::now();
    let name = |text| Name::new(text).unwrap();
    let limits = Limits::default();
    let mut end = ServingEnd::new(name("Shop-1"), Vec::new(), &limits, now);
    let hello = Hello {
        message_bytes: 1 << 26,
        calls: 100,
        window_bytes: 1 << 18,
        replica: name("Caller-1"),
        components: Vec::new(),
    };
    let mut bytes = BytesMut::from(&hello.encode()[..]);
    assert!(end.receive(&mut bytes, now).unwrap().is_some());
    end.held_up(now);
    end.receive(&mut bytes, now + STALLED / 2).unwrap();
    assert!(end.next_timeout().unwrap() <= now + STALLED);
    end.receive(&mut bytes, now + STALLED).unwrap();
    let seconds = STALLED.as_secs();
    assert_eq!(
        end.on_timeout(now + STALLED, &mut Vec::new()),
        Err(ProtocolError::Stalled { seconds })
    );
}

#[test]
fn no_call_begins_while_too_much_waits_for_a_peer_that_does_not_read() {
    let (now, context) = (Instant::now(), CallContext::default());
    let name = |text| Name::new(text).unwrap();
    // Such as are copied into the outbox, and such as are not.
    for length in [8 * 1024, 1024 * 1024] {
        let mut end = CallingEnd::new(name("Caller-1"), &Limits::default(), now);
        let hello = Hello {
            message_bytes: 1 << 26,
            calls: 1 << 20,
            window_bytes: 1 << 18,
            replica: name("Shop-1"),
            components: Vec::new(),
        };
        let mut bytes = BytesMut::from(&hello.encode()[..]);
        end.receive(&mut bytes, now).unwrap();
        let call = NewCall {
            component: 0,
            method: 0,
            deadline: None,
            context: &context,
            items: false,
        };
        let mut begin = || end.begin(&call, &mut vec![1; length], now);
        let begun = (0..10_000).take_while(|_| begin().is_ok()).count();
        let overloaded = Failure::NotExecuted(Refusal::Overloaded(Overload::Connection));
        assert_eq!(begin(), Err(overloaded));
        let megabytes = begun * length / 1024 / 1024;
        assert!((63..=65).contains(&megabytes), "{megabytes} MiB wait");
    }
}
