//! Several replicas of one component: which of them is called, and what is done for a call.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use anylith_core::{
    Address, Directory, Endpoint, Execution, Fingerprint, Limits, Overload, Refusal,
};
use anylith_rpc::{
    Answer, Answering, Callee, Failure, Incoming, Network, Policy, Serve, ServedComponent, Server,
};
use futures_util::FutureExt as _;
use support::*;

/// Three replicas of `Echo`, each with counts of its own, and somebody who calls them.
struct Three {
    network: Network,
    callee: Callee,
    counts: Vec<Arc<Counts>>,
    servers: Vec<Option<Server>>,
    _folder: Folder,
}

impl Three {
    fn start(policy: Policy) -> Self {
        let folder = Folder::new();
        let counts: Vec<Arc<Counts>> = (0..3).map(|_| Arc::default()).collect();
        let servers = counts.iter().enumerate().map(|(index, counts)| {
            let service = Echo {
                component: name("Echo"),
                fingerprint: Fingerprint(1),
                counts: counts.clone(),
            };
            let network = Network::new(name(&format!("Echo-{}", index + 1)), Limits::default());
            let endpoint = folder.socket(&format!("server-{index}"));
            Some(network.serve(&endpoint, Arc::new(service)).unwrap())
        });
        let servers: Vec<Option<Server>> = servers.collect();
        let network = Network::new(name("Caller-1"), Limits::default());
        let callee = network.callee_by(name("Echo"), Fingerprint(1), policy);
        let three = Self {
            network,
            callee,
            counts,
            servers,
            _folder: folder,
        };
        three.network.update(three.directory(1));
        three
    }

    /// Those that live.
    fn directory(&self, epoch: u64) -> Directory {
        // They keep their names.
        let address = |(index, server): (usize, &Option<Server>)| {
            Some(Address {
                replica: name(&format!("Echo-{}", index + 1)),
                endpoint: server.as_ref()?.endpoint(),
            })
        };
        let alive = self.servers.iter().enumerate().filter_map(address);
        Directory::new(epoch, [(name("Echo"), alive.collect())])
    }

    /// Waits until each of them was called.
    async fn connected(&self) {
        let all = async {
            while self.counts.iter().any(|counts| counts.begun() == 0) {
                making(&self.callee, LATER, "").message().await.unwrap();
            }
        };
        soon(all).await;
    }

    fn begun(&self) -> Vec<usize> {
        self.counts.iter().map(|counts| counts.begun()).collect()
    }

    /// The replica that a call with `key` reaches.
    async fn home(&self, key: u64) -> usize {
        let before = self.begun();
        let call = making(&self.callee, ECHO, "").key(key).message();
        soon(call).await.unwrap();
        let after = self.begun();
        (0..3).find(|at| before[*at] < after[*at]).unwrap()
    }
}

#[tokio::test]
async fn calls_with_the_same_key_meet_the_same_replica() {
    let mut three = Three::start(Policy::default());
    three.connected().await;
    let mut homes = Vec::new();
    for key in 0..60 {
        homes.push(three.home(key).await);
    }
    for (key, home) in homes.iter().enumerate() {
        assert_eq!(three.home(key as u64).await, *home, "key {key}");
    }
    for replica in 0..3 {
        let keys = homes.iter().filter(|home| **home == replica).count();
        assert!(keys > 5, "replica {replica} has {keys} of 60 keys");
    }
    // One goes: its keys find another home, and the others stay.
    three.servers[2] = None;
    three.network.update(three.directory(2));
    for (key, home) in homes.iter().enumerate() {
        let now = three.home(key as u64).await;
        assert!(
            now == *home || *home == 2,
            "key {key} left {home} for {now}"
        );
    }
}

