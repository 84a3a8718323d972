//! A replica, as its control plane meets it: drains, stops, reconnections.

#![expect(missing_docs, reason = "a test has no readers of its documentation")]
#![expect(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod bursts;
mod coming;
mod control;
mod dormant;
mod failures;
mod health;
mod held;
mod measures;
mod panics;
mod yielding;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use anylith::{AppError, CallError, Execution, LostAnswer, Running, Stopping};
use anylith_core::Directory;
use anylith_wire::control::{ComponentState, ToReplica};
use serde::{Deserialize, Serialize};
use tokio::{
    net::UnixStream,
    sync::{Notify, Semaphore},
    task::JoinHandle,
};

use crate::control::{Control, directory, name, soon};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum KitchenError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Kettle {
    /// Never ends.
    async fn watched(&self) -> Result<(), KitchenError>;
    async fn boiled(&self) -> Result<u32, KitchenError>;
}

#[anylith::component]
pub trait Cook {
    /// Asks the kettle once the test allows it.
    async fn tea(&self) -> Result<u32, KitchenError>;
}

/// What the test and the components know of each other.
#[derive(Default)]
pub struct Notes {
    changed: Notify,
    begun: AtomicUsize,
    dropped: AtomicUsize,
    /// What a component may do only when the test says so.
    allowed: Option<Semaphore>,
    bursts: Notify,
}

impl Notes {
    fn holding() -> Arc<Self> {
        Arc::new(Self {
            allowed: Some(Semaphore::new(0)),
            ..Self::default()
        })
    }

    fn allow(&self) {
        self.allowed.as_ref().unwrap().add_permits(1);
    }

    async fn be_allowed(&self) {
        if let Some(allowed) = &self.allowed {
            allowed.acquire().await.unwrap().forget();
        }
    }

    fn begin(self: &Arc<Self>) -> Begun {
        self.begun.fetch_add(1, SeqCst);
        self.changed.notify_waiters();
        Begun(Arc::clone(self))
    }

    async fn until(&self, count: impl Fn(&Self) -> &AtomicUsize, wanted: usize) {
        soon(async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if count(self).load(SeqCst) >= wanted {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }
}

/// Notes that what was begun is over.
struct Begun(Arc<Notes>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
        self.0.changed.notify_waiters();
    }
}

/// Bursts, if it is told to.
#[derive(anylith::Component)]
#[component(interface = Kettle, serve)]
pub struct Copper {
    #[init]
    notes: Arc<Notes>,
}

impl Copper {
    async fn serve(self: Arc<Self>, stopping: Stopping) -> Result<(), io::Error> {
        tokio::select! {
            () = stopping => Ok(()),
            () = self.notes.bursts.notified() => Err(io::Error::other("the kettle burst")),
        }
    }
}

impl Kettle for Copper {
    async fn watched(&self) -> Result<(), KitchenError> {
        let _begun = self.notes.begin();
        std::future::pending().await
    }

