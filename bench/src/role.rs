//! What a child process does: which part it plays, and where it may run.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};
use anylith_core::Endpoint;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

use crate::{
    contestant::{
        Peer, anylith,
        certificates::Certificates,
        raw, tarpc,
        tonic::{self, Frames},
    },
    fleet, grpc_shop,
    round::{ENV_HARNESS, Harness},
};

/// What a child is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) part: Part,
    pub(crate) placement: Placement,
}

/// The part that a child plays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// The server of a contestant.
    Serve { peer: Peer, endpoint: Endpoint },
    /// Its client.
    Call { peer: Peer, endpoint: Endpoint },
    /// Ours, with caller and callee in one process.
    Local,
    /// One process of the shop behind tonic.
    Shop { component: String },
    /// A replica of a fleet.
    Fleet(fleet::Post),
}

/// Where a child may run, and in how many threads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Placement {
    /// The processors that it is pinned to; none for anywhere.
    pub(crate) cpus: Vec<usize>,
    /// The worker threads of a multi-thread runtime, or 0 for a current-thread runtime.
    pub(crate) workers: usize,
}

impl Placement {
    /// On the last processor that we may use, with a current-thread runtime.
    pub(crate) fn one_core() -> Result<Self> {
        let last = *allowed_cpus()?.last().context("no processor may be used")?;
        Ok(Self {
            cpus: vec![last],
            workers: 0,
        })
    }

    /// On the last two processors that we may use, with a multi-thread runtime of as many workers.
    pub(crate) fn multi_thread() -> Result<Self> {
        let cpus = allowed_cpus()?;
        let cpus = cpus[cpus.len().saturating_sub(2)..].to_vec();
        Ok(Self {
            workers: cpus.len(),
            cpus,
        })
    }

    /// Anywhere, with a multi-thread runtime of the usual size.
    pub(crate) fn free() -> Self {
        Self {
            cpus: Vec::new(),
            workers: 2,
        }
    }

    /// Pins this process, which must have one thread as yet, and makes the runtime.
    fn enter(&self) -> Result<tokio::runtime::Runtime> {
        let mut set = CpuSet::new();
        for cpu in &self.cpus {
            set.set(*cpu);
        }
        if !self.cpus.is_empty() {
            sched_setaffinity(None, &set).context("cannot pin to a processor")?;
        }
        let mut runtime = match self.workers {
            0 => tokio::runtime::Builder::new_current_thread(),
            workers => {
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                runtime.worker_threads(workers);
                runtime
            }
        };
        Ok(runtime.enable_all().build()?)
    }
}

fn allowed_cpus() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect())
}

impl Role {
    /// Plays the role, in the child, until the parent is gone.
    pub(crate) fn play(self) -> Result<()> {
        let harness = env::var_os(ENV_HARNESS).context("BENCH_HARNESS is not set")?;
        let harness = PathBuf::from(harness);
        self.placement.enter()?.block_on(async {
            match self.part {
                Part::Serve { peer, endpoint } => serve(peer, &endpoint, harness).await,
                Part::Call { peer, endpoint } => call(peer, &endpoint, harness).await,
                Part::Local => anylith::run().await,
                Part::Shop { component } => grpc_shop::run(&component).await,
                Part::Fleet(post) => post.hold(harness).await,
            }
        })
    }
}

/// Serves as `peer` does; the parent hears of it once it is ready.
async fn serve(peer: Peer, endpoint: &Endpoint, harness: PathBuf) -> Result<()> {
    let ready = move || {
        tokio::spawn(async move { Harness::connect(&harness).await?.obey_as_server().await });
    };
    match peer {
        Peer::Anylith => {
            ready();
            anylith::run().await
        }
        Peer::Raw => raw::serve(endpoint, ready).await,
        Peer::Tonic => tonic::serve(endpoint, Frames::Default, None, ready).await,
        Peer::TonicLargeFrames => tonic::serve(endpoint, Frames::Large, None, ready).await,
        Peer::TonicTls => {
            let own = Certificates::from_env()?;
            tonic::serve(endpoint, Frames::Default, Some(&own), ready).await
        }
        Peer::Tarpc => tarpc::serve(endpoint, ready).await,
    }
}

/// Calls the server of `peer` as the parent says.
async fn call(peer: Peer, endpoint: &Endpoint, harness: PathBuf) -> Result<()> {
    let harness = Harness::connect(&harness);
    match peer {
        Peer::Anylith => anylith::run().await,
        Peer::Raw => {
            let client = raw::connect(endpoint).await?;
            harness.await?.obey_as_client(client, None).await
        }
        Peer::Tonic => {
            let client = tonic::connect(endpoint, Frames::Default)?;
            harness.await?.obey_as_client(client, None).await
        }
        Peer::TonicTls => {
            let client = tonic::connect_tls(endpoint, &Certificates::from_env()?)?;
            harness.await?.obey_as_client(client, None).await
        }
        Peer::TonicLargeFrames => {
            let client = tonic::connect(endpoint, Frames::Large)?;
            harness.await?.obey_as_client(client, None).await
        }
        Peer::Tarpc => {
            let client = tarpc::connect(endpoint).await?;
            harness.await?.obey_as_client(client, None).await
        }
    }
}
