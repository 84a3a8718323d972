//! How often the replicas of each build die, however long they have been well in between.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anylith_core::Name;
use anylith_wire::control::Outcomes;

use super::{Setback, judgement::interval};
use crate::{
    defect::{Defect, planted},
    replica::{CRASH_LOOP, Replica},
};

/// What each build has lost since an upgrade began.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    /// Replica → how often it had been started again because it had failed, when somebody looked last.
    seen: BTreeMap<Name, u64>,
    /// Group and build → what has become of its replicas.
    tolls: BTreeMap<(Name, u32), Toll>,
    looked_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Toll {
    deaths: u64,
    /// For how long its replicas have been there, all together.
    lived: Duration,
    /// Which of them died last, and of what.
    last: Option<(Name, String)>,
}

impl Deaths {
    /// Notes who has died since this was asked last.
    pub(super) fn note<'r>(&mut self, replicas: impl Iterator<Item = &'r Replica>, now: Instant) {
        let before = self.looked_at.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(before);
        for replica in replicas {
            let toll = self.tolls.entry((replica.group.clone(), replica.build));
            let toll = toll.or_default();
            toll.lived += passed;
            let seen = self.seen.entry(replica.name.clone());
            let seen = seen.or_insert(replica.restarts);
            let died = replica.restarts.saturating_sub(*seen);
            *seen = replica.restarts;
            if died > 0 {
                toll.deaths += died;
                let of = replica.last_failure.as_ref().map(ToString::to_string);
                toll.last = Some((replica.name.clone(), of.unwrap_or_default()));
            }
        }
    }

    /// Why the build `new` is not to stay, if replicas of a group die of it, and notably more often than those of `old` do.
    pub(super) fn setback(&self, new: u32, old: u32) -> Option<Setback> {
        let own = self.tolls.iter().filter(|((_, build), _)| *build == new);
        own.into_iter().find_map(|((group, _), toll)| {
            let none = Toll::default();
            let before = self.tolls.get(&(group.clone(), old)).unwrap_or(&none);
            let (replica, of) = toll.last.as_ref()?;
            if !dies_more(toll, before) || planted(Defect::EachAlone) {
                return None;
            }
            let (died, had_died) = (times(toll.deaths), times(before.deaths));
            Some(Setback {
                why: format!(
                    "{replica} does not run with the new build: {of}; in {group} it has failed {died}, and the old build {had_died} meanwhile"
                ),
                replica: Some(replica.clone()),
            })
        })
    }
}

fn times(count: u64) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        many => format!("{many} times"),
    }
}

/// Whether replicas of the `new` build die notably more often than those of the `old` one. Where none of those does, a few
/// deaths are enough; else the new build must have more than its share of them, which is that of the time for which its
/// replicas were there.
fn dies_more(new: &Toll, old: &Toll) -> bool {
    if new.deaths < u64::from(CRASH_LOOP) {
        return false;
    }
    if old.deaths == 0 {
        return true;
    }
    let all = new.lived + old.lived;
    let share = match all.is_zero() {
        true => 0.5,
        false => new.lived.as_secs_f64() / all.as_secs_f64(),
    };
    let deaths = Outcomes {
        answered: new.deaths + old.deaths,
        failed: new.deaths,
    };
    interval(deaths).0 > share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toll(deaths: u64, lived: u64) -> Toll {
        Toll {
            deaths,
            lived: Duration::from_secs(lived),
            last: None,
        }
    }

    #[test]
    fn a_few_deaths_are_enough_where_the_old_build_has_none() {
        assert!(dies_more(&toll(3, 36), &toll(0, 36)));
        assert!(dies_more(&toll(3, 864_000), &toll(0, 864_000)));
        assert!(!dies_more(&toll(2, 20), &toll(0, 20)));
    }

    #[test]
    fn a_build_that_dies_as_often_as_the_old_one_stays() {
        for minutes in 1..100 {
            let (toll, other) = (
                toll(5 * minutes, 60 * minutes),
                toll(5 * minutes, 60 * minutes),
            );
            assert!(!dies_more(&toll, &other), "{minutes}");
        }
        assert!(!dies_more(&toll(3, 36), &toll(2, 36)), "that is chance");
        assert!(dies_more(&toll(15, 180), &toll(1, 180)));
        // It has been there for a small part of the time only.
        assert!(dies_more(&toll(4, 48), &toll(2, 3600)));
    }

    #[test]
    fn what_has_happened_before_is_nobodys_fault() {
        assert!(!dies_more(&toll(3, 0), &toll(3, 0)));
    }
}
