//! Whether a new build fails more of its calls than the old one.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use anylith_core::Name;
use anylith_wire::control::Outcomes;

use crate::{replica::Replica, spec::Spec};

/// With fewer failures than these nothing is said of a build: its callers soon leave a replica out that fails, so there may
/// not be many more.
const FEWEST_FAILURES: u64 = 5;

/// With fewer calls than these nobody is measured by a build.
const FEWEST_CALLS: u64 = 20;

/// By how much more of its calls a build has to fail than the other one, as a part of 1.
const MARGIN: f64 = 0.01;

/// What a build may fail of its calls where the other one has too few to compare with, as a part of 1.
const WITHOUT_MEASURE: f64 = 0.5;

/// How sure it has to be of either share, in standard deviations: chance alone is as far away once in 370 times, and never
/// yet was for both at once.
const DEVIATIONS: f64 = 3.0;

/// Besides all calls since an upgrade began those of this time are looked at: what fails from now on would be little among
/// the calls of a long canary.
const RECENT: Duration = Duration::from_secs(60);

/// How often it is noted how many there were: so much older than [`RECENT`] may be what is taken for recent.
const NOTE_EVERY: Duration = Duration::from_secs(5);

/// How the calls of each build have ended since an upgrade began, those of processes that are over among them.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Process → what it has said; `None` before it was first looked at.
    heard: Option<BTreeMap<u32, Heard>>,
    /// How those of each group and build had ended by then, from when the recent ones begin.
    noted: VecDeque<(Instant, Sums)>,
}

/// Group and build → how calls have ended.
type Sums = BTreeMap<(Name, u32), Outcomes>;

/// Why a build is not to stay.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// The group whose calls fail.
    group: Name,
    /// In a sentence.
    pub(crate) why: String,
}

impl Complaint {
    /// The groups that the one calls of which it is said, where the reason may be.
    pub(crate) fn called_by<'s>(&self, spec: &'s Spec) -> BTreeSet<&'s Name> {
        called_by(&self.group, spec)
    }
}

#[derive(Debug)]
struct Heard {
    group: Name,
    build: u32,
    /// What it had counted before the upgrade.
    before: Outcomes,
    now: Outcomes,
}

impl Account {
    /// Notes what replicas have said by `now`.
    pub(crate) fn note<'r>(&mut self, replicas: impl Iterator<Item = &'r Replica>, now: Instant) {
        self.remember(now);
        let is_first = self.heard.is_none();
        let heard = self.heard.get_or_insert_default();
        for replica in replicas {
            let Some((run, pid)) = replica.run().and_then(|run| Some((run, run.pid?))) else {
                continue;
            };
            let one = heard.entry(pid).or_insert_with(|| Heard {
                group: replica.group.clone(),
                build: replica.build,
                before: if is_first {
                    run.outcomes
                } else {
                    Outcomes::default()
                },
                now: run.outcomes,
            });
            // They only grow, whatever one says who has forgotten them.
            one.now.answered = one.now.answered.max(run.outcomes.answered);
            one.now.failed = one.now.failed.max(run.outcomes.failed);
        }
    }

    /// Keeps how calls have ended by `now`, before anything is said that is new then.
    fn remember(&mut self, now: Instant) {
        let passed = |since: Instant| now.saturating_duration_since(since);
        let last = self.noted.back().map(|(at, _)| passed(*at));
        if last.is_none_or(|passed| passed >= NOTE_EVERY) {
            self.noted.push_back((now, self.sums()));
        }
        while let Some((second, _)) = self.noted.get(1)
            && passed(*second) >= RECENT
        {
            self.noted.pop_front();
        }
    }

    /// How all calls have ended.
    fn sums(&self) -> Sums {
        let mut sums = Sums::new();
        for heard in self.heard.iter().flat_map(BTreeMap::values) {
            let sum = sums.entry((heard.group.clone(), heard.build));
            let sum = sum.or_default();
            let of = heard.outcomes();
            sum.answered += of.answered;
            sum.failed += of.failed;
        }
        sums
    }

    /// Why the build `new` is not to stay, if the calls of a group fail notably more often in it than in `old`. Each group is
    /// measured by itself: the failures of one would not show among the calls of all. What fails in one fails in those that
    /// call it, too, so the one to blame is the one that calls no other of them.
    pub(crate) fn complaint(&self, new: u32, old: u32, spec: &Spec) -> Option<Complaint> {
        let all = self.sums();
        let none = Sums::new();
        let then = self.noted.front().map_or(&none, |(_, then)| then);
        let of = |group: &Name, build: u32| sum(&all, group, build);
        let lately = |group: &Name, build: u32| less(of(group, build), sum(then, group, build));
        // Whether the calls of `group` fail in all, and if not whether they do lately.
        let verdict = |group: &Name| -> Option<Fails> {
            let (fails, failed) = (of(group, new), of(group, old));
            if fails_more(fails, failed) {
                return Some(Fails {
                    fails,
                    failed,
                    lately: false,
                });
            }
            let (fails, recent) = (lately(group, new), lately(group, old));
            // Where the old build has hardly any by now, it is measured by those that it had.
            let failed = if recent.answered < FEWEST_CALLS {
                failed
            } else {
                recent
            };
            let lately = true;
            fails_more(fails, failed).then_some(Fails {
                fails,
                failed,
                lately,
            })
        };
        let groups: BTreeSet<&Name> = all.keys().map(|(group, _)| group).collect();
        let failing = groups.into_iter();
        let failing = failing.filter_map(|group| Some((group, verdict(group)?)));
        let failing: BTreeMap<&Name, Fails> = failing.collect();
        let is_last = |group: &&Name| {
            let called = called_by(group, spec);
            let mut others = failing.keys().filter(|other| *other != group);
            others.all(|other| !called.contains(*other))
        };
        // Where they call each other, nobody can tell.
        let mut groups = failing.keys().copied();
        let group = groups.clone().find(is_last).or(groups.next())?;
        let Fails {
            fails,
            failed,
            lately,
        } = failing[group];
        let words = |of: Outcomes| format!("{} of {}", of.failed, of.answered);
        let (fails, failed) = (words(fails), words(failed));
        let when = match lately {
            true => format!(", within the last {RECENT:?}"),
            false => String::new(),
        };
        Some(Complaint {
            group: group.clone(),
            why: format!(
                "{group} fails {fails} calls with the new build, and failed {failed} with the old one{when}"
            ),
        })
    }
}

