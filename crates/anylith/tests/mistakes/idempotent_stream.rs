//! A stream that would have to be sent twice.

use anylith::CallError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Failed(CallError);

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self(error)
    }
}

#[anylith::component]
pub trait Cart {
    #[idempotent]
    async fn fill(&self, items: impl Stream<Item = Result<String, Failed>>) -> Result<(), Failed>;
}

fn main() {}
