//! Things that an interface cannot have.

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
pub trait Cart: std::fmt::Debug {
    const SIZE: usize;
    type Item;
    fn sync(&self) -> Result<(), Failed>;
    async fn with_body(&self) -> Result<(), Failed> {
        Ok(())
    }
}

fn main() {}
