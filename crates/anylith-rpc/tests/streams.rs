//! Streams in both directions: order, credit, and stopping early from either side.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use anylith_core::{Execution, Overload, Refusal};
use anylith_rpc::{Failure, Items};
use futures_util::{FutureExt as _, StreamExt, stream};
use support::*;

fn counting(count: u32, length: u32) -> Vec<u8> {
    [count.to_le_bytes(), length.to_le_bytes()].concat()
}

/// A stream of `count` items of `length` bytes, and how many of them were taken from it.
fn source(count: usize, length: usize) -> (Items, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    let item = move |index: usize| {
        counter.fetch_add(1, SeqCst);
        Ok(vec![index as u8; length].into())
    };
    (Box::pin(stream::iter(0..count).map(item)), taken)
}

#[tokio::test]
async fn items_of_an_answer_come_in_order_and_end() {
    let world = World::new().start();
    for (count, length) in [(0, 0), (1, 10), (5000, 3), (40, 100_000), (3, 1_000_000)] {
        let call = making(&world.callee, COUNT, counting(count, length));
        let items: Vec<_> = soon(async { call.stream().await.unwrap().collect().await }).await;
        assert_eq!(items.len(), count as usize);
        for (index, item) in items.into_iter().enumerate() {
            let item = item.unwrap();
            assert!(item.len() == length as usize && item.iter().all(|byte| *byte == index as u8));
        }
    }
}

#[tokio::test]
async fn items_of_arguments_arrive() {
    let world = World::new().start();
    for (count, length) in [(0, 0), (5000, 3), (40, 100_000), (3, 1_000_000)] {
        let call = making(&world.callee, SUM, "").items(source(count, length).0);
        let answer = soon(call.message()).await.unwrap();
        assert_eq!(answer, counting(count as u32, (count * length) as u32));
    }
}

#[tokio::test]
async fn items_of_arguments_arrive_although_the_first_attempt_was_refused() {
    let limits = anylith_core::Limits {
        calls_per_connection: 1,
        ..anylith_core::Limits::default()
    };
    let world = World::new().limits(limits).start();
    making(&world.callee, ECHO, "").message().await.unwrap();
    let mut arrived = 0;
    while arrived < 3 {
        let mut held = std::pin::pin!(making(&world.callee, HELD, "").message());
        assert!((&mut held).now_or_never().is_none());
        let items = stream::iter([Ok("ab".into()), Ok("c".into())]);
        let mut sum = std::pin::pin!(
            making(&world.callee, SUM, "")
                .items(Box::pin(items))
                .message()
        );
        // The connection has no room for it now; it has when it is sent again, if that is not too soon.
        assert!((&mut sum).now_or_never().is_none());
        world.counts.release.notify_one();
        let (_, sum) = soon(futures_util::future::join(held, sum)).await;
        match sum {
            Ok(sum) => {
                assert_eq!(sum, [2, 0, 0, 0, 3, 0, 0, 0], "a count and a length");
                arrived += 1;
            }
            Err(failure) => assert_eq!(
                failure,
                Failure::NotExecuted(Refusal::Overloaded(Overload::Connection))
            ),
        }
    }
}

#[tokio::test]
async fn both_sides_can_stream_at_once() {
    let world = World::new().start();
    let call = making(&world.callee, MIRROR, "").items(source(2000, 1000).0);
    let items: Vec<_> = soon(async { call.stream().await.unwrap().collect().await }).await;
    assert_eq!(items.len(), 2000);
    assert!(items.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_slow_reader_holds_up_the_sender_and_not_other_calls() {
    let world = World::new().start();
    let (source, taken) = source(100_000, 1000);
    let mut mirrored = making(&world.callee, MIRROR, "")
        .items(source)
        .stream()
        .await
        .unwrap();
    soon(mirrored.next()).await.unwrap().unwrap();
    for _ in 0..200 {
        making(&world.callee, LATER, "hi").message().await.unwrap();
    }
    // A window of 256 KiB in each direction, and what an item takes beyond its length.
    assert!(
        taken.load(SeqCst) < 600,
        "{} items were taken",
        taken.load(SeqCst)
    );
}

#[tokio::test]
async fn a_stream_that_is_dropped_stops_the_callee() {
    let world = World::new().start();
    let mut items = making(&world.callee, COUNT, counting(u32::MAX, 1000))
        .stream()
        .await
        .unwrap();
    soon(items.next()).await.unwrap().unwrap();
    drop(items);
    soon(async {
        world.server.drain().await;
    })
    .await;
}

#[tokio::test]
async fn a_callee_may_answer_before_it_has_all_items() {
    let world = World::new().start();
    let (source, taken) = source(100_000, 1000);
    let answer = soon(making(&world.callee, FIRST, "").items(source).message())
        .await
        .unwrap();
    assert_eq!(answer, vec![0; 1000]);
    assert!(taken.load(SeqCst) < 100_000);
    making(&world.callee, ECHO, "").message().await.unwrap();
}

#[tokio::test]
async fn a_source_that_fails_cancels_the_call() {
    let world = World::new().start();
    let counts = world.counts.clone();
    let failing = async move {
        counts.until(|counts| counts.begun() == 1).await;
        Err(Failure::Panicked("the source".into()))
    };
    let items = stream::iter([Ok("one".into())]).chain(stream::once(failing));
    let call = making(&world.callee, SUM, "").items(Box::pin(items));
    assert_eq!(
        soon(call.message()).await,
        Err(Failure::Panicked("the source".into()))
    );
    world
        .counts
        .until(|counts| counts.dropped.load(SeqCst) == 1)
        .await;
}

#[tokio::test]
async fn a_deadline_ends_a_stream() {
    let world = World::new().start();
    let call =
        making(&world.callee, COUNT, counting(u32::MAX, 1)).within(Duration::from_millis(50));
    let mut items = call.stream().await.unwrap();
    let end = soon(async {
        loop {
            match items.next().await {
                Some(Ok(_)) => {}
                end => return end,
            }
        }
    })
    .await;
    assert_eq!(
        end,
        Some(Err(Failure::DeadlineExceeded(Execution::Unknown)))
    );
    assert_eq!(soon(items.next()).await, None);
}

#[tokio::test]
async fn an_item_over_the_limit_fails_its_call() {
    let limits = anylith_core::Limits {
        message_bytes: 1000,
        ..Default::default()
    };
    let world = World::new().limits(limits).start();
    let mut items = making(&world.callee, COUNT, counting(3, 1001))
        .stream()
        .await
        .unwrap();
    let failure = soon(items.next()).await.unwrap().unwrap_err();
    assert_eq!(failure.execution(), Execution::Executed);
    let call = making(&world.callee, SUM, "").items(source(3, 1001).0);
    let failure = soon(call.message()).await.unwrap_err();
    assert!(failure.to_string().contains("1001 bytes"), "{failure}");
    assert_ne!(failure.execution(), Execution::Executed);
}
