//! `Desk`: the same in all builds, but that it says of which it is. It calls `Depot`, which is not.

use anylith::CallError;
use serde::{Deserialize, Serialize};

use crate::{
    BUILD,
    depot::{DepotClient, DepotError, Parcel},
};
// The client has its methods from there.
use crate::depot::Depot as _;

/// Why there is no answer.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum DeskError {
    /// The depot gave none.
    #[error("the depot: {0}")]
    Depot(String),
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<DepotError> for DeskError {
    fn from(error: DepotError) -> Self {
        Self::Depot(error.to_string())
    }
}

/// Answers people who ask for their parcels.
#[anylith::component]
pub(crate) trait Desk {
    /// What is known of parcel `id`: `ID WEIGHT DESK DEPOT`, the last two of which are builds.
    #[idempotent]
    async fn ask(&self, id: u64) -> Result<String, DeskError>;
    /// The same, for those who may ask once only.
    async fn ask_once(&self, id: u64) -> Result<String, DeskError>;
}

/// Asks the depot.
#[derive(anylith::Component)]
#[component(interface = Desk)]
pub(crate) struct Clerk {
    depot: DepotClient,
}

impl Clerk {
    fn tell(parcel: &Parcel) -> String {
        let Parcel {
            id, weight, build, ..
        } = parcel;
        format!("{id} {weight} {BUILD} {build}")
    }
}

impl Desk for Clerk {
    async fn ask(&self, id: u64) -> Result<String, DeskError> {
        Ok(Self::tell(&self.depot.find(id).await?))
    }

    async fn ask_once(&self, id: u64) -> Result<String, DeskError> {
        Ok(Self::tell(&self.depot.take(id).await?))
    }
}
