//! A stream that borrows from its component.

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
    async fn watch(
        &self,
        user: &str,
    ) -> Result<impl Stream<Item = Result<String, Failed>>, Failed>;
}

#[derive(anylith::Component)]
#[component(interface = Cart)]
pub struct CartService {}

impl Cart for CartService {
    async fn watch(
        &self,
        _user: &str,
    ) -> Result<impl anylith::Stream<Item = Result<String, Failed>>, Failed> {
        Ok(futures_util::stream::empty())
    }
}

fn main() {}
