//! A build with a component more.

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
const BUILD: &str = "larger";

/// Keeps every parcel there can be.
#[derive(anylith::Component)]
#[component(interface = Depot)]
struct Shelves {}

impl Shelves {
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

/// Has nothing to do.
#[derive(anylith::Component)]
struct Cellar {}

anylith::app! {
    /// Finds parcels.
    Parcels = "parcels" { Shelves, Clerk, Web, Cellar }
}

#[tokio::main]
async fn main() -> ExitCode {
    Parcels::run().await
}