#[tokio::test]
async fn the_first_call_of_a_key_waits_until_its_replica_is_connected() {
    let three = Three::start(Policy::default());
    three.connected().await;
    let home = three.home(7).await;
    // For a second caller the way to that replica is shut at first.
    let folder = Folder::new();
    let (shut, target) = (folder.socket("shut"), &three.servers[home]);
    let target = target.as_ref().unwrap().endpoint();
    let (Endpoint::Unix(path), Endpoint::Unix(target)) = (&shut, target) else {
        unreachable!()
    };
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    let mut replicas = three.directory(1).replicas("Echo").to_vec();
    replicas[home].endpoint = shut;
    let directory = Directory::new(1, [(name("Echo"), replicas)]);
    let network = Network::new(name("Caller-2"), Limits::default());
    network.update(directory);
    let callee = network.callee(name("Echo"), Fingerprint(1));
    let before = three.begun();
    let call = tokio::spawn(async move { making(&callee, ECHO, "").key(7).message().await });
    let (mut caller, _) = soon(listener.accept()).await.unwrap();
    soon(network.offered(&name("Echo"))).await;
    let mut server = tokio::net::UnixStream::connect(target).await.unwrap();
    let way = tokio::spawn(async move {
        let _ = tokio::io::copy_bidirectional(&mut caller, &mut server).await;
    });
    soon(call).await.unwrap().unwrap();
    way.abort();
    let mut expected = before;
    expected[home] += 1;
    assert_eq!(three.begun(), expected);
}

#[tokio::test]
async fn a_key_whose_home_does_not_greet_is_answered_by_another_in_time() {
    let three = Three::start(Policy::default());
    let folder = Folder::new();
    let mute = folder.socket("mute");
    let Endpoint::Unix(path) = &mute else {
        unreachable!()
    };
    // Its connections wait to be accepted.
    let _listener = tokio::net::UnixListener::bind(path).unwrap();
    let mut replicas = three.directory(2).replicas("Echo").to_vec();
    replicas[2].endpoint = mute.clone();
    let with_mute = Directory::new(2, [(name("Echo"), replicas)]);
    three.network.update(with_mute);
    for key in 0..20 {
        let call = making(&three.callee, ECHO, "hi").key(key);
        let call = call.within(Duration::from_secs(4));
        assert_eq!(soon(call.message()).await.unwrap(), b"hi", "key {key}");
    }
    assert_eq!(three.begun()[2], 0);
}

/// What a replica of [`Pair`] makes of a call.
type Act = fn(&Echo, Incoming) -> Answering;

/// Two replicas of `Echo` that act differently, and somebody who calls them.
struct Pair {
    network: Network,
    callee: Callee,
    counts: [Arc<Counts>; 2],
    _servers: [Server; 2],
    _folder: Folder,
}

struct Acting {
    echo: Echo,
    act: Act,
}

impl Serve for Acting {
    fn components(&self) -> Vec<ServedComponent> {
        self.echo.components()
    }

    fn call(&self, call: Incoming) -> Answering {
        (self.act)(&self.echo, call)
    }
}

impl Pair {
    fn start(acts: [Act; 2]) -> Self {
        let folder = Folder::new();
        let counts: [Arc<Counts>; 2] = Default::default();
        let servers = [0, 1].map(|at: usize| {
            let echo = Echo {
                component: name("Echo"),
                fingerprint: Fingerprint(1),
                counts: counts[at].clone(),
            };
            let act = acts[at];
            let network = Network::new(name(&format!("Echo-{}", at + 1)), Limits::default());
            let endpoint = folder.socket(&format!("server-{at}"));
            network
                .serve(&endpoint, Arc::new(Acting { echo, act }))
                .unwrap()
        });
        let network = Network::new(name("Caller-1"), Limits::default());
        network.update(directory(
            1,
            &[&servers[0].endpoint(), &servers[1].endpoint()],
        ));
        let callee = network.callee(name("Echo"), Fingerprint(1));
        Self {
            network,
            callee,
            counts,
            _servers: servers,
            _folder: folder,
        }
    }

