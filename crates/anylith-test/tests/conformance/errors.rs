//! The callee's own error arrives as the same value.

use std::{collections::BTreeMap, time::Duration};

use anylith::{CallError, Execution};
use serde::{Deserialize, Serialize};

use crate::{
    hops::{End, First as _, FirstClient, HopError, Hops, Trip},
    journal::{JournalClient, Recorder},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    #[error("closed")]
    Closed,
    #[error("not for {0}")]
    NotFor(String),
    #[error("try again in {after:?}")]
    Later {
        after: Duration,
        because: Option<Box<Refused>>,
        seen: BTreeMap<String, Vec<i64>>,
    },
    #[error(transparent)]
    Call(#[from] CallError),
}

/// An error that is no enum and keeps of a failed call only its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plain {
    text: String,
}

impl From<CallError> for Plain {
    fn from(error: CallError) -> Self {
        Self {
            text: error.to_string(),
        }
    }
}

#[anylith::component]
pub trait Door {
    async fn knock(&self, how: Refused) -> Result<(), Refused>;
    async fn knock_plainly(&self, text: &str) -> Result<(), Plain>;
    async fn ask(&self, inner: Result<u32, String>) -> Result<Result<u32, String>, Refused>;
    async fn break_plainly(&self) -> Result<(), Plain>;
}

#[derive(anylith::Component)]
#[component(interface = Door)]
pub struct ClosedDoor {}

impl Door for ClosedDoor {
    async fn knock(&self, how: Refused) -> Result<(), Refused> {
        Err(how)
    }

    async fn knock_plainly(&self, text: &str) -> Result<(), Plain> {
        Err(Plain {
            text: text.to_owned(),
        })
    }

    async fn ask(&self, inner: Result<u32, String>) -> Result<Result<u32, String>, Refused> {
        Ok(inner)
    }

    async fn break_plainly(&self) -> Result<(), Plain> {
        panic!("the hinge")
    }
}

anylith::app! {
    /// A component that refuses.
    pub House = "house" { ClosedDoor }
}

#[anylith::test(House)]
async fn an_error_without_data_arrives_as_it_was(door: DoorClient) {
    assert_eq!(door.knock(Refused::Closed).await, Err(Refused::Closed));
}

#[anylith::test(House)]
async fn an_error_with_data_arrives_as_it_was(door: DoorClient) {
    let error = Refused::NotFor("Zoë 👋".to_owned());
    assert_eq!(door.knock(error.clone()).await, Err(error));
}

#[anylith::test(House)]
async fn an_error_within_an_error_arrives_as_it_was(door: DoorClient) {
    let error = Refused::Later {
        after: Duration::from_nanos(1_500_000_001),
        because: Some(Box::new(Refused::NotFor(String::new()))),
        seen: BTreeMap::from([("a".to_owned(), vec![i64::MIN, 0]), (String::new(), vec![])]),
    };
    assert_eq!(door.knock(error.clone()).await, Err(error));
}

#[anylith::test(House)]
async fn an_error_can_be_any_struct(door: DoorClient) {
    let error = door.knock_plainly("no").await.unwrap_err();
    assert_eq!(error.text, "no");
}

#[anylith::test(House)]
async fn an_error_that_keeps_only_a_text_still_hears_of_failed_calls(door: DoorClient) {
    let error = door.break_plainly().await.unwrap_err();
    assert_eq!(error.text, "test -> Door.break_plainly panicked: the hinge");
}

#[anylith::test(House)]
async fn a_result_within_the_result_is_no_failure(door: DoorClient) {
    for inner in [Ok(3), Err("three".to_owned())] {
        assert_eq!(door.ask(inner.clone()).await, Ok(inner));
    }
}

#[anylith::test(House)]
async fn the_callees_own_error_counts_as_an_answer(
    door: DoorClient,
    cluster: &anylith_test::Cluster<House>,
) {
    door.knock(Refused::Closed).await.unwrap_err();
    let calls = cluster.calls();
    let knocks: Vec<_> = calls
        .iter()
        .filter(|call| call.edge.to_string() == "test -> Door.knock" && call.answered > 0)
        .collect();
    assert_eq!(knocks.len(), 1);
    let failed = knocks[0].not_executed + knocks[0].unknown + knocks[0].executed;
    assert_eq!((knocks[0].answered, failed), (1, 0));
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn an_error_passes_through_three_hops_unchanged(first: FirstClient) {
    let error = first.go(&Trip::to(End::Refuse(404))).await.unwrap_err();
    assert_eq!(error, HopError::Refused(404));
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_failed_call_passed_on_still_names_its_own_edge(first: FirstClient) {
    let error = first.go(&Trip::to(End::Panic("ouch".into()))).await;
    let Err(HopError::Call(CallError::Panicked { edge, message })) = error else {
        panic!("it came back as something else: {error:?}");
    };
    assert_eq!(
        (edge.to_string().as_str(), message.as_str()),
        ("Second -> Third.go", "ouch")
    );
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_failed_call_passed_on_still_says_what_was_executed(first: FirstClient) {
    let inner = first
        .report(&Trip::to(End::Panic("ouch".into())))
        .await
        .unwrap();
    let Err(HopError::Call(error)) = inner else {
        panic!("it came back as something else: {inner:?}");
    };
    assert_eq!(error.execution(), Execution::Executed);
}
