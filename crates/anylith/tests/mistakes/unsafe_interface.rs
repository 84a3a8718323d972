//! A promise that no caller in another process can make.

#[derive(Debug, serde::Serialize, serde::Deserialize, thiserror::Error)]
pub enum CartError {
    #[error(transparent)]
    Call(#[from] anylith::CallError),
}

#[anylith::component]
pub unsafe trait Cart {
    async unsafe fn add(&self) -> Result<u32, CartError>;
}

fn main() {}
