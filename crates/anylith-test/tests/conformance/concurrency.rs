//! Calls at the same time.

use std::{collections::BTreeSet, pin::pin, sync::Arc};

use anylith::CallError;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::{
    is_pending,
    journal::{Journal as _, JournalClient, NoJournal, Recorder},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum DeskError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Desk {
    async fn add(&self, one: u64, other: u64) -> Result<u64, DeskError>;
    async fn echo(&self, text: String) -> Result<String, DeskError>;
    async fn wait(&self) -> Result<(), DeskError>;
    /// Comes back when `count` calls are inside at once.
    async fn meet(&self, count: u64) -> Result<(), DeskError>;
    async fn process(&self) -> Result<u32, DeskError>;
}

#[derive(anylith::Component)]
#[component(interface = Desk, start)]
pub struct Clerk {
    journal: JournalClient,
    #[init]
    inside: tokio::sync::watch::Sender<u64>,
}

impl Clerk {
    async fn start(parts: ClerkParts) -> Result<Self, std::io::Error> {
        Ok(Self {
            journal: parts.journal,
            inside: tokio::sync::watch::Sender::new(0),
        })
    }
}

impl Desk for Clerk {
    async fn add(&self, one: u64, other: u64) -> Result<u64, DeskError> {
        // Lets others go first now and then, so that answers come back in another order.
        for _ in 0..one % 7 {
            tokio::task::yield_now().await;
        }
        Ok(one + other)
    }

    async fn echo(&self, text: String) -> Result<String, DeskError> {
        Ok(text)
    }

    async fn wait(&self) -> Result<(), DeskError> {
        let _ = self.journal.note("waits").await;
        let _ = self.journal.wait_for_go().await;
        Ok(())
    }

    async fn meet(&self, count: u64) -> Result<(), DeskError> {
        self.inside.send_modify(|inside| *inside += 1);
        let _ = self
            .inside
            .subscribe()
            .wait_for(|inside| *inside >= count)
            .await;
        Ok(())
    }

    async fn process(&self) -> Result<u32, DeskError> {
        Ok(std::process::id())
    }
}

anylith::app! {
    /// A component with much to do.
    pub Office = "office" { Clerk, NoJournal }
}

#[anylith::test(Office, fakes(JournalClient = Recorder::default()))]
async fn a_thousand_calls_at_once_get_their_own_answers(desk: DeskClient) {
    let calls = (0..1000).map(|number| {
        let desk = &desk;
        async move { desk.add(number, 1_000_000).await == Ok(number + 1_000_000) }
    });
    assert!(join_all(calls).await.into_iter().all(|right| right));
}

#[anylith::test(Office, fakes(JournalClient = Recorder::default()))]
async fn a_thousand_calls_are_inside_at_once(desk: DeskClient) {
    let calls = (0..1000).map(|_| desk.meet(1000));
    assert!(join_all(calls).await.into_iter().all(|met| met.is_ok()));
}

#[anylith::test(Office, fakes(JournalClient = Recorder::default()))]
async fn a_slow_call_does_not_hold_up_a_fast_one(desk: DeskClient, journal: Arc<Recorder>) {
    let mut slow = pin!(desk.wait());
    tokio::select! {
        _ = slow.as_mut() => panic!("it came back"),
        () = journal.until("waits") => {}
    }
    for number in 0..100 {
        assert_eq!(desk.add(number, 1).await, Ok(number + 1));
    }
    assert!(is_pending(slow.as_mut()).await);
    journal.go();
    assert_eq!(slow.await, Ok(()));
}

#[anylith::test(Office, fakes(JournalClient = Recorder::default()))]
async fn a_large_call_does_not_hold_up_a_small_one_for_good(desk: DeskClient) {
    let large = "x".repeat(4 * 1024 * 1024);
    let echoes = (0..4).map(|_| desk.echo(large.clone()));
    let sums = (0..100).map(|number| desk.add(number, 1));
    let (echoes, sums) = tokio::join!(join_all(echoes), join_all(sums));
    assert!(echoes.into_iter().all(|echo| echo.as_ref() == Ok(&large)));
    assert!(sums.into_iter().eq((1..=100).map(Ok)));
}

#[anylith::test(Office, fakes(JournalClient = Recorder::default()))]
async fn clones_of_a_client_can_be_used_from_many_tasks(desk: DeskClient) {
    let tasks = (0..64).map(|number| {
        let desk = desk.clone();
        tokio::spawn(async move {
            let mut sum = 0;
            for _ in 0..20 {
                sum = desk.add(sum, number).await.unwrap();
            }
            sum == number * 20
        })
    });
    assert!(
        join_all(tasks)
            .await
            .into_iter()
            .all(|right| right.unwrap())
    );
}

#[anylith::test(Office, fakes(JournalClient = Recorder::default()))]
async fn every_call_is_counted_once(desk: DeskClient, cluster: &anylith_test::Cluster<Office>) {
    join_all((0..50).map(|number| desk.add(number, 1))).await;
    let calls = cluster.calls();
    let added: u64 = calls
        .iter()
        .filter(|call| call.edge.to_string() == "test -> Desk.add")
        .map(|call| call.answered)
        .sum();
    assert_eq!(added, 50);
}

#[anylith::test(Office)]
async fn calls_are_spread_over_the_replicas(builder: anylith_test::ClusterBuilder<Office>) {
    let cluster = builder.replicas("Desk", 3).start().await.unwrap();
    let desk: DeskClient = cluster.client();
    let expected = if cluster.topology().has_processes() {
        3
    } else {
        1
    };
    let mut seen = BTreeSet::new();
    // Connections are made one after the other; a call waits for the first only.
    for _ in 0..10_000 {
        seen.insert(desk.process().await.unwrap());
        if seen.len() == expected {
            break;
        }
    }
    assert_eq!(seen.len(), expected);
    cluster.stop().await;
}
