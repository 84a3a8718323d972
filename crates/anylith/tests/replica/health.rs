//! What a replica tells its control plane of how its components are.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use anylith::{AppError, Running};
use anylith_core::Directory;
use anylith_wire::control::{ComponentState, FromReplica, ToReplica};
use tokio::task::JoinHandle;

use crate::control::{Control, Line, name, soon};

/// How the patient is, set by the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feeling {
    Well,
    Ill,
    /// It never says.
    Dazed,
    Panicking,
}

#[derive(Debug)]
pub(crate) struct Chart {
    feeling: Mutex<Feeling>,
    /// How often it was asked, and how often it is at once.
    asked: AtomicUsize,
    looking: AtomicUsize,
}

impl Chart {
    fn of(feeling: Feeling) -> Arc<Self> {
        Arc::new(Self {
            feeling: Mutex::new(feeling),
            asked: AtomicUsize::new(0),
            looking: AtomicUsize::new(0),
        })
    }

    fn feels(&self, feeling: Feeling) {
        *self.feeling.lock().unwrap() = feeling;
    }
}

/// Is asked how it is.
#[derive(anylith::Component)]
#[component(healthy)]
pub(crate) struct Patient {
    #[init]
    chart: Arc<Chart>,
}

/// One look at the patient.
struct Look<'a>(&'a Chart);

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.looking.fetch_sub(1, SeqCst);
    }
}

impl Patient {
    async fn healthy(&self) -> Result<(), String> {
        assert_eq!(self.chart.looking.fetch_add(1, SeqCst), 0, "two at once");
        let _look = Look(&self.chart);
        self.chart.asked.fetch_add(1, SeqCst);
        let feeling = *self.chart.feeling.lock().unwrap();
        match feeling {
            Feeling::Well => Ok(()),
            Feeling::Ill => Err("the fever is high".to_owned()),
            Feeling::Dazed => std::future::pending().await,
            Feeling::Panicking => panic!("where am I"),
        }
    }
}

anylith::app! {
    /// A clinic.
    pub(crate) Clinic = "clinic" { Patient }
}

fn join(control: &Control, chart: &Arc<Chart>) -> JoinHandle<Result<Running, AppError>> {
    let chart = Arc::clone(chart);
    let builder = Clinic::builder().with(Patient { chart });
    tokio::spawn(builder.join(control.socket(), name("clinic-1")))
}

/// Listens until the patient is in `state`; returns why, if that is said.
async fn until(line: &mut Line, wanted: ComponentState) -> Option<String> {
    loop {
        if let FromReplica::Component { state, reason, .. } = line.hear().await
            && state == wanted
        {
            return reason;
        }
    }
}

/// A clinic whose patient is well.
async fn open(control: &Control, chart: &Arc<Chart>) -> (Running, Line) {
    let running = join(control, chart);
    let mut line = control.welcomed(&["Patient"], Directory::default()).await;
    assert_eq!(until(&mut line, ComponentState::Ready).await, None);
    (soon(running).await.unwrap().unwrap(), line)
}

#[tokio::test(start_paused = true)]
async fn a_component_is_ready_once_it_agrees_and_says_why_it_does_not() {
    let (control, chart) = (Control::new(), Chart::of(Feeling::Ill));
    let running = join(&control, &chart);
    let mut line = control.welcomed(&["Patient"], Directory::default()).await;
    // First without a reason: it starts.
    assert_eq!(until(&mut line, ComponentState::Starting).await, None);
    let why = until(&mut line, ComponentState::Starting).await.unwrap();
    assert_eq!(why, "the fever is high");
    assert!(!running.is_finished());
    chart.feels(Feeling::Well);
    until(&mut line, ComponentState::Ready).await;
    assert!(soon(running).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_hangs_or_panics_is_unhealthy_until_it_agrees_again() {
    for (feeling, says) in [
        (Feeling::Ill, "the fever is high"),
        (Feeling::Dazed, "no answer within 2s"),
        (Feeling::Panicking, "its `healthy` panicked: where am I"),
    ] {
        let (control, chart) = (Control::new(), Chart::of(Feeling::Well));
        let (_running, mut line) = open(&control, &chart).await;
        let asked = chart.asked.load(SeqCst);
        chart.feels(feeling);
        let why = until(&mut line, ComponentState::Unhealthy).await.unwrap();
        assert_eq!(why, says);
        assert!(chart.asked.load(SeqCst) > asked + 1, "once may be bad luck");
        chart.feels(Feeling::Well);
        assert_eq!(until(&mut line, ComponentState::Ready).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_control_plane_is_told_who_is_unhealthy_and_why() {
    let (control, chart) = (Control::new(), Chart::of(Feeling::Well));
    let (_running, mut line) = open(&control, &chart).await;
    chart.feels(Feeling::Ill);
    until(&mut line, ComponentState::Unhealthy).await;
    drop(line);
    let (mut line, hello) = control.called().await;
    assert_eq!(
        hello.components[&name("Patient")],
        ComponentState::Unhealthy
    );
    let why = until(&mut line, ComponentState::Unhealthy).await.unwrap();
    assert_eq!(why, "the fever is high");
}

#[tokio::test(start_paused = true)]
async fn a_component_that_drains_is_not_asked_any_more() {
    let (control, chart) = (Control::new(), Chart::of(Feeling::Dazed));
    let running = join(&control, &chart);
    let mut line = control.welcomed(&["Patient"], Directory::default()).await;
    until(&mut line, ComponentState::Starting).await;
    line.say(&ToReplica::Drain {
        component: name("Patient"),
        grace_ms: 1000,
        others_stay: false,
    })
    .await;
    assert_eq!(until(&mut line, ComponentState::Stopped).await, None);
    assert_eq!(chart.looking.load(SeqCst), 0);
    drop(running);
}

#[tokio::test]
async fn a_sign_of_life_carries_what_was_counted() {
    let (control, chart) = (Control::new(), Chart::of(Feeling::Panicking));
    let running = join(&control, &chart);
    let mut line = control.welcomed(&["Patient"], Directory::default()).await;
    while until(&mut line, ComponentState::Starting).await.is_none() {}
    line.say(&ToReplica::Ping { measure: false }).await;
    let counters = loop {
        if let FromReplica::Pong { counters, .. } = line.hear().await {
            break counters;
        }
    };
    assert!(counters.panicked > 0);
    drop(running);
}
