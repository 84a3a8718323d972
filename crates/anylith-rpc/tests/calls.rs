//! Calls over a real socket: answers, failures, deadlines, cancellation.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use anylith_core::{CallContext, Execution, Fingerprint, Limits, Overload, Refusal};
use anylith_rpc::Failure;
use support::*;

#[tokio::test]
async fn an_answer_comes_back() {
    let world = World::new().start();
    assert_eq!(
        making(&world.callee, ECHO, "hi").message().await.unwrap(),
        b"hi"
    );
}

#[tokio::test]
async fn tcp_carries_the_same() {
    let world = World::new().tcp().start();
    assert_eq!(
        making(&world.callee, ECHO, "hi").message().await.unwrap(),
        b"hi"
    );
    assert_eq!(
        making(&world.callee, LATER, "hi").message().await.unwrap(),
        b"hi"
    );
}

#[tokio::test]
async fn a_pending_call_does_not_hold_up_others() {
    let world = World::new().start();
    let held = tokio::spawn({
        let callee = world.callee.clone();
        async move { making(&callee, HELD, "held").message().await }
    });
    world.counts.until(|counts| counts.begun() == 1).await;
    for _ in 0..100 {
        assert_eq!(
            making(&world.callee, LATER, "hi").message().await.unwrap(),
            b"hi"
        );
    }
    world.counts.release.notify_one();
    assert_eq!(soon(held).await.unwrap().unwrap(), b"held");
}

