//! The store that is called, as a component. The peers call the same one in their own types.

use std::sync::Arc;

use anylith::CallError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::payload::{self, Lookup, Product};

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
