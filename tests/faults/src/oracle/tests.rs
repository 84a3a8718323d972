//! The oracle before histories that were made by hand, good and bad.

use super::*;
use crate::ledger::Method;

const CALL: CallId = 7;
const CALLER: u32 = 1;
const CALLEE: u32 = 2;

/// A history of one call, in milliseconds.
#[derive(Default)]
struct Tale {
    entries: Vec<Entry>,
    terms: Terms,
}

impl Tale {
    /// A call of `method` at 0 that may take 100 ms.
    fn of(method: Method) -> Self {
        Self::default().at(
            0,
            CALLER,
            Event::Asked {
                call: CALL,
                method,
                deadline_us: 100_000,
                within: None,
            },
        )
    }

    fn at(mut self, ms: u64, process: u32, event: Event) -> Self {
        self.entries.push(Entry {
            at_ns: ms * 1_000_000,
            process,
            event,
        });
        self
    }

    fn began(self, ms: u64) -> Self {
        self.at(ms, CALLEE, Event::Began { call: CALL })
    }

    fn ended(self, ms: u64) -> Self {
        self.at(ms, CALLEE, Event::Ended { call: CALL })
    }

    fn told(self, ms: u64, answer: Answer) -> Self {
        self.at(ms, CALLER, Event::Told { call: CALL, answer })
    }

