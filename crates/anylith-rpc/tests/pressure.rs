//! Callers and callees that behave badly, or all at once.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use anylith_core::{Concurrency, Endpoint, Execution, Fingerprint, Limits, LostAnswer};
use anylith_rpc::{Callee, Failure, Network, ServedComponent};
use anylith_wire::{
    Batch, Readiness, ServingEnd,
    frame::{Header, Kind},
};
use bytes::BytesMut;
use futures_util::{
    FutureExt as _,
    future::{Either, join_all},
};
use support::{puppet::Puppet, *};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

#[tokio::test]
async fn a_caller_that_reads_no_answers_has_no_further_calls_begun() {
    let world = World::new().start();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    // Answers as long as their requests: what waits for the caller grows by as much as it sends.
    const LENGTH: usize = 1024 * 1024;
    let arguments = vec![7; LENGTH];
    let mut written = Box::pin(async {
        for _ in 0..400 {
            puppet.begin(ECHO, &arguments);
            puppet.write().await;
        }
    });
    // It takes what it may keep, which is 64 MiB, ...
    let full = Box::pin(world.counts.until(|counts| counts.begun() > 64));
    let first = soon(futures_util::future::select(&mut written, full)).await;
    assert!(matches!(first, Either::Right(_)), "everything was taken");
    // ... and then no more, however much time it has; others are not held up by that.
    for _ in 0..50 {
        assert!((&mut written).now_or_never().is_none(), "all was taken");
        let other = making(&world.callee, ECHO, "hi").message();
        assert_eq!(soon(other).await.unwrap(), b"hi");
    }
    let begun = world.counts.begun() - 50;
    assert!((65..80).contains(&begun), "{begun} calls were begun");
}

#[tokio::test]
async fn ten_thousand_calls_wait_at_the_same_time_and_are_all_answered() {
    let limits = Limits {
        concurrency: Concurrency::AtMost(10_000),
        ..Limits::default()
    };
    let world = World::new().limits(limits).start();
    making(&world.callee, ECHO, "").message().await.unwrap();
    let mut calls: Vec<_> = (0..10_000)
        .map(|_| making(&world.callee, HELD, "").message().boxed())
        .collect();
    for call in &mut calls {
        assert!(call.now_or_never().is_none());
    }
    world.counts.until(|counts| counts.begun() == 10_001).await;
    let release = async {
        for _ in 0..10_000 {
            // One that waits takes it, so none is lost.
            world.counts.release.notify_one();
            tokio::task::yield_now().await;
        }
    };
    let (answers, ()) = soon(futures_util::future::join(join_all(calls), release)).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
}

#[tokio::test]
async fn a_storm_of_cancelled_calls_leaves_nothing_running() {
    let world = World::new().start();
    making(&world.callee, ECHO, "").message().await.unwrap();
    for round in 0..20 {
        let mut calls: Vec<_> = (0..500)
            .map(|_| making(&world.callee, NEVER, "").message().boxed())
            .collect();
        for call in &mut calls {
            assert!(call.now_or_never().is_none());
        }
        if round % 2 == 0 {
            // Half of the storms reach the callee, and half are taken back before they leave.
            tokio::task::yield_now().await;
        }
        drop(calls);
        let call = making(&world.callee, ECHO, "hi").message();
        assert_eq!(soon(call).await.unwrap(), b"hi");
    }
    world
        .counts
        .until(|counts| counts.begun() == 21 + counts.dropped.load(SeqCst))
        .await;
}

