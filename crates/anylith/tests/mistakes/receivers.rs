//! Receivers that would need the component for themselves.

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
    async fn exclusive(&mut self) -> Result<(), Failed>;
    async fn consuming(self) -> Result<(), Failed>
    where
        Self: Sized;
    async fn typed(self: std::sync::Arc<Self>) -> Result<(), Failed>;
    async fn none() -> Result<(), Failed>;
}

fn main() {}
