//! Draining a server or one of its components, and choosing among replicas.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{
    future::Future,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::Poll,
    time::Duration,
};

use anylith_core::{Fingerprint, LostAnswer, Refusal};
use anylith_rpc::{Failure, Network};
use anylith_wire::CallingEvent;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use support::{puppet::Puppet, *};

#[tokio::test]
async fn a_drain_lets_calls_in_flight_finish_and_refuses_new_ones() {
    let world = World::new().start();
    let held = tokio::spawn({
        let callee = world.callee.clone();
        async move { making(&callee, HELD, "held").message().await }
    });
    world.counts.until(|counts| counts.begun() == 1).await;
    let drained = world.server.drain();
    tokio::pin!(drained);
    let once = std::future::poll_fn(|cx| Poll::Ready(drained.as_mut().poll(cx).is_pending()));
    assert!(once.await, "a call is in flight");
    let call = making(&world.callee, ECHO, "").within(Duration::from_millis(50));
    let failure = soon(call.message()).await.unwrap_err();
    assert!(matches!(failure, Failure::NotExecuted(_)), "{failure:?}");
    world.counts.release.notify_one();
    soon(drained).await;
    assert_eq!(soon(held).await.unwrap().unwrap(), b"held");
    assert_eq!(world.counts.begun(), 1);
}

#[tokio::test]
async fn a_request_that_crosses_with_the_go_away_is_refused_and_not_lost() {
    let world = World::new().start();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    let mut end = Box::pin(async {
        world.server.drain().await;
        world.server.close().await;
    });
    assert!(end.as_mut().now_or_never().is_none(), "a caller is there");
    // It has not read that the server drains.
    let call = puppet.begin(ECHO, b"hi");
    puppet.write().await;
    let told = async {
        assert_eq!(puppet.event().await, Some(CallingEvent::GoingAway));
        let event = puppet.event().await;
        drop(puppet);
        event
    };
    let (told, ()) = soon(futures_util::future::join(told, end)).await;
    let failure = Failure::NotExecuted(Refusal::Moved { epoch: 0 });
    assert_eq!(told, Some(CallingEvent::Failed { call, failure }));
    assert_eq!(world.counts.begun(), 0);
}

#[tokio::test]
async fn calls_move_to_another_replica_while_one_drains() {
    let world = World::new().start();
    making(&world.callee, ECHO, "").message().await.unwrap();
    let other = world.another_server("other");
    world
        .network
        .update(directory(2, &[&world.server.endpoint(), &other.endpoint()]));
    soon(world.server.drain()).await;
    for _ in 0..50 {
        soon(making(&world.callee, ECHO, "hi").message())
            .await
            .unwrap();
    }
    assert_eq!(world.counts.begun(), 51);
}

#[tokio::test]
async fn calls_of_a_component_that_is_stopped_are_dropped_and_their_callers_told() {
    let world = World::new().start();
    let call = tokio::spawn({
        let callee = world.callee.clone();
        async move { making(&callee, NEVER, "").idempotent().message().await }
    });
    let feed = Box::pin(stream::pending());
    let fed = tokio::spawn({
        let callee = world.callee.clone();
        async move { making(&callee, SUM, "").items(feed).message().await }
    });
    world.counts.until(|counts| counts.begun() == 2).await;
    world.server.stop_component(&name("Echo"));
    let counts = &world.counts;
    counts
        .until(|counts| counts.dropped.load(SeqCst) == 2)
        .await;
    let stopped = Failure::Unknown(LostAnswer::Stopped);
    assert_eq!(soon(fed).await.unwrap(), Err(stopped));
    // What is idempotent is sent again, to whoever serves now; here that is the same server.
    counts.until(|counts| counts.begun() == 3).await;
    call.abort();
}

#[tokio::test]
async fn a_stream_whose_reader_is_slow_ends_where_its_component_is_stopped() {
    let world = World::new().start();
    let count = [1_000_000_u32.to_le_bytes(), 10_000_u32.to_le_bytes()].concat();
    let mut stream = making(&world.callee, COUNT, count).stream().await.unwrap();
    soon(stream.next()).await.unwrap().unwrap();
    // It waits for credit now, or will: nobody polls what the implementation returned.
    world.server.stop_component(&name("Echo"));
    let end = soon(async {
        loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                end => return end,
            }
        }
    });
    assert_eq!(end.await, Some(Err(Failure::Unknown(LostAnswer::Stopped))));
}

#[tokio::test]
async fn a_refusal_as_moved_is_tried_again_within_the_deadline() {
    let world = World::new().start();
    let call = making(&world.callee, MOVED, "").within(Duration::from_millis(200));
    let failure = soon(call.message()).await.unwrap_err();
    assert_eq!(failure, Failure::NotExecuted(Refusal::Moved { epoch: 0 }));
    assert!(
        world.counts.begun() > 2,
        "it was tried {} times",
        world.counts.begun()
    );
}

