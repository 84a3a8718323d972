//! Callers and callees that do not agree on the interface.
//!
//! One program has one interface, so between components of one process this cannot happen by itself. The clients here
//! are made by hand; in every topology what they ask for is surely not executed.

use std::sync::Arc;

use anylith::{
    __rt::{AnswerOf, Call, ClientEdge, Fingerprint, Interface, Method, MethodShape},
    CallError, Execution, Refusal,
};
use anylith_test::Cluster;
use serde::{Deserialize, Serialize};

use crate::journal::{Journal as _, JournalClient, NoJournal, Recorder};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum ClockError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Clock {
    async fn set(&self, hour: u32) -> Result<u32, ClockError>;
}

#[derive(anylith::Component)]
#[component(interface = Clock)]
pub struct Tower {
    journal: JournalClient,
}

impl Clock for Tower {
    async fn set(&self, hour: u32) -> Result<u32, ClockError> {
        let _ = self.journal.note("set").await;
        Ok(hour)
    }
}

anylith::app! {
    /// A component with an interface.
    pub Town = "town" { Tower, NoJournal }
}

/// The same interface, as another build had it.
mod another_build {
    use super::ClockError;

    #[anylith::component]
    pub trait Clock {
        async fn set(&self, hour: u64, minute: u32) -> Result<u32, ClockError>;
    }
}

/// The same method, of an argument with another shape.
mod another_shape {
    use serde::{Deserialize, Serialize};

    use super::ClockError;

    #[derive(Serialize, Deserialize)]
    pub struct Hour {
        pub hour: u32,
        pub summer: bool,
    }

    #[anylith::component]
    pub trait Clock {
        async fn set(&self, hour: Hour) -> Result<u32, ClockError>;
    }
}

/// A client that calls any method by its number, of an interface it claims to know.
#[derive(Clone)]
struct ByNumber(ClientEdge<()>);

/// Calls the method at `method` without arguments.
async fn ask(edge: &ClientEdge<()>, method: u16) -> Result<(), ClockError> {
    match edge.begin(method) {
        Call::Local(_) | Call::Arrived(_) => {
            panic!("nothing in this process has such an interface")
        }
        Call::Remote(call) => {
            let answer = AnswerOf::<Result<(), ClockError>>::new().checked();
            answer.remote(call, &|_| Ok(()), None).await
        }
    }
}

impl ByNumber {
    async fn call(&self, method: u16) -> Result<(), ClockError> {
        ask(&self.0, method).await
    }
}

impl Interface for ByNumber {
    const NAME: &'static str = "Clock";
    const SUMMARY: &'static str = "";
    const METHODS: &'static [Method] = &[Method {
        name: "set",
        idempotent: false,
        shape: MethodShape::Unary,
        routed: None,
    }];
    type Object = ();

    fn fingerprint() -> Fingerprint {
        ClockClient::fingerprint()
    }

    fn from_edge(edge: ClientEdge<()>) -> Self {
        Self(edge)
    }
}

/// A client of a component that the application does not have.
#[derive(Clone)]
struct Nobody(ClientEdge<()>);

impl Interface for Nobody {
    const NAME: &'static str = "Nobody";
    const SUMMARY: &'static str = "";
    const METHODS: &'static [Method] = ByNumber::METHODS;
    type Object = ();

    fn fingerprint() -> Fingerprint {
        Fingerprint::EMPTY
    }

    fn from_edge(edge: ClientEdge<()>) -> Self {
        Self(edge)
    }
}

/// Where nobody can answer, a call waits as long as it may: these tests need not.
const SHORT: &str = "[edges.\"test -> Clock\"]\ndeadline = \"200ms\"";

#[anylith::test(Town, fakes(JournalClient = Recorder::default()), settings = SHORT)]
async fn another_builds_interface_is_refused_and_not_misread(
    cluster: &Cluster<Town>,
    journal: Arc<Recorder>,
) {
    use another_build::Clock as _;
    let clock: another_build::ClockClient = cluster.any_client();
    let Err(ClockError::Call(error)) = clock.set(1, 2).await else {
        panic!("it was answered");
    };
    assert_eq!(error.execution(), Execution::NotExecuted);
    if cluster.topology().is_remote() {
        let CallError::Incompatible { .. } = &error else {
            panic!("it failed as {error:?}");
        };
    }
    assert_eq!(journal.count("set"), 0);
}

