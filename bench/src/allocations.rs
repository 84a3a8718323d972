//! Counts the allocations of a call within one process: through a client, and through a bare `Arc<dyn …>`.
//!
//! A program of its own, since counting them costs time, which the other benchmarks should not measure.
//! `bench local` runs it. It prints a JSON object: name of the call → allocations of both ways.

use std::{collections::BTreeMap, sync::Arc};

use alloc_counter::{AllocCounter, count_alloc_future};
use anyhow::Result;
use anylith::CallError;
use async_trait::async_trait;
use mimalloc::MiMalloc;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: AllocCounter<MiMalloc> = AllocCounter(MiMalloc);

/// Why there is no price.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum PriceError {
    /// Nothing is called so.
    #[error("nothing is called {0}")]
    Unknown(String),
    /// The call failed on the way.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Knows prices.
#[anylith::component]
trait Prices {
    /// The number after this one.
    async fn next(&self, number: u64) -> Result<u64, PriceError>;

    /// What so many of `product` cost, in cents.
    async fn price(&self, product: &str, quantity: u32) -> Result<i64, PriceError>;
}

/// The interface as one writes it without Anylith.
#[async_trait]
trait DynPrices: Send + Sync {
    async fn next(&self, number: u64) -> Result<u64, PriceError>;
    async fn price(&self, product: &str, quantity: u32) -> Result<i64, PriceError>;
}

struct PriceList;

impl Prices for PriceList {
    async fn next(&self, number: u64) -> Result<u64, PriceError> {
        Ok(number.wrapping_add(1))
    }

    async fn price(&self, product: &str, quantity: u32) -> Result<i64, PriceError> {
        match product {
            "mug" => Ok(899 * i64::from(quantity)),
            other => Err(PriceError::Unknown(other.to_owned())),
        }
    }
}

#[async_trait]
impl DynPrices for PriceList {
    async fn next(&self, number: u64) -> Result<u64, PriceError> {
        Prices::next(self, number).await
    }

    async fn price(&self, product: &str, quantity: u32) -> Result<i64, PriceError> {
        Prices::price(self, product, quantity).await
    }
}

/// How often `call` allocates, the second time that it is made.
macro_rules! allocations {
    ($call:expr) => {{
        $call.await?;
        let ((new, grown, _), result) = count_alloc_future(async { $call.await }).await;
        result?;
        new + grown
    }};
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = PricesClient::local(PriceList);
    let bare: Arc<dyn DynPrices> = Arc::new(PriceList);
    let counts = BTreeMap::from([
        (
            "ready at once",
            [allocations!(client.next(7)), allocations!(bare.next(7))],
        ),
        (
            "small call",
            [
                allocations!(client.price("mug", 3)),
                allocations!(bare.price("mug", 3)),
            ],
        ),
    ]);
    println!("{}", serde_json::to_string(&counts)?);
    Ok(())
}
