//! Dropping the caller's future stops the callee's.

use std::{pin::pin, sync::Arc};

use crate::{
    hops::{End, First as _, FirstClient, Hops, Trip},
    is_pending,
    journal::{JournalClient, Recorder},
};

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_dropped_call_stops_the_third_hop(first: FirstClient, journal: Arc<Recorder>) {
    let trip = Trip::to(End::Stay);
    tokio::select! {
        _ = first.go(&trip) => panic!("it came back"),
        () = journal.until("Third stays") => {}
    }
    journal.until("Third left").await;
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_dropped_call_stops_every_hop_on_the_way(first: FirstClient, journal: Arc<Recorder>) {
    let trip = Trip::to(End::Stay);
    tokio::select! {
        _ = first.go(&trip) => panic!("it came back"),
        () = journal.until("Third stays") => {}
    }
    for hop in ["First left", "Second left", "Third left"] {
        journal.until(hop).await;
    }
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn an_aborted_task_takes_its_calls_with_it(first: FirstClient, journal: Arc<Recorder>) {
    let task = tokio::spawn(async move { first.go(&Trip::to(End::Stay)).await });
    journal.until("Third stays").await;
    task.abort();
    journal.until("Third left").await;
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_call_that_was_never_polled_is_never_made(first: FirstClient, journal: Arc<Recorder>) {
    drop(first.go(&Trip::default()));
    first.go(&Trip::default()).await.unwrap();
    journal.until("First left").await;
    assert_eq!(journal.count("First left"), 1);
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn one_dropped_call_leaves_the_others_alone(first: FirstClient, journal: Arc<Recorder>) {
    let trip = Trip::to(End::Stay);
    let mut kept = pin!(first.go(&trip));
    assert!(is_pending(kept.as_mut()).await);
    tokio::select! {
        _ = first.go(&trip) => panic!("it came back"),
        _ = kept.as_mut() => panic!("it came back"),
        () = journal.until_count("Third stays", 2) => {}
    }
    tokio::select! {
        _ = kept.as_mut() => panic!("it came back"),
        () = journal.until("Third left") => {}
    }
    // The kept one is where it was: had it been stopped, or ended, it would be ready now.
    first.go(&Trip::default()).await.unwrap();
    assert!(is_pending(kept.as_mut()).await);
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_client_is_as_good_after_a_dropped_call_as_before(
    first: FirstClient,
    journal: Arc<Recorder>,
) {
    let trip = Trip::to(End::Stay);
    for round in 1..=20 {
        tokio::select! {
            _ = first.go(&trip) => panic!("it came back"),
            () = journal.until_count("Third stays", round) => {}
        }
    }
    assert_eq!(first.go(&Trip::default()).await.unwrap().len(), 3);
    journal.until_count("Third left", 21).await;
}
