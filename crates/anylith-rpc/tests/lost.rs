//! Connections that break at every stage: what is executed how often, and what the caller is told.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::Poll,
    time::{Duration, Instant},
};

use anylith_core::{Endpoint, Execution, Fingerprint, LostAnswer, Refusal};
use anylith_rpc::{Callee, Failure, Network};
use futures_util::FutureExt as _;
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

/// Which way, and after how many bytes, the first connection through a [`Cut`] is cut.
#[derive(Debug, Clone, Copy)]
enum At {
    /// So many bytes of what the caller sends pass.
    Request(usize),
    /// So many bytes of what the callee sends pass.
    Answer(usize),
    /// Everything passes.
    Never,
}

/// Stands between a caller and a callee, and cuts connections.
struct Cut {
    endpoint: Endpoint,
    task: JoinHandle<()>,
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cut {
    /// Cuts the first connection as the first of `cuts` says, and so on; the last holds for all others.
    fn new(world: &Started, cuts: Vec<At>) -> Self {
        let Endpoint::Unix(target) = world.server.endpoint() else {
            panic!("a Unix socket")
        };
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let endpoint = world
            .folder
            .socket(&format!("cut-{}", NEXT.fetch_add(1, SeqCst)));
        let Endpoint::Unix(path) = &endpoint else {
            unreachable!()
        };
        let listener = UnixListener::bind(path).unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (caller, _) = listener.accept().await.unwrap();
                let callee = UnixStream::connect(&target).await.unwrap();
                let at = cuts[number.min(cuts.len() - 1)];
                connections.spawn(pass(caller, callee, at));
            }
        });
        Self { endpoint, task }
    }

    /// A callee behind the cut, with a network of its own.
    fn callee(&self) -> (Network, Callee) {
        let network = Network::new(name("Caller-2"), anylith_core::Limits::default());
        network.update(directory(1, &[&self.endpoint]));
        let callee = network.callee(name("Echo"), Fingerprint(1));
        (network, callee)
    }
}

/// Passes bytes on until the cut, then drops both sockets.
async fn pass(mut caller: UnixStream, mut callee: UnixStream, at: At) {
    let (mut requests, mut answers) = match at {
        At::Request(bytes) => (bytes, usize::MAX),
        At::Answer(bytes) => (usize::MAX, bytes),
        At::Never => (usize::MAX, usize::MAX),
    };
    let (mut from_caller, mut from_callee) = (vec![0; 4096], vec![0; 4096]);
    loop {
        let (bytes, target, left) = tokio::select! {
            count = caller.read(&mut from_caller) => {
                (&from_caller[..count.unwrap_or(0)], &mut callee, &mut requests)
            }
            count = callee.read(&mut from_callee) => {
                (&from_callee[..count.unwrap_or(0)], &mut caller, &mut answers)
            }
        };
        let passed = bytes.len().min(*left);
        if target.write_all(&bytes[..passed]).await.is_err() || bytes.is_empty() {
            return;
        }
        *left -= passed;
        if *left == 0 {
            return;
        }
    }
}

/// The bytes of each greeting: what is in front of the first request, and of the first answer.
async fn greetings(world: &Started) -> (usize, usize) {
    let Endpoint::Unix(path) = world.server.endpoint() else {
        unreachable!()
    };
    let hello = anylith_wire::Hello {
        message_bytes: 1 << 26,
        calls: 10,
        window_bytes: 1,
        replica: name("Caller-2"),
        components: Vec::new(),
    };
    let mut socket = UnixStream::connect(path).await.unwrap();
    socket.write_all(&hello.encode()).await.unwrap();
    let mut answer = vec![0; 4096];
    (
        hello.encode().len(),
        socket.read(&mut answer).await.unwrap(),
    )
}

#[tokio::test]
async fn a_call_that_may_change_something_runs_at_most_once_wherever_the_connection_breaks() {
    let world = World::new().start();
    let (requests, answers) = greetings(&world).await;
    // Header 12, head 12, arguments 2; header 12, answer 2.
    let cuts = (0..=requests + 26)
        .map(At::Request)
        .chain((0..=answers + 14).map(At::Answer));
    for at in cuts {
        let cut = Cut::new(&world, vec![at, At::Never]);
        let (_network, callee) = cut.callee();
        let before = world.counts.begun();
        let answer = soon(making(&callee, ECHO, "hi").message()).await;
        let executed = world.counts.begun() - before;
        match &answer {
            Ok(message) => assert_eq!((message.as_slice(), executed), (&b"hi"[..], 1), "{at:?}"),
            Err(failure) => {
                assert_eq!(failure.execution(), Execution::Unknown, "{at:?}: {failure}");
                assert!(executed <= 1, "{at:?}: executed {executed} times");
            }
        }
        // Until the request had left, nothing was lost.
        if let At::Request(bytes) = at
            && bytes <= requests
            && bytes > 0
        {
            answer.unwrap_or_else(|failure| panic!("{at:?}: {failure}"));
        }
        if let At::Answer(bytes) = at
            && bytes > answers
            && bytes < answers + 14
        {
            assert_eq!(executed, 1, "{at:?}");
        }
    }
}

