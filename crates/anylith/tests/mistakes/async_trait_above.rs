//! `#[async_trait]` in the wrong place.

use anylith::CallError;
use async_trait::async_trait;

#[async_trait]
#[anylith::component]
pub trait Above: Send + Sync {
    async fn get(&self, name: &str) -> Result<u32, CallError>;
}

fn main() {}
