//! A field that is no component yet, and not marked.

use std::sync::Arc;

use async_trait::async_trait;

#[async_trait]
pub trait Prices: Send + Sync {
    async fn of(&self, thing: &str) -> u64;
}

#[derive(anylith::Component)]
pub struct Till {
    pub prices: Arc<dyn Prices>,
}

fn main() {}
