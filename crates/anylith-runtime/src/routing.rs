//! The hash of what a call is routed by.

/// The hash of an encoded key: the same in each process and each build, for ever, since callers that run side by side
/// have to agree where a key belongs.
///
/// FNV-1a with 64 bits (Fowler, Noll, Vo; <https://www.rfc-editor.org/rfc/rfc9923>), then the last step of SplitMix64
/// (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014): FNV alone leaves keys that
/// differ in their last byte, `user-1` and `user-2`, side by side, and a ring has each neighbourhood at one replica.
pub(crate) fn hash(key: &[u8]) -> u64 {
    let fnv = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_same_hash_for_ever() {
        let hashes: Vec<u64> = ["", "a", "user-1"]
            .iter()
            .map(|it| hash(it.as_bytes()))
            .collect();
        assert_eq!(
            hashes,
            [
                0xf52a_15e9_a9b5_e89b,
                0x02c0_bdbf_4814_20f8,
                0xc499_b5f8_a721_df58,
            ]
        );
    }

    #[test]
    fn keys_that_are_alike_lie_apart() {
        let mut hashes: Vec<u64> = (0..1000)
            .map(|it| hash(format!("user-{it}").as_bytes()) >> 60)
            .collect();
        hashes.sort_unstable();
        let sixteenths = hashes.chunk_by(|a, b| a == b).map(<[u64]>::len);
        assert!(sixteenths.clone().count() == 16 && sixteenths.max() < Some(100));
    }
}