#[tokio::test]
async fn a_call_without_time_is_not_sent() {
    let world = World::new().start();
    making(&world.callee, ECHO, "").message().await.unwrap();
    let call = making(&world.callee, ECHO, "").within(Duration::ZERO);
    let failure = soon(call.message()).await.unwrap_err();
    assert_eq!(failure, Failure::DeadlineExceeded(Execution::NotExecuted));
    assert_eq!(world.counts.begun(), 1);
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_no_other() {
    let world = World::new().start();
    making(&world.callee, ECHO, "").message().await.unwrap();
    let Endpoint::Unix(path) = world.server.endpoint() else {
        panic!("a Unix socket")
    };
    let mut stranger = UnixStream::connect(&path).await.unwrap();
    stranger
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut said = Vec::new();
    // It may be reset, as it has sent more than was read.
    let _ = soon(stranger.read_to_end(&mut said)).await;
    // One that is greeted first, too.
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    puppet.stream.write_all(&[0xff; 64]).await.unwrap();
    let _ = soon(puppet.stream.read_to_end(&mut said)).await;
    let call = making(&world.callee, ECHO, "hi").message();
    assert_eq!(soon(call).await.unwrap(), b"hi");
}

/// Counts the warnings of this thread.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, SeqCst);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn those_who_break_the_protocol_are_all_counted_and_do_not_fill_the_log() {
    let warnings = Warnings::default();
    let _subscribed = tracing::subscriber::set_default(warnings.clone());
    let world = World::new().start();
    let Endpoint::Unix(path) = world.server.endpoint() else {
        panic!("a Unix socket")
    };
    let mut strangers = Vec::new();
    for _ in 0..100 {
        let mut stranger = UnixStream::connect(&path).await.unwrap();
        let _ = stranger.write_all(&[b'x'; 64]).await;
        strangers.push(stranger);
    }
    let misbehaved = |count| {
        let serving = &world.serving;
        soon(async move {
            while serving.counters().misbehaved < count {
                tokio::task::yield_now().await;
            }
        })
    };
    misbehaved(100).await;
    assert_eq!(warnings.0.load(SeqCst), 1);
    // Another way to break it is news, and what a peer puts into it is not.
    for garbage in [0xff_u8, 0xfe, 0xfd] {
        let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
        puppet.stream.write_all(&[garbage; 64]).await.unwrap();
        strangers.push(puppet.stream);
    }
    misbehaved(103).await;
    assert_eq!(warnings.0.load(SeqCst), 2);
}

/// A socket where nobody answers yet.
fn listening(folder: &Folder) -> (Endpoint, UnixListener) {
    let endpoint = folder.socket("callee");
    let Endpoint::Unix(path) = &endpoint else {
        unreachable!()
    };
    let listener = UnixListener::bind(path).unwrap();
    (endpoint, listener)
}

