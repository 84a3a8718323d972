//! Calls within a process, while other replicas of the callee alone are there for a burst.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::SeqCst},
};

use anylith::Running;
use anylith_core::{Address, Directory};
use anylith_wire::control::{ComponentState, FromReplica, Load, ToReplica};
use tokio::task::JoinHandle;

use crate::{
    Cook as _, KitchenError, Notes, Waiter,
    control::{Control, Line, name, soon},
    join, whole,
};

/// A kitchen in one process, and a cook elsewhere. Both wait until they are allowed.
struct Kitchens {
    home: Control,
    there: Control,
    running: Running,
    line: Line,
    here: Arc<Notes>,
    elsewhere: Arc<Notes>,
    epoch: u64,
    _cook: (Running, Line),
}

impl Kitchens {
    /// Without a burst, which may come.
    async fn new() -> Self {
        let (home, there) = (Control::new(), Control::new());
        let (here, elsewhere) = (Notes::holding(), Notes::holding());
        let cook = whole(&there, &elsewhere).await;
        let running = join(&home, &here);
        let mut line = home
            .welcomed(
                &["Kettle", "Cook", "Waiter"],
                directory(1, &home, &there, false),
            )
            .await;
        line.until("Waiter", ComponentState::Ready).await;
        Self {
            running: soon(running).await.unwrap().unwrap(),
            home,
            there,
            line,
            here,
            elsewhere,
            epoch: 1,
            _cook: cook,
        }
    }

    /// Tells the home whether there is a burst; returns once it has heard it.
    async fn tell(&mut self, burst: bool) {
        self.epoch += 1;
        let directory = directory(self.epoch, &self.home, &self.there, burst);
        self.line.say(&ToReplica::Directory(directory)).await;
        self.borne().await;
    }

    /// What the home bears of its cook alone.
    async fn borne(&mut self) -> Load {
        self.line.say(&ToReplica::Ping { measure: true }).await;
        loop {
            if let FromReplica::Pong { each, .. } = self.line.hear().await {
                assert_eq!(each.len(), 1, "{each:?}");
                return each[&name("Cook")];
            }
        }
    }

    fn tea(&self) -> JoinHandle<Result<u32, KitchenError>> {
        let waiter = self.running.component::<Waiter>().unwrap();
        tokio::spawn(async move { waiter.cook.tea().await })
    }

    /// Begins a call, and waits until somebody has it.
    async fn ordered(&self) -> JoinHandle<Result<u32, KitchenError>> {
        let begun = self.begun();
        let call = self.tea();
        soon(async {
            while self.begun() == begun {
                tokio::task::yield_now().await;
            }
        })
        .await;
        call
    }

    /// The calls that the home has had, and those that the other one has.
    fn begun(&self) -> (usize, usize) {
        let begun = |notes: &Notes| notes.begun.load(SeqCst);
        (begun(&self.here), begun(&self.elsewhere))
    }

    fn allow_all(&self) {
        for notes in [&self.here, &self.elsewhere] {
            (0..100).for_each(|_| notes.allow());
        }
    }

    /// Lets a call be given away, and ends all calls.
    async fn connected(&self) {
        let mut calls = Vec::new();
        while self.begun().1 == 0 {
            calls.push(self.ordered().await);
        }
        let had = self.begun();
        for _ in 0..had.0 {
            self.here.allow();
        }
        self.elsewhere.allow();
        for call in calls {
            assert_eq!(soon(call).await.unwrap().unwrap(), 100);
        }
    }
}

/// Of the cook at home, and, in a burst, of the other one as well.
fn directory(epoch: u64, home: &Control, there: &Control, burst: bool) -> Directory {
    let address = |replica: &str, control: &Control| Address {
        replica: name(replica),
        endpoint: control.endpoint(),
    };
    let mut cooks = vec![address("kitchen-1", home)];
    let mut alone = BTreeSet::new();
    if burst {
        cooks.push(address("kitchen-9", there));
        alone.insert(name("kitchen-9"));
    }
    Directory {
        bursts: BTreeMap::from([(name("Cook"), alone)]),
        ..Directory::new(epoch, [(name("Cook"), cooks)])
    }
}

#[tokio::test]
async fn calls_are_given_to_who_has_fewer_and_stay_where_it_is_equal() {
    let mut kitchens = Kitchens::new().await;
    kitchens.tell(true).await;
    kitchens.connected().await;
    let (home, away) = kitchens.begun();
    let mut calls = Vec::new();
    for step in 1..=10 {
        calls.push(kitchens.ordered().await);
        let (here, there) = kitchens.begun();
        // The first stays, the second goes, and so on.
        assert_eq!((here - home, there - away), (step - step / 2, step / 2));
    }
    kitchens.allow_all();
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap(), 100);
    }
    // Where nobody else is inside, a call stays.
    let (home, away) = kitchens.begun();
    for _ in 0..5 {
        assert_eq!(soon(kitchens.tea()).await.unwrap().unwrap(), 100);
    }
    assert_eq!(kitchens.begun(), (home + 5, away));
}

#[tokio::test]
async fn without_a_burst_and_after_one_all_calls_stay_and_are_counted() {
    let mut kitchens = Kitchens::new().await;
    let calls = [kitchens.ordered().await, kitchens.ordered().await];
    assert_eq!(kitchens.begun(), (2, 0));
    kitchens.borne().await;
    let borne = kitchens.borne().await;
    assert_eq!((borne.calls, borne.concurrency_millis), (2, 2000));
    kitchens.here.allow();
    kitchens.here.allow();
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap(), 100);
    }
    kitchens.tell(true).await;
    kitchens.connected().await;
    kitchens.tell(false).await;
    let (home, away) = kitchens.begun();
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(kitchens.ordered().await);
    }
    assert_eq!(kitchens.begun(), (home + 5, away));
    kitchens.allow_all();
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap(), 100);
    }
}

#[tokio::test]
async fn a_call_that_was_given_away_is_cancelled_there() {
    let mut kitchens = Kitchens::new().await;
    kitchens.tell(true).await;
    kitchens.connected().await;
    let _stays = kitchens.ordered().await;
    let (dropped, away) = (kitchens.elsewhere.dropped.load(SeqCst), kitchens.begun().1);
    let goes = kitchens.ordered().await;
    assert_eq!(kitchens.begun().1, away + 1);
    goes.abort();
    kitchens
        .elsewhere
        .until(|it| &it.dropped, dropped + 1)
        .await;
}
