//! Peers of ill will, each beside an honest one whose calls all succeed, and the memory that they cost.
//!
//! The server runs in a process of its own, so what it holds can be seen, and nothing here is in its way.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::time::Duration;

use anylith_wire::{
    Hello,
    frame::{CHUNK_BYTES, Header, ITEMS, Kind, MAX_BODY_BYTES, MORE, RequestHead},
};
use support::{
    puppet::{Puppet, connected},
    victim::{Honest, Victim, caller},
    *,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

/// What a victim may take more than before, where nothing is kept for the peer, in MiB: room for what the allocator does.
const NOTHING_MIB: u64 = 16;
/// Files that a victim may have open.
const FILES: u32 = 1000;

#[test]
fn victim() {
    support::victim::serve_if_told_to();
}

fn a_victim() -> Victim {
    Victim::start("victim", FILES)
}

/// The frames of a request without a context or a deadline.
fn request(call: u32, method: u16, flags: u8, arguments: &[u8]) -> Vec<u8> {
    let head = RequestHead {
        method,
        context: 0,
        remaining_us: RequestHead::NO_DEADLINE,
    };
    let body = [&head.encode()[..], arguments].concat();
    let header = Header {
        flags,
        ..Header::new(Kind::Request, call, body.len())
    };
    [&header.encode()[..], &body].concat()
}

fn frame(kind: Kind, call: u32, body: &[u8]) -> Vec<u8> {
    let header = Header::new(kind, call, body.len());
    [&header.encode()[..], body].concat()
}

/// Sends `bytes` so many times over, as far as the peer takes them. Reads and forgets what comes.
async fn flood(stream: UnixStream, bytes: Vec<u8>, times: usize) {
    let (mut from, mut to) = stream.into_split();
    let reading = tokio::spawn(async move {
        let mut bytes = vec![0; 64 * 1024];
        while from.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    });
    for _ in 0..times {
        if to.write_all(&bytes).await.is_err() {
            break;
        }
    }
    drop(to);
    soon(reading).await.unwrap();
}

/// Whether the peer has closed the connection, once everything it sent is read.
async fn is_closed(mut stream: UnixStream) -> bool {
    let mut bytes = vec![0; 64 * 1024];
    let reading = async {
        loop {
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return true,
                Ok(_) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .unwrap_or(false)
}

#[tokio::test]
async fn ten_thousand_connections_that_say_nothing_keep_nobody_out() {
    let mut victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let before = victim.peak_mib();
    let mut held = std::collections::VecDeque::new();
    for count in 0..10_000 {
        held.push_back(connected(&victim.endpoint).await);
        // As many as a process may have open here; those that are let go were long replaced there.
        if held.len() > 400 {
            held.pop_front();
        }
        if count % 2000 == 1999 {
            // Somebody new finds the door open.
            let (_network, callee) = caller(&victim.endpoint);
            let call = making(&callee, ECHO, "new").message();
            assert_eq!(soon(call).await.unwrap(), b"new");
        }
    }
    assert!(victim.seen().crowded > 0);
    honest.finish().await;
    let cost = victim.peak_mib() - before;
    assert!(cost <= NOTHING_MIB, "{cost} MiB");
}

#[tokio::test]
async fn a_peer_that_greets_too_slowly_is_let_go() {
    let mut victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let mut slow = connected(&victim.endpoint).await;
    let hello = Hello {
        message_bytes: 1,
        calls: 1,
        window_bytes: 1,
        replica: name("Slow-1"),
        components: Vec::new(),
    };
    let bytes = hello.encode();
    slow.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    assert!(is_closed(slow).await);
    victim.until(|seen| seen.misbehaved == 1).await;
    honest.finish().await;
}

#[tokio::test]
async fn garbage_ends_the_connections_it_comes_by() {
    let mut victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let before = victim.peak_mib();
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..300_u64 {
        let garbage: Vec<u8> = (0..random.usize(1..4096)).map(|_| random.u8(..)).collect();
        let mut stream = if round % 2 == 0 {
            connected(&victim.endpoint).await
        } else {
            Puppet::greeted(&victim.endpoint).await.stream
        };
        let _ = stream.write_all(&garbage).await;
    }
    victim.until(|seen| seen.misbehaved >= 250).await;
    honest.finish().await;
    let cost = victim.peak_mib() - before;
    assert!(cost <= NOTHING_MIB, "{cost} MiB");
}

#[tokio::test]
async fn a_length_that_is_claimed_takes_no_memory() {
    let mut victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let before = victim.peak_mib();
    let mut held = Vec::new();
    for _ in 0..100 {
        // A greeting of a mebibyte ...
        let mut greeting = connected(&victim.endpoint).await;
        let fixed = [&b"ANYLITH\n\x01\0"[..], &(1_u32 << 20).to_le_bytes()].concat();
        greeting.write_all(&fixed).await.unwrap();
        held.push(greeting);
        // ... half a frame of the longest ...
        let mut half = Puppet::greeted(&victim.endpoint).await.stream;
        let header = Header::new(Kind::Request, 0, MAX_BODY_BYTES);
        half.write_all(&header.encode()).await.unwrap();
        held.push(half);
        // ... and four messages of 64 MiB, of which a few bytes come.
        let mut begun = Puppet::greeted(&victim.endpoint).await.stream;
        for call in 0..4 {
            let whole = (64_u32 << 20).to_le_bytes();
            let begin = Header {
                flags: MORE,
                ..Header::new(Kind::Request, call, 24)
            };
            let bytes = [&begin.encode()[..], &whole, &[0; 20]].concat();
            begun.write_all(&bytes).await.unwrap();
        }
        held.push(begun);
    }
    // A frame that no frame may be, and a number that was not agreed.
    for header in [
        Header::new(Kind::Request, 0, u32::MAX as usize),
        Header::new(Kind::Request, u32::MAX, 12),
    ] {
        let mut stream = Puppet::greeted(&victim.endpoint).await.stream;
        stream.write_all(&header.encode()).await.unwrap();
        let _ = stream.write_all(&[0; 12]).await;
        assert!(is_closed(stream).await, "{header:?}");
    }
    victim.until(|seen| seen.misbehaved >= 102).await;
    honest.finish().await;
    // The room for what comes next, of each connection that has sent something.
    let cost = victim.peak_mib() - before;
    assert!(cost <= 4 * NOTHING_MIB, "{cost} MiB");
}

#[tokio::test]
async fn frames_that_ask_for_nothing_are_read_and_forgotten() {
    let mut victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let before = victim.peak_mib();
    let floods = [
        frame(Kind::Void, 7, &[0; 100]).repeat(500),
        frame(Kind::Ping, 0, &[1; 8]).repeat(3000),
        frame(Kind::Cancel, 9, &[]).repeat(4000),
        frame(Kind::Credit, 3, &u32::MAX.to_le_bytes()).repeat(4000),
    ];
    for bytes in floods {
        let stream = Puppet::greeted(&victim.endpoint).await.stream;
        let answered = honest.answered();
        flood(stream, bytes, 400).await;
        assert!(honest.answered() > answered, "the honest peer was held up");
    }
    assert_eq!(victim.seen().misbehaved, 0);
    honest.finish().await;
    let cost = victim.peak_mib() - before;
    assert!(cost <= NOTHING_MIB, "{cost} MiB");
}

#[tokio::test]
async fn a_message_of_empty_parts_breaks_the_protocol() {
    let mut victim = a_victim();
    let mut stream = Puppet::greeted(&victim.endpoint).await.stream;
    let begin = Header {
        flags: MORE,
        ..Header::new(Kind::Request, 0, 24)
    };
    let body = Header {
        flags: MORE,
        ..Header::new(Kind::Body, 0, 0)
    };
    let whole = (1_u32 << 20).to_le_bytes();
    let bytes = [&begin.encode()[..], &whole, &[0; 20], &body.encode()].concat();
    stream.write_all(&bytes).await.unwrap();
    assert!(is_closed(stream).await);
    victim.until(|seen| seen.misbehaved == 1).await;
}

/// CVE-2023-44487, as it was called for HTTP/2: each call is taken back as soon as it was made.
#[tokio::test]
async fn calls_that_are_taken_back_at_once_leave_nothing_running() {
    let mut victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let before = victim.peak_mib();
    let stream = Puppet::greeted(&victim.endpoint).await.stream;
    let mut resets = Vec::new();
    for call in 0..1000 {
        resets.extend(request(call, NEVER, 0, b""));
        resets.extend(frame(Kind::Cancel, call, &[]));
    }
    // A number is used again before its call is over: that is not allowed, and ends it.
    flood(stream, resets.clone(), 100).await;
    // One that keeps to the rules goes on.
    for _ in 0..20 {
        let mut puppet = Puppet::greeted(&victim.endpoint).await;
        let calls: Vec<_> = (0..1000).map(|_| puppet.begin(NEVER, b"")).collect();
        puppet.write().await;
        for call in calls {
            puppet.end.cancel(call);
        }
        puppet.write().await;
        while puppet.end.in_flight() > 0 {
            assert_eq!(puppet.silence().await, Some(()));
        }
    }
    victim.until(|seen| seen.running <= 1).await;
    honest.finish().await;
    let cost = victim.peak_mib() - before;
    assert!(cost <= NOTHING_MIB, "{cost} MiB");
}

#[tokio::test]
async fn more_requests_than_there_is_room_for_are_refused_and_forgotten() {
    let mut victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let before = victim.peak_mib();
    let mut puppet = Puppet::greeted(&victim.endpoint).await;
    for _ in 0..16_000 {
        puppet.begin(NEVER, &[7; 1000]);
    }
    puppet.write().await;
    victim.until(|seen| seen.overloaded >= 15_000).await;
    honest.finish().await;
    let cost = victim.peak_mib() - before;
    assert!(cost <= 2 * NOTHING_MIB, "{cost} MiB");
    drop(puppet);
    victim.until(|seen| seen.running == 0).await;
}

#[tokio::test]
async fn credit_without_end_does_not_fill_the_memory() {
    let victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let before = victim.peak_mib();
    // A gigabyte of items, credit for all of it, and nobody who reads.
    let mut stream = Puppet::greeted(&victim.endpoint).await.stream;
    let items = [1_000_000_u32.to_le_bytes(), 1000_u32.to_le_bytes()].concat();
    for call in 0..4 {
        stream
            .write_all(&request(call, COUNT, 0, &items))
            .await
            .unwrap();
        let credit = frame(Kind::Credit, call, &(u32::MAX / 2).to_le_bytes());
        stream.write_all(&credit).await.unwrap();
    }
    let answered = honest.answered();
    let others_go_on = async {
        while honest.answered() < answered + 2000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), others_go_on).await;
    assert!(in_time.is_ok(), "the items keep the replica from others");
    honest.finish().await;
    let cost = victim.peak_mib() - before;
    assert!(cost <= 3 * NOTHING_MIB, "{cost} MiB");
}

#[tokio::test]
async fn a_stream_without_end_is_held_back_by_its_reader() {
    let mut victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let before = victim.peak_mib();
    // The implementation never takes an item; who sends on without credit breaks the protocol.
    let mut stream = Puppet::greeted(&victim.endpoint).await.stream;
    stream
        .write_all(&request(0, NEVER, ITEMS, b""))
        .await
        .unwrap();
    flood(stream, frame(Kind::Item, 0, &[7; 1000]), 100_000).await;
    victim.until(|seen| seen.misbehaved == 1).await;
    honest.finish().await;
    let cost = victim.peak_mib() - before;
    assert!(cost <= NOTHING_MIB, "{cost} MiB");
}

#[tokio::test]
async fn a_peer_that_reads_no_answers_costs_what_it_may() {
    let victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let before = victim.peak_mib();
    let mut stream = Puppet::greeted(&victim.endpoint).await.stream;
    let arguments = computing(Duration::ZERO, 1024 * 1024);
    for call in 0..1000 {
        stream
            .write_all(&request(call, COMPUTE, 0, &arguments))
            .await
            .unwrap();
    }
    let answered = honest.answered();
    while honest.answered() < answered + 500 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    honest.finish().await;
    // 64 MiB that wait, and the turn in which they were made.
    let cost = victim.peak_mib() - before;
    assert!(cost <= 100, "{cost} MiB");
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_answered() {
    let victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let mut puppet = Puppet::greeted(&victim.endpoint).await;
    let call = puppet.begin(ECHO, b"slowly");
    let (mut batch, mut events) = (anylith_wire::Batch::default(), Vec::new());
    puppet.end.fill(&mut batch, &mut events);
    while !batch.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); anylith_wire::BATCH_SLICES];
        batch.slices(&mut slices);
        let byte = slices[0][0];
        puppet.stream.write_all(&[byte]).await.unwrap();
        batch.advance(1);
        tokio::task::yield_now().await;
    }
    let answered = anylith_wire::CallingEvent::Answered {
        call,
        message: b"slowly"[..].into(),
    };
    assert_eq!(puppet.event().await, Some(answered));
    honest.finish().await;
}

