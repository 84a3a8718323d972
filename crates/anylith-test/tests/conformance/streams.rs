//! Streams in both directions, with flow control.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anylith::{CallError, Stream, Streaming};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::journal::{Journal as _, JournalClient, Leaving, NoJournal, Recorder};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum FeedError {
    #[error("no more than {0}")]
    Enough(u64),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Gives and takes streams.
#[anylith::component]
pub trait Feed {
    async fn numbers(
        &self,
        count: u64,
    ) -> Result<impl Stream<Item = Result<u64, FeedError>>, FeedError>;
    async fn numbers_then_error(
        &self,
        count: u64,
    ) -> Result<impl Stream<Item = Result<u64, FeedError>>, FeedError>;
    async fn refused(&self) -> Result<impl Stream<Item = Result<u64, FeedError>>, FeedError>;
    async fn blobs(
        &self,
        count: u64,
        bytes: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, FeedError>>, FeedError>;
    /// Blobs without end; `produced` counts them.
    async fn endless(
        &self,
        bytes: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, FeedError>>, FeedError>;
    async fn produced(&self) -> Result<u64, FeedError>;
    async fn sum(
        &self,
        items: impl Stream<Item = Result<u64, FeedError>>,
    ) -> Result<u64, FeedError>;
    async fn size(
        &self,
        items: impl Stream<Item = Result<Bytes, FeedError>>,
    ) -> Result<u64, FeedError>;
    async fn first_of(
        &self,
        label: &str,
        items: impl Stream<Item = Result<u64, FeedError>>,
    ) -> Result<(String, u64), FeedError>;
    /// Takes one item, then waits to go on.
    async fn sip(
        &self,
        items: impl Stream<Item = Result<Bytes, FeedError>>,
    ) -> Result<u64, FeedError>;
    async fn doubled(
        &self,
        items: impl Stream<Item = Result<u64, FeedError>>,
    ) -> Result<impl Stream<Item = Result<u64, FeedError>>, FeedError>;
}

#[derive(anylith::Component)]
#[component(interface = Feed, start)]
pub struct Mill {
    journal: JournalClient,
    #[init]
    produced: Arc<AtomicU64>,
}

impl Mill {
    async fn start(parts: MillParts) -> Result<Self, std::io::Error> {
        Ok(Self {
            journal: parts.journal,
            produced: Arc::default(),
        })
    }
}

type Item<T> = Result<T, FeedError>;

impl Feed for Mill {
    async fn numbers(
        &self,
        count: u64,
    ) -> Result<impl Stream<Item = Item<u64>> + use<>, FeedError> {
        Ok(stream::iter(0..count).map(Ok))
    }

    async fn numbers_then_error(
        &self,
        count: u64,
    ) -> Result<impl Stream<Item = Item<u64>> + use<>, FeedError> {
        let end = stream::iter([Err(FeedError::Enough(count))]);
        Ok(stream::iter(0..count).map(Ok).chain(end))
    }

    async fn refused(&self) -> Result<impl Stream<Item = Item<u64>> + use<>, FeedError> {
        match self.produced.load(Ordering::Relaxed) {
            0 => Err(FeedError::Enough(0)),
            _ => Ok(stream::empty()),
        }
    }

    async fn blobs(
        &self,
        count: u64,
        bytes: u64,
    ) -> Result<impl Stream<Item = Item<Bytes>> + use<>, FeedError> {
        Ok(stream::iter(0..count).map(move |index| Ok(blob(index, bytes))))
    }

    async fn endless(
        &self,
        bytes: u64,
    ) -> Result<impl Stream<Item = Item<Bytes>> + use<>, FeedError> {
        let produced = Arc::clone(&self.produced);
        let leaving = Leaving::new(&self.journal, "the producer left");
        Ok(stream::iter(0..).map(move |index| {
            let _ = &leaving;
            produced.fetch_add(1, Ordering::Relaxed);
            Ok(blob(index, bytes))
        }))
    }

    async fn produced(&self) -> Result<u64, FeedError> {
        Ok(self.produced.load(Ordering::Relaxed))
    }

    async fn sum(
        &self,
        items: impl Stream<Item = Item<u64>> + Send + 'static,
    ) -> Result<u64, FeedError> {
        let mut items = Streaming::new(items);
        let mut sum = 0;
        while let Some(item) = items.next().await {
            sum += item?;
        }
        Ok(sum)
    }

    async fn size(
        &self,
        items: impl Stream<Item = Item<Bytes>> + Send + 'static,
    ) -> Result<u64, FeedError> {
        let mut items = Streaming::new(items);
        let mut size = 0;
        while let Some(item) = items.next().await {
            size += item?.len() as u64;
        }
        Ok(size)
    }

    async fn first_of(
        &self,
        label: &str,
        items: impl Stream<Item = Item<u64>> + Send + 'static,
    ) -> Result<(String, u64), FeedError> {
        let mut items = Streaming::new(items);
        match items.next().await {
            Some(first) => Ok((label.to_owned(), first?)),
            None => Err(FeedError::Enough(0)),
        }
    }

    async fn sip(
        &self,
        items: impl Stream<Item = Item<Bytes>> + Send + 'static,
    ) -> Result<u64, FeedError> {
        let mut items = Streaming::new(items);
        let first = items
            .next()
            .await
            .map_or(Ok(0), |item| item.map(|it| it.len()))?;
        let _ = self.journal.note("has taken one").await;
        let _ = self.journal.wait_for_go().await;
        Ok(first as u64)
    }

    async fn doubled(
        &self,
        items: impl Stream<Item = Item<u64>> + Send + 'static,
    ) -> Result<impl Stream<Item = Item<u64>> + 'static, FeedError> {
        Ok(Streaming::new(items).map(|item| item.map(|item| item * 2)))
    }
}

anylith::app! {
    /// A component that gives and takes streams.
    pub Mills = "mills" { Mill, NoJournal }
}

fn blob(index: u64, bytes: u64) -> Bytes {
    Bytes::from(vec![index as u8; bytes as usize])
}

/// What may wait between producer and reader, in bytes, with room for the sockets' own buffers.
const BOUND: u64 = 4 * 1024 * 1024;

async fn all<T>(items: impl Stream<Item = Item<T>>) -> Vec<Item<T>> {
    items.collect().await
}

fn counted(count: Arc<AtomicU64>, bytes: u64) -> impl Stream<Item = Item<Bytes>> {
    stream::iter(0..).map(move |index| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(blob(index, bytes))
    })
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn a_stream_brings_its_items_in_order(feed: FeedClient) {
    let items = all(feed.numbers(500).await.unwrap()).await;
    assert!(items.into_iter().eq((0..500).map(Ok)));
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn an_empty_stream_ends_at_once(feed: FeedClient) {
    assert_eq!(all(feed.numbers(0).await.unwrap()).await, []);
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn ten_thousand_small_items_arrive(feed: FeedClient) {
    let items = all(feed.numbers(10_000).await.unwrap()).await;
    assert_eq!(items.len(), 10_000);
    assert_eq!(items[9_999], Ok(9_999));
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn items_larger_than_the_window_arrive(feed: FeedClient) {
    let items = all(feed.blobs(3, 1024 * 1024).await.unwrap()).await;
    let expected: Vec<Item<Bytes>> = (0..3).map(|index| Ok(blob(index, 1024 * 1024))).collect();
    assert!(items == expected, "the items differ");
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn an_error_item_ends_a_stream_as_the_value_it_is(feed: FeedClient) {
    let items = all(feed.numbers_then_error(2).await.unwrap()).await;
    assert_eq!(items, [Ok(0), Ok(1), Err(FeedError::Enough(2))]);
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn a_stream_can_be_refused_before_it_begins(feed: FeedClient) {
    assert_eq!(feed.refused().await.err(), Some(FeedError::Enough(0)));
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn a_slow_reader_holds_the_producer_back(feed: FeedClient) {
    const BYTES: u64 = 16 * 1024;
    let mut items = pin!(feed.endless(BYTES).await.unwrap());
    items.next().await.unwrap().unwrap();
    // Each of these calls gives the producer time to go on, if it could.
    for _ in 0..100 {
        let ahead = feed.produced().await.unwrap() * BYTES;
        assert!(ahead <= BOUND, "it is {ahead} bytes ahead");
    }
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn a_reader_that_was_slow_still_gets_every_item(feed: FeedClient) {
    let mut items = pin!(feed.blobs(200, 16 * 1024).await.unwrap());
    items.next().await.unwrap().unwrap();
    for _ in 0..20 {
        feed.produced().await.unwrap();
    }
    let mut index = 1;
    while let Some(item) = items.next().await {
        assert!(
            item.unwrap() == blob(index, 16 * 1024),
            "item {index} differs"
        );
        index += 1;
    }
    assert_eq!(index, 200);
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn a_reader_that_stops_early_stops_the_producer(feed: FeedClient, journal: Arc<Recorder>) {
    let mut items = Box::pin(feed.endless(100).await.unwrap());
    for _ in 0..3 {
        items.next().await.unwrap().unwrap();
    }
    drop(items);
    journal.until("the producer left").await;
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn a_stream_that_nobody_reads_stops_its_producer(feed: FeedClient, journal: Arc<Recorder>) {
    drop(feed.endless(100).await.unwrap());
    journal.until("the producer left").await;
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn the_items_of_an_argument_arrive(feed: FeedClient) {
    assert_eq!(feed.sum(stream::iter(1..=1000).map(Ok)).await, Ok(500_500));
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn an_empty_argument_ends_at_once(feed: FeedClient) {
    assert_eq!(feed.sum(stream::empty()).await, Ok(0));
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn large_items_of_an_argument_arrive(feed: FeedClient) {
    let items = stream::iter(0..3).map(|index| Ok(blob(index, 1024 * 1024)));
    assert_eq!(feed.size(items).await, Ok(3 * 1024 * 1024));
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn an_error_in_an_argument_reaches_the_callee_as_the_value_it_is(feed: FeedClient) {
    let items = stream::iter([Ok(1), Err(FeedError::Enough(9)), Ok(2)]);
    assert_eq!(feed.sum(items).await, Err(FeedError::Enough(9)));
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn a_callee_may_answer_before_the_argument_ends(feed: FeedClient) {
    let endless = stream::iter(41..).map(Ok);
    assert_eq!(
        feed.first_of("label", endless).await,
        Ok(("label".to_owned(), 41))
    );
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn a_slow_callee_holds_its_caller_back(feed: FeedClient, journal: Arc<Recorder>) {
    const BYTES: u64 = 16 * 1024;
    let sent = Arc::new(AtomicU64::new(0));
    let mut call = pin!(feed.sip(counted(Arc::clone(&sent), BYTES)));
    tokio::select! {
        _ = call.as_mut() => panic!("it came back"),
        () = journal.until("has taken one") => {}
    }
    for _ in 0..100 {
        tokio::select! {
            biased;
            _ = call.as_mut() => panic!("it came back"),
            produced = feed.produced() => produced.unwrap(),
        };
        let ahead = sent.load(Ordering::Relaxed) * BYTES;
        assert!(ahead <= BOUND, "it is {ahead} bytes ahead");
    }
    journal.go();
    assert_eq!(call.await, Ok(BYTES));
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn the_rest_of_an_argument_is_dropped_when_the_call_is_over(feed: FeedClient) {
    let sent = Arc::new(AtomicU64::new(0));
    let items = counted(Arc::clone(&sent), 1).map(|item| item.map(|_| 5));
    feed.first_of("", items).await.unwrap();
    // The stream held the other half of this count.
    for _ in 0..1000 {
        if Arc::strong_count(&sent) == 1 {
            return;
        }
        feed.produced().await.unwrap();
    }
    panic!("the stream is still there");
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn items_go_both_ways_at_once(feed: FeedClient) {
    let (ask, asked) = tokio::sync::mpsc::channel::<Item<u64>>(1);
    let questions = tokio_stream::wrappers::ReceiverStream::new(asked);
    let mut answers = pin!(feed.doubled(questions).await.unwrap());
    // Each item is sent only when the answer to the one before it is there.
    for number in 0..50 {
        ask.send(Ok(number)).await.unwrap();
        assert_eq!(answers.next().await, Some(Ok(number * 2)));
    }
    drop(ask);
    assert_eq!(answers.next().await, None);
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn many_items_go_both_ways(feed: FeedClient) {
    let questions = stream::iter(0..5000).map(Ok);
    let answers = all(feed.doubled(questions).await.unwrap()).await;
    assert!(answers.into_iter().eq((0..5000).map(|it| Ok(it * 2))));
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn an_error_goes_both_ways(feed: FeedClient) {
    let questions = stream::iter([Ok(1), Err(FeedError::Enough(3))]);
    let answers = all(feed.doubled(questions).await.unwrap()).await;
    assert_eq!(answers, [Ok(2), Err(FeedError::Enough(3))]);
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn streams_at_the_same_time_do_not_hold_each_other_up(feed: FeedClient) {
    let mut stalled = pin!(feed.endless(64 * 1024).await.unwrap());
    stalled.next().await.unwrap().unwrap();
    let others = (0..8).map(|_| async { all(feed.numbers(300).await.unwrap()).await.len() });
    assert_eq!(futures_util::future::join_all(others).await, [300; 8]);
}

#[anylith::test(Mills, fakes(JournalClient = Recorder::default()))]
async fn a_stream_passes_from_one_call_into_the_next(feed: FeedClient) {
    let numbers = feed.numbers(100).await.unwrap();
    assert_eq!(feed.sum(numbers).await, Ok(4950));
}
