//! One component that is listed twice.

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
    async fn count(&self) -> Result<u32, Failed>;
}

#[derive(anylith::Component)]
#[component(interface = Cart)]
pub struct CartService {}

impl Cart for CartService {
    async fn count(&self) -> Result<u32, Failed> {
        Ok(0)
    }
}

#[derive(anylith::Component)]
pub struct Frontend {
    pub cart: CartClient,
}

anylith::app! {
    pub Shop = "shop" { CartService, Frontend, CartService, Frontend }
}

fn main() {}