    async fn boiled(&self) -> Result<u32, KitchenError> {
        Ok(100)
    }
}

#[derive(anylith::Component)]
#[component(interface = Cook)]
pub struct Chef {
    kettle: KettleClient,
    #[init]
    notes: Arc<Notes>,
}

impl Cook for Chef {
    async fn tea(&self) -> Result<u32, KitchenError> {
        let _begun = self.notes.begin();
        self.notes.be_allowed().await;
        self.kettle.boiled().await
    }
}

#[derive(anylith::Component)]
pub struct Waiter {
    cook: CookClient,
}

/// Has to be told how hot.
#[derive(anylith::Component)]
pub struct Oven {
    #[config]
    config: OvenConfig,
}

impl Oven {
    fn degrees(&self) -> u32 {
        self.config.degrees
    }
}

#[derive(Deserialize)]
pub struct OvenConfig {
    degrees: u32,
}

anylith::app! {
    /// A kitchen.
    pub Kitchen = "kitchen" { Copper, Chef, Waiter, Oven }
}

/// Joins the control plane as a replica.
fn join(control: &Control, notes: &Arc<Notes>) -> JoinHandle<Result<Running, AppError>> {
    let (kettle, cook) = (Arc::clone(notes), Arc::clone(notes));
    let builder = Kitchen::builder()
        .with(Copper { notes: kettle })
        .assemble::<Chef>(move |parts| Chef {
            kettle: parts.kettle,
            notes: Arc::clone(&cook),
        });
    tokio::spawn(builder.join(control.socket(), name("kitchen-1")))
}

#[tokio::test]
async fn orders_for_another_binary_are_refused_with_what_this_one_lacks() {
    let control = Control::new();
    let joining = join(&control, &Arc::default());
    let _line = control
        .welcomed(&["Kettle", "Dishwasher"], Directory::default())
        .await;
    let refused = soon(joining).await.unwrap().unwrap_err();
    let AppError::OtherBinary { components } = &refused else {
        panic!("{refused}")
    };
    assert_eq!(components[..], [name("Dishwasher")]);
    assert!(refused.to_string().contains("`Dishwasher`"), "{refused}");
}

/// A replica with both components, ready.
async fn whole(control: &Control, notes: &Arc<Notes>) -> (Running, control::Line) {
    let running = join(control, notes);
    let mut line = control
        .welcomed(&["Kettle", "Cook"], Directory::default())
        .await;
    line.until("Cook", ComponentState::Ready).await;
    (soon(running).await.unwrap().unwrap(), line)
}

/// A replica of Cook alone, ready, whose kettle is at `endpoint`.
async fn cook_alone(
    control: &Control,
    notes: &Arc<Notes>,
    kettle: &anylith_core::Endpoint,
) -> (Running, control::Line) {
    let running = join(control, notes);
    let directory = directory(1, &[("Kettle", kettle)]);
    let mut line = control.welcomed(&["Cook"], directory).await;
    line.until("Cook", ComponentState::Ready).await;
    (soon(running).await.unwrap().unwrap(), line)
}

/// A replica of Waiter alone, ready, whose cook is at `endpoint`.
async fn waiter(control: &Control, cook: &anylith_core::Endpoint) -> (Running, control::Line) {
    let running = join(control, &Arc::default());
    let directory = directory(1, &[("Cook", cook)]);
    let mut line = control.welcomed(&["Waiter"], directory).await;
    line.until("Waiter", ComponentState::Ready).await;
    (soon(running).await.unwrap().unwrap(), line)
}

/// A call of Cook to the kettle that never ends.
fn watch(running: &Running) -> JoinHandle<Result<(), KitchenError>> {
    let cook = running.component::<Chef>().unwrap();
    tokio::spawn(async move { cook.kettle.watched().await })
}

fn drain(component: &str, grace: Duration) -> ToReplica {
    ToReplica::Drain {
        component: name(component),
        grace_ms: grace.as_millis() as u64,
        others_stay: false,
    }
}

fn assert_stopped(result: Result<(), KitchenError>) {
    let Err(KitchenError::Call(error)) = result else {
        panic!("it was answered");
    };
    assert_eq!(error.execution(), Execution::Unknown);
    let reason = LostAnswer::Stopped;
    assert!(
        matches!(&error, CallError::Unknown { reason: told, .. } if *told == reason),
        "{error:?}"
    );
}

const SHORT: Duration = Duration::from_millis(30);

#[tokio::test]
async fn a_local_call_that_outlives_the_grace_of_its_callee_is_dropped_and_told_so() {
    let (control, notes) = (Control::new(), Arc::default());
    let (running, mut line) = whole(&control, &notes).await;
    let call = watch(&running);
    notes.until(|it| &it.begun, 1).await;
    line.say(&drain("Kettle", SHORT)).await;
    assert_stopped(soon(call).await.unwrap());
    let left = line.stopped("Kettle").await.unwrap();
    assert!(
        left.ends_with("it still did 1 call of watched by Cook"),
        "{left}"
    );
    assert_eq!(notes.dropped.load(SeqCst), 1, "it runs on");
}

#[tokio::test]
async fn a_remote_call_that_outlives_the_grace_of_its_callee_is_dropped_and_told_so() {
    let (control, notes) = (Control::new(), Arc::default());
    let (_running, mut line) = whole(&control, &notes).await;
    let there = Control::new();
    let (caller, _line) = cook_alone(&there, &notes, &control.endpoint()).await;
    let call = watch(&caller);
    notes.until(|it| &it.begun, 1).await;
    line.say(&drain("Kettle", SHORT)).await;
    assert_stopped(soon(call).await.unwrap());
    let left = line.stopped("Kettle").await.unwrap();
    assert!(
        left.ends_with("it still did 1 call of watched from other processes"),
        "{left}"
    );
    assert_eq!(notes.dropped.load(SeqCst), 1, "it runs on");
}

#[tokio::test]
async fn a_replica_that_is_stopped_tells_the_callers_that_it_keeps_waiting() {
    let (control, notes) = (Control::new(), Arc::default());
    let (running, mut line) = whole(&control, &notes).await;
    let there = Control::new();
    let (caller, _line) = cook_alone(&there, &notes, &control.endpoint()).await;
    let call = watch(&caller);
    notes.until(|it| &it.begun, 1).await;
    line.say(&ToReplica::Stop {
        grace_ms: SHORT.as_millis() as u64,
        others_stay: false,
    })
    .await;
    assert_stopped(soon(call).await.unwrap());
    soon(running.wait()).await;
}

#[tokio::test]
async fn calls_leave_the_process_once_their_callee_is_drained_there() {
    let (control, notes) = (Control::new(), Arc::default());
    let (running, mut line) = whole(&control, &notes).await;
    let there = Control::new();
    let _other = whole(&there, &Arc::default()).await;
    line.say(&drain("Kettle", SHORT)).await;
    line.until("Kettle", ComponentState::Stopped).await;
    let directory = directory(7, &[("Kettle", &there.endpoint())]);
    line.say(&ToReplica::Directory(directory)).await;
    let cook = running.component::<Chef>().unwrap();
    assert_eq!(soon(cook.kettle.boiled()).await, Ok(100));
}

#[tokio::test]
async fn a_replica_that_stops_takes_directories_for_what_it_finishes() {
    let notes = Notes::holding();
    let (control, there) = (Control::new(), Control::new());
    let _kettle = whole(&there, &Arc::default()).await;
    let nobody = control.endpoint();
    let (running, mut line) = cook_alone(&control, &notes, &nobody).await;
    let (caller, _line) = waiter(&Control::new(), &control.endpoint()).await;
    let cook = caller.component::<Waiter>().unwrap();
    let tea = tokio::spawn(async move { cook.cook.tea().await });
    notes.until(|it| &it.begun, 1).await;
    line.say(&ToReplica::Stop {
        grace_ms: 15_000,
        others_stay: false,
    })
    .await;
    line.until("Cook", ComponentState::Draining).await;
    let news = directory(2, &[("Kettle", &there.endpoint())]);
    line.say(&ToReplica::Directory(news)).await;
    notes.allow();
    assert_eq!(soon(tea).await.unwrap(), Ok(100));
    soon(running.wait()).await;
}

#[tokio::test]
async fn a_replica_that_is_dropped_ends_at_once() {
    let (control, notes) = (Control::new(), Arc::default());
    let (running, mut line) = whole(&control, &notes).await;
    let there = Control::new();
    let (caller, _line) = cook_alone(&there, &notes, &control.endpoint()).await;
    let call = watch(&caller);
    notes.until(|it| &it.begun, 1).await;
    drop(running);
    line.silence().await;
    notes.until(|it| &it.dropped, 1).await;
    let result = soon(call).await.unwrap();
    assert!(
        matches!(&result, Err(KitchenError::Call(CallError::Unknown { .. }))),
        "{result:?}"
    );
    assert_gone(&control).await;
}

#[tokio::test]
async fn a_start_that_is_dropped_leaves_nothing_behind() {
    let control = Control::new();
    let joining = join(&control, &Arc::default());
    // Its kettle is nowhere, so it does not become ready.
    let mut line = control.welcomed(&["Cook"], Directory::default()).await;
    line.until("Cook", ComponentState::Waiting).await;
    joining.abort();
    line.silence().await;
    assert_gone(&control).await;
}

/// Waits until nobody answers where the replica of `control` did.
async fn assert_gone(control: &Control) {
    let anylith_core::Endpoint::Unix(path) = control.endpoint() else {
        unreachable!("it is one")
    };
    soon(async {
        while UnixStream::connect(&path).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_control_plane_that_hangs_up_at_once_is_asked_again() {
    let (control, notes) = (Control::new(), Arc::default());
    let (_running, line) = whole(&control, &notes).await;
    drop(line);
    // The pauses between are those of `anylith_rpc::Pauses`, which has tests of its own.
    for _ in 0..3 {
        control.hang_up().await;
    }
    control.called().await;
}

#[tokio::test]
async fn a_failure_is_told_again_to_a_control_plane_that_took_it_with_it() {
    let (control, notes) = (Control::new(), Arc::<Notes>::default());
    let (running, mut line) = whole(&control, &notes).await;
    let there = Control::new();
    let (caller, _line) = cook_alone(&there, &notes, &control.endpoint()).await;
    // The replica has something to wait for before it goes.
    let call = watch(&caller);
    notes.until(|it| &it.begun, 1).await;
    notes.bursts.notify_one();
    assert!(line.failure().await.contains("the kettle burst"));
    drop(line);
    let (mut line, _) = control.called().await;
    assert!(line.failure().await.contains("the kettle burst"));
    call.abort();
    soon(running.wait()).await;
}

#[tokio::test]
async fn a_state_that_changes_while_no_control_plane_is_there_is_told_to_the_next() {
    let (control, notes) = (Control::new(), Notes::holding());
    let (_running, mut line) = whole(&control, &notes).await;
    let (caller, _waiting) = waiter(&Control::new(), &control.endpoint()).await;
    let cook = caller.component::<Waiter>().unwrap();
    let tea = tokio::spawn(async move { cook.cook.tea().await });
    notes.until(|it| &it.begun, 1).await;
    line.say(&drain("Cook", Duration::from_secs(15))).await;
    line.until("Cook", ComponentState::Draining).await;
    drop(line);
    let (line, hello) = control.called().await;
    assert_eq!(hello.components[&name("Cook")], ComponentState::Draining);
    // It changes with a control plane that has heard the hello, and hears no more.
    drop(line);
    notes.allow();
    assert_eq!(soon(tea).await.unwrap(), Ok(100));
    let (mut line, hello) = control.called().await;
    if hello.components[&name("Cook")] != ComponentState::Stopped {
        line.until("Cook", ComponentState::Stopped).await;
    }
}

#[tokio::test]
async fn a_client_shows_whose_it_is_and_where_its_calls_go() {
    let (control, notes) = (Control::new(), Arc::default());
    let (running, mut line) = whole(&control, &notes).await;
    let kettle = &running.component::<Chef>().unwrap().kettle;
    assert_eq!(format!("{kettle:?}"), "KettleClient(local)");
    line.say(&drain("Kettle", SHORT)).await;
    line.until("Kettle", ComponentState::Stopped).await;
    assert_eq!(format!("{kettle:?}"), "KettleClient(remote)");
}
