//! Calls go where they are taken: what a replica offers, and takes back.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use anylith_core::{Fingerprint, Limits, Refusal};
use anylith_rpc::{Answer, Answering, Failure, Incoming, Network, Serve, ServedComponent, Server};
use futures_util::FutureExt as _;
use support::*;

/// Takes calls when the test says so, and refuses those that come when it does not.
struct Shy {
    echo: Echo,
    offered: AtomicBool,
    refused: AtomicUsize,
}

impl Serve for Shy {
    fn components(&self) -> Vec<ServedComponent> {
        self.echo.components()
    }

    fn offers(&self, _: u16) -> bool {
        self.offered.load(SeqCst)
    }

    fn call(&self, call: Incoming) -> Answering {
        if self.offered.load(SeqCst) {
            return self.echo.call(call);
        }
        self.refused.fetch_add(1, SeqCst);
        Box::pin(async { Answer::Failed(Failure::NotExecuted(Refusal::Moved)) })
    }
}

fn shy(counts: &Arc<Counts>, folder: &Folder, offered: bool) -> (Arc<Shy>, Server) {
    let service = Arc::new(Shy {
        echo: Echo {
            component: name("Echo"),
            fingerprint: Fingerprint(1),
            counts: counts.clone(),
        },
        offered: AtomicBool::new(offered),
        refused: AtomicUsize::new(0),
    });
    let network = Network::new(name("Echo-2"), Limits::default());
    let server = network
        .serve(&folder.socket("shy"), Arc::<Shy>::clone(&service))
        .unwrap();
    (service, server)
}

#[tokio::test]
async fn a_call_waits_until_a_replica_offers_what_it_wants() {
    let (counts, folder) = (Arc::default(), Folder::new());
    let (service, server) = shy(&counts, &folder, false);
    let network = Network::new(name("Caller-1"), Limits::default());
    network.update(directory(1, &[&server.endpoint()]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    let mut call = making(&callee, ECHO, "hi").message().boxed();
    let echo = name("Echo");
    let offered = network.offered(&echo);
    tokio::pin!(offered);
    assert!((&mut call).now_or_never().is_none());
    assert!(offered.as_mut().now_or_never().is_none());
    service.offered.store(true, SeqCst);
    server.offer();
    soon(offered).await;
    assert_eq!(soon(call).await.unwrap(), b"hi");
}

#[tokio::test]
async fn a_component_that_is_no_longer_offered_is_called_elsewhere_though_the_directory_has_it() {
    let world = World::new().start();
    let (service, server) = shy(&world.counts, &world.folder, true);
    let both = [&world.server.endpoint(), &server.endpoint()];
    world.network.update(directory(2, &both));
    let echoed = || async {
        soon(making(&world.callee, ECHO, "hi").message())
            .await
            .unwrap();
    };
    for _ in 0..50 {
        echoed().await;
    }
    service.offered.store(false, SeqCst);
    server.offer();
    for _ in 0..200 {
        echoed().await;
    }
    // One or two may have left before the word came.
    let refused = service.refused.load(SeqCst);
    assert!(refused < 5, "{refused} calls went where none are taken");
}

#[tokio::test]
async fn what_nobody_offers_is_unreachable_after_a_while_and_the_reason_says_so() {
    let (counts, folder) = (Arc::default(), Folder::new());
    let (service, server) = shy(&counts, &folder, true);
    let limits = Limits {
        reach_timeout_ms: 50,
        ..Limits::default()
    };
    let network = Network::new(name("Caller-1"), limits);
    network.update(directory(1, &[&server.endpoint()]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    soon(making(&callee, ECHO, "hi").message()).await.unwrap();
    service.offered.store(false, SeqCst);
    server.offer();
    let failure = soon(making(&callee, ECHO, "hi").message())
        .await
        .unwrap_err();
    let Failure::NotExecuted(Refusal::Unreachable(reason)) = failure else {
        panic!("{failure:?}")
    };
    assert!(reason.contains("takes no calls for Echo"), "{reason}");
}

#[tokio::test]
async fn a_replica_that_is_back_is_not_held_to_what_it_said_before() {
    let (counts, folder) = (Arc::default(), Folder::new());
    let (service, server) = shy(&counts, &folder, true);
    let limits = Limits {
        reach_timeout_ms: 1000,
        ..Limits::default()
    };
    let network = Network::new(name("Caller-1"), limits);
    network.update(directory(1, &[&server.endpoint()]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    soon(making(&callee, ECHO, "hi").message()).await.unwrap();
    // Calls cross with what is not yet taken back, for longer than they wait.
    service.offered.store(false, SeqCst);
    soon(making(&callee, ECHO, "hi").message())
        .await
        .unwrap_err();
    server.offer();
    let echo = name("Echo");
    let gone = async {
        while network.offered(&echo).now_or_never().is_some() {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
    service.offered.store(true, SeqCst);
    server.offer();
    soon(network.offered(&echo)).await;
    // The next one crosses again, and finds it back.
    service.offered.store(false, SeqCst);
    let before = service.refused.load(SeqCst);
    let call = tokio::spawn(async move { making(&callee, ECHO, "hi").message().await });
    let refused = async {
        while service.refused.load(SeqCst) == before {
            tokio::task::yield_now().await;
        }
        service.offered.store(true, SeqCst);
    };
    soon(refused).await;
    assert_eq!(soon(call).await.unwrap().unwrap(), b"hi");
}
