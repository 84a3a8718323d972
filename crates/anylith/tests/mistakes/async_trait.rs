//! What `#[async_trait]` and a component do not have in common.

use anylith::CallError;
use async_trait::async_trait;


#[anylith::component]
#[async_trait]
pub trait Streams: Send + Sync {
    async fn all(&self) -> Result<impl Stream<Item = Result<u32, CallError>>, CallError>;
}

#[anylith::component]
#[async_trait(?Send)]
pub trait Local {
    async fn get(&self) -> Result<u32, CallError>;
}

fn main() {}
