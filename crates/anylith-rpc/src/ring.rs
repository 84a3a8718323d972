//! Which replica a key belongs to: a ring of hashes, with a bound on the load of each replica.
//!
//! Consistent Hashing with Bounded Loads, Mirrokni, Thorup and Zadimoghaddam, 2016
//! (<https://arxiv.org/abs/1608.01350>): a key belongs to the first replica on the ring that is not full, and full is
//! what has more than [`BOUND`] times the mean of all. A replica that comes or goes moves the keys between it and its
//! neighbours on the ring, and no others. It stands on the ring by its name, so that one which was started again
//! finds its keys.

/// The points of each replica on the ring. With so many the largest share of the ring is some 20 % above the mean.
const POINTS: u64 = 128;
/// How many times the mean of all a replica may have in flight.
const BOUND: f64 = 1.25;
/// With fewer calls in flight than this no replica is full: a handful tells nothing of its load.
const NEVER_FULL: u32 = 8;

/// Replicas on a ring, each by its index.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Sorted.
    points: Vec<(u64, u16)>,
    count: usize,
}

impl Ring {
    /// A ring of the replicas with these names.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut ring = Self::default();
        for (index, name) in names.into_iter().enumerate() {
            let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            let points = (0..POINTS).map(|point| (mix(seed ^ mix(point)), index as u16));
            ring.points.extend(points);
            ring.count = index + 1;
        }
        ring.points.sort_unstable();
        ring
    }

    /// The replica for `key`: the first from its place on that is not full. `in_flight` says how many calls a replica
    /// has, and is `None` for one that cannot be called.
    pub(crate) fn find(&self, key: u64, in_flight: impl Fn(usize) -> Option<u32>) -> Option<usize> {
        let loads: Vec<Option<u32>> = (0..self.count).map(in_flight).collect();
        let usable = loads.iter().flatten().count();
        let total: u64 = loads.iter().flatten().map(|load| u64::from(*load)).sum();
        let mean = (total + 1) as f64 / usable.max(1) as f64;
        let full = ((mean * BOUND).ceil() as u32).max(NEVER_FULL);
        let has_room = |index: &usize| loads[*index].is_some_and(|load| load < full);
        // The mean is below the bound, so somebody has room.
        self.from(mix(key)).find(has_room)
    }

    /// The replicas from a place on the ring on, once around; one may come again and again.
    fn from(&self, place: u64) -> impl Iterator<Item = usize> {
        let start = self.points.partition_point(|(point, _)| *point < place);
        let around = self.points[start..].iter().chain(&self.points[..start]);
        around.map(|(_, index)| usize::from(*index))
    }
}

/// Spreads keys that lie close together: the end of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(mut key: u64) -> u64 {
    key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 10_000;

    fn names(count: usize) -> Vec<String> {
        (1..=count).map(|index| format!("Cart-{index}")).collect()
    }

    fn ring(names: &[String]) -> Ring {
        Ring::new(names.iter().map(String::as_str))
    }

    fn idle(_: usize) -> Option<u32> {
        Some(0)
    }

    #[test]
    fn the_same_key_meets_the_same_replica_in_every_caller() {
        let (mine, yours) = (ring(&names(5)), ring(&names(5)));
        for key in 0..KEYS {
            assert_eq!(mine.find(key, idle), yours.find(key, idle));
        }
    }

    #[test]
    fn a_replica_that_comes_moves_only_the_keys_that_it_gets() {
        for count in [2, 3, 5, 10, 50] {
            let (before, after) = (ring(&names(count)), ring(&names(count + 1)));
            let mut moved = 0;
            for key in 0..KEYS {
                let (old, new) = (before.find(key, idle), after.find(key, idle));
                if old != new {
                    assert_eq!(new, Some(count), "a key moved between two that were there");
                    moved += 1;
                }
            }
            let fair = KEYS / (count as u64 + 1);
            assert!(
                moved < fair * 3 / 2,
                "{moved} of {KEYS} moved to the {count}+1st"
            );
        }
    }

    #[test]
    fn a_replica_that_cannot_be_called_moves_only_its_own_keys_and_gets_them_back() {
        let ring = ring(&names(4));
        let gone = |index| (index != 2).then_some(0);
        for key in 0..KEYS {
            let (home, refuge) = (ring.find(key, idle), ring.find(key, gone));
            if home == Some(2) {
                assert_ne!(refuge, Some(2));
            } else {
                assert_eq!(home, refuge);
            }
        }
    }

    #[test]
    fn keys_are_spread_over_all_replicas() {
        for count in [2, 3, 10] {
            let ring = ring(&names(count));
            let mut shares = vec![0; count];
            for key in 0..KEYS {
                shares[ring.find(key, idle).unwrap()] += 1;
            }
            let fair = KEYS / count as u64;
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(*least > fair / 2 && *most < fair * 3 / 2, "{shares:?}");
        }
    }

    #[test]
    fn no_replica_gets_more_than_its_bound_however_many_calls_have_one_key() {
        for count in [2_usize, 3, 10] {
            let ring = ring(&names(count));
            let mut loads = vec![0_u32; count];
            for _ in 0..1000 {
                let at = ring.find(7, |index| Some(loads[index])).unwrap();
                loads[at] += 1;
            }
            let bound = (1000.0 / count as f64 * BOUND).ceil() as u32;
            assert!(loads.iter().all(|load| *load <= bound), "{loads:?}");
        }
    }

    #[test]
    fn without_a_replica_a_key_has_none() {
        assert_eq!(Ring::default().find(1, idle), None);
        assert_eq!(ring(&names(3)).find(1, |_| None), None);
    }
}
