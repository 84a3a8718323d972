use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::*;
use crate::{component::Component, interface::NoInterface};

static ALLOWED: Notify = Notify::const_new();
static ENDED: AtomicBool = AtomicBool::new(false);

/// Starts when it is allowed to.
struct Slow;

impl Component for Slow {
    type Interface = NoInterface<Self>;
    type Dependencies = ();
    const NAME: &'static str = "Slow";

    async fn build(_: &Wiring) -> Result<Self, StartError> {
        ALLOWED.notified().await;
        Ok(Self)
    }

    async fn shut_down(&self) {
        ENDED.store(true, Ordering::Release);
    }
}

/// A replica of one component.
fn setup(component: Registration) -> Setup {
    Setup {
        name: Name::new("test-1").unwrap(),
        components: vec![component],
        others: Vec::new(),
        endpoints: Vec::new(),
        directory_is_hope: false,
        listeners: BTreeMap::new(),
        relays: BTreeMap::new(),
        config: BTreeMap::new(),
        edges: Vec::new(),
        limits: Limits::default(),
        telemetry: Telemetry::default(),
        collected: false,
        directory: Directory::default(),
        identity: None,
        callers: None,
        through_the_wire: false,
        held: Vec::new(),
    }
}

static SEEN: OnceLock<watch::Receiver<States>> = OnceLock::new();
static DROPPED_FIRST: AtomicBool = AtomicBool::new(false);

/// Has something that the next one needs, and nobody calls it.
struct Tool;

impl Component for Tool {
    type Interface = NoInterface<Self>;
    type Dependencies = ();
    const NAME: &'static str = "Tool";

    async fn build(_: &Wiring) -> Result<Self, StartError> {
        Ok(Self)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let states = SEEN.get().unwrap().borrow();
        let has_stopped = is_in(&states, "Tool", ComponentState::Stopped);
        DROPPED_FIRST.store(!has_stopped, Ordering::Release);
    }
}

#[tokio::test]
async fn what_nobody_here_has_called_is_dropped_before_it_is_said_to_have_stopped() {
    let (replica, _failures) = Replica::new(setup(Registration::of::<Tool>())).unwrap();
    let replica = Arc::new(replica);
    replica.start().await.unwrap();
    SEEN.set(replica.states()).unwrap();
    replica.drain("Tool", Duration::from_secs(1)).await;
    assert!(is_in(
        &replica.states().borrow(),
        "Tool",
        ComponentState::Stopped
    ));
    assert!(DROPPED_FIRST.load(Ordering::Acquire));
}

#[tokio::test]
async fn a_component_that_is_drained_while_it_starts_never_becomes_ready() {
    let (replica, _failures) = Replica::new(setup(Registration::of::<Slow>())).unwrap();
    let replica = Arc::new(replica);
    let starting = tokio::spawn({
        let replica = Arc::clone(&replica);
        async move { replica.start().await }
    });
    let state = |states: &States| states.get("Slow").map(|it| it.state);
    let mut states = replica.states();
    let _ = states
        .wait_for(|states| state(states) == Some(ComponentState::Starting))
        .await
        .unwrap();
    replica.drain("Slow", Duration::from_secs(1)).await;
    ALLOWED.notify_one();
    starting.await.unwrap().unwrap();
    assert_eq!(state(&states.borrow()), Some(ComponentState::Stopped));
    assert!(replica.component::<Slow>("Slow").is_none());
    assert!(ENDED.load(Ordering::Acquire), "its stop was left out");
}

#[test]
fn what_is_drained_is_never_said_to_be_starting_or_ready_again() {
    use ComponentState::{Draining, Ready, Starting, Stopped, Unhealthy};
    let name = Name::new("Slow").unwrap();
    let states = watch::Sender::new(States::from([(name.clone(), Starting.into())]));
    let told = |state: ComponentState| tell(&states, &name, &state.into());
    assert!(told(Ready));
    assert!(told(Draining));
    for late in [Starting, Ready, Unhealthy] {
        assert!(!told(late), "{late:?} after the beginning of the drain");
    }
    assert!(told(Stopped));
    for late in [Starting, Ready, Unhealthy, Draining] {
        assert!(!told(late), "{late:?} after the end of the drain");
    }
    assert!(is_in(&states.borrow(), "Slow", Stopped));
}
