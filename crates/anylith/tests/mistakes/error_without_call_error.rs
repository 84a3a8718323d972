//! An error type with no room for a failed call.

use anylith::CallError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Failed(CallError);

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self(error)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub enum CartError {
    Full,
}

#[anylith::component]
pub trait Cart {
    async fn count(&self) -> Result<u32, CartError>;
}

fn keep(_: Failed) {}

fn main() {}
