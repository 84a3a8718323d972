//! Two methods of one name, and two arguments.

#[derive(Debug, serde::Serialize, serde::Deserialize, thiserror::Error)]
pub enum CartError {
    #[error(transparent)]
    Call(#[from] anylith::CallError),
}

#[anylith::component]
pub trait Cart {
    async fn add(&self, item: u32, item: u32) -> Result<u32, CartError>;
    async fn add(&self) -> Result<u32, CartError>;
}

fn main() {}
