//! Two components for one interface.

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
pub struct InMemory {}

impl Cart for InMemory {
    async fn count(&self) -> Result<u32, Failed> {
        Ok(0)
    }
}

#[derive(anylith::Component)]
#[component(interface = Cart)]
pub struct OnDisk {}

impl Cart for OnDisk {
    async fn count(&self) -> Result<u32, Failed> {
        Ok(0)
    }
}

anylith::app! {
    pub Shop = "shop" { InMemory, OnDisk }
}

fn main() {}