/// Such a socket, and what calls whoever will.
fn calls_to_a_listener(folder: &Folder) -> (UnixListener, Network, Callee) {
    let (endpoint, listener) = listening(folder);
    let network = Network::new(name("Caller-1"), Limits::default());
    network.update(directory(1, &[&endpoint]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    (listener, network, callee)
}

/// Takes a connection, greets, and reads no more. Returns the connection.
async fn greet_and_read_no_more(listener: &UnixListener) -> UnixStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let components = vec![ServedComponent {
        name: name("Echo"),
        fingerprint: Fingerprint(1),
        methods: METHODS,
    }];
    let limits = Limits::default();
    let mut end = ServingEnd::new(name("Echo-1"), components, &limits, Instant::now());
    end.offer(vec![Readiness::Well]);
    let mut bytes = BytesMut::new();
    while end.peer().is_none() {
        stream.read_buf(&mut bytes).await.unwrap();
        end.receive(&mut bytes, Instant::now()).unwrap();
    }
    let mut batch = Batch::default();
    end.fill(&mut batch, &mut Vec::new());
    let mut slices = [std::io::IoSlice::new(&[]); anylith_wire::BATCH_SLICES];
    let count = batch.slices(&mut slices);
    let greeting: Vec<u8> = slices[..count].iter().flat_map(|it| it.to_vec()).collect();
    stream.write_all(&greeting).await.unwrap();
    stream
}

/// Says every second that it lives, until nobody is there to hear it.
async fn speak(stream: &mut UnixStream) {
    let ping = [&Header::new(Kind::Ping, 0, 8).encode()[..], &[1; 8]].concat();
    while stream.write_all(&ping).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_never_reads_is_given_up_and_its_calls_are_told_what_is_known() {
    let folder = Folder::new();
    let (listener, _network, callee) = calls_to_a_listener(&folder);
    let first = making(&callee, ECHO, "hi").no_deadline().message();
    // More than a socket takes.
    let others = (0..16).map(|_| {
        let call = making(&callee, ECHO, vec![7; 100 * 1024]);
        call.no_deadline().message()
    });
    let calls = futures_util::future::join(first, join_all(others));
    let deaf = async {
        let mut stream = greet_and_read_no_more(&listener).await;
        speak(&mut stream).await;
        // Whoever comes next is hung up on.
        drop(listener);
    };
    let both = futures_util::future::join(calls, deaf);
    let ((first, others), ()) = tokio::time::timeout(Duration::from_secs(600), both)
        .await
        .expect("it is never given up");
    // It left, so nobody knows what became of it. What came after it did not leave.
    let failure = first.unwrap_err();
    assert_eq!(failure.execution(), Execution::Unknown, "{failure:?}");
    assert!(
        matches!(&failure, Failure::Unknown(LostAnswer::Disconnected(why)) if why.contains("took nothing")),
        "{failure:?}"
    );
    let last = others.into_iter().next_back().unwrap().unwrap_err();
    assert_eq!(last.execution(), Execution::NotExecuted, "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_never_reads_is_given_up_although_it_speaks() {
    let world = World::new().start();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    for _ in 0..16 {
        puppet.begin(ECHO, &vec![7; 100 * 1024]);
    }
    puppet.write().await;
    let given_up = tokio::time::timeout(Duration::from_secs(600), speak(&mut puppet.stream));
    given_up.await.expect("it is never given up");
    assert_eq!(world.serving.counters().misbehaved, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_falls_silent_is_given_up_and_is_no_breaker_of_the_protocol() {
    let world = World::new().start();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    let mut said = Vec::new();
    let given_up = puppet.stream.read_to_end(&mut said);
    let given_up = tokio::time::timeout(Duration::from_secs(600), given_up).await;
    given_up.expect("it is never given up").unwrap();
    assert!(String::from_utf8_lossy(&said).contains("did not answer"));
    let drained = tokio::time::timeout(Duration::from_secs(600), world.server.drain());
    drained.await.expect("its connection stays");
    assert_eq!(world.serving.counters().misbehaved, 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_callee_that_hangs_is_said_that_it_did_not_answer() {
    let folder = Folder::new();
    let (listener, _network, callee) = calls_to_a_listener(&folder);
    let call = making(&callee, ECHO, "hi").no_deadline().message();
    let hung = async {
        let _hung = greet_and_read_no_more(&listener).await;
        std::future::pending::<()>().await;
    };
    let either = futures_util::future::select(Box::pin(call), Box::pin(hung));
    let either = tokio::time::timeout(Duration::from_secs(600), either).await;
    let Either::Left((Err(failure), _)) = either.expect("it is never given up") else {
        panic!("it was answered");
    };
    assert!(
        matches!(&failure, Failure::Unknown(LostAnswer::Disconnected(why)) if why.contains("did not answer")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_deadline_is_kept_while_the_callee_does_not_read() {
    let folder = Folder::new();
    let (endpoint, listener) = listening(&folder);
    let deaf = tokio::spawn(async move {
        let _deaf = greet_and_read_no_more(&listener).await;
        std::future::pending::<()>().await;
    });
    let network = Network::new(name("Caller-1"), Limits::default());
    network.update(directory(1, &[&endpoint]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    let over = |failure: Failure| matches!(failure, Failure::DeadlineExceeded(_));
    // More than a socket takes, ...
    let full = (0..16).map(|_| {
        let call = making(&callee, ECHO, vec![7; 100 * 1024]);
        call.within(Duration::from_millis(50)).message()
    });
    let full = soon(join_all(full)).await;
    assert!(full.into_iter().all(|answer| over(answer.unwrap_err())));
    // ... and then call after call, each with a deadline of its own.
    for _ in 0..5 {
        let call = making(&callee, ECHO, "hi").within(Duration::from_millis(50));
        assert!(over(soon(call.message()).await.unwrap_err()));
    }
    deaf.abort();
}

#[tokio::test]
async fn calls_to_a_server_that_never_greets_fail_and_say_so() {
    let folder = Folder::new();
    let (endpoint, _mute) = listening(&folder);
    let limits = Limits {
        reach_timeout_ms: 200,
        ..Limits::default()
    };
    let network = Network::new(name("Caller-1"), limits);
    network.update(directory(1, &[&endpoint]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    let failure = soon(making(&callee, ECHO, "").message()).await.unwrap_err();
    assert_eq!(failure.execution(), Execution::NotExecuted);
    assert!(failure.to_string().contains("did not greet"), "{failure}");
}