#[tokio::test]
async fn an_idempotent_call_survives_a_break_at_every_stage() {
    let world = World::new().start();
    let (requests, answers) = greetings(&world).await;
    let cuts = (1..=requests + 26)
        .map(At::Request)
        .chain((1..=answers + 14).map(At::Answer));
    for at in cuts {
        let cut = Cut::new(&world, vec![at, At::Never]);
        let (_network, callee) = cut.callee();
        let answer = soon(making(&callee, ECHO, "hi").idempotent().message()).await;
        assert_eq!(
            answer.unwrap_or_else(|failure| panic!("{at:?}: {failure}")),
            b"hi"
        );
    }
}

#[tokio::test]
async fn a_call_under_which_replicas_die_runs_in_two_of_them_at_most() {
    let world = World::new().start();
    let (_, answers) = greetings(&world).await;
    // With what was executed comes the cut.
    let cuts = vec![At::Answer(answers + 1)];
    for hedged in [false, true] {
        let ways = [0; 5].map(|_| Cut::new(&world, cuts.clone()));
        let network = Network::new(name("Caller-2"), anylith_core::Limits::default());
        network.update(directory(1, &ways.each_ref().map(|way| &way.endpoint)));
        let callee = network.callee(name("Echo"), Fingerprint(1));
        // They pay for a hedge, and are never sent.
        for _ in 0..5 {
            let call = making(&callee, ECHO, "hi").within(Duration::ZERO);
            soon(call.message()).await.unwrap_err();
        }
        let before = world.counts.begun();
        let call = tokio::spawn(async move {
            let mut call = making(&callee, HELD, "hi").idempotent();
            if hedged {
                call = call.hedge(Duration::from_millis(100));
            }
            call.message().await
        });
        if hedged {
            let both = |counts: &Counts| counts.begun() - before == 2;
            world.counts.until(both).await;
        }
        let ended = async {
            while !call.is_finished() {
                world.counts.release.notify_waiters();
                tokio::task::yield_now().await;
            }
        };
        soon(ended).await;
        let failure = call.await.unwrap().unwrap_err();
        assert_eq!(failure.execution(), Execution::Unknown, "{failure}");
        assert_eq!(world.counts.begun() - before, 2);
        assert_eq!(network.counters().hedged, u64::from(hedged));
    }
}

#[tokio::test]
async fn a_large_request_that_did_not_leave_whole_is_sent_again() {
    let world = World::new().start();
    let cut = Cut::new(&world, vec![At::Request(300_000), At::Never]);
    let (_network, callee) = cut.callee();
    let sent = vec![3; 8_000_000];
    let answer = soon(making(&callee, ECHO, sent.clone()).message())
        .await
        .unwrap();
    assert!(answer == sent);
    assert_eq!(world.counts.begun(), 1);
}

#[tokio::test]
async fn a_call_in_flight_when_the_server_dies_is_unknown() {
    let world = World::new().start();
    let Started {
        server,
        callee,
        counts,
        ..
    } = world;
    let call = tokio::spawn(async move { making(&callee, NEVER, "").message().await });
    counts.until(|counts| counts.begun() == 1).await;
    drop(server);
    let failure = soon(call).await.unwrap().unwrap_err();
    assert!(
        matches!(failure, Failure::Unknown(LostAnswer::Disconnected(_))),
        "{failure:?}"
    );
    counts
        .until(|counts| counts.dropped.load(SeqCst) == 1)
        .await;
}

#[tokio::test]
async fn a_call_in_flight_when_the_server_closes_is_told_so() {
    let world = World::new().start();
    let Started {
        server,
        callee,
        counts,
        ..
    } = world;
    let call = tokio::spawn(async move { making(&callee, NEVER, "").message().await });
    counts.until(|counts| counts.begun() == 1).await;
    soon(server.close()).await;
    let failure = soon(call).await.unwrap().unwrap_err();
    assert_eq!(failure, Failure::Unknown(LostAnswer::Stopped));
}

/// A replica that greets whoever comes, and then hangs with its connections open. Tells when it got a request.
fn hanging(endpoint: &Endpoint, asked: tokio::sync::oneshot::Sender<()>) -> JoinHandle<()> {
    let Endpoint::Unix(path) = endpoint else {
        panic!("a Unix socket")
    };
    let listener = UnixListener::bind(path).unwrap();
    let hello = anylith_wire::Hello {
        message_bytes: 1 << 26,
        calls: 10,
        window_bytes: 1 << 18,
        replica: name("Echo-1"),
        components: vec![anylith_wire::ServedComponent {
            name: name("Echo"),
            fingerprint: Fingerprint(1),
            methods: METHODS,
        }],
    };
    tokio::spawn(async move {
        let (mut caller, _) = listener.accept().await.unwrap();
        caller.write_all(&hello.encode()).await.unwrap();
        // It offers the first of its components, which is well.
        let offer = anylith_wire::frame::Header::new(anylith_wire::frame::Kind::Offer, 0, 3);
        caller.write_all(&offer.encode()).await.unwrap();
        caller.write_all(&[0, 0, 0]).await.unwrap();
        let mut got = Vec::new();
        // Only a request holds this.
        while !got.windows(2).any(|bytes| bytes == b"hi") {
            assert_ne!(caller.read_buf(&mut got).await.unwrap(), 0);
        }
        asked.send(()).unwrap();
        std::future::pending::<()>().await;
    })
}

