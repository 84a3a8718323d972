//! Calls within the process, as the child makes them: through a client of Anylith, and through a bare
//! `Arc<dyn …>`. Both reach the same implementation, one after the other, in short bursts.

use std::{hint::black_box, sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::contestant::store::{Store, StoreClient, StoreError, StoreService};

/// How many calls make a burst.
const BURST: usize = 20_000;

/// The interface as one writes it without Anylith.
#[async_trait]
trait DynStore: Send + Sync {
    async fn next(&self, number: u64) -> Result<u64, StoreError>;
    async fn price(&self, product_id: &str, quantity: u32) -> Result<i64, StoreError>;
}

#[async_trait]
impl DynStore for StoreService {
    async fn next(&self, number: u64) -> Result<u64, StoreError> {
        Store::next(self, number).await
    }

    async fn price(&self, product_id: &str, quantity: u32) -> Result<i64, StoreError> {
        Store::price(self, product_id, quantity).await
    }
}

/// Both ways to call a store in this process.
pub(crate) struct Local {
    client: StoreClient,
    bare: Arc<dyn DynStore>,
}

/// One round: what a call of each method took, in nanoseconds: ours, then the bare one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct LocalRound {
    pub(crate) next: [f64; 2],
    pub(crate) price: [f64; 2],
}

/// The processor time of this thread: it stands still while another process has the core.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Makes a burst of one call, each awaited before the next.
macro_rules! burst {
    ($call:expr) => {{
        let start = thread_time();
        for _ in 0..BURST {
            black_box($call.await?);
        }
        (thread_time() - start).as_nanos() as f64 / BURST as f64
    }};
}

impl Local {
    /// Calls through `client`, and through a pointer to a store of its own.
    pub(crate) fn new(client: StoreClient) -> Self {
        Self {
            client,
            bare: Arc::new(StoreService::new()),
        }
    }

    /// Measures every call once.
    pub(crate) async fn round(&self) -> Result<LocalRound> {
        let Self { client, bare } = self;
        let id = "OLJCESPC00";
        Ok(LocalRound {
            next: [
                burst!(client.next(black_box(7))),
                burst!(bare.next(black_box(7))),
            ],
            price: [
                burst!(client.price(black_box(id), black_box(3))),
                burst!(bare.price(black_box(id), black_box(3))),
            ],
        })
    }
}