#[tokio::test]
async fn a_replica_that_left_the_directory_finishes_its_calls() {
    let world = World::new().start();
    let held = tokio::spawn({
        let callee = world.callee.clone();
        async move { making(&callee, HELD, "held").message().await }
    });
    world.counts.until(|counts| counts.begun() == 1).await;
    let other = world.another_server("other");
    world.network.update(directory(2, &[&other.endpoint()]));
    making(&world.callee, ECHO, "").message().await.unwrap();
    world.counts.release.notify_one();
    assert_eq!(soon(held).await.unwrap().unwrap(), b"held");
}

#[tokio::test]
async fn an_older_directory_is_ignored() {
    let world = World::new().start();
    assert!(
        world
            .network
            .update(directory(7, &[&world.server.endpoint()]))
    );
    assert!(!world.network.update(directory(6, &[])));
    assert!(!world.network.update(directory(7, &[])));
    assert_eq!(world.network.directory().epoch, 7);
    making(&world.callee, ECHO, "").message().await.unwrap();
}

#[tokio::test]
async fn calls_are_spread_over_all_replicas() {
    let world = World::new().start();
    let others: Vec<_> = (0..2)
        .map(|number| {
            let counts = Arc::new(Counts::default());
            let service = Echo {
                component: name("Echo"),
                fingerprint: Fingerprint(1),
                counts: counts.clone(),
            };
            let network = Network::new(name(&format!("Echo-{}", number + 2)), world.limits.clone());
            let endpoint = world.folder.socket(&format!("other-{number}"));
            (network.serve(&endpoint, Arc::new(service)).unwrap(), counts)
        })
        .collect();
    let mut endpoints = vec![world.server.endpoint()];
    endpoints.extend(others.iter().map(|(server, _)| server.endpoint()));
    world
        .network
        .update(directory(2, &endpoints.iter().collect::<Vec<_>>()));
    // Connections open when they are first needed: call until each has been found.
    let all = || {
        let mut counts = vec![world.counts.begun()];
        counts.extend(others.iter().map(|(_, counts)| counts.begun()));
        counts
    };
    soon(async {
        while all().contains(&0) {
            making(&world.callee, LATER, "").message().await.unwrap();
        }
    })
    .await;
    let before = all();
    let calls = (0..300).map(|_| {
        let callee = world.callee.clone();
        tokio::spawn(async move { making(&callee, LATER, "").message().await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        soon(call).await.unwrap();
    }
    for (before, after) in before.into_iter().zip(all()) {
        // One whose first answer was late gets less of them, but not nothing.
        assert!(after - before > 5, "{} of 300 calls", after - before);
    }
}

#[tokio::test]
async fn a_replica_with_calls_that_hang_gets_fewer_new_ones() {
    let world = World::new().start();
    let held: Vec<_> = (0..100)
        .map(|_| {
            let callee = world.callee.clone();
            tokio::spawn(async move { making(&callee, NEVER, "").message().await })
        })
        .collect();
    world.counts.until(|counts| counts.begun() == 100).await;
    let counts = Arc::new(Counts::default());
    let service = Echo {
        component: name("Echo"),
        fingerprint: Fingerprint(1),
        counts: counts.clone(),
    };
    let network = Network::new(name("Echo-2"), world.limits.clone());
    let other = network
        .serve(&world.folder.socket("other"), Arc::new(service))
        .unwrap();
    world
        .network
        .update(directory(2, &[&world.server.endpoint(), &other.endpoint()]));
    soon(async {
        while counts.begun() == 0 {
            making(&world.callee, ECHO, "").message().await.unwrap();
        }
    })
    .await;
    let before = counts.begun();
    for _ in 0..200 {
        making(&world.callee, ECHO, "").message().await.unwrap();
    }
    let share = counts.begun() - before;
    assert!(share > 150, "{share} of 200 calls");
    for call in held {
        call.abort();
    }
    world
        .counts
        .until(|counts| counts.dropped.load(SeqCst) == 100)
        .await;
}

#[tokio::test]
async fn a_network_that_is_dropped_ends_its_calls_and_the_callee_notices() {
    let world = World::new().start();
    let Started {
        server: _server,
        network,
        callee,
        counts,
        folder: _folder,
        ..
    } = world;
    let call = tokio::spawn(async move { making(&callee, NEVER, "").message().await });
    counts.until(|counts| counts.begun() == 1).await;
    call.abort();
    drop(network);
    counts
        .until(|counts| counts.dropped.load(SeqCst) == 1)
        .await;
}
