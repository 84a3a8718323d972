//! Calls go where they are taken: what a replica offers, and takes back.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use anylith_core::{Fingerprint, Limits, Refusal};
use anylith_rpc::{
    Answer, Answering, Callee, Failure, Incoming, Network, Readiness, Serve, ServedComponent,
    Server,
};
use futures_util::FutureExt as _;
use support::*;

/// Takes calls when the test says so, and refuses those that come when it does not.
struct Shy {
    echo: Echo,
    offered: Mutex<Readiness>,
    taken: AtomicUsize,
    refused: AtomicUsize,
}

impl Shy {
    fn taken(&self) -> usize {
        self.taken.load(SeqCst)
    }

    fn set(&self, offered: Readiness) {
        *self.offered.lock().unwrap() = offered;
    }
}

impl Serve for Shy {
    fn components(&self) -> Vec<ServedComponent> {
        self.echo.components()
    }

    fn offers(&self, _: u16) -> Readiness {
        *self.offered.lock().unwrap()
    }

    fn call(&self, call: Incoming) -> Answering {
        if self.offers(0) > Readiness::Closed {
            self.taken.fetch_add(1, SeqCst);
            return self.echo.call(call);
        }
        self.refused.fetch_add(1, SeqCst);
        Box::pin(async { Answer::Failed(Failure::NotExecuted(Refusal::Moved { epoch: 0 })) })
    }
}

fn shy(counts: &Arc<Counts>, folder: &Folder, offered: Readiness) -> (Arc<Shy>, Server) {
    served(counts, folder, "shy", offered)
}

fn served(
    counts: &Arc<Counts>,
    folder: &Folder,
    file: &str,
    offered: Readiness,
) -> (Arc<Shy>, Server) {
    let service = Arc::new(Shy {
        echo: Echo {
            component: name("Echo"),
            fingerprint: Fingerprint(1),
            counts: counts.clone(),
        },
        offered: Mutex::new(offered),
        taken: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    });
    let network = Network::new(name("Echo-2"), Limits::default());
    let server = network
        .serve(&folder.socket(file), Arc::<Shy>::clone(&service))
        .unwrap();
    (service, server)
}

/// Some replicas, and somebody who calls them.
struct Ward {
    replicas: Vec<(Arc<Shy>, Server)>,
    network: Network,
    callee: Callee,
    _folder: Folder,
}

impl Ward {
    /// One replica for each of `offered`.
    fn new(offered: &[Readiness]) -> Self {
        let (counts, folder) = (Arc::default(), Folder::new());
        let replicas = offered.iter().enumerate();
        let replicas: Vec<(Arc<Shy>, Server)> = replicas
            .map(|(at, offered)| served(&counts, &folder, &format!("bed-{at}"), *offered))
            .collect();
        let network = Network::new(name("Caller-1"), Limits::default());
        let endpoints: Vec<_> = replicas.iter().map(|(_, it)| it.endpoint()).collect();
        network.update(directory(1, &endpoints.iter().collect::<Vec<_>>()));
        Self {
            callee: network.callee(name("Echo"), Fingerprint(1)),
            replicas,
            network,
            _folder: folder,
        }
    }

    /// How it is with one of them from now on.
    fn becomes(&self, replica: usize, offered: Readiness) {
        let (service, server) = &self.replicas[replica];
        service.set(offered);
        server.offer();
    }

    fn taken(&self) -> Vec<usize> {
        self.replicas.iter().map(|(it, _)| it.taken()).collect()
    }

    async fn call(&self) {
        let call = making(&self.callee, ECHO, "").message();
        soon(call).await.unwrap();
    }

    /// The replica that has `key`.
    async fn home(&self, key: u64) -> usize {
        let before = self.taken();
        let call = making(&self.callee, ECHO, "").key(key).message();
        soon(call).await.unwrap();
        let after = self.taken();
        (0..after.len())
            .find(|at| before[*at] < after[*at])
            .unwrap()
    }

    /// Calls until each of `replicas` was called once more.
    async fn until_called(&self, replicas: &[usize]) {
        let before = self.taken();
        let called = async {
            while replicas
                .iter()
                .any(|at| self.replicas[*at].0.taken() == before[*at])
            {
                self.call().await;
            }
        };
        soon(called).await;
    }
}

