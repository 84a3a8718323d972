//! `Self` among the types of a method.

#[derive(Debug, serde::Serialize, serde::Deserialize, thiserror::Error)]
pub enum CartError {
    #[error(transparent)]
    Call(#[from] anylith::CallError),
}

#[anylith::component]
pub trait Cart {
    async fn merge(&self, other: Self) -> Result<u32, CartError>;
    async fn split(&self) -> Result<Self, CartError>;
    async fn all(&self, others: &[Self]) -> Result<(), CartError>;
}

fn main() {}
