//! Components that come into a replica that runs, and go from it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anylith_wire::control::{Additions, ComponentState, FromReplica, ToReplica};
use serde_json::json;

use crate::{
    Chef, Cook as _, Kettle as _, Notes, Oven, Waiter,
    control::{Control, Line, allowed, directory, name, soon},
    cook_alone, drain, join, waiter, whole,
};

const LONG: Duration = Duration::from_secs(15);

fn start(components: &[&str]) -> Additions {
    Additions {
        components: components.iter().map(|it| name(it)).collect(),
        config: BTreeMap::new(),
        listeners: BTreeMap::new(),
        edges: Vec::new(),
        callers: None,
        identity: None,
        held: Vec::new(),
    }
}

fn order(additions: Additions) -> ToReplica {
    ToReplica::Start(Box::new(additions))
}

/// Listens until the replica says why `component` cannot start.
async fn not_started(line: &mut Line, component: &str) -> String {
    loop {
        if let FromReplica::NotStarted {
            component: of,
            message,
        } = line.hear().await
            && of == component
        {
            return message;
        }
    }
}

#[tokio::test]
async fn a_component_that_comes_is_called_here_and_one_that_goes_is_called_elsewhere() {
    let there = Control::new();
    let _kettle = whole(&there, &Arc::default()).await;
    let (control, notes) = (Control::new(), Arc::default());
    let (running, mut line) = cook_alone(&control, &notes, &there.endpoint()).await;
    let cook = running.component::<Chef>().unwrap();
    // It goes and comes again.
    for _ in 0..3 {
        assert_eq!(format!("{:?}", cook.kettle), "KettleClient(remote)");
        assert_eq!(soon(cook.kettle.boiled()).await, Ok(100));
        line.say(&order(start(&["Kettle"]))).await;
        line.until("Kettle", ComponentState::Ready).await;
        soon(async {
            while format!("{:?}", cook.kettle) != "KettleClient(local)" {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(soon(cook.kettle.boiled()).await, Ok(100));
        line.say(&drain("Kettle", LONG)).await;
        line.until("Kettle", ComponentState::Stopped).await;
    }
}

#[tokio::test]
async fn a_component_that_comes_is_found_over_connections_that_were_there_before() {
    let (control, notes) = (Control::new(), Arc::default());
    let _running = join(&control, &notes);
    let mut line = control.welcomed(&["Kettle"], directory(1, &[])).await;
    line.until("Kettle", ComponentState::Ready).await;
    // It knows of a cook there, and there is none yet.
    let (caller, _line) = waiter(&Control::new(), &control.endpoint()).await;
    let waiter = caller.component::<Waiter>().unwrap();
    let mut tea = std::pin::pin!(waiter.cook.tea());
    let news = order(start(&["Cook"]));
    tokio::select! {
        early = &mut tea => panic!("{early:?}"),
        () = line.say(&news) => {}
    }
    assert_eq!(soon(tea).await, Ok(100));
    assert_eq!(soon(waiter.cook.tea()).await, Ok(100));
}

#[tokio::test]
async fn a_component_that_comes_may_call_what_its_neighbours_may_not() {
    let (there, notes) = (Control::new(), Arc::default());
    let _kitchen = join(&there, &notes);
    let callers = Some(&[("Kettle", "Cook"), ("Cook", "Waiter")][..]);
    let mut line = there
        .welcomed_as(&["Kettle", "Cook"], directory(1, &[]), callers)
        .await;
    line.until("Cook", ComponentState::Ready).await;
    let (control, notes) = (Control::new(), Arc::default());
    let running = join(&control, &notes);
    let places = [("Cook", &there.endpoint()), ("Kettle", &there.endpoint())];
    let mut line = control
        .welcomed_as(&["Waiter"], directory(1, &places), Some(&[]))
        .await;
    line.until("Waiter", ComponentState::Ready).await;
    let running = soon(running).await.unwrap().unwrap();
    let waiter = running.component::<Waiter>().unwrap();
    // Over a connection on which nobody may call the kettle.
    assert_eq!(soon(waiter.cook.tea()).await, Ok(100));
    let mut cook = start(&["Cook"]);
    cook.callers = Some(allowed(&[("Cook", "Waiter")]));
    line.say(&order(cook)).await;
    line.until("Cook", ComponentState::Ready).await;
    let cook = running.component::<Chef>().unwrap();
    assert_eq!(format!("{:?}", cook.kettle), "KettleClient(remote)");
    assert_eq!(soon(cook.kettle.boiled()).await, Ok(100));
}

#[tokio::test]
async fn a_component_that_cannot_come_says_why_and_its_neighbours_serve_on() {
    let (control, notes) = (Control::new(), Arc::default());
    let (running, mut line) = whole(&control, &notes).await;
    line.say(&order(start(&["Oven"]))).await;
    let why = not_started(&mut line, "Oven").await;
    assert!(why.contains("degrees"), "{why}");
    line.say(&order(start(&["Dishwasher"]))).await;
    let why = not_started(&mut line, "Dishwasher").await;
    assert!(why.contains("no such component"), "{why}");
    let cook = running.component::<Chef>().unwrap();
    assert_eq!(soon(cook.kettle.boiled()).await, Ok(100));
    // What was wrong can be mended.
    let mut oven = start(&["Oven"]);
    oven.config = [(name("Oven"), json!({ "degrees": 180 }))].into();
    line.say(&order(oven)).await;
    line.until("Oven", ComponentState::Ready).await;
    assert_eq!(running.component::<Oven>().unwrap().degrees(), 180);
}

#[tokio::test]
async fn a_call_under_way_notices_nothing_of_what_comes_beside_its_callee() {
    let (control, notes) = (Control::new(), Notes::holding());
    let (_running, mut line) = whole(&control, &notes).await;
    let (caller, _line) = waiter(&Control::new(), &control.endpoint()).await;
    let waiter = caller.component::<Waiter>().unwrap();
    let mut tea = std::pin::pin!(waiter.cook.tea());
    tokio::select! {
        early = &mut tea => panic!("{early:?}"),
        () = notes.until(|it| &it.begun, 1) => {}
    }
    let mut oven = start(&["Oven"]);
    oven.config = [(name("Oven"), json!({ "degrees": 180 }))].into();
    line.say(&order(oven)).await;
    line.until("Oven", ComponentState::Ready).await;
    notes.allow();
    assert_eq!(soon(tea).await, Ok(100));
}
