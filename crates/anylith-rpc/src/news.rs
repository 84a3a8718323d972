//! What is written to the log once in a while, however often it happens.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::reminder::AGAIN;

/// Of how many things it is kept when they were last written. Further ones are not written.
const REMEMBERED: usize = 256;

/// When what was last written to the log.
#[derive(Debug)]
pub(crate) struct News<K> {
    told: Mutex<HashMap<K, Told>>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// How often it happened since.
    more: u64,
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
    pub(crate) fn tell(&self, what: K, now: Instant) -> Option<u64> {
        let is_old = |told: &Told| now.saturating_duration_since(told.at) >= AGAIN;
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&what) {
            Some(told) if is_old(told) => {
                told.at = now;
                Some(std::mem::take(&mut told.more))
            }
            Some(told) => {
                told.more += 1;
                None
            }
            None => {
                if all.len() >= REMEMBERED {
                    all.retain(|_, told| !is_old(told));
                }
                if all.len() >= REMEMBERED {
                    return None;
                }
                all.insert(what, Told { at: now, more: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_a_minute_with_how_often_it_happened() {
        let (news, now) = (News::default(), Instant::now());
        assert_eq!(news.tell("garbage", now), Some(0));
        for _ in 0..7 {
            assert_eq!(news.tell("garbage", now + AGAIN / 2), None);
        }
        assert_eq!(news.tell("silence", now), Some(0));
        assert_eq!(news.tell("garbage", now + AGAIN), Some(7));
        assert_eq!(news.tell("garbage", now + AGAIN * 2), Some(0));
    }

    #[test]
    fn however_many_there_are_few_are_kept() {
        let (news, now) = (News::default(), Instant::now());
        let told = |at: Instant| {
            (0..10_000)
                .filter(|it| news.tell(*it, at).is_some())
                .count()
        };
        assert_eq!(told(now), REMEMBERED);
        assert_eq!(news.tell(10_000, now + AGAIN), Some(0));
    }
}
