//! A dependency that no component provides.

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
pub struct Frontend {
    pub cart: CartClient,
}

anylith::app! {
    pub Shop = "shop" { Frontend }
}

fn main() {}