#[tokio::test]
async fn a_call_waits_until_a_replica_offers_what_it_wants() {
    let (counts, folder) = (Arc::default(), Folder::new());
    let (service, server) = shy(&counts, &folder, Readiness::Closed);
    let network = Network::new(name("Caller-1"), Limits::default());
    network.update(directory(1, &[&server.endpoint()]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    let mut call = making(&callee, ECHO, "hi").message().boxed();
    let echo = name("Echo");
    let offered = network.offered(&echo);
    tokio::pin!(offered);
    assert!((&mut call).now_or_never().is_none());
    assert!(offered.as_mut().now_or_never().is_none());
    service.set(Readiness::Well);
    server.offer();
    soon(offered).await;
    assert_eq!(soon(call).await.unwrap(), b"hi");
}

#[tokio::test]
async fn a_component_that_is_no_longer_offered_is_called_elsewhere_though_the_directory_has_it() {
    let world = World::new().start();
    let (service, server) = shy(&world.counts, &world.folder, Readiness::Well);
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
    service.set(Readiness::Closed);
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
    let (service, server) = shy(&counts, &folder, Readiness::Well);
    let limits = Limits {
        reach_timeout_ms: 50,
        ..Limits::default()
    };
    let network = Network::new(name("Caller-1"), limits);
    network.update(directory(1, &[&server.endpoint()]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    soon(making(&callee, ECHO, "hi").message()).await.unwrap();
    service.set(Readiness::Closed);
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
    let (service, server) = shy(&counts, &folder, Readiness::Well);
    let limits = Limits {
        reach_timeout_ms: 1000,
        ..Limits::default()
    };
    let network = Network::new(name("Caller-1"), limits);
    network.update(directory(1, &[&server.endpoint()]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    soon(making(&callee, ECHO, "hi").message()).await.unwrap();
    // Calls cross with what is not yet taken back, for longer than they wait.
    service.set(Readiness::Closed);
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
    service.set(Readiness::Well);
    server.offer();
    soon(network.offered(&echo)).await;
    // The next one crosses again, and finds it back.
    service.set(Readiness::Closed);
    let before = service.refused.load(SeqCst);
    let call = tokio::spawn(async move { making(&callee, ECHO, "hi").message().await });
    let refused = async {
        while service.refused.load(SeqCst) == before {
            tokio::task::yield_now().await;
        }
        service.set(Readiness::Well);
    };
    soon(refused).await;
    assert_eq!(soon(call).await.unwrap().unwrap(), b"hi");
}

#[tokio::test]
async fn where_nobody_is_well_the_ill_are_called_and_what_was_never_ready_is_not() {
    // For one who has never called here before.
    let ward = Ward::new(&[Readiness::Ill, Readiness::Closed, Readiness::Ill]);
    soon(ward.network.offered(&name("Echo"))).await;
    ward.until_called(&[0, 2]).await;
    let (starting, _) = &ward.replicas[1];
    assert_eq!((starting.taken(), starting.refused.load(SeqCst)), (0, 0));
}

#[tokio::test]
async fn the_ill_are_left_alone_while_anybody_is_well() {
    let ward = Ward::new(&[Readiness::Ill, Readiness::Closed, Readiness::Ill]);
    ward.until_called(&[0, 2]).await;
    ward.becomes(1, Readiness::Well);
    ward.until_called(&[1]).await;
    let before = ward.taken();
    for _ in 0..100 {
        ward.call().await;
    }
    assert_eq!(ward.taken(), [before[0], before[1] + 100, before[2]]);
    // The last one that was well is not, and none is again.
    ward.becomes(1, Readiness::Ill);
    ward.until_called(&[0, 1, 2]).await;
    // It drains, which is something else.
    ward.becomes(1, Readiness::Closed);
    ward.until_called(&[0, 2]).await;
}

#[tokio::test]
async fn one_that_is_ill_is_called_once_the_last_that_was_well_is_gone() {
    let mut ward = Ward::new(&[Readiness::Ill, Readiness::Well]);
    ward.until_called(&[1]).await;
    ward.replicas.truncate(1);
    let call = making(&ward.callee, ECHO, "").idempotent().message();
    soon(call).await.unwrap();
    ward.until_called(&[0]).await;
}

#[tokio::test]
async fn where_nobody_is_well_keys_have_their_homes_among_the_ill() {
    let ward = Ward::new(&[Readiness::Ill, Readiness::Closed, Readiness::Ill]);
    ward.until_called(&[0, 2]).await;
    let mut homes = Vec::new();
    for key in 0..60 {
        homes.push(ward.home(key).await);
    }
    assert_eq!(
        homes.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from([0, 2])
    );
    for (key, home) in homes.iter().enumerate() {
        assert_eq!(ward.home(key as u64).await, *home, "key {key}");
    }
    // All keys go to the one who is well, and back.
    ward.becomes(1, Readiness::Well);
    ward.until_called(&[1]).await;
    for key in 0..60 {
        assert_eq!(ward.home(key).await, 1, "key {key}");
    }
    ward.becomes(1, Readiness::Closed);
    ward.until_called(&[0, 2]).await;
    for (key, home) in homes.iter().enumerate() {
        assert_eq!(ward.home(key as u64).await, *home, "key {key}");
    }
}
