//! A panic fails the call, and nothing else.

use std::{pin::pin, sync::Arc};

use anylith::{CallError, Execution, Stream, Streaming};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::{
    is_pending,
    journal::{Journal as _, JournalClient, NoJournal, Recorder},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum MineError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Mine {
    async fn say(&self, text: &str) -> Result<(), MineError>;
    async fn say_static(&self) -> Result<(), MineError>;
    async fn say_nothing(&self) -> Result<(), MineError>;
    async fn after_a_wait(&self) -> Result<(), MineError>;
    async fn process(&self) -> Result<u32, MineError>;
    async fn wait(&self) -> Result<u32, MineError>;
    async fn begin(&self) -> Result<impl Stream<Item = Result<u32, MineError>>, MineError>;
    async fn items(
        &self,
        good: u32,
    ) -> Result<impl Stream<Item = Result<u32, MineError>>, MineError>;
    async fn take(
        &self,
        items: impl Stream<Item = Result<u32, MineError>>,
    ) -> Result<u32, MineError>;
}

#[derive(anylith::Component)]
#[component(interface = Mine)]
pub struct Minefield {
    journal: JournalClient,
}

impl Mine for Minefield {
    async fn say(&self, text: &str) -> Result<(), MineError> {
        panic!("{text}")
    }

    async fn say_static(&self) -> Result<(), MineError> {
        panic!("a text in the program")
    }

    async fn say_nothing(&self) -> Result<(), MineError> {
        std::panic::panic_any(17_u8)
    }

    async fn after_a_wait(&self) -> Result<(), MineError> {
        let _ = self.journal.note("waits").await;
        let _ = self.journal.wait_for_go().await;
        panic!("late")
    }

    async fn process(&self) -> Result<u32, MineError> {
        Ok(std::process::id())
    }

    async fn wait(&self) -> Result<u32, MineError> {
        let _ = self.journal.note("waits").await;
        let _ = self.journal.wait_for_go().await;
        Ok(1)
    }

    async fn begin(&self) -> Result<impl Stream<Item = Result<u32, MineError>> + use<>, MineError> {
        if self.process().await.is_ok() {
            panic!("before the first item");
        }
        Ok(stream::empty())
    }

    async fn items(
        &self,
        good: u32,
    ) -> Result<impl Stream<Item = Result<u32, MineError>> + use<>, MineError> {
        Ok(stream::iter(0..).map(move |item| {
            assert!(item < good, "item {item}");
            Ok(item)
        }))
    }

    async fn take(
        &self,
        items: impl Stream<Item = Result<u32, MineError>> + Send + 'static,
    ) -> Result<u32, MineError> {
        let mut items = pin!(items);
        let first = items.next().await;
        panic!("has seen {first:?}")
    }
}

anylith::app! {
    /// A component that panics.
    pub Mines = "mines" { Minefield, NoJournal }
}

fn message(failed: Result<(), MineError>) -> String {
    match failed {
        Err(MineError::Call(CallError::Panicked { message, .. })) => message,
        other => panic!("it came back as {other:?}"),
    }
}

#[anylith::test(Mines, fakes(JournalClient = Recorder::default()))]
async fn the_text_of_a_panic_arrives(mine: MineClient) {
    assert_eq!(message(mine.say("out of ✨").await), "out of ✨");
    assert_eq!(message(mine.say_static().await), "a text in the program");
}

#[anylith::test(Mines, fakes(JournalClient = Recorder::default()))]
async fn a_panic_without_a_text_is_one_all_the_same(mine: MineClient) {
    assert!(!message(mine.say_nothing().await).is_empty());
}

#[anylith::test(Mines, fakes(JournalClient = Recorder::default()))]
async fn a_panic_names_the_edge_and_counts_as_executed(mine: MineClient) {
    let Err(MineError::Call(error)) = mine.say("x").await else {
        panic!("it did not fail");
    };
    assert_eq!(error.edge().to_string(), "test -> Mine.say");
    assert_eq!(error.execution(), Execution::Executed);
}

#[anylith::test(Mines, fakes(JournalClient = Recorder::default()))]
async fn the_process_lives_through_a_panic(mine: MineClient) {
    let before = mine.process().await.unwrap();
    for _ in 0..20 {
        mine.say("again").await.unwrap_err();
    }
    assert_eq!(mine.process().await.unwrap(), before);
}

#[anylith::test(Mines, fakes(JournalClient = Recorder::default()))]
async fn a_panic_leaves_other_calls_alone(mine: MineClient, journal: Arc<Recorder>) {
    let mut waiting = pin!(mine.wait());
    assert!(is_pending(waiting.as_mut()).await);
    tokio::select! {
        _ = waiting.as_mut() => panic!("it came back"),
        () = journal.until("waits") => {}
    }
    mine.say("x").await.unwrap_err();
    journal.go();
    assert_eq!(waiting.await, Ok(1));
}

#[anylith::test(Mines, fakes(JournalClient = Recorder::default()))]
async fn a_panic_after_a_wait_is_caught_as_well(mine: MineClient, journal: Arc<Recorder>) {
    journal.go();
    assert_eq!(message(mine.after_a_wait().await), "late");
}

#[anylith::test(Mines, fakes(JournalClient = Recorder::default()))]
async fn a_panic_before_a_stream_begins_fails_the_call(mine: MineClient) {
    let failed = mine.begin().await.map(drop);
    assert_eq!(message(failed), "before the first item");
}

#[anylith::test(Mines, fakes(JournalClient = Recorder::default()))]
async fn a_panic_in_a_stream_ends_it_after_the_items_before(mine: MineClient) {
    let mut items = Streaming::new(mine.items(3).await.unwrap());
    for expected in 0..3 {
        assert_eq!(items.next().await, Some(Ok(expected)));
    }
    let failed = items.next().await.expect("the panic is an item");
    assert_eq!(message(failed.map(drop)), "item 3");
    assert_eq!(items.next().await, None);
}

#[anylith::test(Mines, fakes(JournalClient = Recorder::default()))]
async fn a_panic_while_a_stream_is_taken_fails_the_call(mine: MineClient) {
    let endless = stream::iter(5..).map(Ok);
    let failed = mine.take(endless).await.map(drop);
    assert_eq!(message(failed), "has seen Some(Ok(5))");
}
