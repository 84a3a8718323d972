//! Clients that a component asks for while it runs.

#![expect(missing_docs, reason = "a test has no readers of its documentation")]

use anylith::{CallError, Component, StartError, Wiring};

#[anylith::component]
pub trait Clock {
    async fn hour(&self) -> Result<u32, CallError>;
}

#[derive(anylith::Component)]
#[component(interface = Clock)]
pub struct Tower {}

impl Clock for Tower {
    async fn hour(&self) -> Result<u32, CallError> {
        Ok(12)
    }
}

#[anylith::component]
pub trait Passer {
    async fn look_up(&self) -> Result<u32, CallError>;
}

/// Keeps its wiring, and asks it for a client whenever it needs one.
pub struct Walker {
    wiring: Wiring,
}

impl Component for Walker {
    type Interface = PasserClient;
    type Dependencies = (ClockClient, ());
    const NAME: &'static str = "Passer";

    async fn build(wiring: &Wiring) -> Result<Self, StartError> {
        Ok(Self {
            wiring: wiring.clone(),
        })
    }
}

impl Passer for Walker {
    async fn look_up(&self) -> Result<u32, CallError> {
        self.wiring.client::<ClockClient>().hour().await
    }
}

anylith::app! { pub Town = "town" { Tower, Walker } }

#[tokio::test]
async fn a_component_that_asks_for_a_client_again_gets_the_same_edge() {
    let running = Town::start().await.unwrap();
    let walker = running.component::<Walker>().unwrap();
    for _ in 0..100 {
        assert_eq!(walker.look_up().await, Ok(12));
    }
    let counts = running.calls();
    let [edge] = &counts[..] else {
        panic!("{} edges are kept", counts.len());
    };
    assert_eq!(edge.answered, 100);
    running.shut_down().await;
}