#[anylith::test(Town, fakes(JournalClient = Recorder::default()), settings = SHORT)]
async fn a_refusal_says_what_differs(cluster: &Cluster<Town>) {
    use another_build::Clock as _;
    let clock: another_build::ClockClient = cluster.any_client();
    let Err(ClockError::Call(error)) = clock.set(1, 2).await else {
        panic!("it was answered");
    };
    let said = format!("{error:?}");
    assert!(said.contains("Clock"), "{said}");
    if cluster.topology().is_remote() {
        assert!(said.contains("fingerprint"), "{said}");
        assert!(
            said.contains(&ClockClient::fingerprint().to_string()),
            "{said}"
        );
    }
}

#[anylith::test(Town, fakes(JournalClient = Recorder::default()), settings = SHORT)]
async fn a_type_of_another_shape_makes_another_interface(
    cluster: &Cluster<Town>,
    journal: Arc<Recorder>,
) {
    use another_shape::Clock as _;
    let clock: another_shape::ClockClient = cluster.any_client();
    let hour = another_shape::Hour {
        hour: 3,
        summer: true,
    };
    let Err(ClockError::Call(error)) = clock.set(hour).await else {
        panic!("it was answered");
    };
    assert_eq!(error.execution(), Execution::NotExecuted);
    assert_eq!(journal.count("set"), 0);
}

#[anylith::test(Town, fakes(JournalClient = Recorder::default()), settings = SHORT)]
async fn a_method_that_is_not_there_is_refused(cluster: &Cluster<Town>) {
    let clock: ByNumber = cluster.any_client();
    let Err(ClockError::Call(error)) = clock.call(99).await else {
        panic!("it was answered");
    };
    assert_eq!(error.execution(), Execution::NotExecuted);
    if cluster.topology().is_remote() {
        let CallError::NotExecuted { reason, .. } = error else {
            panic!("it failed as {error:?}");
        };
        assert_eq!(reason, Refusal::UnknownMethod);
    }
}

#[anylith::test(Town, fakes(JournalClient = Recorder::default()), settings = SHORT)]
async fn arguments_that_cannot_be_read_are_refused(
    cluster: &Cluster<Town>,
    journal: Arc<Recorder>,
) {
    // It is called without the argument that it takes.
    let clock: ByNumber = cluster.any_client();
    let Err(ClockError::Call(error)) = clock.call(0).await else {
        panic!("it was answered");
    };
    assert_eq!(error.execution(), Execution::NotExecuted);
    if cluster.topology().is_remote() {
        let CallError::NotExecuted { reason, .. } = error else {
            panic!("it failed as {error:?}");
        };
        assert!(
            matches!(&reason, Refusal::Undecodable(why) if why.contains("hour")),
            "{reason:?}"
        );
    }
    assert_eq!(journal.count("set"), 0);
}

#[anylith::test(Town, fakes(JournalClient = Recorder::default()), settings = SHORT)]
async fn a_refused_call_leaves_the_connection_as_it_was(
    clock: ClockClient,
    cluster: &Cluster<Town>,
) {
    let by_number: ByNumber = cluster.any_client();
    for hour in 0..5 {
        by_number.call(99).await.unwrap_err();
        assert_eq!(clock.set(hour).await, Ok(hour));
    }
}

#[anylith::test(Town, fakes(JournalClient = Recorder::default()))]
async fn a_component_that_is_not_there_is_waited_for_and_then_not_executed(
    cluster: &Cluster<Town>,
) {
    let nobody: Nobody = cluster.any_client();
    // Ten seconds, of which nobody has to live through one.
    tokio::time::pause();
    let ended = ask(&nobody.0, 0).await;
    tokio::time::resume();
    let Err(ClockError::Call(CallError::NotExecuted { edge, reason })) = ended else {
        panic!("it came back as {ended:?}");
    };
    assert_eq!(edge.to_string(), "test -> Nobody.set");
    assert!(
        matches!(&reason, Refusal::Unreachable(why) if why.contains("Nobody")),
        "{reason:?}"
    );
}
