//! Types that mean nothing in another process.

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
    async fn exclusive(&self, count: &mut u32) -> Result<(), Failed>;
    async fn nested(&self, names: Option<&str>) -> Result<(), Failed>;
    async fn boxed(&self, visit: Box<dyn Fn(u32)>) -> Result<(), Failed>;
    async fn function(&self, visit: fn(u32)) -> Result<(), Failed>;
    async fn lifetime(&self, name: &'static str) -> Result<(), Failed>;
    async fn opaque(&self, names: impl Iterator<Item = String>) -> Result<(), Failed>;
    async fn borrowed(&self) -> Result<&str, Failed>;
}

fn main() {}