    fn begun(&self) -> [usize; 2] {
        [self.counts[0].begun(), self.counts[1].begun()]
    }

    /// Makes as many calls with `key` as allow one hedge.
    async fn earn_a_hedge(&self, key: u64) {
        for _ in 0..5 {
            let call = making(&self.callee, LATER, "").key(key).message();
            soon(call).await.unwrap();
        }
    }

    /// A key of calls that go to each of the two.
    async fn keys(&self) -> [u64; 2] {
        let mut keys = [None; 2];
        let found = async {
            for key in 0.. {
                let before = self.begun();
                let call = making(&self.callee, LATER, "").key(key).message();
                call.await.unwrap();
                let home = usize::from(self.begun()[0] == before[0]);
                keys[home] = Some(key);
                if let [Some(one), Some(other)] = keys {
                    return [one, other];
                }
            }
            unreachable!("there are enough keys")
        };
        soon(found).await
    }
}

#[tokio::test]
async fn a_replica_whose_keys_take_long_keeps_them() {
    let slow: Act = |echo, mut call| {
        if call.method != HELD {
            return echo.call(call);
        }
        call.method = ECHO;
        let answering = echo.call(call);
        let slowly = async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            answering.await
        };
        slowly.boxed()
    };
    let pair = Pair::start([slow, slow]);
    let [quick, slow] = pair.keys().await;
    let before = pair.begun();
    for _ in 0..30 {
        for _ in 0..10 {
            let call = making(&pair.callee, ECHO, "").key(quick).message();
            soon(call).await.unwrap();
        }
        let call = making(&pair.callee, HELD, "").key(slow).message();
        soon(call).await.unwrap();
    }
    let after = pair.begun();
    assert_eq!(after, [before[0] + 300, before[1] + 30]);
    assert_eq!(pair.network.counters().ejected, 0);
}

#[tokio::test]
async fn a_hedged_call_is_answered_by_another_replica_and_the_slow_one_is_told_to_stop() {
    let silent: Act = |echo, mut call| {
        if call.method == HELD {
            call.method = NEVER;
        }
        echo.call(call)
    };
    let quick: Act = |echo, mut call| {
        if call.method == HELD {
            call.method = ECHO;
        }
        echo.call(call)
    };
    let pair = Pair::start([silent, quick]);
    let [silent, other] = pair.keys().await;
    let before = pair.counts[0].begun();
    for _ in 0..20 {
        pair.earn_a_hedge(other).await;
        let call = making(&pair.callee, HELD, "hi")
            .key(silent)
            .idempotent()
            .hedge(Duration::from_millis(2));
        assert_eq!(soon(call.message()).await.unwrap(), b"hi");
    }
    let asked = (pair.counts[0].begun() - before) as u64;
    assert!(asked > 0, "none went to the silent one");
    assert!(pair.network.counters().hedged >= asked);
    let ended = |counts: &Counts| {
        counts.begun() == counts.finished.load(SeqCst) + counts.dropped.load(SeqCst)
    };
    pair.counts[0].until(ended).await;
}

