//! Where parcels are, as all builds but the second tell of them.

use anylith::CallError;
use serde::{Deserialize, Serialize};

/// Why a parcel was not found.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum DepotError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A parcel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// Its number.
    pub(crate) id: u64,
    /// In grams.
    pub(crate) weight: u32,
    /// The build that has it.
    pub(crate) build: String,
}

/// Keeps parcels.
#[anylith::component]
pub(crate) trait Depot {
    /// Parcel `id`.
    #[idempotent]
    async fn find(&self, id: u64) -> Result<Parcel, DepotError>;
    /// The same, once.
    async fn take(&self, id: u64) -> Result<Parcel, DepotError>;
}
