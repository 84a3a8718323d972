//! Calls that go where others with the same key went.

use std::collections::BTreeMap;

use anylith::CallError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum SeatError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Seat {
    /// Returns the process in which the guest is seated.
    #[routed(by = guest)]
    async fn seat(&self, table: u32, guest: &str) -> Result<u32, SeatError>;
}

#[derive(anylith::Component)]
#[component(interface = Seat)]
pub struct Steward {}

impl Seat for Steward {
    async fn seat(&self, _: u32, _: &str) -> Result<u32, SeatError> {
        Ok(std::process::id())
    }
}

anylith::app! {
    /// A component that remembers its guests.
    pub Lounge = "lounge" { Steward }
}

#[anylith::test(Lounge)]
async fn a_key_has_one_replica_and_keys_are_spread(builder: anylith_test::ClusterBuilder<Lounge>) {
    let cluster = builder.replicas("Seat", 3).start().await.unwrap();
    let seat: SeatClient = cluster.client();
    let expected = if cluster.topology().has_processes() {
        3
    } else {
        1
    };
    // Until there is a connection to each, calls go to the nearest that there is.
    let mut seen = BTreeMap::new();
    for guest in 0.. {
        let process = seat.seat(1, &format!("guest-{guest}")).await.unwrap();
        *seen.entry(process).or_insert(0) += 1;
        if seen.len() == expected {
            break;
        }
    }
    for guest in 0..50 {
        let guest = format!("guest-{guest}");
        let first = seat.seat(1, &guest).await.unwrap();
        for table in 2..6 {
            // Whatever the other arguments are.
            assert_eq!(seat.seat(table, &guest).await, Ok(first), "{guest}");
        }
    }
    cluster.stop().await;
}