#[tokio::test]
async fn a_hedged_call_that_one_replica_may_have_executed_is_not_said_to_be_not_executed() {
    fn held(echo: &Echo, call: Incoming, execution: Execution) -> Answering {
        let held = call.method == HELD;
        let answering = echo.call(call);
        async move {
            match answering.await {
                Answer::Message(_) if held => Answer::Failed(Failure::DeadlineExceeded(execution)),
                answer => answer,
            }
        }
        .boxed()
    }
    let pair = Pair::start([
        |echo, call| held(echo, call, Execution::Unknown),
        |echo, call| held(echo, call, Execution::NotExecuted),
    ]);
    let keys = pair.keys().await;
    for first in keys {
        pair.earn_a_hedge(first).await;
        let before = pair.begun();
        let mut call = making(&pair.callee, HELD, "")
            .key(first)
            .idempotent()
            .hedge(Duration::from_millis(1))
            .message()
            .boxed();
        let both = async {
            while pair.begun() != before.map(|begun| begun + 1) {
                assert!((&mut call).now_or_never().is_none());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        soon(both).await;
        for counts in &pair.counts {
            counts.release.notify_one();
            let finished = |counts: &Counts| counts.finished.load(SeqCst) == counts.begun();
            counts.until(finished).await;
        }
        // What is answered behind the two failures comes behind them, and so they are there when the call looks.
        for key in keys {
            let behind = making(&pair.callee, LATER, "").key(key).message();
            soon(behind).await.unwrap();
        }
        let told = call.now_or_never().expect("both have failed");
        assert_eq!(told, Err(Failure::DeadlineExceeded(Execution::Unknown)));
    }
}

#[tokio::test]
async fn hedges_add_no_more_than_a_fifth_to_the_load() {
    let pair = Pair::start([|echo, call| echo.call(call); 2]);
    pair.keys().await;
    let before = pair.begun().iter().sum::<usize>();
    for _ in 0..100 {
        let call = making(&pair.callee, NEVER, "").idempotent();
        let call = call.hedge(Duration::ZERO).within(Duration::from_millis(4));
        assert!(soon(call.message()).await.is_err());
    }
    let calls = before as u64 + 100;
    let hedged = pair.network.counters().hedged;
    assert!(
        (1..=calls / 5).contains(&hedged),
        "{hedged} in {calls} calls"
    );
}

#[tokio::test]
async fn a_call_that_may_run_once_is_not_hedged() {
    let three = Three::start(Policy::default());
    three.connected().await;
    let before: usize = three.begun().iter().sum();
    let call = making(&three.callee, NEVER, "")
        .hedge(Duration::from_millis(1))
        .within(Duration::from_millis(100));
    assert!(soon(call.message()).await.is_err());
    assert_eq!(three.begun().iter().sum::<usize>(), before + 1);
    assert_eq!(three.network.counters().hedged, 0);
}

#[tokio::test]
async fn over_the_limit_of_its_edge_a_call_is_refused_at_once_and_never_sent() {
    let three = Three::start(Policy {
        concurrency: Some(2),
        ..Policy::default()
    });
    three.connected().await;
    let before: usize = three.begun().iter().sum();
    let call = || making(&three.callee, NEVER, "").message().boxed();
    let (mut first, mut second) = (call(), call());
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    let third = call().now_or_never().expect("it waits");
    let limit = Failure::NotExecuted(Refusal::Overloaded(Overload::Edge { limit: 2 }));
    assert!(limit.to_string().contains("2 calls along its edge"));
    assert_eq!(third, Err(limit.clone()));
    assert_eq!(three.network.counters().withheld, 1);
    drop(first);
    assert!(call().now_or_never().is_none(), "it is refused");
    drop(second);
    // A stream is under way until it is dropped.
    let stream = || {
        making(
            &three.callee,
            COUNT,
            [[9_u8, 0, 0, 0], [1, 0, 0, 0]].concat(),
        )
        .stream()
    };
    let (one, _other) = (soon(stream()).await.unwrap(), soon(stream()).await.unwrap());
    assert_eq!(making(&three.callee, ECHO, "").message().await, Err(limit));
    assert_eq!(three.network.counters().withheld, 2);
    drop(one);
    making(&three.callee, ECHO, "").message().await.unwrap();
    let begun: usize = three.begun().iter().sum();
    assert!(begun <= before + 6, "{begun} after {before}");
}

#[tokio::test]
async fn all_idempotent_calls_that_a_dying_replica_had_are_answered_by_the_others() {
    let mut three = Three::start(Policy::default());
    three.connected().await;
    // More than is ever saved up for retries.
    let calls: Vec<_> = (0..600)
        .map(|_| {
            let callee = three.callee.clone();
            tokio::spawn(async move { making(&callee, HELD, "hi").idempotent().message().await })
        })
        .collect();
    let before = 3;
    let held = async {
        while three.begun().iter().sum::<usize>() < before + 600 {
            tokio::task::yield_now().await;
        }
    };
    soon(held).await;
    drop(three.servers[0].take());
    three.network.update(three.directory(2));
    let answered = async {
        for call in calls {
            // Whoever waits is let go.
            while !call.is_finished() {
                for counts in &three.counts {
                    counts.release.notify_waiters();
                }
                tokio::task::yield_now().await;
            }
            assert_eq!(call.await.unwrap().unwrap(), b"hi");
        }
    };
    soon(answered).await;
    assert!(three.network.counters().retried > 0);
}

#[tokio::test]
async fn an_edge_without_retries_makes_no_call_twice() {
    let mut three = Three::start(Policy {
        retries_percent: 0,
        ..Policy::default()
    });
    three.connected().await;
    let before: usize = three.begun().iter().sum();
    let callee = three.callee.clone();
    let call = tokio::spawn(async move { making(&callee, NEVER, "").idempotent().message().await });
    let begun = async {
        while three.begun().iter().sum::<usize>() == before {
            tokio::task::yield_now().await;
        }
    };
    soon(begun).await;
    three.servers.iter_mut().for_each(|server| *server = None);
    let failure = soon(call).await.unwrap().unwrap_err();
    assert_eq!(failure.execution(), Execution::Unknown);
    assert_eq!(three.begun().iter().sum::<usize>(), before + 1);
    assert_eq!(three.network.counters().retried, 0);
}

/// Fails every call at once, in the way that a panic does.
struct Broken(AtomicUsize);

impl Serve for Broken {
    fn components(&self) -> Vec<ServedComponent> {
        vec![ServedComponent {
            name: name("Echo"),
            fingerprint: Fingerprint(1),
            methods: METHODS,
        }]
    }

    fn call(&self, _: Incoming) -> Answering {
        self.0.fetch_add(1, SeqCst);
        Box::pin(async { Answer::Failed(Failure::Panicked("told to".into())) })
    }
}

#[tokio::test]
async fn a_replica_that_fails_fast_is_left_out_and_counted() {
    let world = World::new().start();
    let broken = Arc::new(Broken(AtomicUsize::new(0)));
    let serving = Network::new(name("Echo-2"), Limits::default());
    let endpoint = world.folder.socket("broken");
    let _server = serving.serve(&endpoint, broken.clone()).unwrap();
    let both = directory(2, &[&world.server.endpoint(), &endpoint]);
    world.network.update(both);
    let call = || making(&world.callee, LATER, "hi").message();
    let left_out = async {
        while world.network.counters().ejected == 0 {
            let _ = call().await;
        }
    };
    soon(left_out).await;
    assert_eq!(world.network.counters().ejected, 1);
    let before = broken.0.load(SeqCst);
    let mut failed = 0;
    for _ in 0..1000 {
        failed += usize::from(soon(call()).await.is_err());
    }
    let asked = broken.0.load(SeqCst) - before;
    assert!(asked < 20, "it was asked {asked} times in 1000");
    assert_eq!(failed, asked);
}

#[tokio::test]
async fn a_replica_that_is_left_out_gets_its_keys_back_and_those_of_no_other() {
    let world = World::new().start();
    let broken = Arc::new(Broken(AtomicUsize::new(0)));
    let serving = Network::new(name("Echo-2"), Limits::default());
    let endpoint = world.folder.socket("broken");
    let _server = serving.serve(&endpoint, broken.clone()).unwrap();
    let both = directory(2, &[&world.server.endpoint(), &endpoint]);
    world.network.update(both);
    let call = |key| making(&world.callee, LATER, "hi").key(key).message();
    let mut own = Vec::new();
    let left_out = async {
        while world.network.counters().ejected == 0 {
            for key in 0..20 {
                let before = broken.0.load(SeqCst);
                let _ = call(key).await;
                if broken.0.load(SeqCst) > before && !own.contains(&key) {
                    own.push(key);
                }
            }
        }
    };
    soon(left_out).await;
    assert!(!own.is_empty() && own.len() < 20, "{own:?}");
    // It is looked at again and again, by calls that are its own.
    let mut looked = 0;
    let looks = async {
        while looked < 2 {
            for key in 0..20 {
                let before = broken.0.load(SeqCst);
                let answer = call(key).await;
                let asked = broken.0.load(SeqCst) > before;
                looked += usize::from(asked);
                assert_eq!(answer.is_err(), asked);
                assert!(!asked || own.contains(&key), "{key} is not one of {own:?}");
            }
        }
    };
    soon(looks).await;
}

/// Says that the last two of three were started for a burst.
fn for_a_burst(three: &Three, epoch: u64) -> Directory {
    let alone = [name("Echo-2"), name("Echo-3")];
    Directory {
        bursts: [(name("Echo"), alone.into())].into(),
        ..three.directory(epoch)
    }
}

#[tokio::test]
async fn a_call_is_led_to_a_replica_for_a_burst_that_has_fewer_calls() {
    let three = Three::start(Policy::default());
    three.connected().await;
    assert!(three.callee.relief(100).is_none(), "there is no burst");
    three.network.update(for_a_burst(&three, 2));
    assert!(
        three.callee.relief(0).is_none(),
        "nobody has fewer than none"
    );
    let mut calls = Vec::new();
    for _ in 0..6 {
        let lead = three.callee.relief(100).unwrap();
        let callee = three.callee.clone();
        let before: usize = three.begun().iter().sum();
        calls.push(tokio::spawn(async move {
            making(&callee, HELD, "").lead(lead).message().await
        }));
        let arrived = async {
            while three.begun().iter().sum::<usize>() == before {
                tokio::task::yield_now().await;
            }
        };
        soon(arrived).await;
    }
    let held = |counts: &Arc<Counts>| counts.begun() - counts.finished.load(SeqCst);
    let held: Vec<usize> = three.counts.iter().map(held).collect();
    assert_eq!((held[0], held[1] + held[2]), (0, 6));
    let least = held[1].min(held[2]) as u64;
    assert!(three.callee.relief(least).is_none());
    for counts in &three.counts {
        counts.release.notify_waiters();
    }
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn no_key_belongs_to_a_replica_for_a_burst() {
    let three = Three::start(Policy::default());
    three.connected().await;
    three.network.update(for_a_burst(&three, 2));
    for key in 0..60 {
        assert_eq!(three.home(key).await, 0, "key {key}");
    }
}

#[tokio::test]
async fn a_call_whose_lead_is_refused_goes_on_to_another_replica() {
    let mut three = Three::start(Policy::default());
    three.connected().await;
    three.network.update(for_a_burst(&three, 2));
    let leads: Vec<_> = (0..8).filter_map(|_| three.callee.relief(100)).collect();
    assert_eq!(leads.len(), 8);
    // Both go, and nobody has told the caller.
    for server in &mut three.servers[1..] {
        *server = None;
    }
    for lead in leads {
        let call = making(&three.callee, ECHO, "hi").idempotent().lead(lead);
        assert_eq!(soon(call.message()).await.unwrap(), b"hi");
    }
}

#[tokio::test]
async fn over_the_limit_of_its_edge_no_call_is_led_away() {
    let policy = Policy {
        concurrency: Some(1),
        ..Policy::default()
    };
    let three = Three::start(policy);
    three.connected().await;
    three.network.update(for_a_burst(&three, 2));
    let lead = three.callee.relief(100).unwrap();
    assert!(three.callee.relief(100).is_none());
    drop(lead);
    assert!(three.callee.relief(100).is_some());
    assert_eq!(three.network.counters().withheld, 0);
}
