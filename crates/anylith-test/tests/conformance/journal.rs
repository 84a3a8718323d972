//! Where the components of a test say what happens to them. The test reads along.

use std::time::Duration;

use anylith::CallError;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Why a note was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Takes notes, and holds up those who ask.
#[anylith::component]
pub trait Journal {
    /// Adds an entry.
    #[idempotent]
    async fn note(&self, entry: &str) -> Result<(), JournalError>;
    /// Comes back when the test says so.
    #[idempotent]
    async fn wait_for_go(&self) -> Result<(), JournalError>;
}

/// The journal of the application, whose place the test's [`Recorder`] takes.
#[derive(anylith::Component)]
#[component(interface = Journal)]
pub struct NoJournal {}

impl Journal for NoJournal {
    async fn note(&self, _: &str) -> Result<(), JournalError> {
        Ok(())
    }

    async fn wait_for_go(&self) -> Result<(), JournalError> {
        Ok(())
    }
}

/// The journal that the test holds in its hand.
#[derive(Default)]
pub struct Recorder {
    entries: watch::Sender<Vec<String>>,
    go: watch::Sender<bool>,
}

impl Recorder {
    /// What was noted so far.
    pub fn entries(&self) -> Vec<String> {
        self.entries.borrow().clone()
    }

    /// How often `entry` was noted.
    pub fn count(&self, entry: &str) -> usize {
        let entries = self.entries.borrow();
        entries.iter().filter(|it| *it == entry).count()
    }

    /// Waits until `entry` was noted.
    pub async fn until(&self, entry: &str) {
        self.until_count(entry, 1).await;
    }

    /// Waits until `entry` was noted `times` times.
    pub async fn until_count(&self, entry: &str, times: usize) {
        let mut entries = self.entries.subscribe();
        let there = entries.wait_for(|all| all.iter().filter(|it| *it == entry).count() >= times);
        let waited = tokio::time::timeout(Duration::from_secs(20), there).await;
        assert!(
            waited.is_ok(),
            "`{entry}` was not noted {times} times; there is {:?}",
            self.entries()
        );
    }

    /// Lets go whoever waits, and whoever will.
    pub fn go(&self) {
        self.go.send_replace(true);
    }
}

impl Journal for Recorder {
    async fn note(&self, entry: &str) -> Result<(), JournalError> {
        self.entries
            .send_modify(|entries| entries.push(entry.to_owned()));
        Ok(())
    }

    async fn wait_for_go(&self) -> Result<(), JournalError> {
        let _ = self.go.subscribe().wait_for(|go| *go).await;
        Ok(())
    }
}

/// Notes an entry when it is dropped: the end of a future, however it came.
pub struct Leaving {
    journal: JournalClient,
    entry: Option<String>,
}

impl Leaving {
    pub fn new(journal: &JournalClient, entry: impl Into<String>) -> Self {
        Self {
            journal: journal.clone(),
            entry: Some(entry.into()),
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let (journal, entry) = (self.journal.clone(), self.entry.take());
        tokio::spawn(async move { journal.note(&entry.unwrap_or_default()).await });
    }
}
