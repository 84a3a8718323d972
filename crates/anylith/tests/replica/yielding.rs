//! What a component of which there is one at a time leaves to the next.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use anylith::Running;
use anylith_core::Directory;
use anylith_wire::control::{ComponentState, FromReplica, Handed, ToReplica};
use serde::{Deserialize, Serialize};

use crate::{
    KitchenError, Notes, SHORT,
    control::{Control, Line, name, soon},
};

#[anylith::component]
pub(crate) trait Jar {
    /// Never ends.
    async fn watched(&self) -> Result<(), KitchenError>;
}

/// What one jar leaves to the next.
#[derive(Serialize, Deserialize)]
pub(crate) struct Cookies {
    left: u32,
}

#[derive(anylith::Component)]
#[component(interface = Jar, singleton, start, hand_over)]
pub(crate) struct Crock {
    #[init]
    notes: Arc<Notes>,
}

impl Crock {
    async fn start(_: CrockParts, _: Option<Cookies>) -> Result<Self, KitchenError> {
        let notes = Arc::default();
        Ok(Self { notes })
    }

    /// Takes far longer than the time that calls have.
    async fn hand_over(&self) -> Cookies {
        tokio::time::sleep(SHORT * 10).await;
        let left = self.notes.dropped.load(SeqCst) as u32;
        Cookies { left }
    }
}

impl Jar for Crock {
    async fn watched(&self) -> Result<(), KitchenError> {
        let _begun = self.notes.begin();
        std::future::pending().await
    }
}

#[derive(anylith::Component)]
pub(crate) struct Taster {
    jar: JarClient,
}

anylith::app! {
    /// Another kitchen.
    pub(crate) Larder = "larder" { Crock, Taster }
}

/// A replica with both components, ready.
async fn whole(control: &Control, notes: &Arc<Notes>) -> (Running, Line) {
    let notes = Arc::clone(notes);
    let builder = Larder::builder().with(Crock { notes });
    let running = tokio::spawn(builder.join(control.socket(), name("kitchen-1")));
    let mut line = control
        .welcomed(&["Jar", "Taster"], Directory::default())
        .await;
    line.until("Taster", ComponentState::Ready).await;
    (soon(running).await.unwrap().unwrap(), line)
}

#[tokio::test]
async fn what_is_handed_over_is_waited_for_by_a_stop_that_comes_meanwhile() {
    let (control, notes) = (Control::new(), Arc::<Notes>::default());
    let (running, mut line) = whole(&control, &notes).await;
    let taster = running.component::<Taster>().unwrap();
    let call = tokio::spawn(async move { taster.jar.watched().await });
    notes.until(|it| &it.begun, 1).await;
    let grace_ms = SHORT.as_millis() as u64;
    let component = name("Jar");
    line.say(&ToReplica::Yield {
        component: component.clone(),
        grace_ms,
    })
    .await;
    line.say(&ToReplica::Stop {
        grace_ms,
        others_stay: true,
    })
    .await;
    // The call that never ends is dropped before.
    let handed = FromReplica::HandedOver {
        component,
        state: Some(Handed(r#"{"left":1}"#.to_owned())),
        lost: None,
    };
    while line.hear().await != handed {}
    soon(call).await.unwrap().unwrap_err();
    soon(running.wait()).await;
}
