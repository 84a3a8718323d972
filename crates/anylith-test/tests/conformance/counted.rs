//! Every call is counted once, as what it was: how it ended, which way it went, and how long it took.

use std::{pin::pin, sync::Arc, time::Duration};

use anylith::{
    CallError, Stream,
    telemetry::{Calls, Outcome, Way},
};
use anylith_test::Cluster;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::{
    is_pending,
    journal::{Journal as _, JournalClient, NoJournal, Recorder},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum StallError {
    #[error("sold out")]
    SoldOut,
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Sells things, and does not always.
#[anylith::component]
pub trait Stall {
    async fn sell(&self, left: u32) -> Result<u32, StallError>;
    async fn tumble(&self) -> Result<(), StallError>;
    /// Notes that it waits, and waits until the test says so.
    async fn wait(&self) -> Result<(), StallError>;
    /// Waits for so long.
    async fn sleep(&self, millis: u64) -> Result<(), StallError>;
    #[idempotent]
    async fn weigh(&self, goods: Bytes) -> Result<Bytes, StallError>;
    async fn all(
        &self,
        count: u8,
    ) -> Result<impl Stream<Item = Result<Bytes, StallError>>, StallError>;
    async fn take(
        &self,
        goods: impl Stream<Item = Result<Bytes, StallError>>,
    ) -> Result<u64, StallError>;
}

#[derive(anylith::Component)]
#[component(interface = Stall)]
pub struct MarketStall {
    journal: JournalClient,
}

impl Stall for MarketStall {
    async fn sell(&self, left: u32) -> Result<u32, StallError> {
        left.checked_sub(1).ok_or(StallError::SoldOut)
    }

    async fn tumble(&self) -> Result<(), StallError> {
        panic!("over it goes")
    }

    async fn wait(&self) -> Result<(), StallError> {
        let _ = self.journal.note("waits").await;
        let _ = self.journal.wait_for_go().await;
        Ok(())
    }

    async fn sleep(&self, millis: u64) -> Result<(), StallError> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(())
    }

    async fn weigh(&self, goods: Bytes) -> Result<Bytes, StallError> {
        Ok(goods)
    }

    async fn all(
        &self,
        count: u8,
    ) -> Result<impl Stream<Item = Result<Bytes, StallError>> + use<>, StallError> {
        Ok(stream::iter(0..count).map(|_| Ok(Bytes::from_static(&[7; 100]))))
    }

    async fn take(
        &self,
        goods: impl Stream<Item = Result<Bytes, StallError>>,
    ) -> Result<u64, StallError> {
        let mut goods = pin!(goods);
        let mut taken = 0;
        while let Some(item) = goods.next().await {
            taken += item?.len() as u64;
        }
        Ok(taken)
    }
}

anylith::app! {
    /// One stall.
    pub Market = "market" { MarketStall, NoJournal }
}

/// What the test's process has counted of a method of the stall that goes its usual way; the other way nothing has gone.
fn counted(cluster: &Cluster<Market>, method: &str) -> Calls {
    let way = match cluster.topology().is_remote() {
        true => Way::Remote,
        false => Way::Local,
    };
    let report = cluster.report();
    let edges = report.numbers.edges.into_iter();
    let mut edges = edges.filter(|edge| {
        (edge.caller.as_str(), edge.callee.as_str()) == ("test", "Stall") && edge.method == *method
    });
    let Some(edge) = edges.next() else {
        return Calls::default();
    };
    assert_eq!(edge.way, way);
    assert_eq!(edges.next(), None, "calls went both ways");
    edge.calls
}

/// How many calls ended in each way, in the order of [`Outcome::ALL`].
fn ends(calls: &Calls) -> [u64; 6] {
    // Each call has its time.
    assert_eq!(calls.took().count(), calls.all());
    Outcome::ALL.map(|outcome| calls.count(outcome))
}

#[anylith::test(Market)]
async fn answers_errors_and_panics_are_told_apart(stall: StallClient, cluster: &Cluster<Market>) {
    for left in [3, 2, 1, 0, 0] {
        let _ = stall.sell(left).await;
    }
    assert_eq!(ends(&counted(cluster, "sell")), [3, 2, 0, 0, 0, 0]);
    stall.tumble().await.unwrap_err();
    assert_eq!(ends(&counted(cluster, "tumble")), [0, 0, 0, 0, 1, 0]);
}

#[anylith::test(Market, fakes(JournalClient = Recorder::default()))]
async fn a_call_is_in_flight_until_it_is_answered_or_given_up(
    stall: StallClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Market>,
) {
    {
        let mut given_up = pin!(stall.wait());
        tokio::select! {
            _ = given_up.as_mut() => panic!("it came back"),
            () = journal.until("waits") => {}
        }
        let calls = counted(cluster, "wait");
        assert_eq!((calls.in_flight, ends(&calls)), (1, [0; 6]));
    }
    let calls = counted(cluster, "wait");
    assert_eq!((calls.in_flight, ends(&calls)), (0, [0, 0, 0, 0, 0, 1]));
    let mut answered = pin!(stall.wait());
    assert!(is_pending(answered.as_mut()).await);
    assert_eq!(counted(cluster, "wait").in_flight, 1);
    journal.go();
    answered.await.unwrap();
    let calls = counted(cluster, "wait");
    assert_eq!((calls.in_flight, ends(&calls)), (0, [1, 0, 0, 0, 0, 1]));
}

const SHORT: &str = "[edges.\"test -> Stall.sleep\"]\ndeadline = \"2s\"";

#[anylith::test(Market, settings = SHORT)]
async fn nobody_knows_of_a_call_that_was_too_late_whether_it_was_executed(
    stall: StallClient,
    cluster: &Cluster<Market>,
) {
    // A call that the callee makes in its turn has no more time than this one, and might end it with an answer just before.
    stall.sleep(3_600_000).await.unwrap_err();
    let calls = counted(cluster, "sleep");
    assert_eq!((calls.in_flight, ends(&calls)), (0, [0, 0, 0, 1, 0, 0]));
}

const SMALL: &str = "[limits]\nmessage = \"1KiB\"";

#[anylith::test(Market, settings = SMALL)]
async fn a_call_that_is_never_sent_is_not_executed(stall: StallClient, cluster: &Cluster<Market>) {
    let large = Bytes::from(vec![7; 4096]);
    let ended = stall.weigh(large).await;
    // Within a process nothing is too large.
    let expected = match cluster.topology().is_remote() {
        true => [0, 0, 1, 0, 0, 0],
        false => [1, 0, 0, 0, 0, 0],
    };
    assert_eq!(ends(&counted(cluster, "weigh")), expected, "{ended:?}");
}

#[anylith::test(Market)]
async fn a_call_that_waits_is_timed(stall: StallClient, cluster: &Cluster<Market>) {
    stall.sleep(40).await.unwrap();
    let took = counted(cluster, "sleep").took().quantile(0.5).unwrap();
    // The clock of timers is coarser than this, and a bucket is a sixteenth off at most.
    assert!(took >= Duration::from_millis(36), "{took:?}");
    assert!(took <= Duration::from_secs(20), "{took:?}");
}

#[anylith::test(Market)]
async fn what_is_sent_and_received_is_counted_where_something_is(
    stall: StallClient,
    cluster: &Cluster<Market>,
) {
    for _ in 0..3 {
        stall.weigh(Bytes::from(vec![7; 1000])).await.unwrap();
    }
    let calls = counted(cluster, "weigh");
    match cluster.topology().is_remote() {
        true => {
            // A length before the bytes, and before the answer whether it is one.
            assert_eq!((calls.sent_bytes, calls.received_bytes), (3006, 3009));
        }
        false => assert_eq!((calls.sent_bytes, calls.received_bytes), (0, 0)),
    }
}

#[anylith::test(Market)]
async fn a_stream_counts_once_and_is_in_flight_until_it_is_dropped(
    stall: StallClient,
    cluster: &Cluster<Market>,
) {
    let remote = cluster.topology().is_remote();
    let mut goods = stall.all(5).await.unwrap();
    let calls = counted(cluster, "all");
    assert_eq!((calls.in_flight, ends(&calls)), (1, [1, 0, 0, 0, 0, 0]));
    while let Some(item) = goods.next().await {
        assert_eq!(item.unwrap().len(), 100);
    }
    drop(goods);
    let calls = counted(cluster, "all");
    assert_eq!((calls.in_flight, ends(&calls)), (0, [1, 0, 0, 0, 0, 0]));
    // A hundred bytes, their length, and that it is no error.
    assert_eq!(calls.received_bytes, if remote { 5 * 102 } else { 0 });

    let goods = stream::iter(0..4).map(|_| Ok(Bytes::from_static(&[7; 100])));
    assert_eq!(stall.take(goods).await, Ok(400));
    let calls = counted(cluster, "take");
    assert_eq!(ends(&calls), [1, 0, 0, 0, 0, 0]);
    assert_eq!(calls.sent_bytes, if remote { 4 * 102 } else { 0 });
}

#[anylith::test(Market)]
async fn an_attempt_that_is_made_again_is_a_retry_and_no_other_call(
    stall: StallClient,
    cluster: &Cluster<Market>,
) {
    let topology = cluster.topology();
    let replica = match topology.has_processes() {
        true => "Stall-1",
        false => "monolith-1",
    };
    let between = topology.is_remote().then(|| cluster.intercept(replica));
    if let Some(between) = &between {
        between.cut_after_bytes_in(400 * 1024);
    }
    stall.weigh(Bytes::from(vec![7; 1 << 20])).await.unwrap();
    let calls = counted(cluster, "weigh");
    assert_eq!(ends(&calls), [1, 0, 0, 0, 0, 0]);
    assert_eq!(calls.retries > 0, topology.is_remote(), "{}", calls.retries);
    assert_eq!(calls.hedges, 0);
}

const OFF: &str = "[telemetry]\nmetrics = \"off\"";

#[anylith::test(Market, settings = OFF)]
async fn nothing_is_counted_where_metrics_are_off(stall: StallClient, cluster: &Cluster<Market>) {
    stall.sell(1).await.unwrap();
    stall.sell(0).await.unwrap_err();
    assert!(cluster.report().numbers.edges.is_empty());
}

const COUNTERS: &str = "[telemetry]\nmetrics = \"counters\"";

#[anylith::test(Market, fakes(JournalClient = Recorder::default()), settings = COUNTERS)]
async fn counters_alone_count_the_same_without_times(
    stall: StallClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Market>,
) {
    stall.sell(1).await.unwrap();
    stall.sell(0).await.unwrap_err();
    journal.go();
    stall.wait().await.unwrap();
    for (method, ends) in [("sell", [1, 1, 0, 0, 0, 0]), ("wait", [1, 0, 0, 0, 0, 0])] {
        let calls = counted(cluster, method);
        assert_eq!(Outcome::ALL.map(|outcome| calls.count(outcome)), ends);
        assert!(calls.took().is_empty());
    }
}
