//! Every call has a deadline, which travels with it and only shrinks.

use std::{sync::Arc, time::Duration};

use anylith::{Allowance, CallError, Execution};

use crate::{
    hops::{End, First as _, FirstClient, HopError, Hops, Trip},
    journal::{JournalClient, Recorder},
};

const EDGE_OF_THE_TEST: &str = "[edges.\"test -> First\"]\ndeadline = \"300ms\"";
const ONE_METHOD_OF_THE_EDGE: &str = "[edges.\"test -> First\"]\ndeadline = \"300ms\"\n\
                                      [edges.\"test -> First.report\"]\ndeadline = \"1h\"";
const EDGE_IN_THE_MIDDLE: &str = "[edges.\"Second -> Third\"]\ndeadline = \"100ms\"";
const EDGE_THAT_IS_LONGER: &str = "[edges.\"test -> First\"]\ndeadline = \"2s\"\n\
                                   [edges.\"First -> Second\"]\ndeadline = \"1h\"";

fn stay() -> Trip {
    Trip::to(End::Stay)
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_call_has_ten_seconds_where_nobody_says_otherwise(first: FirstClient) {
    let seen = first.go(&Trip::default()).await.unwrap();
    for hop in seen {
        let left = hop.left.unwrap();
        assert!(left <= Duration::from_secs(10), "{left:?}");
        assert!(left > Duration::from_secs(5), "{left:?}");
    }
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = EDGE_OF_THE_TEST)]
async fn an_edge_sets_the_time_of_its_calls(first: FirstClient) {
    let seen = first.go(&Trip::default()).await.unwrap();
    assert!(seen[0].left.unwrap() <= Duration::from_millis(300));
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = ONE_METHOD_OF_THE_EDGE)]
async fn a_method_can_have_a_time_of_its_own(first: FirstClient) {
    let seen = first.go(&Trip::default()).await.unwrap();
    assert!(seen[0].left.unwrap() <= Duration::from_millis(300));
    let seen = first.report(&Trip::default()).await.unwrap().unwrap();
    // It is the next edge that leaves no more than ten seconds.
    assert!(seen.last().unwrap().left.unwrap() > Duration::from_secs(5));
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()))]
async fn a_deadline_shrinks_by_what_each_hop_uses(first: FirstClient) {
    let pause = Duration::from_millis(40);
    let trip = Trip {
        pause,
        ..Trip::default()
    };
    let seen = first.go(&trip).await.unwrap();
    let left: Vec<Duration> = seen.iter().map(|hop| hop.left.unwrap()).collect();
    // The clocks of timers and of deadlines differ by less than this.
    let used = pause - Duration::from_millis(2);
    assert!(left[1] <= left[0] - used, "{left:?}");
    assert!(left[2] <= left[1] - used, "{left:?}");
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = EDGE_THAT_IS_LONGER)]
async fn an_edge_cannot_give_more_time_than_its_caller_has(first: FirstClient) {
    let seen = first.go(&Trip::default()).await.unwrap();
    for hop in seen {
        assert!(
            hop.left.unwrap() <= Duration::from_secs(2),
            "{:?}",
            hop.left
        );
    }
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = EDGE_OF_THE_TEST)]
async fn a_call_that_takes_too_long_fails_and_says_on_which_edge(first: FirstClient) {
    let error = first.go(&stay()).await.unwrap_err();
    let HopError::Call(error @ CallError::DeadlineExceeded { .. }) = &error else {
        panic!("it failed in another way: {error:?}");
    };
    // Every hop has the same instant, so any of them may be the one to say it first.
    let edges = [
        "test -> First.go",
        "First -> Second.go",
        "Second -> Third.go",
    ];
    assert!(edges.contains(&error.edge().to_string().as_str()));
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = EDGE_OF_THE_TEST)]
async fn nobody_knows_whether_a_call_that_took_too_long_was_executed(first: FirstClient) {
    let HopError::Call(error) = first.go(&stay()).await.unwrap_err() else {
        panic!("it failed in another way");
    };
    assert_eq!(error.execution(), Execution::Unknown);
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = EDGE_IN_THE_MIDDLE)]
async fn a_deadline_in_the_middle_reaches_the_caller_as_the_error_it_is(first: FirstClient) {
    let error = first.go(&stay()).await.unwrap_err();
    let HopError::Call(error @ CallError::DeadlineExceeded { edge, .. }) = &error else {
        panic!("it failed in another way: {error:?}");
    };
    assert_eq!(edge.to_string(), "Second -> Third.go");
    let given = "within 100ms, the deadline of this edge";
    assert!(error.to_string().contains(given), "{error}");
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = EDGE_OF_THE_TEST)]
async fn a_call_that_was_too_late_says_whose_deadline_it_was(first: FirstClient) {
    let error = first.go(&stay()).await.unwrap_err();
    let HopError::Call(CallError::DeadlineExceeded {
        edge, allowance, ..
    }) = error
    else {
        panic!("it failed in another way: {error:?}");
    };
    let all = Duration::from_millis(300);
    match allowance {
        Some(Allowance::OfEdge(length)) => {
            assert_eq!(
                (edge.to_string().as_str(), length),
                ("test -> First.go", all)
            );
        }
        Some(Allowance::OfCaller(left)) => assert!(left < all, "{edge} had {left:?}"),
        None => panic!("{edge} does not say it"),
    }
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = EDGE_IN_THE_MIDDLE)]
async fn a_caller_can_go_on_after_a_callee_took_too_long(first: FirstClient) {
    let inner = first.report(&stay()).await.unwrap();
    assert!(matches!(
        inner,
        Err(HopError::Call(CallError::DeadlineExceeded { .. }))
    ));
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = EDGE_IN_THE_MIDDLE)]
async fn a_callee_out_of_time_is_stopped(first: FirstClient, journal: Arc<Recorder>) {
    first.go(&stay()).await.unwrap_err();
    journal.until("Third left").await;
}

#[anylith::test(Hops, fakes(JournalClient = Recorder::default()), settings = EDGE_OF_THE_TEST)]
async fn the_whole_row_is_stopped_when_the_time_is_over(
    first: FirstClient,
    journal: Arc<Recorder>,
) {
    first.go(&stay()).await.unwrap_err();
    for hop in ["First left", "Second left", "Third left"] {
        journal.until(hop).await;
    }
}