#[tokio::test]
async fn an_idempotent_call_to_a_replica_that_hangs_is_answered_by_another_in_time() {
    let world = World::new().start();
    let frozen = world.folder.socket("frozen");
    let (asked, was_asked) = tokio::sync::oneshot::channel();
    let hanging = hanging(&frozen, asked);
    let network = Network::new(name("Caller-2"), anylith_core::Limits::default());
    network.update(directory(1, &[&frozen]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    // The time of a call where nothing else is said.
    let call = making(&callee, ECHO, "hi")
        .idempotent()
        .within(Duration::from_secs(10))
        .message();
    let sent = async {
        was_asked.await.unwrap();
        network.update(directory(2, &[&frozen, &world.server.endpoint()]));
    };
    let (answer, ()) = tokio::join!(soon(call), sent);
    assert_eq!(answer.unwrap(), b"hi");
    hanging.abort();
}

#[tokio::test]
async fn calls_to_a_replica_that_hangs_end_soon_after_it_has_left_the_directory() {
    let folder = Folder::new();
    let frozen = folder.socket("frozen");
    let (asked, was_asked) = tokio::sync::oneshot::channel();
    let hanging = hanging(&frozen, asked);
    let network = Network::new(name("Caller-1"), anylith_core::Limits::default());
    network.update(directory(1, &[&frozen]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    let call = tokio::spawn(async move { making(&callee, ECHO, "hi").message().await });
    was_asked.await.unwrap();
    let begun = Instant::now();
    network.update(directory(2, &[]));
    let failure = soon(call).await.unwrap().unwrap_err();
    assert_eq!(failure.execution(), Execution::Unknown);
    let patience = anylith_wire::QUIET + anylith_wire::PATIENCE;
    assert!(begun.elapsed() < patience, "{:?}", begun.elapsed());
    hanging.abort();
}

#[tokio::test]
async fn an_idempotent_call_survives_a_restart_at_another_endpoint() {
    let world = World::new().start();
    let again = world.another_server("again");
    let Started {
        server,
        callee,
        counts,
        network,
        folder: _folder,
        ..
    } = world;
    let call =
        tokio::spawn(async move { making(&callee, HELD, "held").idempotent().message().await });
    counts.until(|counts| counts.begun() == 1).await;
    drop(server);
    counts
        .until(|counts| counts.dropped.load(SeqCst) == 1)
        .await;
    network.update(directory(2, &[&again.endpoint()]));
    counts.until(|counts| counts.begun() == 2).await;
    counts.release.notify_one();
    assert_eq!(soon(call).await.unwrap().unwrap(), b"held");
}

#[tokio::test]
async fn a_call_waits_for_a_replica_that_comes_back_at_its_endpoint() {
    let world = World::new().start();
    making(&world.callee, ECHO, "").message().await.unwrap();
    let Started {
        server,
        callee,
        counts,
        folder,
        limits,
        network: _network,
        ..
    } = world;
    soon(server.close()).await;
    let mut call = making(&callee, ECHO, "late").message().boxed();
    assert!((&mut call).now_or_never().is_none(), "it does not wait");
    let service = Echo {
        component: name("Echo"),
        fingerprint: Fingerprint(1),
        counts,
    };
    let again = Network::new(name("Echo-1"), limits);
    let _server = again
        .serve(&folder.socket("server"), std::sync::Arc::new(service))
        .unwrap();
    assert_eq!(soon(call).await.unwrap(), b"late");
}

#[tokio::test]
async fn without_a_listener_a_call_says_where_it_tried() {
    let world = World::new().start();
    let nowhere = world.folder.socket("nowhere");
    world.network.update(directory(2, &[&nowhere]));
    let begun = Instant::now();
    let call = making(&world.callee, ECHO, "").within(Duration::from_millis(100));
    let failure = soon(call.message()).await.unwrap_err();
    let Failure::NotExecuted(Refusal::Unreachable(detail)) = failure else {
        panic!("{failure:?}")
    };
    assert!(detail.contains("nowhere"), "{detail}");
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_call_dropped_before_its_request_left_never_runs() {
    let world = World::new().start();
    making(&world.callee, ECHO, "").message().await.unwrap();
    let before = world.counts.begun();
    {
        let call = making(&world.callee, ECHO, "never").message();
        tokio::pin!(call);
        // One poll puts the request into the outbox; the connection's task has not run yet.
        let once = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending()));
        assert!(once.await);
    }
    making(&world.callee, ECHO, "").message().await.unwrap();
    assert_eq!(world.counts.begun(), before + 1);
}
