//! Which of several replicas a call goes to: how each one does, and which are left out for a while.
//!
//! What comes back from a replica is noted in its [`Health`]. A call takes the better one of two random replicas
//! ([`choose`], "the power of two choices": Mitzenmacher 1996), and the better one is that with the smaller
//! [`Health::load`]: its calls in flight times its recent latency. Ten times a second [`Pool::review`] compares the
//! replicas of a component with each other and leaves out those that are far worse than the others.
//!
//! Nothing in here asks a clock, a socket or a log; `tests.rs` runs it against simulated replicas.

mod fault;
mod health;
mod pool;
#[cfg(test)]
mod tests;

pub(crate) use fault::Fault;
pub(crate) use health::{Health, Outcome};
pub(crate) use pool::{Pool, Verdict};

/// The better one of two random candidates out of `count`.
///
/// `load` is `None` for what is no candidate; `random` gives a number below its argument.
pub(crate) fn choose(
    count: usize,
    load: impl Fn(usize) -> Option<u64>,
    mut random: impl FnMut(usize) -> usize,
) -> Option<usize> {
    match count {
        0 => return None,
        1 => return load(0).map(|_| 0),
        _ => {}
    }
    let first = random(count);
    let second = (first + 1 + random(count - 1)) % count;
    if let (Some(one), Some(other)) = (load(first), load(second)) {
        return Some(if is_better(other, one, &mut random) {
            second
        } else {
            first
        });
    }
    // One of the two is no candidate: take two of those that are, each pair as likely as any other.
    let mut sample: [Option<(usize, u64)>; 2] = [None; 2];
    let mut seen = 0;
    for index in 0..count {
        let Some(load) = load(index) else { continue };
        let place = if seen < 2 { seen } else { random(seen + 1) };
        if let Some(slot) = sample.get_mut(place) {
            *slot = Some((index, load));
        }
        seen += 1;
    }
    match sample {
        [Some((first, one)), Some((second, other))] => {
            // In the order of their places the first would win where both are idle.
            let second_wins =
                is_better(other, one, &mut random) || (other == one && random(2) == 1);
            Some(if second_wins { second } else { first })
        }
        [one, _] => one.map(|(index, _)| index),
    }
}

/// Whether `load` is below `other`. It surely is if it is less than half; between that and the double, chance has a
/// part in it, or of replicas that are nearly alike and have little to do the last would never get a call.
fn is_better(load: u64, other: u64, random: &mut impl FnMut(usize) -> usize) -> bool {
    let mut weighed = |load: u64| load.saturating_mul(256 + random(256) as u64);
    weighed(load) < weighed(other)
}
