//! Calls of what does not run until it is called, and what a replica says of what it bears.

use std::{collections::BTreeMap, sync::Arc};

use anylith::Running;
use anylith_core::{Directory, Name, Whereabouts};
use anylith_wire::control::{ComponentState, FromReplica, Load, ToReplica};
use tokio::task::JoinHandle;

use crate::{Cook as _, cook_alone};
use crate::{
    Kitchen, KitchenError, Notes, Waiter,
    control::{Control, Line, directory, name, soon},
    watch, whole,
};

/// A directory in which nothing runs of Cook.
fn asleep(epoch: u64) -> Directory {
    Directory {
        epoch,
        components: [(name("Cook"), Whereabouts::Sleeps)].into(),
        ..Directory::default()
    }
}

/// A replica of Waiter alone, which is ready although its cook sleeps.
async fn waiter(control: &Control) -> (Running, Line) {
    let builder = Kitchen::builder();
    let running = tokio::spawn(builder.join(control.socket(), name("kitchen-1")));
    let mut line = control.welcomed(&["Waiter"], asleep(1)).await;
    line.until("Waiter", ComponentState::Ready).await;
    (soon(running).await.unwrap().unwrap(), line)
}

fn tea(running: &Running) -> JoinHandle<Result<u32, KitchenError>> {
    let waiter = running.component::<Waiter>().unwrap();
    tokio::spawn(async move { waiter.cook.tea().await })
}

/// What the replica says before it answers a question that is put to it now.
async fn says(line: &mut Line) -> Vec<FromReplica> {
    line.say(&ToReplica::Ping { measure: false }).await;
    let mut said = Vec::new();
    loop {
        match line.word().await {
            FromReplica::Pong { .. } => return said,
            other => said.push(other),
        }
    }
}

fn wanted() -> FromReplica {
    FromReplica::Wanted {
        component: name("Cook"),
    }
}

#[tokio::test]
async fn calls_of_what_sleeps_ask_for_it_once_and_are_answered_when_it_runs() {
    let control = Control::new();
    let (running, mut line) = waiter(&control).await;
    assert_eq!(says(&mut line).await, [], "nobody calls it yet");
    let calls = [tea(&running), tea(&running)];
    assert_eq!(line.word().await, wanted());
    // It stays as it is, so nothing is said of it again.
    line.say(&ToReplica::Directory(asleep(2))).await;
    let calls = calls.into_iter().chain([tea(&running)]);
    let calls: Vec<_> = calls.collect();
    assert_eq!(says(&mut line).await, []);
    let there = Control::new();
    let _cook = whole(&there, &Arc::default()).await;
    let awake = directory(3, &[("Cook", &there.endpoint())]);
    line.say(&ToReplica::Directory(awake)).await;
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap(), 100);
    }
    // Asleep again, it is asked for again.
    line.say(&ToReplica::Directory(asleep(4))).await;
    let call = loop {
        let mut call = tea(&running);
        // Until it has taken the directory it calls where it called before.
        tokio::select! {
            said = line.word() => {
                assert_eq!(said, wanted());
                break call;
            }
            answer = &mut call => assert_eq!(answer.unwrap().unwrap(), 100),
        }
    };
    let awake = directory(5, &[("Cook", &there.endpoint())]);
    line.say(&ToReplica::Directory(awake)).await;
    assert_eq!(soon(call).await.unwrap().unwrap(), 100);
}

#[tokio::test]
async fn the_next_control_plane_is_asked_as_well() {
    let control = Control::new();
    let (running, mut line) = waiter(&control).await;
    let call = tea(&running);
    assert_eq!(line.word().await, wanted());
    drop(line);
    let (mut line, _) = control.called().await;
    assert_eq!(line.word().await, wanted());
    let there = Control::new();
    let _cook = whole(&there, &Arc::default()).await;
    let awake = directory(2, &[("Cook", &there.endpoint())]);
    line.say(&ToReplica::Directory(awake)).await;
    assert_eq!(soon(call).await.unwrap().unwrap(), 100);
}

#[tokio::test]
async fn a_call_that_nothing_is_started_for_in_the_end_fails_as_not_executed() {
    let control = Control::new();
    let (running, mut line) = waiter(&control).await;
    let call = tea(&running);
    assert_eq!(line.word().await, wanted());
    // It failed again and again: nobody has it in mind any more.
    line.say(&ToReplica::Directory(Directory::new(2, []))).await;
    let Err(KitchenError::Call(error)) = soon(call).await.unwrap() else {
        panic!("it was answered");
    };
    assert_eq!(error.execution(), anylith::Execution::NotExecuted);
}

/// What the replica bears.
async fn load(line: &mut Line, measure: bool) -> Option<Load> {
    line.say(&ToReplica::Ping { measure }).await;
    loop {
        if let FromReplica::Pong { load, .. } = line.word().await {
            return load;
        }
    }
}

/// How many calls the replica has under way to others, on average, in thousandths.
async fn outgoing(line: &mut Line, measure: bool) -> BTreeMap<Name, u64> {
    line.say(&ToReplica::Ping { measure }).await;
    loop {
        if let FromReplica::Pong { outgoing, .. } = line.hear().await {
            return outgoing;
        }
    }
}

#[tokio::test]
async fn a_replica_says_how_many_of_its_calls_to_others_are_under_way_while_it_is_asked() {
    let (control, notes) = (Control::new(), Arc::<Notes>::default());
    let _kettle = whole(&control, &notes).await;
    let there = Control::new();
    let (caller, mut line) = cook_alone(&there, &notes, &control.endpoint()).await;
    assert_eq!(outgoing(&mut line, true).await, BTreeMap::new());
    let calls = [watch(&caller), watch(&caller)];
    notes.until(|it| &it.begun, 2).await;
    // The first answer is also of the time before.
    outgoing(&mut line, true).await;
    let expected = BTreeMap::from([(name("Kettle"), 2000)]);
    assert_eq!(outgoing(&mut line, true).await, expected);
    assert_eq!(outgoing(&mut line, false).await, BTreeMap::new());
    calls.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn a_replica_says_what_it_bears_while_it_is_asked_for_it() {
    let (control, notes) = (Control::new(), Arc::<Notes>::default());
    let (_running, mut line) = whole(&control, &notes).await;
    assert_eq!(load(&mut line, false).await, None);
    let quiet = load(&mut line, true).await.unwrap();
    assert_eq!((quiet.calls, quiet.p99_us), (0, None));
    let there = Control::new();
    let (caller, _line) = cook_alone(&there, &notes, &control.endpoint()).await;
    let cook = caller.component::<crate::Chef>().unwrap();
    for _ in 0..3 {
        assert_eq!(cook.tea().await.unwrap(), 100);
    }
    let busy = load(&mut line, true).await.unwrap();
    assert_eq!(busy.calls, 3);
    assert!(busy.p99_us.is_some());
    let call = watch(&caller);
    notes.until(|it| &it.begun, 4).await;
    // What was under way since before counts, too, until it is over.
    load(&mut line, true).await;
    let held = load(&mut line, true).await.unwrap();
    assert_eq!((held.calls, held.concurrency_millis), (1, 1000));
    call.abort();
    assert_eq!(load(&mut line, false).await, None);
}
