//! A call runs at most once, unless its method is `#[idempotent]`.
//!
//! The callee notes each execution, and connections are cut at every stage of a call. Within a process there is nothing
//! to cut: there the call runs once and is answered.

use std::{pin::pin, sync::Arc};

use anylith::{CallError, Execution};
use anylith_test::{Cluster, Interceptor};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::journal::{Journal as _, JournalClient, Leaving, NoJournal, Recorder};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Counts what it does, in the journal.
#[anylith::component]
pub trait Account {
    /// Charges at once, and answers with as many bytes as asked for.
    async fn charge(&self, memo: Bytes, receipt_bytes: u64) -> Result<Bytes, AccountError>;
    /// Charges when the test says so.
    async fn charge_slowly(&self) -> Result<(), AccountError>;
    /// Reads when the test says so.
    #[idempotent]
    async fn read_slowly(&self) -> Result<u32, AccountError>;
    /// Reads at once, and answers with as many bytes as asked for.
    #[idempotent]
    async fn read(&self, memo: Bytes, bytes: u64) -> Result<Bytes, AccountError>;
}

#[derive(anylith::Component)]
#[component(interface = Account)]
pub struct Bank {
    journal: JournalClient,
}

fn bytes(count: u64) -> Bytes {
    Bytes::from(vec![7; count as usize])
}

impl Account for Bank {
    async fn charge(&self, _: Bytes, receipt_bytes: u64) -> Result<Bytes, AccountError> {
        let _ = self.journal.note("charged").await;
        Ok(bytes(receipt_bytes))
    }

    async fn charge_slowly(&self) -> Result<(), AccountError> {
        let _leaving = Leaving::new(&self.journal, "left");
        let _ = self.journal.note("charged").await;
        let _ = self.journal.wait_for_go().await;
        Ok(())
    }

    async fn read_slowly(&self) -> Result<u32, AccountError> {
        let _ = self.journal.note("read").await;
        let _ = self.journal.wait_for_go().await;
        Ok(42)
    }

    async fn read(&self, _: Bytes, count: u64) -> Result<Bytes, AccountError> {
        let _ = self.journal.note("read").await;
        Ok(bytes(count))
    }
}

anylith::app! {
    /// A component that must not do things twice.
    pub Banking = "banking" { Bank, NoJournal }
}

const LARGE: u64 = 1024 * 1024;
/// Less than a large message, more than anything else that is said.
const PART: u64 = 400 * 1024;

/// Stands before the account's socket; `None` where it has none.
fn intercepted(cluster: &Cluster<Banking>) -> Option<Interceptor> {
    let topology = cluster.topology();
    let replica = match topology.has_processes() {
        true => "Account-1",
        false => "monolith-1",
    };
    topology.is_remote().then(|| cluster.intercept(replica))
}

