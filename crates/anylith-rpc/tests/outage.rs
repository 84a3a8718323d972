//! Callees that cannot be reached: how long their callers wait, and what they are told.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{
    path::PathBuf,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use anylith_core::{Directory, Endpoint, Execution, Fingerprint, Limits, Refusal, Whereabouts};
use anylith_rpc::{Callee, Failure, Network};
use futures_util::FutureExt as _;
use support::*;

/// How long calls of these tests wait for a replica; their own time is ten seconds.
const REACH: Duration = Duration::from_millis(300);
/// What none of the waits is to come near to.
const LONG: Duration = Duration::from_secs(8);

fn limits() -> Limits {
    Limits {
        reach_timeout_ms: REACH.as_millis() as u32,
        ..Limits::default()
    }
}

/// A caller whose directory names replicas at `endpoints`.
fn caller(endpoints: &[&Endpoint]) -> (Network, Callee) {
    let network = Network::new(name("Caller-1"), limits());
    network.update(directory(1, endpoints));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    (network, callee)
}

/// What a call that is not executed is told, and how long that took.
async fn told(callee: &Callee) -> (String, Duration) {
    let begun = Instant::now();
    let failure = soon(making(callee, ECHO, "hi").message())
        .await
        .unwrap_err();
    assert_eq!(failure.execution(), Execution::NotExecuted, "{failure:?}");
    match failure {
        Failure::NotExecuted(Refusal::Unreachable(told)) => (told, begun.elapsed()),
        other => panic!("{other:?}"),
    }
}