    fn terms(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// The promises that the oracle finds broken.
    fn broken(mut self) -> Vec<Promise> {
        self.entries.sort_by_key(|entry| entry.at_ns);
        let finds = judge(&History::of(self.entries), &self.terms);
        finds.into_iter().map(|find| find.promise).collect()
    }
}

fn failed(how: How, execution: Execution) -> Answer {
    Answer::Failed {
        execution,
        how,
        text: "a reason".to_owned(),
    }
}

fn refused() -> Answer {
    failed(How::Refused, Execution::NotExecuted)
}

fn lost() -> Answer {
    failed(How::Lost, Execution::Unknown)
}

#[test]
fn a_call_that_was_executed_and_answered_is_good() {
    let tale = Tale::of(Method::Charge)
        .began(1)
        .ended(2)
        .told(3, Answer::Right);
    assert_eq!(tale.broken(), []);
}

#[test]
fn a_call_that_was_refused_and_did_not_run_is_good() {
    assert_eq!(Tale::of(Method::Charge).told(3, refused()).broken(), []);
}

#[test]
fn a_lost_call_may_have_run_or_not() {
    assert_eq!(Tale::of(Method::Charge).told(3, lost()).broken(), []);
    let tale = Tale::of(Method::Charge).began(1).told(3, lost());
    assert_eq!(tale.broken(), []);
}

#[test]
fn a_call_that_ran_was_not_refused_whenever_it_ran() {
    for ran in [1, 5] {
        let tale = Tale::of(Method::Look).began(ran).told(3, refused());
        assert_eq!(tale.broken(), [Promise::NotExecutedDidNotRun], "at {ran}");
    }
    let late = failed(How::Late, Execution::NotExecuted);
    let tale = Tale::of(Method::Look).began(1).told(100, late);
    assert_eq!(tale.broken(), [Promise::NotExecutedDidNotRun]);
}

#[test]
fn what_is_said_to_be_executed_was_begun_before() {
    let right = Tale::of(Method::Look).told(3, Answer::Right);
    assert_eq!(right.broken(), [Promise::ExecutedRan]);
    let later = Tale::of(Method::Look)
        .told(3, Answer::Right)
        .began(4)
        .ended(5);
    assert_eq!(later.broken(), [Promise::ExecutedRan]);
    let half = Tale::of(Method::Look)
        .began(2)
        .told(3, Answer::Right)
        .ended(5);
    assert_eq!(half.broken(), [Promise::ExecutedRan]);
}

#[test]
fn only_idempotent_methods_may_run_twice() {
    let twice = |method| {
        Tale::of(method)
            .began(1)
            .began(2)
            .ended(3)
            .told(4, Answer::Right)
    };
    assert_eq!(twice(Method::Look).broken(), []);
    assert_eq!(twice(Method::Charge).broken(), [Promise::OnceAtMost]);
}

#[test]
fn a_caller_that_lives_has_one_answer() {
    assert_eq!(Tale::of(Method::Look).broken(), [Promise::OneAnswer]);
    let given_up = Tale::of(Method::Look).told(2_100, Answer::Nothing);
    assert_eq!(given_up.broken(), [Promise::OneAnswer]);
    let twice = Tale::of(Method::Look).told(1, refused()).told(2, refused());
    assert_eq!(twice.broken(), [Promise::OneAnswer]);
}

#[test]
fn a_caller_that_was_killed_needs_no_answer() {
    let terms = Terms {
        killed: [CALLER].into(),
        ..Terms::default()
    };
    let tale = Tale::of(Method::Charge).began(1).terms(terms);
    assert_eq!(tale.broken(), []);
}

#[test]
fn an_answer_of_another_call_is_wrong() {
    let text = "that of another".to_owned();
    let tale = Tale::of(Method::Look)
        .began(1)
        .ended(2)
        .told(3, Answer::Wrong { text });
    assert_eq!(tale.broken(), [Promise::RightAnswer]);
    let garbled = Tale::of(Method::Look)
        .began(1)
        .at(1, CALLEE, Event::Garbled { call: CALL })
        .ended(2)
        .told(3, Answer::Right);
    assert_eq!(garbled.broken(), [Promise::RightAnswer]);
    let unreadable = Tale::of(Method::Look)
        .began(1)
        .ended(2)
        .told(3, failed(How::Unreadable, Execution::Executed));
    assert_eq!(unreadable.broken(), [Promise::RightAnswer]);
}

#[test]
fn an_execution_that_nobody_asked_for_is_wrong() {
    assert_eq!(
        Tale::default().began(1).ended(2).broken(),
        [Promise::RightAnswer]
    );
}

#[test]
fn a_panic_that_was_not_ordered_is_wrong() {
    let panicked = |text: &str| {
        let answer = Answer::Failed {
            execution: Execution::Executed,
            how: How::Panicked,
            text: text.to_owned(),
        };
        Tale::of(Method::Look).began(1).ended(1).told(2, answer)
    };
    assert_eq!(
        panicked("index out of bounds").broken(),
        [Promise::RightAnswer]
    );
    let ordered = format!("Driver -> Target.look panicked: {ORDERED_PANIC}");
    assert_eq!(panicked(&ordered).broken(), []);
}

#[test]
fn a_call_ends_soon_after_its_deadline() {
    let answered = |ms| {
        Tale::of(Method::Look)
            .began(1)
            .told(ms, failed(How::Late, Execution::Unknown))
    };
    assert_eq!(answered(149).broken(), []);
    assert_eq!(answered(151).broken(), [Promise::InTime]);
}

#[test]
fn a_panic_in_the_caller_s_own_process_may_take_the_processor_for_long() {
    let panicked = |process| {
        let answer = Answer::Failed {
            execution: Execution::Executed,
            how: How::Panicked,
            text: ORDERED_PANIC.to_owned(),
        };
        Tale::of(Method::Look)
            .at(1, process, Event::Began { call: CALL })
            .at(900, process, Event::Ended { call: CALL })
            .told(901, answer)
    };
    assert_eq!(panicked(CALLER).broken(), []);
    assert_eq!(panicked(CALLEE).broken(), [Promise::InTime]);
}

#[test]
fn the_time_that_a_caller_did_not_get_is_not_the_call_s() {
    let answered = |ms| {
        Tale::of(Method::Look)
            .began(1)
            .at(
                5_050,
                CALLER,
                Event::Starved {
                    since_ns: 50_000_000,
                },
            )
            .told(ms, failed(How::Late, Execution::Unknown))
    };
    assert_eq!(answered(5_060).broken(), []);
    assert_eq!(answered(5_160).broken(), [Promise::InTime]);
    let other = Tale::of(Method::Look)
        .began(1)
        .at(
            5_050,
            CALLEE,
            Event::Starved {
                since_ns: 50_000_000,
            },
        )
        .told(5_060, failed(How::Late, Execution::Unknown));
    assert_eq!(other.broken(), [Promise::InTime]);
}

#[test]
fn whoever_blocks_its_thread_is_not_excused_by_that() {
    let busy = |computed_ms: u64| {
        Tale::of(Method::Look)
            .began(1)
            .at(
                450,
                CALLER,
                Event::Busy {
                    since_ns: 50_000_000,
                    computed_ns: computed_ms * 1_000_000,
                },
            )
            .told(460, failed(How::Late, Execution::Unknown))
    };
    // It had so much to do; but not that much at once.
    assert_eq!(busy(240).broken(), [Promise::InTime]);
    let told_earlier = |ms: u64| {
        Tale::of(Method::Look)
            .began(1)
            .at(
                300,
                CALLER,
                Event::Busy {
                    since_ns: 50_000_000,
                    computed_ns: ms * 1_000_000,
                },
            )
            .told(301, failed(How::Late, Execution::Unknown))
    };
    assert_eq!(told_earlier(200).broken(), []);
    assert_eq!(told_earlier(20).broken(), [Promise::InTime]);
}

#[test]
fn what_both_witnesses_saw_counts_once() {
    let starved = |tale: Tale, since_ms: u64, ms| {
        let since_ns = since_ms * 1_000_000;
        tale.at(ms, CALLER, Event::Starved { since_ns })
    };
    let tale = starved(Tale::of(Method::Look).began(1), 100, 200);
    let tale = starved(tale, 120, 190);
    let tale = tale.told(251, failed(How::Late, Execution::Unknown));
    assert_eq!(tale.broken(), [Promise::InTime]);
}

#[test]
fn a_drain_loses_no_call() {
    let terms = Terms {
        gentle: true,
        ..Terms::default()
    };
    let tale = Tale::of(Method::Charge).began(1).told(3, lost());
    assert_eq!(tale.terms(terms).broken(), [Promise::DrainsLoseNothing]);
}

#[test]
fn callees_see_no_more_attempts_than_the_budgets_leave_room_for() {
    let terms = |refused| Terms {
        budget: Some(Budget { refused, edges: 2 }),
        ..Terms::default()
    };
    let tale = || Tale::of(Method::Look).told(1, refused());
    // A call, a fifth, and what two edges have saved.
    assert_eq!(tale().terms(terms(201)).broken(), []);
    let broken = tale().terms(terms(202)).broken();
    assert_eq!(broken, [Promise::RetriesAreBounded]);
}

#[test]
fn a_caller_may_take_its_call_back() {
    let tale = Tale::of(Method::Charge)
        .began(1)
        .told(500, Answer::Dropped)
        .at(501, CALLEE, Event::Cut { call: CALL });
    assert_eq!(tale.broken(), []);
}

#[test]
fn the_shortest_find_comes_first() {
    let mut entries = Tale::of(Method::Charge)
        .began(1)
        .began(2)
        .ended(3)
        .told(4, Answer::Right)
        .entries;
    entries.push(Entry {
        at_ns: 9,
        process: CALLEE,
        event: Event::Began { call: CALL + 1 },
    });
    let finds = judge(&History::of(entries), &Terms::default());
    let calls: Vec<CallId> = finds.iter().map(|find| find.call.unwrap()).collect();
    assert_eq!(calls, [CALL + 1, CALL]);
}
