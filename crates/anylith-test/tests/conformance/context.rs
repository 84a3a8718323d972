//! What travels with a call besides its arguments.

use std::{collections::BTreeSet, sync::Arc};

use anylith::{Baggage, CallContext, TraceContext, context};

use crate::{
    hops::{First as _, FirstClient, Hops, Tenant, Trip},
    journal::{JournalClient, Recorder},
};

fn trace() -> TraceContext {
    TraceContext {
        state: Arc::from("vendor=1"),
        ..("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .parse()
            .expect("it is the standard's own example")
    }
}

fn traced() -> CallContext {
    CallContext {
        trace: Some(trace()),
        baggage: Baggage::default(),
    }
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_trace_reaches_the_third_hop(first: FirstClient) {
    let seen = context::scope(traced(), first.go(&Trip::default()))
        .await
        .unwrap();
    let ids: Vec<u128> = seen
        .iter()
        .map(|hop| hop.trace.as_ref().unwrap().trace_id)
        .collect();
    assert_eq!(ids, [trace().trace_id; 3]);
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn the_vendors_part_of_a_trace_travels_too(first: FirstClient) {
    let seen = context::scope(traced(), first.go(&Trip::default()))
        .await
        .unwrap();
    let last = seen[2].trace.clone().unwrap();
    assert_eq!((last.state, last.flags), (trace().state, trace().flags));
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn each_hop_is_a_span_of_its_own(first: FirstClient) {
    let seen = context::scope(traced(), first.go(&Trip::default()))
        .await
        .unwrap();
    let spans = seen.iter().map(|hop| hop.trace.as_ref().unwrap().span_id);
    let spans: BTreeSet<u64> = spans.chain([trace().span_id, 0]).collect();
    assert_eq!(spans.len(), 5);
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn baggage_reaches_the_third_hop_as_the_value_it_was(first: FirstClient) {
    let trip = Trip::default();
    let seen = context::with_baggage(&Tenant(7), first.go(&trip))
        .unwrap()
        .await
        .unwrap();
    let tenants: Vec<Option<Tenant>> = seen.into_iter().map(|hop| hop.tenant).collect();
    assert_eq!(tenants, [Some(Tenant(7)), Some(Tenant(7)), Some(Tenant(7))]);
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_call_without_a_context_begins_a_trace_and_has_no_baggage(first: FirstClient) {
    let mut traces = BTreeSet::new();
    for _ in 0..2 {
        let seen = first.go(&Trip::default()).await.unwrap();
        assert!(seen.iter().all(|hop| hop.tenant.is_none()));
        let own = seen.iter().map(|hop| hop.trace.as_ref().unwrap().trace_id);
        let own: BTreeSet<u128> = own.collect();
        assert_eq!(own.len(), 1, "all hops are in one trace");
        traces.extend(own);
    }
    assert_eq!(traces.len(), 2, "each call begins another one");
    assert_eq!(context::current().trace, None);
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn the_context_of_one_call_does_not_leak_into_the_next(first: FirstClient) {
    let trip = Trip::default();
    context::with_baggage(&Tenant(7), first.go(&trip))
        .unwrap()
        .await
        .unwrap();
    let seen = first.go(&trip).await.unwrap();
    assert!(seen.iter().all(|hop| hop.tenant.is_none()));
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn calls_at_the_same_time_keep_their_own_baggage(first: FirstClient) {
    let trip = Trip::default();
    let calls = (0..50).map(|tenant| {
        let (first, trip) = (&first, &trip);
        async move {
            let call = context::with_baggage(&Tenant(tenant), first.go(trip)).unwrap();
            (tenant, call.await.unwrap())
        }
    });
    for (tenant, seen) in futures_util::future::join_all(calls).await {
        assert!(seen.iter().all(|hop| hop.tenant == Some(Tenant(tenant))));
    }
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn what_a_callee_adds_to_the_baggage_does_not_come_back(first: FirstClient) {
    let call = context::with_baggage(&Tenant(1), first.relabel(Tenant(2))).unwrap();
    let (below, own) = call.await.unwrap();
    assert!(below.iter().all(|hop| hop.tenant == Some(Tenant(2))));
    assert_eq!(own.tenant, Some(Tenant(1)));
    assert_eq!(context::baggage::<Tenant>(), None);
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_task_has_the_context_that_it_was_handed_and_no_other(first: FirstClient) {
    let call = context::with_baggage(&Tenant(3), first.spawned()).unwrap();
    let (alone, handed) = call.await.unwrap();
    assert_eq!((alone.tenant, handed.tenant), (None, Some(Tenant(3))));
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn the_components_run_where_the_topology_says(
    first: FirstClient,
    cluster: &anylith_test::Cluster<Hops>,
) {
    let seen = first.go(&Trip::default()).await.unwrap();
    let mut processes: Vec<u32> = seen.iter().map(|hop| hop.process).collect();
    processes.push(std::process::id());
    processes.sort_unstable();
    processes.dedup();
    let expected = if cluster.topology().has_processes() {
        4
    } else {
        1
    };
    assert_eq!(processes.len(), expected);
}
