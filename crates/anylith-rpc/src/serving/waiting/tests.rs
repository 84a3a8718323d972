use super::*;

const MS: Duration = Duration::from_millis(1);

/// A server that does one call each `service`, and is offered one each `interval` for `length`, then none.
/// Returns how long each call that was begun had waited, when it was, and the longest that a refused one waited.
fn offered(interval: Duration, service: Duration, length: Duration) -> Served {
    let start = Instant::now();
    let (mut now, mut next) = (start, start);
    let mut waiting = Waiting::default();
    let mut served = Served::default();
    loop {
        while next <= now && next < start + length {
            waiting.push(next, next);
            next += interval;
        }
        match waiting.next(now) {
            Some((since, Next::Begin(came))) => {
                assert_eq!(since, came);
                served.begun.push((now - start, now - came));
                now += service;
            }
            Some((_, Next::Refuse(came))) => {
                served.longest_refused = served.longest_refused.max(now - came);
            }
            None if next >= start + length => return served,
            None => now = next,
        }
    }
}

#[derive(Default)]
struct Served {
    /// When, and after how long.
    begun: Vec<(Duration, Duration)>,
    longest_refused: Duration,
}

#[test]
fn what_comes_slower_than_it_is_done_begins_in_order() {
    let served = offered(2 * MS, MS, 1000 * MS);
    assert_eq!(served.begun.len(), 500);
    assert!(served.begun.iter().all(|(_, waited)| waited.is_zero()));
}

#[test]
fn a_burst_is_worked_off_without_refusing_any() {
    let mut waiting = Waiting::default();
    let start = Instant::now();
    (0..400).for_each(|number| waiting.push(number, start));
    let mut begun: Vec<i32> = Vec::new();
    let mut now = start;
    while let Some((_, next)) = waiting.next(now) {
        match next {
            Next::Begin(number) => begun.push(number),
            Next::Refuse(number) => panic!("{number} was refused"),
        }
        now += MS;
    }
    assert!(begun[..100].is_sorted(), "it begins in order");
    begun.sort_unstable();
    assert!(begun.into_iter().eq(0..400));
}

#[test]
fn of_ten_times_too_many_calls_those_that_begin_are_quick() {
    let served = offered(MS / 10, MS, 20_000 * MS);
    let steady = |at: Duration| at > 200 * MS && at < 20_000 * MS;
    let steady = served.begun.iter().filter(|(at, _)| steady(*at));
    let mut waited: Vec<Duration> = steady.map(|(_, waited)| *waited).collect();
    waited.sort_unstable();
    // All of the time is used, for calls that have hardly waited.
    assert!(served.begun.len() >= 20_000);
    let p99 = waited[waited.len() * 99 / 100];
    assert!(p99 <= 5 * MS, "p99 is {p99:?}");
    assert!(served.longest_refused <= AGED + MS);
}

#[test]
fn what_is_left_of_an_overload_is_over_soon_after_it() {
    let served = offered(MS / 10, MS, 5000 * MS);
    let (last, _) = served.begun.last().unwrap();
    assert!(*last <= 5000 * MS + AGED + MS, "{last:?}");
}

#[test]
fn a_call_that_takes_longer_than_all_patience_does_not_stop_the_others() {
    let served = offered(100 * MS, 2000 * MS, 20_000 * MS);
    assert!(served.begun.len() >= 10);
}
