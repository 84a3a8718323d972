//! A component of which there is one at a time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use anylith::CallError;
use anylith_test::Cluster;
use serde::{Deserialize, Serialize};

use crate::journal::{Journal as _, JournalClient, NoJournal, Recorder};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum TillError {
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Counts coins, in its memory.
#[anylith::component]
pub trait Till {
    async fn put(&self, coin: u32) -> Result<u32, TillError>;
}

/// Puts coins into the till of all.
#[anylith::component]
pub trait Clerk {
    #[idempotent]
    async fn look(&self) -> Result<u32, TillError>;
    async fn sell(&self, price: u32) -> Result<u32, TillError>;
}

#[derive(Default, Serialize, Deserialize)]
pub struct Coins {
    of_worth: BTreeMap<u32, u32>,
}

impl Coins {
    fn worth(&self) -> u32 {
        self.of_worth
            .iter()
            .map(|(worth, count)| worth * count)
            .sum()
    }
}

#[derive(anylith::Component)]
#[component(interface = Till, singleton, start, hand_over, stop)]
pub struct Drawer {
    journal: JournalClient,
    #[init]
    coins: Mutex<Coins>,
}

impl Drawer {
    async fn start(parts: DrawerParts, handed: Option<Coins>) -> Result<Self, TillError> {
        let begins = match &handed {
            Some(coins) => format!("Till starts with {}", coins.worth()),
            None => "Till starts with nothing".to_owned(),
        };
        let _ = parts.journal.note(&begins).await;
        Ok(Self {
            journal: parts.journal,
            coins: Mutex::new(handed.unwrap_or_default()),
        })
    }

    async fn hand_over(&self) -> Coins {
        std::mem::take(&mut self.coins.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn stop(&self) {
        let _ = self.journal.note("Till stops").await;
    }
}

impl Till for Drawer {
    async fn put(&self, coin: u32) -> Result<u32, TillError> {
        let mut coins = self.coins.lock().unwrap_or_else(PoisonError::into_inner);
        *coins.of_worth.entry(coin).or_default() += 1;
        Ok(coins.worth())
    }
}

#[derive(anylith::Component)]
#[component(interface = Clerk)]
pub struct Cashier {
    till: TillClient,
}

impl Clerk for Cashier {
    async fn look(&self) -> Result<u32, TillError> {
        self.till.put(0).await
    }

    async fn sell(&self, price: u32) -> Result<u32, TillError> {
        self.till.put(price).await
    }
}

anylith::app! {
    pub Stall = "stall" { Drawer, Cashier, NoJournal }
}

#[anylith::test(Stall, fakes(JournalClient = Recorder::default()))]
async fn it_starts_once_and_answers_everybody(stall: &Cluster<Stall>) {
    assert_eq!(stall.client::<ClerkClient>().sell(5).await, Ok(5));
    assert_eq!(stall.client::<TillClient>().put(2).await, Ok(7));
    assert_eq!(stall.client::<ClerkClient>().look().await, Ok(7));
    let notes = stall.fake::<Recorder>().entries();
    assert_eq!(notes, ["Till starts with nothing"]);
}

#[anylith::test(Stall, fakes(JournalClient = Recorder::default()))]
async fn one_that_was_killed_is_followed_by_one_without_its_state(stall: &Cluster<Stall>) {
    assert_eq!(stall.client::<ClerkClient>().sell(5).await, Ok(5));
    if !stall.topology().has_processes() {
        // Nothing can be killed, and what it has stays.
        assert_eq!(stall.client::<ClerkClient>().sell(1).await, Ok(6));
        return;
    }
    stall.kill("Till-1").await;
    // The call waits for the next one.
    assert_eq!(stall.client::<ClerkClient>().look().await, Ok(0));
    let notes = stall.fake::<Recorder>().entries();
    assert_eq!(
        notes,
        ["Till starts with nothing", "Till starts with nothing"]
    );
}

#[anylith::test(Stall, fakes(JournalClient = Recorder::default()))]
async fn one_that_is_started_anew_hands_its_state_over(stall: &Cluster<Stall>) {
    let clerk = stall.client::<ClerkClient>();
    assert_eq!(clerk.sell(5).await, Ok(5));
    assert_eq!(clerk.sell(2).await, Ok(7));
    if !stall.topology().has_processes() {
        // There is nobody to start it anew.
        stall.stop().await;
        let notes = stall.fake::<Recorder>().entries();
        assert_eq!(notes, ["Till starts with nothing", "Till stops"]);
        return;
    }
    let (renewed, worth) = tokio::join!(stall.renew("Till"), async {
        let mut worth = 7;
        // Not one of them may be sent again: each is executed once, before or after.
        for _ in 0..200 {
            worth += 1;
            assert_eq!(clerk.sell(1).await, Ok(worth));
        }
        worth
    });
    renewed.unwrap();
    assert_eq!(clerk.sell(1).await, Ok(worth + 1));
    let notes = stall.fake::<Recorder>().entries();
    let starts = notes.iter().filter(|note| note.contains("starts"));
    // To the one that stands in for it, and back; and never is one there before the other has stopped.
    assert_eq!(starts.count(), 3, "{notes:?}");
    for pair in notes.chunks(2) {
        assert!(pair[0].starts_with("Till starts"), "{notes:?}");
        assert!(
            pair.get(1).is_none_or(|note| note == "Till stops"),
            "{notes:?}"
        );
    }
    assert!(
        !notes[1..].contains(&"Till starts with nothing".to_owned()),
        "{notes:?}"
    );
}
