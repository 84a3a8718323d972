//! A build whose depot does not start.

#[path = "../desk.rs"]
mod desk;
#[path = "../web.rs"]
mod web;

use std::process::ExitCode;

use self::{depot::Shelves, desk::Clerk, web::Web};

/// What this build is called.
const BUILD: &str = "crashing";

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

    /// Keeps every parcel there can be.
    #[derive(anylith::Component)]
    #[component(interface = Depot, start)]
    pub(crate) struct Shelves {}

    impl Shelves {
        /// Fails.
        ///
        /// # Errors
        ///
        /// Always.
        pub(crate) async fn start(_parts: ShelvesParts) -> Result<Self, std::io::Error> {
            Err(std::io::Error::other("the shelves are gone"))
        }

        fn parcel(id: u64) -> Parcel {
            Parcel {
                id,
                weight: id as u32 * 3,
                build: crate::BUILD.to_owned(),
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
