//! Keys that no call can be routed by.

use std::collections::HashMap;

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
    #[routed(by = usr)]
    async fn count(&self, user: &str, shop: &str) -> Result<u32, Failed>;

    #[routed(by = user)]
    async fn all(&self) -> Result<u32, Failed>;

    #[routed]
    async fn empty(&self, user: &str) -> Result<(), Failed>;

    #[routed(user)]
    async fn forget(&self, user: &str) -> Result<(), Failed>;

    #[routed(by = user)]
    #[routed(by = shop)]
    async fn add(&self, user: &str, shop: &str) -> Result<(), Failed>;

    #[routed(by = items)]
    async fn fill(&self, items: impl Stream<Item = Result<String, Failed>>) -> Result<(), Failed>;

    #[routed(by = price)]
    async fn find(&self, price: f64) -> Result<(), Failed>;

    #[routed(by = tags)]
    async fn tagged(&self, tags: &HashMap<String, u32>) -> Result<(), Failed>;
}

fn main() {}
