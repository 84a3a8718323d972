//! Anylith as its users have it: an application of two components, each in a replica of its own, or both
//! in one process.

use std::{env, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Result, ensure};
use anylith::{CallError, Stopping};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Calls;
use crate::{
    child::ENV_HARNESS,
    local::Local,
    payload::{self, Lookup, Product},
    round::Harness,
};

/// Why the store did not answer.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum StoreError {
    /// The store has no such product.
    #[error("no product has the id {0}")]
    Unknown(String),
    /// The call failed on the way.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Sells things.
#[anylith::component]
pub(crate) trait Store {
    /// The product that `lookup` asks for.
    #[idempotent]
    async fn get(&self, lookup: &Lookup) -> Result<Product, StoreError>;

    /// All products.
    #[idempotent]
    async fn list(&self, page: u32) -> Result<Vec<Product>, StoreError>;

    /// The body as it came.
    async fn echo(&self, body: Bytes) -> Result<Bytes, StoreError>;

    /// The number after this one, at once.
    #[idempotent]
    async fn next(&self, number: u64) -> Result<u64, StoreError>;

    /// The price in cents of so many of a product.
    #[idempotent]
    async fn price(&self, product_id: &str, quantity: u32) -> Result<i64, StoreError>;
}

/// Keeps its products in memory.
#[derive(anylith::Component)]
#[component(interface = Store, start)]
pub(crate) struct StoreService {
    #[init]
    products: Arc<Vec<Product>>,
}

impl StoreService {
    async fn start(StoreServiceParts {}: StoreServiceParts) -> Result<Self, StoreError> {
        Ok(Self::new())
    }

    /// A store that is full.
    pub(crate) fn new() -> Self {
        Self {
            products: Arc::new(payload::products()),
        }
    }

    fn find(&self, id: &str) -> Result<&Product, StoreError> {
        let found = self.products.iter().find(|product| product.id == id);
        found.ok_or_else(|| StoreError::Unknown(id.to_owned()))
    }
}

impl Store for StoreService {
    async fn get(&self, lookup: &Lookup) -> Result<Product, StoreError> {
        self.find(&lookup.product_id).cloned()
    }

    async fn list(&self, _page: u32) -> Result<Vec<Product>, StoreError> {
        Ok(self.products.to_vec())
    }

    async fn echo(&self, body: Bytes) -> Result<Bytes, StoreError> {
        Ok(body)
    }

    async fn next(&self, number: u64) -> Result<u64, StoreError> {
        Ok(number.wrapping_add(1))
    }

    async fn price(&self, product_id: &str, quantity: u32) -> Result<i64, StoreError> {
        let price = &self.find(product_id)?.price_usd;
        Ok((price.units * 100 + i64::from(price.nanos) / 10_000_000) * i64::from(quantity))
    }
}

/// Makes the calls that the parent asks for.
#[derive(anylith::Component)]
#[component(serve)]
pub(crate) struct Load {
    store: StoreClient,
}

impl Load {
    async fn serve(self: Arc<Self>, _stopping: Stopping) -> Result<(), anyhow::Error> {
        let harness = env::var_os(ENV_HARNESS)
            .map(PathBuf::from)
            .unwrap_or_default();
        let client = Client {
            store: self.store.clone(),
            lookup: payload::lookup(),
            blob: payload::blob(),
        };
        let local = Local::new(self.store.clone());
        Harness::connect(&harness)
            .await?
            .obey_as_client(client, Some(local))
            .await
    }
}

anylith::app! {
    /// A store and somebody who asks it for things.
    pub(crate) Market = "market" { StoreService, Load }
}

/// Runs this process as the replica that its environment says, or as the whole application.
pub(crate) async fn run() -> Result<()> {
    let code = Market::run().await;
    ensure!(code == ExitCode::SUCCESS, "the application failed");
    Ok(())
}

/// A client, and what it sends.
#[derive(Clone)]
struct Client {
    store: StoreClient,
    lookup: Lookup,
    blob: Bytes,
}

impl Calls for Client {
    fn share(&self) -> Result<Self> {
        Ok(self.clone())
    }

    async fn get(&mut self) -> Result<usize> {
        let product = self.store.get(&self.lookup).await?;
        Ok(product
            .variants
            .iter()
            .map(|variant| variant.sizes.len())
            .sum())
    }

    async fn list(&mut self) -> Result<usize> {
        Ok(self.store.list(1).await?.len())
    }

    async fn blob(&mut self) -> Result<usize> {
        Ok(self.store.echo(self.blob.clone()).await?.len())
    }
}
