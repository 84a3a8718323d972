//! Fields that are no clients, between some that are.

use anylith::CallError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error(transparent)]
pub struct Failed(#[from] CallError);

#[anylith::component]
pub trait Catalog {
    async fn size(&self) -> Result<u32, Failed>;
}

#[anylith::component]
pub trait Cart {
    async fn count(&self) -> Result<u32, Failed>;
}

pub struct Pool;

#[derive(anylith::Component)]
#[component(interface = Cart, start)]
pub struct CartService {
    pub catalog: CatalogClient,
    pub pool: Pool,
    pub limit: u32,
    pub names: Vec<std::collections::HashMap<String, u32>>,
}

impl CartService {
    async fn start(parts: CartServiceParts) -> Result<Self, Failed> {
        Ok(Self {
            catalog: parts.catalog,
            pool: parts.pool,
            limit: parts.limit,
            names: parts.names,
        })
    }
}

impl Cart for CartService {
    async fn count(&self) -> Result<u32, Failed> {
        Ok(self.limit)
    }
}

#[derive(anylith::Component)]
#[component(interface = Catalog)]
pub struct CatalogService {
    pub cart: CartClient,
    pub names: Vec<String>,
}

impl Catalog for CatalogService {
    async fn size(&self) -> Result<u32, Failed> {
        Ok(0)
    }
}

anylith::app! {
    pub Shop = "shop" { CartService, CatalogService }
}

fn main() {}
