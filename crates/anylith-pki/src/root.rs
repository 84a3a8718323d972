//! One root: a key that signs, and the certificate by which others know it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use anylith_core::Name;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{authority::AuthorityError, subject::alternative_names};

/// How long ago a certificate begins to be valid. The clock of who looks at it may be behind by as much.
const BACKDATED: Duration = Duration::from_secs(12 * 3600);

/// A root, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Root {
    /// Its common name, no two roots have the same.
    name: String,
    /// In PEM, as the key.
    pub(crate) certificate: String,
    key: String,
    /// Seconds since 1970: from when on it signs. Before, it is made known to everybody.
    signs_from: u64,
    /// Until when it is valid, in seconds since 1970.
    pub(crate) ends: u64,
}

impl Root {
    /// A new root for `app`, with a key of its own. It signs from `signs_from` on, and is valid until `ends`.
    pub(crate) fn new(
        app: &Name,
        now: SystemTime,
        signs_from: SystemTime,
        ends: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        // The key makes the name: two roots of one application are told apart.
        let tail: String = key
            .public_key_raw()
            .iter()
            .rev()
            .take(4)
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let name = format!("Anylith authority of {app} {tail}");
        let mut params = Self::params(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.not_before = date(now - BACKDATED)?;
        params.not_after = date(ends)?;
        Ok(Self {
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
            name,
            signs_from: seconds(signs_from),
            ends: seconds(ends),
        })
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params
    }

    /// Whether it may sign at `now`.
    pub(crate) fn signs(&self, now: SystemTime) -> bool {
        self.signs_from <= seconds(now)
    }

    /// Whether its time is over at `now`.
    pub(crate) fn is_over(&self, now: SystemTime) -> bool {
        self.ends < seconds(now)
    }

    /// Issues a certificate to who is called `name` and has these URIs, valid until `ends`, with a new key. Both in PEM.
    pub(crate) fn sign(
        &self,
        (name, uris): (&Name, Vec<String>),
        now: SystemTime,
        ends: SystemTime,
    ) -> Result<(String, String), AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, name.as_str());
        params.subject_alt_names = alternative_names(uris)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date(now - BACKDATED)?;
        params.not_after = date(ends)?;
        let key = KeyPair::generate()?;
        let issuer = Issuer::new(Self::params(&self.name), KeyPair::from_pem(&self.key)?);
        let certificate = params.signed_by(&key, &issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

pub(crate) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn date(time: SystemTime) -> Result<OffsetDateTime, AuthorityError> {
    i64::try_from(seconds(time))
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(AuthorityError::Date)
}