#[tokio::test]
async fn when_no_file_can_be_opened_those_who_are_in_stay_and_later_ones_come_in() {
    let mut victim = Victim::start("victim", 40);
    let honest = Honest::beside(&victim).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(connected(&victim.endpoint).await);
    }
    victim.until(|seen| seen.crowded > 0).await;
    let answered = honest.answered();
    while honest.answered() < answered + 100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(victim.seen().crowded < 10, "it is said again and again");
    drop(held);
    let (_network, callee) = caller(&victim.endpoint);
    let call = making(&callee, ECHO, "new").message();
    assert_eq!(soon(call).await.unwrap(), b"new");
    honest.finish().await;
}

#[tokio::test]
async fn small_calls_are_answered_while_long_messages_come_in() {
    let victim = a_victim();
    let honest = Honest::beside(&victim).await;
    let stream = Puppet::greeted(&victim.endpoint).await.stream;
    // Messages of which a part comes again and again, and that never end, on one connection.
    let answered = honest.answered();
    let begin = Header {
        flags: MORE,
        ..Header::new(Kind::Request, 0, CHUNK_BYTES)
    };
    let whole = (64_u32 << 20).to_le_bytes();
    let mut bytes = [&begin.encode()[..], &whole, &vec![0; CHUNK_BYTES - 4]].concat();
    let more = Header {
        flags: MORE,
        ..Header::new(Kind::Body, 0, CHUNK_BYTES)
    };
    for _ in 0..400 {
        bytes.extend_from_slice(&more.encode());
        bytes.resize(bytes.len() + CHUNK_BYTES, 0);
    }
    flood(stream, bytes, 1).await;
    assert!(
        honest.answered() > answered + 10,
        "the honest peer was held up"
    );
    honest.finish().await;
}
