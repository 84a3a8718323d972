//! A mistake in an interface that has streams: it stays the only error.

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
    async fn count(&mut self) -> Result<u32, Failed>;
    async fn watch(
        &self,
        user: &str,
    ) -> Result<impl Stream<Item = Result<String, Failed>>, Failed>;
    async fn fill(
        &self,
        items: impl Stream<Item = Result<String, Failed>>,
    ) -> Result<u32, Failed>;
}

#[derive(anylith::Component)]
#[component(interface = Cart)]
pub struct CartService {}

impl Cart for CartService {
    async fn count(&mut self) -> Result<u32, Failed> {
        Ok(0)
    }

    async fn watch(
        &self,
        _: &str,
    ) -> Result<impl anylith::Stream<Item = Result<String, Failed>> + use<>, Failed> {
        Ok(futures_util::stream::empty())
    }

    async fn fill(
        &self,
        _: impl anylith::Stream<Item = Result<String, Failed>>,
    ) -> Result<u32, Failed> {
        Ok(0)
    }
}

#[derive(anylith::Component)]
pub struct Frontend {
    pub cart: CartClient,
}

impl Frontend {
    pub async fn first(&self) -> Result<Option<Result<String, Failed>>, Failed> {
        let stream = self.cart.watch("ada").await?;
        let mut stream = anylith::Streaming::new(stream);
        Ok(stream.next().await)
    }
}

anylith::app! {
    pub Shop = "shop" { CartService, Frontend }
}

fn main() {}
