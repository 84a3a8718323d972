//! Whether a new build fails more of its calls than the old one.

use anylith_wire::control::Outcomes;

/// With fewer calls than these nothing is said of a build.
const FEWEST_CALLS: u64 = 20;

/// By how much more of its calls a build has to fail than the other one, as a part of 1.
const MARGIN: f64 = 0.01;

/// What a build may fail of its calls where the other one has too few to compare with, as a part of 1.
const WITHOUT_MEASURE: f64 = 0.5;

/// How sure it has to be of either share, in standard deviations: chance alone is as far away once in 370 times, and never
/// yet was for both at once.
const DEVIATIONS: f64 = 3.0;

/// Why the `new` build is not to stay, if its calls fail notably more often than those of the `old` one.
///
/// The two shares are compared by their Wilson score intervals (E. B. Wilson, "Probable inference, the law of succession,
/// and statistical inference", 1927): even the lowest share that the new build may have must be above the highest that the
/// old one may have.
pub(crate) fn fails_more(new: Outcomes, old: Outcomes) -> Option<String> {
    if new.answered < FEWEST_CALLS {
        return None;
    }
    let allowed = match old.answered {
        ..FEWEST_CALLS => WITHOUT_MEASURE,
        _ => interval(old).1 + MARGIN,
    };
    (interval(new).0 > allowed).then(|| {
        let (fails, failed) = (words(new), words(old));
        format!("the new build fails {fails} of its calls, and the old one {failed}")
    })
}

/// Between which shares the one of failed calls lies.
fn interval(outcomes: Outcomes) -> (f64, f64) {
    let calls = outcomes.answered as f64;
    let share = outcomes.failed.min(outcomes.answered) as f64 / calls;
    let square = DEVIATIONS * DEVIATIONS;
    let middle = share + square / (2.0 * calls);
    let spread =
        DEVIATIONS * (share * (1.0 - share) / calls + square / (4.0 * calls * calls)).sqrt();
    let scale = 1.0 + square / calls;
    ((middle - spread) / scale, (middle + spread) / scale)
}

fn words(outcomes: Outcomes) -> String {
    format!("{} of {}", outcomes.failed, outcomes.answered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(new: (u64, u64), old: (u64, u64)) -> bool {
        let outcomes = |(failed, answered)| Outcomes { answered, failed };
        fails_more(outcomes(new), outcomes(old)).is_some()
    }

    #[test]
    fn a_build_that_fails_all_of_a_few_calls_is_found() {
        assert!(fails((20, 20), (0, 1000)));
        assert!(fails((20, 20), (0, 0)), "and without a measure");
        assert!(!fails((19, 19), (0, 1000)), "so few say nothing");
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
