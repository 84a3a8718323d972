//! The connections of a server, before and after their greeting, and the room there is for them.

use std::{collections::BTreeMap, sync::Arc};

use tokio::task::JoinHandle;

use crate::serving::Serving;

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// One comes from each calling replica, so only a mistake or malice makes more. A further one is closed, and its
    /// owner connects again after a pause.
    pub(crate) greeted: usize,
    /// Those that have not greeted yet. An honest peer does within moments, so a further one takes the place of the one
    /// that is at it for the longest time: peers that stall cannot keep others out.
    pub(crate) ungreeted: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            greeted: 4096,
            ungreeted: 256,
        }
    }
}

/// The number of a connection; they are given out in the order of arrival.
pub(super) type Key = u64;

/// The connections of a server.
pub(super) struct Guests {
    room: Room,
    next: Key,
    ungreeted: BTreeMap<Key, JoinHandle<()>>,
    greeted: BTreeMap<Key, (Arc<Serving>, JoinHandle<()>)>,
    /// One was turned away since there was room last: that is said once.
    full: bool,
}

impl Guests {
    pub(super) fn new(room: Room) -> Self {
        Self {
            room,
            next: 0,
            ungreeted: BTreeMap::new(),
            greeted: BTreeMap::new(),
            full: false,
        }
    }

    /// Takes a connection in, whose task `begin` starts. Returns whether another had to go for it.
    pub(super) fn arrive(&mut self, begin: impl FnOnce(Key) -> JoinHandle<()>) -> bool {
        let replaced = if self.ungreeted.len() >= self.room.ungreeted {
            self.ungreeted.pop_first()
        } else {
            None
        };
        if let Some((_, task)) = &replaced {
            task.abort();
        }
        let key = self.next;
        self.next += 1;
        self.ungreeted.insert(key, begin(key));
        replaced.is_some()
    }

    /// Notes that a connection has greeted. Returns false, and forgets it, if there is no room for it.
    pub(super) fn greet(&mut self, key: Key, serving: Arc<Serving>) -> bool {
        let full = self.greeted.len() >= self.room.greeted;
        if full && !self.full {
            tracing::warn!(
                connections = self.room.greeted,
                "no room for further connections: they are closed"
            );
        }
        self.full = full;
        // It is gone where its place was taken in this very moment.
        match self.ungreeted.remove(&key) {
            Some(task) if !full => {
                self.greeted.insert(key, (serving, task));
                true
            }
            _ => false,
        }
    }

    /// Forgets a connection that has ended.
    pub(super) fn leave(&mut self, key: Key) {
        self.ungreeted.remove(&key);
        self.greeted.remove(&key);
    }

    /// Those that have greeted.
    pub(super) fn greeted(&self) -> impl Iterator<Item = &Arc<Serving>> {
        self.greeted.values().map(|(serving, _)| serving)
    }

    /// Forgets all, ending those that have not greeted. Returns the tasks of the others.
    pub(super) fn leave_all(&mut self) -> Vec<JoinHandle<()>> {
        for task in std::mem::take(&mut self.ungreeted).into_values() {
            task.abort();
        }
        let greeted = std::mem::take(&mut self.greeted);
        greeted.into_values().map(|(_, task)| task).collect()
    }
}
