//! A call within one process: through a client of Anylith, and through a bare `Arc<dyn …>`.
//!
//! Both reach the same implementation. A round measures one after the other, in short bursts.

use std::{collections::BTreeMap, hint::black_box, process::Command, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::{
    child::{Child, Part, Placement, Role},
    contestant::anylith::{Store, StoreClient, StoreError, StoreService},
    deployment::Binaries,
    ratio::Ratio,
    report::Report,
};

/// How many calls make a burst.
const BURST: usize = 20_000;

/// How many rounds are run. They are short and many, since a few nanoseconds matter.
const ROUNDS: usize = 301;

/// The interface as one writes it without Anylith.
#[async_trait]
trait DynStore: Send + Sync {
    async fn next(&self, number: u64) -> Result<u64, StoreError>;
    async fn price(&self, product_id: &str, quantity: u32) -> Result<i64, StoreError>;
}

#[async_trait]
impl DynStore for StoreService {
    async fn next(&self, number: u64) -> Result<u64, StoreError> {
        Store::next(self, number).await
    }

    async fn price(&self, product_id: &str, quantity: u32) -> Result<i64, StoreError> {
        Store::price(self, product_id, quantity).await
    }
}

/// Both ways to call a store in this process.
pub(crate) struct Local {
    client: StoreClient,
    bare: Arc<dyn DynStore>,
}

/// One round: what a call of each method took, in nanoseconds: ours, then the bare one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct LocalRound {
    pub(crate) next: [f64; 2],
    pub(crate) price: [f64; 2],
}

/// The processor time of this thread: it stands still while another process has the core.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Makes a burst of one call, each awaited before the next.
macro_rules! burst {
    ($call:expr) => {{
        let start = thread_time();
        for _ in 0..BURST {
            black_box($call.await?);
        }
        (thread_time() - start).as_nanos() as f64 / BURST as f64
    }};
}

impl Local {
    /// Calls through `client`, and through a pointer to a store of its own.
    pub(crate) fn new(client: StoreClient) -> Self {
        Self {
            client,
            bare: Arc::new(StoreService::new()),
        }
    }

    /// Measures every call once.
    pub(crate) async fn round(&self) -> Result<LocalRound> {
        let Self { client, bare } = self;
        let id = "OLJCESPC00";
        Ok(LocalRound {
            next: [
                burst!(client.next(black_box(7))),
                burst!(bare.next(black_box(7))),
            ],
            price: [
                burst!(client.price(black_box(id), black_box(3))),
                burst!(bare.price(black_box(id), black_box(3))),
            ],
        })
    }
}

/// Ours and the bare call of one method, out of a round.
type Method = fn(&LocalRound) -> [f64; 2];

/// A call through a client within one process, beside one through a bare `Arc<dyn …>`.
pub(crate) fn local(report: &mut Report) -> Result<()> {
    let role = Role {
        part: Part::Local,
        placement: Placement::one_core()?,
    };
    let mut child = Child::start(&role, &[])?;
    child.local()?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(child.local()?);
    }
    let methods: [(&str, Method); 2] = [
        ("local, ready at once", |round| round.next),
        ("local, small call", |round| round.price),
    ];
    for (name, method) in methods {
        let ours: Vec<f64> = rounds.iter().map(|round| method(round)[0]).collect();
        let bare: Vec<f64> = rounds.iter().map(|round| method(round)[1]).collect();
        report.ratio(&Ratio::new(
            name,
            "ns",
            &ours,
            ("bare dyn", &bare),
            Some(2.5),
        ))?;
    }
    for (call, [ours, bare]) in allocations()? {
        let name = format!("local, {call}: allocations");
        let bare = ("bare dyn", &[bare][..]);
        report.ratio(&Ratio::new(name, "a call", &[ours], bare, Some(1.0)))?;
    }
    Ok(())
}

/// Call → how often it allocates, ours and the bare one.
fn allocations() -> Result<BTreeMap<String, [f64; 2]>> {
    let program = Binaries::build(&["bench"])?.path("allocations");
    let output = Command::new(program)
        .output()
        .context("cannot count allocations")?;
    ensure!(output.status.success(), "allocations were not counted");
    Ok(serde_json::from_slice(&output.stdout)?)
}
