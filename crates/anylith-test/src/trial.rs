//! One test in one topology: what `#[anylith::test]` expands to.

use std::fmt::Debug;

use anylith_core::with_causes;
use anylith_runtime::{Application, Builder};

use crate::{builder::ClusterBuilder, cluster::Cluster, reborn, topology::Topology};

/// One test in one topology.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The topology.
    pub topology: Topology,
    /// The path of the `#[test]` function, which begins with the crate.
    pub path: &'static str,
    /// Settings, as in `anylith.toml`.
    pub settings: &'static str,
}

/// What the body of a test may return.
pub trait Outcome {
    /// Fails the test, if that is what it says.
    fn check(self);
}

impl Outcome for () {
    fn check(self) {}
}

impl<E: Debug> Outcome for Result<(), E> {
    fn check(self) {
        if let Err(error) = self {
            panic!("the test returned an error: {error:?}");
        }
    }
}

/// Runs `body` against the application, or is one of its replicas.
pub fn run<A: Application, T: Outcome>(
    case: Case,
    app: impl FnOnce(Builder<A>) -> Builder<A>,
    fakes: impl FnOnce(ClusterBuilder<A>) -> ClusterBuilder<A>,
    body: impl AsyncFnOnce(&Cluster<A>) -> T,
) {
    run_unstarted(case, app, fakes, async move |builder: ClusterBuilder<A>| {
        let cluster = match builder.start().await {
            Ok(cluster) => cluster,
            Err(error) => panic!("the application did not start: {}", with_causes(&error)),
        };
        let outcome = body(&cluster).await;
        cluster.stop().await;
        outcome
    });
}

/// The same for a body that starts the application itself.
pub fn run_unstarted<A: Application, T: Outcome>(
    case: Case,
    app: impl FnOnce(Builder<A>) -> Builder<A>,
    fakes: impl FnOnce(ClusterBuilder<A>) -> ClusterBuilder<A>,
    body: impl AsyncFnOnce(ClusterBuilder<A>) -> T,
) {
    let app = app(Builder::new());
    if reborn::is_replica() {
        reborn::live(app);
    }
    let mut builder = fakes(ClusterBuilder::new(app))
        .topology(case.topology)
        .settings(case.settings);
    builder.program = reborn::program(reborn::libtest_name(case.path));
    // One thread, so that what a test sees comes in one order, and a test may stop the clock. Replicas with processes
    // of their own have more.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread can be had");
    let outcome = runtime.block_on(body(builder));
    drop(runtime);
    outcome.check();
}
