//! Marks that a component cannot have.

use anylith::CallError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Failed(CallError);

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self(error)
    }
}

#[derive(anylith::Component)]
#[component(interfaces = Cart)]
pub struct CartService<T> {
    #[config]
    #[init]
    pub first: T,
    #[config(path = "x")]
    pub second: u32,
    #[init(with = "x")]
    pub third: u32,
    #[listener(name = "no name")]
    pub web: anylith::Listener,
}

#[derive(anylith::Component)]
pub enum Either {
    One,
}

fn keep(_: Failed) {}

fn main() {}
