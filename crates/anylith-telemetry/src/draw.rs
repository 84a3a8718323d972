//! Numbers that nobody can foresee well enough to make two of the same: names of traces and spans, and which are chosen.

use std::{
    cell::Cell,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::LazyLock,
};

use crate::trace_id::TraceId;

thread_local! {
    /// Where this thread is; 0 before it has drawn.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Another number, never 0. No secret: who has seen some may guess the next.
#[inline]
pub fn draw() -> u64 {
    let mut state = STATE.get();
    if state == 0 {
        state = seed();
    }
    // wyrand: one addition and one wide multiplication.
    state = state.wrapping_add(0xa076_1d64_78bd_642f);
    STATE.set(state);
    let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
    ((product >> 64) as u64 ^ product as u64).max(1)
}

/// Something from 0 up to 1, drawn.
pub fn share() -> f64 {
    (draw() >> 11) as f64 / (1_u64 << 53) as f64
}

/// What the standard library's maps are seeded with, which the system has drawn.
#[cold]
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What tells the traces of this process from those of all others.
static OWN: LazyLock<u64> = LazyLock::new(draw);

/// The name of the trace for which this was drawn, in this process.
pub fn name_of(drawn: u64) -> TraceId {
    let high = u128::from((drawn ^ *OWN).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let id = high << 64 | u128::from(drawn.max(1));
    TraceId::new(id).expect("its lower half is not 0")
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn no_two_threads_draw_the_same() {
        const EACH: usize = 10_000;
        let drawn = || (0..EACH).map(|_| draw()).collect::<Vec<u64>>();
        let all: HashSet<u64> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(drawn)).collect();
            let drawn = threads.into_iter().map(|thread| thread.join().unwrap());
            drawn.flatten().collect()
        });
        assert_eq!(all.len(), 8 * EACH);
        assert!(!all.contains(&0));
    }
}