impl Heard {
    /// How its calls have ended since the upgrade began.
    fn outcomes(&self) -> Outcomes {
        less(self.now, self.before)
    }
}

/// That the calls of a group fail notably more often, and how often they do.
#[derive(Debug, Clone, Copy)]
struct Fails {
    fails: Outcomes,
    failed: Outcomes,
    /// Lately, and not in all.
    lately: bool,
}

/// How the calls of `group` with `build` have ended.
fn sum(sums: &Sums, group: &Name, build: u32) -> Outcomes {
    let sum = sums.get(&(group.clone(), build));
    sum.copied().unwrap_or_default()
}

/// What has come to `then`.
fn less(now: Outcomes, then: Outcomes) -> Outcomes {
    Outcomes {
        answered: now.answered.saturating_sub(then.answered),
        failed: now.failed.saturating_sub(then.failed),
    }
}

/// The groups that `group` calls, those that they call, and so on.
fn called_by<'s>(group: &Name, spec: &'s Spec) -> BTreeSet<&'s Name> {
    let mut called = BTreeSet::new();
    let mut left: Vec<_> = spec.group(group).into_iter().collect();
    while let Some(caller) = left.pop() {
        let callees = caller.components.iter();
        let callees = callees.filter_map(|component| spec.dependencies.get(component));
        let homes = callees
            .flatten()
            .filter_map(|callee| spec.group_of(callee.as_str()));
        for home in homes.filter(|home| home.name != caller.name) {
            if called.insert(&home.name) {
                left.push(home);
            }
        }
    }
    called
}

/// Whether calls of the `new` build fail notably more often than those of the `old` one.
///
/// The two shares are compared by their Wilson score intervals (E. B. Wilson, "Probable inference, the law of succession,
/// and statistical inference", 1927): even the lowest share that the new build may have must be above the highest that the
/// old one may have.
fn fails_more(new: Outcomes, old: Outcomes) -> bool {
    if new.failed < FEWEST_FAILURES {
        return false;
    }
    let allowed = match old.answered {
        ..FEWEST_CALLS => WITHOUT_MEASURE,
        _ => interval(old).1 + MARGIN,
    };
    interval(new).0 > allowed
}

/// Between which shares the one of failed calls lies.
pub(super) fn interval(outcomes: Outcomes) -> (f64, f64) {
    let calls = outcomes.answered as f64;
    let share = outcomes.failed.min(outcomes.answered) as f64 / calls;
    let square = DEVIATIONS * DEVIATIONS;
    let middle = share + square / (2.0 * calls);
    let spread =
        DEVIATIONS * (share * (1.0 - share) / calls + square / (4.0 * calls * calls)).sqrt();
    let scale = 1.0 + square / calls;
    ((middle - spread) / scale, (middle + spread) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(new: (u64, u64), old: (u64, u64)) -> bool {
        let outcomes = |(failed, answered)| Outcomes { answered, failed };
        fails_more(outcomes(new), outcomes(old))
    }

    #[test]
    fn a_build_that_fails_all_of_a_few_calls_is_found() {
        assert!(fails((5, 5), (0, 1000)));
        assert!(fails((20, 20), (0, 0)), "and without a measure");
        assert!(!fails((4, 4), (0, 1000)), "so few say nothing");
    }

    #[test]
    fn what_fails_in_the_old_build_may_fail_in_the_new_one() {
        assert!(!fails((300, 1000), (300, 1000)));
        assert!(!fails((320, 1000), (300, 1000)), "that is chance");
        assert!(fails((420, 1000), (300, 1000)));
    }

    #[test]
    fn a_little_more_is_not_notable_however_sure_it_is() {
        assert!(!fails((10_500, 1_000_000), (5_000, 1_000_000)));
        assert!(fails((16_500, 1_000_000), (5_000, 1_000_000)));
    }

    #[test]
    fn one_bad_call_is_no_reason() {
        for answered in 20..200 {
            assert!(!fails((1, answered), (0, 1000)), "1 of {answered}");
        }
    }
}
