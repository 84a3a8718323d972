//! A replica that holds a component back of which there is one at a time.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use anylith::{AppError, CallError, Running};
use anylith_wire::control::{ComponentState, FromReplica, ToReplica};
use tokio::task::JoinHandle;

use crate::control::{Control, Line, name, soon};

#[anylith::component]
pub(crate) trait Safe {
    async fn gold(&self) -> Result<u32, CallError>;
}

/// There is one at a time.
#[derive(anylith::Component)]
#[component(interface = Safe, singleton)]
pub(crate) struct Vault {}

impl Safe for Vault {
    async fn gold(&self) -> Result<u32, CallError> {
        Ok(79)
    }
}

/// Has nothing to do with it, and says when it is closed.
#[derive(anylith::Component)]
#[component(stop)]
pub(crate) struct Hall {
    #[init]
    closed: Arc<AtomicUsize>,
}

impl Hall {
    async fn stop(&self) {
        self.closed.fetch_add(1, SeqCst);
    }
}

anylith::app! { Bank = "bank" { Vault, Hall } }

/// A replica that is ready, but for `Safe`, which it holds back.
async fn holding(
    control: &Control,
    closed: &Arc<AtomicUsize>,
) -> (JoinHandle<Result<Running, AppError>>, Line) {
    let closed = Arc::clone(closed);
    let builder = Bank::builder().with(Hall { closed });
    let joining = tokio::spawn(builder.join(control.socket(), name("bank-1")));
    let components = ["Safe", "Hall"];
    let mut line = control.welcomed_holding(&components, &["Safe"]).await;
    line.until("Hall", ComponentState::Ready).await;
    assert!(
        !joining.is_finished(),
        "it is not ready before it is granted"
    );
    (joining, line)
}

/// What the replica says from here on, and how each of its components ends.
async fn last_words(line: &mut Line) -> Vec<FromReplica> {
    let mut said = Vec::new();
    while let Some(word) = line.next().await {
        said.push(word);
    }
    said
}

fn told(component: &str, state: ComponentState) -> FromReplica {
    FromReplica::Component {
        name: name(component),
        state,
        reason: None,
    }
}

#[tokio::test]
async fn one_that_is_stopped_while_it_holds_a_singleton_back_ends_in_good_order() {
    let (control, closed) = (Control::new(), Arc::default());
    let (joining, mut line) = holding(&control, &closed).await;
    let stop = ToReplica::Stop {
        grace_ms: 10_000,
        others_stay: false,
    };
    line.say(&stop).await;
    let said = last_words(&mut line).await;
    for component in ["Safe", "Hall"] {
        let stopped = told(component, ComponentState::Stopped);
        assert!(said.contains(&stopped), "{component}: {said:?}");
    }
    let fails = |word: &FromReplica| matches!(word, FromReplica::Failed { .. });
    assert!(!said.iter().any(fails), "{said:?}");
    // It was never ready, and that is no failure.
    let error = soon(joining).await.unwrap().unwrap_err();
    assert!(matches!(error, AppError::StoppedEarly), "{error}");
    let code = format!("{:?}", error.report());
    assert_eq!(code, format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(closed.load(SeqCst), 1, "its neighbour was stopped");
    let began = told("Safe", ComponentState::Starting);
    assert!(!said.contains(&began), "{said:?}");
}

#[tokio::test]
async fn one_whose_held_component_goes_elsewhere_is_ready_and_lives_on() {
    let (control, closed) = (Control::new(), Arc::default());
    let (joining, mut line) = holding(&control, &closed).await;
    line.say(&crate::drain("Safe", crate::SHORT)).await;
    line.until("Safe", ComponentState::Stopped).await;
    let running = soon(joining).await.unwrap().unwrap();
    assert!(running.component::<Hall>().is_some());
    assert!(running.component::<Vault>().is_none());
    running.stop();
    let code = format!("{:?}", soon(running.wait()).await);
    assert_eq!(code, format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(closed.load(SeqCst), 1);
}

#[tokio::test]
async fn one_that_is_granted_begins_and_is_ready() {
    let (control, closed) = (Control::new(), Arc::default());
    let (joining, mut line) = holding(&control, &closed).await;
    line.say(&ToReplica::Grant {
        component: name("Safe"),
        state: None,
    })
    .await;
    line.until("Safe", ComponentState::Ready).await;
    let running = soon(joining).await.unwrap().unwrap();
    assert!(running.component::<Vault>().is_some());
    running.shut_down().await;
}
