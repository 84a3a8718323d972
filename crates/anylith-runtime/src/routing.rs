//! The hash of what a call is routed by.

/// The hash of an encoded key: the same in each process and each build, for ever, since callers that run side by side
/// have to agree where a key belongs.
///
/// FNV-1a with 64 bits (Fowler, Noll, Vo; <https://www.rfc-editor.org/rfc/rfc9923>). It leaves keys that differ in their
/// last byte side by side; the ring spreads them.
pub(crate) fn hash(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
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
                0xcbf2_9ce4_8422_2325,
                0xaf63_dc4c_8601_ec8c,
                0xf84b_a2aa_754a_4bd4,
            ]
        );
    }
}