/// Makes a call that is not executed, and is told so without any wait.
fn told_at_once(callee: &Callee) {
    let answer = making(callee, ECHO, "hi").message().now_or_never();
    let failure = answer.expect("it waits").unwrap_err();
    assert!(
        matches!(failure, Failure::NotExecuted(Refusal::Unreachable(_))),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_call_that_can_reach_nobody_fails_long_before_its_deadline() {
    let folder = Folder::new();
    let (_network, callee) = caller(&[&folder.socket("nobody")]);
    let (_, waited) = told(&callee).await;
    assert!(waited >= REACH && waited < LONG, "{waited:?}");
}

#[tokio::test]
async fn a_failed_call_says_which_replicas_were_tried_and_what_was_wrong_with_each() {
    let folder = Folder::new();
    let (first, second) = (folder.socket("first"), folder.socket("second"));
    let Endpoint::Unix(path) = &second else {
        unreachable!()
    };
    // Somebody has listened there, and is gone.
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    let (_network, callee) = caller(&[&first, &second]);
    let (told, _) = told(&callee).await;
    for part in [
        "Echo-1",
        &first.to_string(),
        "No such file",
        "Echo-2",
        &second.to_string(),
        "refused",
    ] {
        assert!(told.contains(part), "{part:?} is missing in {told:?}");
    }
}

#[tokio::test]
async fn in_the_midst_of_an_outage_calls_fail_at_once() {
    let folder = Folder::new();
    let (_network, callee) = caller(&[&folder.socket("nobody")]);
    told(&callee).await;
    for _ in 0..20 {
        told_at_once(&callee);
    }
}

#[tokio::test]
async fn a_component_without_a_replica_is_not_waited_for_beyond_the_bound() {
    let (network, callee) = caller(&[]);
    let (told_first, waited) = told(&callee).await;
    assert!(waited < LONG, "{waited:?}");
    assert!(told_first.contains("no replica of Echo"), "{told_first}");
    // What happens to other components is no reason for hope.
    let mut elsewhere = directory(2, &[]);
    elsewhere
        .components
        .insert(name("Other"), Whereabouts::Moves);
    network.update(elsewhere);
    told_at_once(&callee);
}

#[tokio::test]
async fn a_component_on_its_way_is_waited_for_beyond_the_bound() {
    let folder = Folder::new();
    let (network, callee) = caller(&[&folder.socket("nobody")]);
    told(&callee).await;
    let mut moving = directory(2, &[]);
    moving.components.insert(name("Echo"), Whereabouts::Moves);
    network.update(moving);
    let mut call = making(&callee, ECHO, "hi").message().boxed();
    assert!((&mut call).now_or_never().is_none(), "it does not wait");
    let world = World::new().start();
    network.update(directory(3, &[&world.server.endpoint()]));
    assert_eq!(soon(call).await.unwrap(), b"hi");
}

#[tokio::test]
async fn a_call_reaches_a_replica_that_appears_while_it_waits() {
    let world = World::new().start();
    let network = Network::new(name("Caller-2"), Limits::default());
    network.update(directory(1, &[]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    let mut call = making(&callee, ECHO, "hi").message().boxed();
    assert!((&mut call).now_or_never().is_none(), "it does not wait");
    network.update(directory(2, &[&world.server.endpoint()]));
    assert_eq!(soon(call).await.unwrap(), b"hi");
}

#[tokio::test]
async fn after_an_outage_a_replica_that_is_new_in_the_directory_is_waited_for() {
    let world = World::new().start();
    let (network, callee) = caller(&[]);
    told(&callee).await;
    network.update(directory(2, &[&world.server.endpoint()]));
    let call = making(&callee, ECHO, "hi");
    assert_eq!(soon(call.message()).await.unwrap(), b"hi");
}

#[tokio::test]
async fn a_replica_that_came_back_to_its_address_is_called_again() {
    let world = World::new().limits(limits()).start();
    let call = || making(&world.callee, ECHO, "hi").message();
    soon(call()).await.unwrap();
    let Endpoint::Unix(path) = world.server.endpoint() else {
        unreachable!()
    };
    world.server.close().await;
    told(&world.callee).await;
    let _back = serve_again(path);
    soon(async {
        // Connecting again has its pauses.
        while let Err(failure) = making(&world.callee, ECHO, "hi").message().await {
            assert_eq!(failure.execution(), Execution::NotExecuted, "{failure:?}");
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_is_lost_right_after_a_renewal_is_waited_for_all_the_same() {
    let patience = Duration::from_secs(2);
    let world = World::new()
        .limits(Limits {
            reach_timeout_ms: patience.as_millis() as u32,
            ..Limits::default()
        })
        .start();
    soon(making(&world.callee, ECHO, "hi").message())
        .await
        .unwrap();
    // Who waited from the beginning of this connection would wait no more.
    tokio::time::sleep(patience).await;
    world.server.renew();
    soon(making(&world.callee, ECHO, "hi").message())
        .await
        .unwrap();
    world.server.close().await;
    let (told, waited) = told(&world.callee).await;
    assert!(waited > patience / 10, "{waited:?}: {told}");
}

fn serve_again(path: PathBuf) -> anylith_rpc::Server {
    let service = std::sync::Arc::new(Echo {
        component: name("Echo"),
        fingerprint: Fingerprint(1),
        counts: std::sync::Arc::default(),
    });
    let network = Network::new(name("Echo-1"), Limits::default());
    network.serve(&Endpoint::Unix(path), service).unwrap()
}

#[tokio::test]
async fn a_replica_that_greets_and_hangs_up_is_not_waited_for_again_and_again() {
    let world = World::new().limits(limits()).start();
    // It drains: who connects is greeted, told so, and let go.
    world.server.drain().await;
    let (told_first, waited) = told(&world.callee).await;
    assert!(waited < LONG, "{waited:?}: {told_first}");
    let begun = Instant::now();
    told(&world.callee).await;
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_component_that_has_moved_is_not_asked_for_until_the_deadline() {
    let world = World::new().limits(limits()).start();
    let begun = Instant::now();
    let failure = soon(making(&world.callee, MOVED, "").message())
        .await
        .unwrap_err();
    let Failure::NotExecuted(Refusal::Unreachable(told)) = failure else {
        panic!("{failure:?}")
    };
    assert!(
        told.contains("Echo-1: no calls of Echo are taken"),
        "{told}"
    );
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    assert!(world.counts.begun() > 2, "it was asked once");
    // Those who come in the midst of it are told so after one attempt.
    let before = world.counts.begun();
    for _ in 0..5 {
        let call = soon(making(&world.callee, MOVED, "").message()).await;
        assert_eq!(call.unwrap_err().execution(), Execution::NotExecuted);
    }
    assert_eq!(world.counts.begun(), before + 5);
    // One that is taken ends it.
    let call = making(&world.callee, ECHO, "hi").message();
    assert_eq!(soon(call).await.unwrap(), b"hi");
}

#[tokio::test]
async fn a_call_that_has_moved_by_a_newer_directory_waits_for_that_as_long_as_it_may() {
    let world = World::new().limits(limits()).start();
    let newer = "\u{7}\0\0\0\0\0\0\0";
    let begin = || {
        let callee = world.callee.clone();
        tokio::spawn(async move {
            let call = making(&callee, MOVED, newer).within(Duration::from_secs(60));
            call.message().await
        })
    };
    let call = begin();
    // Nobody asks for so long, unless he knows that it is worth it.
    tokio::time::sleep(3 * REACH).await;
    assert!(!call.is_finished());
    world.counts.arrived.store(true, SeqCst);
    assert_eq!(soon(call).await.unwrap().unwrap(), b"here");
    // The directory is here, and still nobody takes the call.
    world.counts.arrived.store(false, SeqCst);
    let here = Directory {
        epoch: 7,
        ..(*world.network.directory()).clone()
    };
    assert!(world.network.update(here));
    let begun = Instant::now();
    let failure = soon(begin()).await.unwrap().unwrap_err();
    assert_eq!(failure.execution(), Execution::NotExecuted);
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_deadline_before_the_bound_is_kept() {
    let (_network, callee) = {
        let network = Network::new(name("Caller-1"), Limits::default());
        network.update(Directory::default());
        let callee = network.callee(name("Echo"), Fingerprint(1));
        (network, callee)
    };
    let begun = Instant::now();
    let call = making(&callee, ECHO, "").within(Duration::from_millis(50));
    let failure = soon(call.message()).await.unwrap_err();
    assert_eq!(failure.execution(), Execution::NotExecuted);
    assert!(begun.elapsed() < Duration::from_secs(2), "{failure:?}");
}
