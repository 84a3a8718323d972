//! The second build: `Depot` tells of parcels in another way, and more.

#[path = "../desk.rs"]
mod desk;
#[path = "../web.rs"]
mod web;

use std::process::ExitCode;

use self::{depot::Shelves, desk::Clerk, web::Web};

/// What this build is called.
const BUILD: &str = "second";

/// Where parcels are.
mod depot {
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
        /// In grams.
        pub(crate) weight: u64,
        /// The build that has it.
        pub(crate) build: String,
        /// Where it lies.
        pub(crate) shelf: Option<u16>,
        /// Its number.
        pub(crate) id: u64,
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

    /// Keeps every parcel there can be.
    #[derive(anylith::Component)]
    #[component(interface = Depot)]
    pub(crate) struct Shelves {}

    impl Shelves {
        fn parcel(id: u64) -> Parcel {
            Parcel {
                id,
                weight: id * 3,
                build: crate::BUILD.to_owned(),
                shelf: Some(id as u16),
            }
        }
    }

    impl Depot for Shelves {
        async fn find(&self, id: u64) -> Result<Parcel, DepotError> {
            Ok(Self::parcel(id))
        }

        async fn take(&self, id: u64) -> Result<Parcel, DepotError> {
            Ok(Self::parcel(id))
        }
    }
}

anylith::app! {
    /// Finds parcels.
    Parcels = "parcels" { Shelves, Clerk, Web }
}

#[tokio::main]
async fn main() -> ExitCode {
    Parcels::run().await
}
