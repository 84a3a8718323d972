//! What a control plane hears of components that fail while they end.

use std::{io, sync::Arc};

use anylith::Stopping;
use anylith_core::Directory;
use anylith_wire::control::{ComponentState, FromReplica, ToReplica};
use tokio::sync::Notify;

use crate::control::{Control, name, soon};

static SOAKED: Notify = Notify::const_new();

/// Starts once the test says so, and does not end well.
#[derive(anylith::Component)]
#[component(start, stop)]
pub(crate) struct Beans {}

impl Beans {
    async fn start(BeansParts {}: BeansParts) -> Result<Self, io::Error> {
        SOAKED.notified().await;
        Ok(Self {})
    }

    async fn stop(&self) {
        panic!("they boil over");
    }
}

anylith::app! { pub(crate) Supper = "supper" { Beans } }

#[tokio::test]
async fn a_stop_that_panics_after_a_start_that_was_drained_is_a_failure_of_its_component() {
    let control = Control::new();
    let joining = tokio::spawn(Supper::builder().join(control.socket(), name("supper-1")));
    let mut line = control.welcomed(&["Beans"], Directory::default()).await;
    line.until("Beans", ComponentState::Starting).await;
    let component = name("Beans");
    line.say(&ToReplica::Drain {
        component,
        grace_ms: 20,
        others_stay: false,
    })
    .await;
    line.until("Beans", ComponentState::Stopped).await;
    SOAKED.notify_one();
    assert!(line.failure().await.contains("they boil over"));
    // Either it was started before its end was noticed, or not; it does not panic.
    let _ = soon(joining).await.unwrap();
}

static HEARD: Notify = Notify::const_new();

/// Fails, and fails once more when the first failure was heard.
#[derive(anylith::Component)]
#[component(serve, stop)]
pub(crate) struct Stove {}

impl Stove {
    async fn serve(self: Arc<Self>, _: Stopping) -> Result<(), io::Error> {
        Err(io::Error::other("no gas"))
    }

    async fn stop(&self) {
        HEARD.notified().await;
        panic!("no knob");
    }
}

anylith::app! { pub(crate) Outage = "outage" { Stove } }

#[tokio::test]
async fn a_component_that_fails_again_while_it_ends_is_reported_once() {
    let control = Control::new();
    let joining = tokio::spawn(Outage::builder().join(control.socket(), name("outage-1")));
    let mut line = control.welcomed(&["Stove"], Directory::default()).await;
    let mut failures = Vec::new();
    let waited = tokio::spawn(async move {
        if let Ok(running) = joining.await.unwrap() {
            running.wait().await;
        }
    });
    while let Some(report) = line.next().await {
        if let FromReplica::Failed { message, .. } = report {
            failures.push(message);
            HEARD.notify_one();
        }
    }
    assert_eq!(failures, ["no gas"]);
    soon(waited).await.unwrap();
}
