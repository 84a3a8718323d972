//! Anylith as its users have it: an application of two components, each in a replica of its own, or both
//! in one process.

use std::{env, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Result, ensure};
use anylith::Stopping;
use bytes::Bytes;

use super::{
    Calls,
    store::{Store, StoreClient, StoreService},
};
use crate::{
    direct::Local,
    payload::{self, Lookup},
    round::{ENV_HARNESS, Harness},
};

/// Makes the calls that the parent asks for.
#[derive(anylith::Component)]
#[component(serve)]
pub(crate) struct Load {
    store: StoreClient,
}

impl Load {
    async fn serve(self: Arc<Self>, _stopping: Stopping) -> Result<(), anyhow::Error> {
        let harness = env::var_os(ENV_HARNESS)
            .map(PathBuf::from)
            .unwrap_or_default();
        let client = Client {
            store: self.store.clone(),
            lookup: payload::lookup(),
            blob: payload::blob(),
        };
        let local = Local::new(self.store.clone());
        Harness::connect(&harness)
            .await?
            .obey_as_client(client, Some(local))
            .await
    }
}

anylith::app! {
    /// A store and somebody who asks it for things.
    pub(crate) Market = "market" { StoreService, Load }
}

/// Runs this process as the replica that its environment says, or as the whole application.
pub(crate) async fn run() -> Result<()> {
    let code = Market::run().await;
    ensure!(code == ExitCode::SUCCESS, "the application failed");
    Ok(())
}

/// A client, and what it sends.
#[derive(Clone)]
struct Client {
    store: StoreClient,
    lookup: Lookup,
    blob: Bytes,
}

impl Calls for Client {
    fn share(&self) -> Result<Self> {
        Ok(self.clone())
    }

    async fn get(&mut self) -> Result<usize> {
        let product = self.store.get(&self.lookup).await?;
        Ok(product
            .variants
            .iter()
            .map(|variant| variant.sizes.len())
            .sum())
    }

    async fn list(&mut self) -> Result<usize> {
        Ok(self.store.list(1).await?.len())
    }

    async fn blob(&mut self) -> Result<usize> {
        Ok(self.store.echo(self.blob.clone()).await?.len())
    }
}
