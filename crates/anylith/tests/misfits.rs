//! Types that would arrive as another value are refused before anything runs, in every topology alike.
#![expect(missing_docs, reason = "a test has no readers of its documentation")]

use anylith::CallError;
use serde::{Deserialize, Serialize};

/// serde counts the variants that it writes, `Internal` among them, and those that it reads without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Action {
    Nothing,
    #[serde(skip)]
    Internal,
    Refund(u32),
    Charge(u32),
}

#[anylith::component]
pub trait Till {
    async fn act(&self, action: Action) -> Result<(), CallError>;
    async fn note(&self, text: serde_json::Value) -> Result<Option<Action>, CallError>;
}

#[derive(anylith::Component)]
#[component(interface = Till)]
pub struct Register {}

impl Till for Register {
    async fn act(&self, _: Action) -> Result<(), CallError> {
        Ok(())
    }

    async fn note(&self, _: serde_json::Value) -> Result<Option<Action>, CallError> {
        Ok(Some(Action::Internal))
    }
}

anylith::app! { Shop = "shop" { Register } }

#[tokio::test]
async fn an_application_whose_types_do_not_travel_does_not_start() {
    let refused = Shop::start().await.unwrap_err().to_string();
    for told in [
        "the argument `action` of `Till.act`: `Action` is not read as it is written",
        "the argument `text` of `Till.note`: `Value` asks what comes next",
        "the result of `Till.note`: `Option<Action>` is not read as it is written",
    ] {
        assert!(refused.contains(told), "{told:?} is not in {refused}");
    }
}
