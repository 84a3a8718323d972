//! A field that nothing fills.

use anylith::CallError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Failed(CallError);

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self(error)
    }
}

pub struct Pool;

#[derive(anylith::Component)]
pub struct CartService {
    pub pool: Pool,
}

fn keep(_: Failed) {}

fn main() {}
