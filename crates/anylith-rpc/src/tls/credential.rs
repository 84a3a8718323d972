//! What this replica shows of itself, for people who look for why it is refused.
//!
//! Who refuses a certificate says no more than an alert over TLS 1.3. So the refused one says what it has shown: whom it
//! names, from when until when, and which authority it comes from; and who refuses, which authorities it believes.

use std::{fmt, time::Duration};

use rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, TrustAnchor, UnixTime},
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{names::Names, reason::Date};

/// The certificate of this replica, in words.
#[derive(Debug)]
pub(crate) struct Credential {
    names: Names,
    /// From when until when it is valid; `None` if that cannot be read.
    time: Option<(UnixTime, UnixTime)>,
    /// The authority that has issued it, if it is among those that this replica believes.
    authority: Option<CertificateFingerprint>,
}

impl Credential {
    /// That of `chain`, which begins with the certificate that names `names`. `roots` are believed.
    pub(super) fn of(
        chain: &[CertificateDer<'_>],
        names: Names,
        roots: &[CertificateDer<'_>],
        provider: &CryptoProvider,
    ) -> Self {
        let time = chain.first().and_then(|leaf| validity(leaf));
        let issued = |root: &&CertificateDer<'_>| {
            let anchor = anchor_from_trusted_cert(root);
            anchor.is_ok_and(|anchor| comes_from(chain, anchor, time, provider))
        };
        Self {
            names,
            time,
            authority: roots.iter().find(issued).map(CertificateFingerprint::of),
        }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.names)?;
        if let Some((from, until)) = self.time {
            write!(f, ", valid from {} until {}", Date(from), Date(until))?;
        }
        match &self.authority {
            Some(authority) => write!(f, ", of the authority {authority}"),
            None => f.write_str(", of none of the authorities that it believes itself"),
        }
    }
}

/// A certificate by its SHA-256, as `openssl x509 -noout -fingerprint -sha256` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFingerprint(Vec<u8>);

impl CertificateFingerprint {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let hashed = suite
            .tls13()
            .map(|suite| suite.common.hash_provider.hash(certificate));
        Self(hashed.map_or_else(Vec::new, |hash| hash.as_ref().to_vec()))
    }
}

impl fmt::Display for CertificateFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let before = if at == 0 { "" } else { ":" };
            write!(f, "{before}{byte:02X}")?;
        }
        Ok(())
    }
}

/// Whether `chain` ends in `anchor`.
fn comes_from(
    chain: &[CertificateDer<'_>],
    anchor: TrustAnchor<'_>,
    time: Option<(UnixTime, UnixTime)>,
    provider: &CryptoProvider,
) -> bool {
    let (Some((leaf, between)), Some((from, _))) = (chain.split_first(), time) else {
        return false;
    };
    let Ok(leaf) = EndEntityCert::try_from(leaf) else {
        return false;
    };
    let algorithms = provider.signature_verification_algorithms.all;
    let usage = KeyUsage::client_auth();
    // It may have run out: that is what somebody looks for. Within its time its authority was good, too.
    leaf.verify_for_usage(algorithms, &[anchor], between, from, usage, None, None)
        .is_ok()
}

/// From when until when `certificate` is valid.
fn validity(certificate: &[u8]) -> Option<(UnixTime, UnixTime)> {
    const INTEGER: u8 = 0x02;
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut body, _) = element(certificate, SEQUENCE)?;
    if let Some((_, rest)) = element(body, VERSION) {
        body = rest;
    }
    // Its number, how it is signed, and by whom.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        body = element(body, tag)?.1;
    }
    let (times, _) = element(body, SEQUENCE)?;
    let (from, rest) = moment(times)?;
    let (until, _) = moment(rest)?;
    Some((from, until))
}

/// The content of the element with which `der` begins, if that has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // So many bytes of length follow. No certificate needs more than two.
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The time with which `der` begins, `261129200500Z` or `20261129200500Z`, and what follows it.
fn moment(der: &[u8]) -> Option<(UnixTime, &[u8])> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let short = element(der, UTC_TIME);
    let (text, rest) = short.or_else(|| element(der, GENERALIZED_TIME))?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, text) = match short {
        Some(_) => {
            let (year, text) = text.split_at_checked(2)?;
            let year: u64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text)
        }
        None => {
            let (year, text) = text.split_at_checked(4)?;
            (year.parse().ok()?, text)
        }
    };
    let two = |at: usize| text.get(at..at + 2)?.parse::<u64>().ok();
    let (month, day) = (two(0)?, two(2)?);
    let seconds = two(4)? * 3600 + two(6)? * 60 + two(8)?;
    // Howard Hinnant's `days_from_civil`: years begin in March here, so that the leap day is the last of one.
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400 + seconds));
    Some((time, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_is_in_a_certificate() {
        for (text, date) in [
            ("700101000000Z", "1970-01-01 00:00:00 UTC"),
            ("000229000000Z", "2000-02-29 00:00:00 UTC"),
            ("261122225948Z", "2026-11-22 22:59:48 UTC"),
            ("20991231235959Z", "2099-12-31 23:59:59 UTC"),
        ] {
            let tag = if text.len() == 13 { 0x17 } else { 0x18 };
            let der = [&[tag, text.len() as u8][..], text.as_bytes(), &[9]].concat();
            let (time, rest) = moment(&der).unwrap();
            assert_eq!((Date(time).to_string(), rest), (date.to_owned(), &[9][..]));
        }
    }

    #[test]
    fn what_is_cut_short_or_none_of_it_is_not_read() {
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 0x82, 1],
            &[0x30, 5, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(element(bad, 0x30), None);
            assert_eq!(validity(bad), None);
        }
        for bad in ["", "Z", "26112222594Z", "00xx29000000Z", "700100000000Z"] {
            let der = [&[0x17, bad.len() as u8][..], bad.as_bytes()].concat();
            assert_eq!(moment(&der), None, "{bad}");
        }
    }
}
