//! A server that is asked for more than it can do.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use anylith_core::{ComponentLimits, Concurrency, Execution, Limits, Overload, Refusal};
use anylith_rpc::Failure;
use anylith_wire::CallingEvent;
use futures_util::FutureExt as _;
use support::{puppet::Puppet, *};

const OVERLOADED: Failure = Failure::NotExecuted(Refusal::Overloaded(Overload::Callee));

fn at_most(calls: u32) -> Limits {
    Limits {
        concurrency: Concurrency::AtMost(calls),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_call_over_the_limit_is_refused_at_once_and_was_not_executed() {
    let world = World::new().limits(at_most(2)).start();
    let connected = making(&world.callee, ECHO, "").message();
    soon(connected).await.unwrap();
    let mut held = [
        making(&world.callee, HELD, "").message().boxed(),
        making(&world.callee, HELD, "").message().boxed(),
    ];
    for call in &mut held {
        assert!(call.now_or_never().is_none());
    }
    world.counts.until(|counts| counts.begun() == 3).await;
    let refused = making(&world.callee, ECHO, "hi").message();
    assert_eq!(soon(refused).await, Err(OVERLOADED));
    assert_eq!(world.counts.begun(), 3);
    assert!(world.serving.counters().overloaded >= 1);
    // The caller sent it.
    assert_eq!(world.network.counters().withheld, 0);
    assert!(OVERLOADED.to_string().contains("`[limits] concurrency`"));
    // There is room again when one has ended, and when one is given up.
    world.counts.release.notify_one();
    let [first, second] = held;
    let (answer, second) = match soon(futures_util::future::select(first, second)).await {
        futures_util::future::Either::Left(ended) | futures_util::future::Either::Right(ended) => {
            ended
        }
    };
    assert_eq!(answer, Ok(Vec::new()));
    let mut third = making(&world.callee, HELD, "").message().boxed();
    assert!((&mut third).now_or_never().is_none());
    world.counts.until(|counts| counts.begun() == 4).await;
    drop(second);
    let dropped = |counts: &Counts| counts.dropped.load(SeqCst) == 1;
    world.counts.until(dropped).await;
    let admitted = making(&world.callee, ECHO, "hi").message();
    assert_eq!(soon(admitted).await.unwrap(), b"hi");
}

#[tokio::test]
async fn a_limit_can_be_set_for_one_component_alone() {
    let own = ComponentLimits {
        concurrency: Some(Concurrency::AtMost(1)),
    };
    let limits = Limits {
        components: [
            (name("Echo"), own),
            (name("Other"), ComponentLimits::default()),
        ]
        .into(),
        ..Limits::default()
    };
    let world = World::new().limits(limits).start();
    let connected = making(&world.callee, ECHO, "").message();
    soon(connected).await.unwrap();
    let mut held = making(&world.callee, HELD, "").message().boxed();
    assert!((&mut held).now_or_never().is_none());
    world.counts.until(|counts| counts.begun() == 2).await;
    let refused = making(&world.callee, ECHO, "hi").message();
    assert_eq!(soon(refused).await, Err(OVERLOADED));
}

#[tokio::test]
async fn an_adaptive_limit_lets_calls_in() {
    let limits = Limits {
        concurrency: Concurrency::Adaptive,
        ..Limits::default()
    };
    let world = World::new().limits(limits).start();
    for _ in 0..1000 {
        let call = making(&world.callee, LATER, "hi").message();
        assert_eq!(soon(call).await.unwrap(), b"hi");
    }
    assert_eq!(world.serving.counters().overloaded, 0);
}

#[tokio::test]
async fn under_an_adaptive_limit_open_streams_take_no_room_from_other_calls() {
    let limits = Limits {
        concurrency: Concurrency::Adaptive,
        ..Limits::default()
    };
    let world = World::new().limits(limits).start();
    // More than anybody reads.
    let endless = [u32::MAX.to_le_bytes(), 1000_u32.to_le_bytes()].concat();
    let mut open = Vec::new();
    for _ in 0..40 {
        let stream = making(&world.callee, COUNT, endless.clone()).stream();
        open.push(soon(stream).await.expect("streams shut each other out"));
    }
    let mut sending = Vec::new();
    for at in 0..40 {
        let items = Box::pin(futures_util::stream::pending());
        let mut call = making(&world.callee, SUM, "")
            .items(items)
            .message()
            .boxed();
        assert!((&mut call).now_or_never().is_none());
        world.counts.until(|counts| counts.begun() > 40 + at).await;
        sending.push(call);
    }
    for _ in 0..200 {
        let call = making(&world.callee, LATER, "hi").message();
        assert_eq!(soon(call).await.unwrap(), b"hi");
    }
    assert_eq!(world.serving.counters().overloaded, 0);
}

#[tokio::test]
async fn a_call_that_was_not_begun_when_its_server_closed_is_told_that_it_was_not_executed() {
    const CALLS: usize = 8;
    let world = World::new().start();
    let (endpoint, counts) = (world.server.endpoint(), world.counts.clone());
    let mut puppet = Puppet::greeted(&endpoint).await;
    for _ in 0..CALLS {
        puppet.begin(COMPUTE, &computing(Duration::from_millis(20), 0));
    }
    // A task, so that it has its turn before the connection's next.
    let closing = tokio::spawn(async move {
        world.counts.until(|counts| counts.begun() > 0).await;
        world.server.close().await;
    });
    puppet.write().await;
    let (mut answered, mut refused) = (0, 0);
    while answered + refused < CALLS {
        match puppet.event().await.expect("it ends each call") {
            CallingEvent::Answered { .. } => answered += 1,
            CallingEvent::Failed { failure, .. } => {
                assert_eq!(failure, Failure::NotExecuted(Refusal::Moved { epoch: 0 }));
                refused += 1;
            }
            CallingEvent::GoingAway => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answered, counts.begun());
    assert!(refused > 0, "none of them waited");
    soon(closing).await.unwrap();
}

#[tokio::test]
async fn a_call_whose_deadline_passed_while_it_waited_is_not_begun() {
    let world = World::new().start();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    puppet.begin(COMPUTE, &computing(Duration::from_millis(60), 0));
    let late = puppet.begin_within(Some(Duration::from_millis(20)), ECHO, b"late");
    let in_time = puppet.begin_within(Some(Duration::from_secs(20)), ECHO, b"in time");
    puppet.write().await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(puppet.event().await.unwrap());
    }
    let failure = Failure::DeadlineExceeded(Execution::NotExecuted);
    assert!(
        seen.contains(&CallingEvent::Failed {
            call: late,
            failure
        }),
        "{seen:?}"
    );
    let message = b"in time"[..].into();
    assert!(seen.contains(&CallingEvent::Answered {
        call: in_time,
        message
    }));
    assert_eq!(world.counts.begun(), 2);
    assert_eq!(world.serving.counters().expired, 1);
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_it_waits_is_not_begun() {
    let world = World::new().start();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    puppet.begin(COMPUTE, &computing(Duration::from_millis(1), 0));
    let call = puppet.begin(ECHO, b"never");
    // Both leave, and then the cancel, all of it in one write.
    let (mut batch, mut events) = (anylith_wire::Batch::default(), Vec::new());
    puppet.end.fill(&mut batch, &mut events);
    let mut slices = [std::io::IoSlice::new(&[]); anylith_wire::BATCH_SLICES];
    let count = batch.slices(&mut slices);
    let mut bytes: Vec<u8> = slices[..count].iter().flat_map(|it| it.to_vec()).collect();
    let cancel = anylith_wire::frame::Header::new(anylith_wire::frame::Kind::Cancel, call, 0);
    bytes.extend_from_slice(&cancel.encode());
    tokio::io::AsyncWriteExt::write_all(&mut puppet.stream, &bytes)
        .await
        .unwrap();
    let mut ended = None;
    for _ in 0..2 {
        if let Some(CallingEvent::Failed {
            call: which,
            failure,
        }) = puppet.event().await
        {
            ended = Some((which, failure));
        }
    }
    assert_eq!(ended, Some((call, Failure::Cancelled)));
    assert_eq!(world.counts.begun(), 1);
}

#[tokio::test]
async fn what_there_is_no_room_for_is_refused_before_what_waits_is_done() {
    let world = World::new().limits(at_most(32)).start();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    const CALLS: usize = 400;
    for _ in 0..CALLS {
        puppet.begin(COMPUTE, &computing(Duration::from_millis(2), 0));
    }
    puppet.write().await;
    let mut order = Vec::new();
    while order.len() < CALLS {
        match puppet.event().await.unwrap() {
            CallingEvent::Answered { .. } => order.push(true),
            CallingEvent::Failed { failure, .. } => {
                assert_eq!(failure, OVERLOADED);
                order.push(false);
            }
            other => panic!("{other:?}"),
        }
    }
    let answered = order.iter().filter(|answered| **answered).count();
    assert_eq!(answered, world.counts.begun());
    assert!((32..CALLS / 2).contains(&answered), "{answered} were begun");
    // Nothing that is refused waits for more than a few that are done.
    let last_refused = order.iter().rposition(|answered| !answered).unwrap();
    let done_before = order[..last_refused].iter().filter(|it| **it).count();
    assert!(
        done_before <= 8,
        "{done_before} were done before the last was refused"
    );
}

#[tokio::test]
async fn a_caller_that_floods_does_not_lock_out_another() {
    let world = World::new().limits(at_most(64)).start();
    making(&world.callee, ECHO, "").message().await.unwrap();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    for _ in 0..1000 {
        puppet.begin(HELD, b"");
    }
    puppet.write().await;
    world.counts.until(|counts| counts.begun() > 48).await;
    for _ in 0..100 {
        let call = making(&world.callee, ECHO, "hi").message();
        assert_eq!(soon(call).await.unwrap(), b"hi");
    }
}

#[tokio::test]
async fn an_answer_of_64_mib_lets_small_ones_pass() {
    const WHOLE: usize = 64 * 1024 * 1024;
    let world = World::new().start();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    let large = puppet.begin(COMPUTE, &computing(Duration::ZERO, WHOLE as u32));
    puppet.write().await;
    let mut small = 0;
    loop {
        let before = puppet.read;
        let call = puppet.begin(ECHO, b"hi");
        puppet.write().await;
        match puppet.event().await.unwrap() {
            CallingEvent::Answered { call: answered, .. } if answered == call => small += 1,
            CallingEvent::Answered {
                call: answered,
                message,
            } => {
                assert_eq!((answered, message.len()), (large, WHOLE));
                break;
            }
            other => panic!("{other:?}"),
        }
        // What the server had begun to write, and what lies in the sockets.
        let between = puppet.read - before;
        assert!(between <= 2 * 1024 * 1024, "{between} bytes came before it");
    }
    assert!(small >= 16, "only {small} calls came through meanwhile");
}

#[tokio::test]
async fn calls_that_wait_for_a_processor_are_not_begun_faster_than_they_get_one() {
    const CALLS: usize = 300;
    let world = World::new().start();
    let mut puppet = Puppet::greeted(&world.server.endpoint()).await;
    for _ in 0..CALLS {
        puppet.begin(COMPUTE_APART, &computing(Duration::from_micros(300), 0));
    }
    puppet.write().await;
    for answered in 1..=CALLS {
        // On a machine that is busy with other things some may wait too long.
        match puppet.event().await.unwrap() {
            CallingEvent::Answered { .. } => {}
            CallingEvent::Failed { failure, .. } => assert_eq!(failure, OVERLOADED),
            other => panic!("{other:?}"),
        }
        // The rest can still be refused, or taken back. One batch of answers may be on its way.
        let begun = world.counts.begun();
        assert!(
            begun <= answered + 128,
            "{begun} were begun, and {answered} answered"
        );
    }
}
