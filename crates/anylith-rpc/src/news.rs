//! What is written to the log once in a while, however often it happens.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::reminder::Reminder;

/// Of how many things it is kept when they were last written. Further ones are not written.
const REMEMBERED: usize = 256;

/// A [`Reminder`] for each thing that may happen, where nobody knows beforehand what that is.
#[derive(Debug)]
pub(crate) struct News<K> {
    told: Mutex<HashMap<K, Reminder>>,
}

impl<K> Default for News<K> {
    fn default() -> Self {
        Self {
            told: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash> News<K> {
    /// Notes that `what` happened. If it is to be written to the log, returns how often it has happened and was not written
    /// since it last was.
    pub(crate) fn tell<Q>(&self, what: &Q, now: Instant) -> Option<u64>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(what) {
            if all.len() >= REMEMBERED {
                all.retain(|_, told| !told.is_due(now));
            }
            if all.len() >= REMEMBERED {
                return None;
            }
            all.insert(what.to_owned(), Reminder::new(now));
        }
        all[what].happened(now).map(|happened| happened - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_same_is_told_once_a_minute_with_how_often_it_happened() {
        let (news, now) = (News::<String>::default(), Instant::now());
        assert_eq!(news.tell("garbage", now), Some(0));
        for _ in 0..7 {
            assert_eq!(news.tell("garbage", now + MINUTE / 2), None);
        }
        assert_eq!(news.tell("silence", now), Some(0));
        assert_eq!(news.tell("garbage", now + MINUTE), Some(7));
        assert_eq!(news.tell("garbage", now + MINUTE * 2), Some(0));
    }

    #[test]
    fn however_many_there_are_few_are_kept() {
        let (news, now) = (News::default(), Instant::now());
        let told = |at: Instant| (0..10_000).filter(|it| news.tell(it, at).is_some()).count();
        assert_eq!(told(now), REMEMBERED);
        assert_eq!(news.tell(&10_000, now + MINUTE), Some(0));
    }
}
