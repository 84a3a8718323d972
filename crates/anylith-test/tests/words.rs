//! Names that are words of the language elsewhere: `r#type` is called `type`.

#![allow(
    missing_docs,
    non_camel_case_types,
    reason = "the components of a test are nobody's interface"
)]
#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]
#![deny(deprecated, reason = "what the macros write warns of nothing")]

use std::sync::Arc;

use anylith::CallError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum WordError {
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Knows structs.
#[anylith::component]
pub trait r#struct {
    async fn r#type(&self, r#match: u32, r#ref: &str) -> Result<String, WordError>;
    async fn r#loop(
        &self,
        r#in: impl Stream<Item = Result<u32, WordError>>,
    ) -> Result<u32, WordError>;
    async fn r#break(&self) -> Result<(), WordError>;
    #[deprecated(note = "nothing in this file calls it")]
    async fn old(&self) -> Result<(), WordError>;
}

#[derive(anylith::Component)]
#[component(interface = r#struct)]
pub struct r#impl {}

impl r#struct for r#impl {
    async fn r#type(&self, r#match: u32, r#ref: &str) -> Result<String, WordError> {
        Ok(format!("{match}{ref}", r#match = r#match, r#ref = r#ref))
    }

    async fn r#loop(
        &self,
        r#in: impl anylith::Stream<Item = Result<u32, WordError>> + Send + 'static,
    ) -> Result<u32, WordError> {
        let mut items = anylith::Streaming::new(r#in);
        let mut sum = 0;
        while let Some(item) = items.next().await {
            sum += item?;
        }
        Ok(sum)
    }

    async fn r#break(&self) -> Result<(), WordError> {
        panic!("broken")
    }

    async fn old(&self) -> Result<(), WordError> {
        Ok(())
    }
}

#[anylith::component]
#[async_trait::async_trait]
pub trait r#dyn {
    async fn r#yield(&self, r#as: u32) -> Result<u32, WordError>;
}

#[derive(anylith::Component)]
#[component(interface = r#dyn)]
pub struct Boxed {
    r#type: structClient,
    #[listener]
    r#use: anylith::Listener,
}

#[async_trait::async_trait]
impl r#dyn for Boxed {
    async fn r#yield(&self, r#as: u32) -> Result<u32, WordError> {
        assert_eq!(self.r#use.name(), "use");
        let answer = self.r#type.r#type(r#as, "0").await?;
        Ok(answer.parse().unwrap())
    }
}

#[derive(anylith::Component)]
#[component(start)]
#[expect(dead_code, reason = "they are there to be filled")]
pub struct r#enum {
    r#type: structClient,
    r#dyn: Arc<dyn r#dyn>,
}

impl r#enum {
    async fn start(parts: enumParts) -> Result<Self, WordError> {
        parts.r#type.r#type(1, "").await?;
        let enumParts { r#type, r#dyn } = parts;
        Ok(Self { r#type, r#dyn })
    }
}

anylith::app! { r#Words = "words" { r#impl, Boxed, r#enum } }

#[anylith::test(Words)]
async fn a_word_of_the_language_names_what_any_other_word_names(
    r#struct: structClient,
    r#dyn: dynClient,
) {
    assert_eq!(r#struct.r#type(4, "2").await.unwrap(), "42");
    let items = futures_util::stream::iter([Ok(1), Ok(2)]);
    assert_eq!(r#struct.r#loop(items).await, Ok(3));
    assert_eq!(r#dyn.r#yield(7).await, Ok(70));
    let error = r#struct.r#break().await.unwrap_err().to_string();
    assert!(error.contains("struct.break"), "{error}");
    assert!(!error.contains("r#"), "{error}");
}

/// A test may be called like that, too.
#[anylith::test(Words)]
async fn r#async(r#struct: structClient) {
    assert_eq!(r#struct.r#type(4, "2").await.unwrap(), "42");
}
