//! A build whose depot does not start.

#[path = "../depot.rs"]
mod depot;
#[path = "../desk.rs"]
mod desk;
#[path = "../web.rs"]
mod web;

use std::process::ExitCode;

use self::{
    depot::{Depot, DepotClient, DepotError, Parcel},
    desk::Clerk,
    web::Web,
};

/// What this build is called.
const BUILD: &str = "crashing";

/// Keeps every parcel there can be.
#[derive(anylith::Component)]
#[component(interface = Depot, start)]
struct Shelves {}

impl Shelves {
    /// Fails.
    ///
    /// # Errors
    ///
    /// Always.
    async fn start(_parts: ShelvesParts) -> Result<Self, std::io::Error> {
        Err(std::io::Error::other("the shelves are gone"))
    }

    fn parcel(id: u64) -> Parcel {
        Parcel {
            id,
            weight: id as u32 * 3,
            build: BUILD.to_owned(),
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

anylith::app! {
    /// Finds parcels.
    Parcels = "parcels" { Shelves, Clerk, Web }
}

#[tokio::main]
async fn main() -> ExitCode {
    Parcels::run().await
}