#[tokio::test]
async fn many_calls_at_once_each_get_their_own_answer() {
    let world = World::new().start();
    let calls = (0..1000_u32).map(|number| {
        let callee = world.callee.clone();
        tokio::spawn(async move {
            let method = if number % 3 == 0 { LATER } else { ECHO };
            let answer = making(&callee, method, number.to_le_bytes())
                .message()
                .await
                .unwrap();
            assert_eq!(answer, number.to_le_bytes());
        })
    });
    for call in calls.collect::<Vec<_>>() {
        soon(call).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_calls_at_once_on_many_threads() {
    let world = World::new().start();
    let calls = (0..64_u32).map(|number| {
        let callee = world.callee.clone();
        tokio::spawn(async move {
            for round in 0..200_u32 {
                let method = if (number + round) % 5 == 0 {
                    LATER
                } else {
                    ECHO
                };
                let size = if round % 50 == 7 { 300_000 } else { 8 };
                let sent = [number.to_le_bytes(), round.to_le_bytes()]
                    .concat()
                    .repeat(size / 8);
                let answer = making(&callee, method, sent.clone())
                    .message()
                    .await
                    .unwrap();
                assert!(answer == sent);
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        soon(call).await.unwrap();
    }
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let world = World::new().start();
    let sent: Vec<u8> = (0..20_000_000_u32).map(|at| (at % 251) as u8).collect();
    let answer = soon(making(&world.callee, ECHO, sent.clone()).message())
        .await
        .unwrap();
    assert!(answer == sent);
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_before_it_is_sent() {
    let limits = Limits {
        message_bytes: 1000,
        ..Limits::default()
    };
    let world = World::new().limits(limits).start();
    let failure = making(&world.callee, ECHO, vec![0; 1001])
        .message()
        .await
        .unwrap_err();
    assert_eq!(
        failure,
        Failure::NotExecuted(Refusal::TooLarge {
            size: 1001,
            limit: 1000
        })
    );
    assert_eq!(
        making(&world.callee, ECHO, vec![0; 1000])
            .message()
            .await
            .unwrap()
            .len(),
        1000
    );
}

#[tokio::test]
async fn a_dropped_call_cancels_the_callee() {
    let world = World::new().start();
    let call = tokio::spawn({
        let callee = world.callee.clone();
        async move { making(&callee, NEVER, "").message().await }
    });
    world.counts.until(|counts| counts.begun() == 1).await;
    call.abort();
    world
        .counts
        .until(|counts| counts.dropped.load(SeqCst) == 1)
        .await;
    assert_eq!(
        making(&world.callee, ECHO, "hi").message().await.unwrap(),
        b"hi"
    );
}

#[tokio::test]
async fn a_deadline_ends_a_call_at_both_ends() {
    let world = World::new().start();
    let call = making(&world.callee, NEVER, "").within(Duration::from_millis(50));
    let failure = soon(call.message()).await.unwrap_err();
    assert_eq!(failure, Failure::DeadlineExceeded(Execution::Unknown));
    world
        .counts
        .until(|counts| counts.dropped.load(SeqCst) == 1)
        .await;
}

#[tokio::test]
async fn the_callee_learns_how_much_time_is_left() {
    let world = World::new().start();
    let call = making(&world.callee, LEFT, "").within(Duration::from_secs(3));
    let left = u64::from_le_bytes(call.message().await.unwrap().try_into().unwrap());
    assert!((1_000_000..=3_000_000).contains(&left), "{left} µs");
    let call = making(&world.callee, LEFT, "").no_deadline();
    assert_eq!(call.message().await.unwrap(), u64::MAX.to_le_bytes());
}

#[tokio::test]
async fn a_panic_fails_its_call_alone() {
    let world = World::new().start();
    for method in [PANIC, PANIC_LATER] {
        let failure = soon(making(&world.callee, method, "").message())
            .await
            .unwrap_err();
        assert!(matches!(failure, Failure::Panicked(_)), "{failure:?}");
        assert_eq!(
            making(&world.callee, ECHO, "hi").message().await.unwrap(),
            b"hi"
        );
    }
}

#[tokio::test]
async fn the_context_travels() {
    let world = World::new().start();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = CallContext {
        trace: Some(trace.parse().unwrap()),
        ..CallContext::default()
    };
    let call = making(&world.callee, TRACE, "").context(context);
    assert_eq!(call.message().await.unwrap(), trace.as_bytes());
}

#[tokio::test]
async fn another_fingerprint_is_refused_and_both_are_named() {
    let world = World::new().served_fingerprint(Fingerprint(2)).start();
    let failure = soon(making(&world.callee, ECHO, "").message())
        .await
        .unwrap_err();
    let Failure::Incompatible(detail) = failure else {
        panic!("{failure:?}")
    };
    assert!(
        detail.contains("0000000000000001") && detail.contains("0000000000000002"),
        "{detail}"
    );
    assert_eq!(world.counts.begun(), 0);
}

#[tokio::test]
async fn an_unknown_method_is_refused() {
    let world = World::new().start();
    let failure = making(&world.callee, METHODS, "")
        .message()
        .await
        .unwrap_err();
    assert_eq!(failure, Failure::NotExecuted(Refusal::UnknownMethod));
}

#[tokio::test]
async fn over_the_limit_on_calls_a_call_is_refused_at_once() {
    let limits = Limits {
        calls_per_connection: 3,
        ..Limits::default()
    };
    let world = World::new().limits(limits).start();
    let held: Vec<_> = (0..3)
        .map(|_| {
            let callee = world.callee.clone();
            tokio::spawn(async move { making(&callee, HELD, "").message().await })
        })
        .collect();
    world.counts.until(|counts| counts.begun() == 3).await;
    let failure = soon(making(&world.callee, ECHO, "").message())
        .await
        .unwrap_err();
    assert_eq!(
        failure,
        Failure::NotExecuted(Refusal::Overloaded(Overload::Connection))
    );
    assert!(world.network.counters().withheld > 0);
    for _ in &held {
        world.counts.release.notify_one();
        world.counts.release.notify_waiters();
    }
    for call in held {
        soon(call).await.unwrap().unwrap();
    }
    making(&world.callee, ECHO, "").message().await.unwrap();
}

#[tokio::test]
async fn without_a_replica_a_call_waits_and_says_what_is_missing() {
    let world = World::new().start();
    let nobody = world.network.callee(name("Nobody"), Fingerprint(1));
    let call = making(&nobody, ECHO, "").within(Duration::from_millis(30));
    let failure = soon(call.message()).await.unwrap_err();
    let Failure::NotExecuted(Refusal::Unreachable(detail)) = failure else {
        panic!("{failure:?}")
    };
    assert!(detail.contains("no replica of Nobody"), "{detail}");
}