fn execution<T: std::fmt::Debug>(failed: Result<T, AccountError>) -> Execution {
    match failed {
        Err(AccountError::Call(error)) => error.execution(),
        Ok(_) => panic!("it was answered"),
    }
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn a_request_that_was_cut_in_the_middle_does_not_run(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let Some(between) = intercepted(cluster) else {
        account.charge(bytes(LARGE), 0).await.unwrap();
        assert_eq!(journal.count("charged"), 1);
        return;
    };
    between.cut_after_bytes_in(PART);
    // Where the caller knows that a part never left, it sends the call again, and that one is answered.
    let ended = account.charge(bytes(LARGE), 0).await;
    let answered = usize::from(ended.is_ok());
    if ended.is_err() {
        assert_eq!(execution(ended), Execution::Unknown);
    }
    assert_eq!(between.cuts(), 1);
    // A call after it goes through, and had the one that was cut run, it would have been noted before.
    account.charge(bytes(0), 0).await.unwrap();
    assert_eq!(journal.count("charged"), answered + 1);
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn a_call_cut_while_it_runs_is_not_run_again(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let between = intercepted(cluster);
    let mut call = pin!(account.charge_slowly());
    tokio::select! {
        _ = call.as_mut() => panic!("it came back"),
        () = journal.until("charged") => {}
    }
    if let Some(between) = &between {
        between.cut();
    } else {
        journal.go();
    }
    let ended = call.await;
    match between {
        Some(_) => assert_eq!(execution(ended), Execution::Unknown),
        None => assert_eq!(ended, Ok(())),
    }
    account.charge(bytes(0), 0).await.unwrap();
    assert_eq!(journal.count("charged"), 2);
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn a_callee_whose_caller_is_cut_off_stops(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let between = intercepted(cluster);
    {
        let mut call = pin!(account.charge_slowly());
        tokio::select! {
            _ = call.as_mut() => panic!("it came back"),
            () = journal.until("charged") => {}
        }
        if let Some(between) = &between {
            between.cut();
            assert_eq!(execution(call.await), Execution::Unknown);
        }
    }
    journal.until("left").await;
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn a_call_cut_in_the_middle_of_its_reply_is_not_run_again(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let Some(between) = intercepted(cluster) else {
        let receipt = account.charge(bytes(0), LARGE).await.unwrap();
        assert_eq!((receipt.len() as u64, journal.count("charged")), (LARGE, 1));
        return;
    };
    between.cut_after_bytes_out(PART);
    let failed = account.charge(bytes(0), LARGE).await;
    assert_eq!(execution(failed), Execution::Unknown);
    account.charge(bytes(0), 0).await.unwrap();
    assert_eq!(journal.count("charged"), 2);
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn a_call_after_an_idle_connection_broke_runs_once(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let between = intercepted(cluster);
    for round in 1..=10 {
        // A call that is sent into a connection that breaks at this moment may be lost; one that was never sent is
        // sent again. Neither runs twice.
        let ended = account.charge(bytes(0), 0).await;
        if let Err(AccountError::Call(error)) = ended {
            assert_eq!(error.execution(), Execution::Unknown);
        }
        assert!(journal.count("charged") <= round);
        if let Some(between) = &between {
            between.cut();
        }
    }
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn a_call_that_finds_nobody_waits_and_then_runs_once(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let between = intercepted(cluster);
    if let Some(between) = &between {
        between.close();
    }
    let opened = async {
        if let Some(between) = &between {
            between.until_refused().await;
            between.open();
        }
    };
    let (answered, ()) = tokio::join!(account.charge(bytes(0), 3), opened);
    assert_eq!(answered, Ok(bytes(3)));
    assert_eq!(journal.count("charged"), 1);
}

#[anylith::test(
    Banking,
    fakes(JournalClient = Recorder::default()),
    settings = "[edges.\"test -> Account\"]\ndeadline = \"200ms\""
)]
async fn a_call_that_finds_nobody_in_its_time_was_not_executed(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let Some(between) = intercepted(cluster) else {
        account.charge(bytes(0), 0).await.unwrap();
        return;
    };
    between.close();
    let failed = account.charge(bytes(0), 0).await;
    assert_eq!(execution(failed), Execution::NotExecuted);
    assert_eq!(journal.count("charged"), 0);
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn an_idempotent_call_cut_in_its_request_is_answered_all_the_same(
    account: AccountClient,
    cluster: &Cluster<Banking>,
) {
    let between = intercepted(cluster);
    if let Some(between) = &between {
        between.cut_after_bytes_in(PART);
    }
    assert_eq!(account.read(bytes(LARGE), 1).await, Ok(bytes(1)));
    assert_eq!(between.map_or(1, |between| between.cuts()), 1);
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn an_idempotent_call_cut_in_its_reply_is_answered_all_the_same(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let between = intercepted(cluster);
    if let Some(between) = &between {
        between.cut_after_bytes_out(PART);
    }
    let answer = account.read(bytes(0), LARGE).await.unwrap();
    assert_eq!(answer.len() as u64, LARGE);
    let runs = if between.is_some() { 2 } else { 1 };
    assert_eq!(journal.count("read"), runs);
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn an_idempotent_call_outlives_its_callee(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let mut call = pin!(account.read_slowly());
    tokio::select! {
        _ = call.as_mut() => panic!("it came back"),
        () = journal.until("read") => {}
    }
    // Within one process callee and caller have one life, so there is nothing to outlive.
    if cluster.topology().has_processes() {
        cluster.kill("Account-1").await;
        tokio::select! {
            ended = call.as_mut() => panic!("it came back: {ended:?}"),
            () = journal.until_count("read", 2) => {}
        }
    }
    journal.go();
    assert_eq!(call.await, Ok(42));
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn a_call_whose_callee_is_killed_is_not_run_again(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let mut call = pin!(account.charge_slowly());
    tokio::select! {
        _ = call.as_mut() => panic!("it came back"),
        () = journal.until("charged") => {}
    }
    if cluster.topology().has_processes() {
        cluster.restart("Account-1").await;
        assert_eq!(execution(call.await), Execution::Unknown);
    } else {
        journal.go();
        assert_eq!(call.await, Ok(()));
    }
    account.charge(bytes(0), 0).await.unwrap();
    assert_eq!(journal.count("charged"), 2);
}

#[anylith::test(Banking, fakes(JournalClient = Recorder::default()))]
async fn calls_find_the_successor_of_a_replica_that_was_killed(
    account: AccountClient,
    cluster: &Cluster<Banking>,
) {
    account.charge(bytes(0), 0).await.unwrap();
    if cluster.topology().has_processes() {
        cluster.kill("Account-1").await;
    }
    // Made while there is no replica: it waits for one.
    assert_eq!(account.read(bytes(0), 2).await, Ok(bytes(2)));
}

#[anylith::test(Banking)]
async fn one_of_two_replicas_is_killed_and_no_idempotent_call_fails(
    builder: anylith_test::ClusterBuilder<Banking>,
) {
    let cluster = builder.replicas("Account", 2).start().await.unwrap();
    let account: AccountClient = cluster.client();
    let calls = async {
        for _ in 0..300 {
            account.read(bytes(10), 10).await.unwrap();
        }
    };
    let killed = async {
        if cluster.topology().has_processes() {
            cluster.kill("Account-2").await;
        }
    };
    tokio::join!(calls, killed);
    cluster.stop().await;
}

#[anylith::test(
    Banking,
    fakes(JournalClient = Recorder::default()),
    settings = "[edges.\"test -> Account\"]\nretries = \"none\""
)]
async fn along_an_edge_without_retries_no_call_is_made_twice(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    let Some(between) = intercepted(cluster) else {
        account.read(bytes(0), 0).await.unwrap();
        return;
    };
    between.cut_after_bytes_out(PART);
    let failed = account.read(bytes(0), LARGE).await;
    assert_eq!(execution(failed), Execution::Unknown);
    assert_eq!(journal.count("read"), 1);
}

#[anylith::test(
    Banking,
    fakes(JournalClient = Recorder::default()),
    settings = "[edges.\"test -> Account\"]\nconcurrency = 1"
)]
async fn more_calls_than_an_edge_may_have_to_other_processes_are_not_executed(
    account: AccountClient,
    journal: Arc<Recorder>,
    cluster: &Cluster<Banking>,
) {
    if !cluster.topology().is_remote() {
        return;
    }
    let mut call = pin!(account.read_slowly());
    tokio::select! {
        _ = call.as_mut() => panic!("it came back"),
        () = journal.until("read") => {}
    }
    let failed = account.charge(bytes(0), 0).await;
    assert_eq!(execution(failed), Execution::NotExecuted);
    assert_eq!(journal.count("charged"), 0);
    journal.go();
    assert_eq!(call.await, Ok(42));
    account.charge(bytes(0), 0).await.unwrap();
}
