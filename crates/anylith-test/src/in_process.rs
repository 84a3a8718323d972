//! The application in the test's process: calls go directly, or through a socket.

use std::{marker::PhantomData, sync::Mutex};

use anylith_core::{Endpoint, Manifest};
use anylith_runtime::Application;

use crate::{
    body::Body,
    builder::ClusterBuilder,
    cluster::{self, Cluster, ClusterError},
    topology::Topology,
};

/// Starts all of it here.
pub(crate) async fn start<A: Application>(
    builder: ClusterBuilder<A>,
    manifest: Manifest,
) -> Result<Cluster<A>, ClusterError> {
    let plan = builder.plan(&manifest)?;
    let folder = cluster::folder()?;
    let wire = match builder.topology {
        Topology::Direct => None,
        _ => Some(Endpoint::Unix(folder.path().join("monolith-1.sock"))),
    };
    let running = builder.app.start_with(plan, wire).await?;
    let body = running
        .component::<Body>()
        .expect("the body is a component of the application, and all of them are ready");
    Ok(Cluster {
        topology: builder.topology,
        body,
        running: Mutex::new(Some(running)),
        supervisor: None,
        fakes: builder.fakes,
        folder,
        app: PhantomData,
    })
}
