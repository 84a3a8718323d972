//! Hooks of a component of which there is one at a time, that do not fit together.

use std::io;

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct State(u64);

/// One of several hands nothing over.
#[derive(anylith::Component)]
#[component(hand_over)]
pub struct One {}

impl One {
    async fn hand_over(&self) -> State {
        State(1)
    }
}

/// Its `start` does not take what is handed over.
#[derive(anylith::Component)]
#[component(singleton, start, hand_over)]
pub struct Two {}

impl Two {
    async fn start(_: TwoParts) -> Result<Self, io::Error> {
        Ok(Self {})
    }

    async fn hand_over(&self) -> State {
        State(2)
    }
}

/// Its `start` takes something else.
#[derive(anylith::Component)]
#[component(singleton, start, hand_over)]
pub struct Three {}

impl Three {
    async fn start(_: ThreeParts, _: Option<String>) -> Result<Self, io::Error> {
        Ok(Self {})
    }

    async fn hand_over(&self) -> State {
        State(3)
    }
}

fn main() {}
