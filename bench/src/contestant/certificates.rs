//! What tonic proves itself with: a certificate of the same kind as ours, but with a host's name in it.

use std::{fs, path::Path};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

/// Environment variable: the file with the certificates.
pub(crate) const ENV_CERTIFICATES: &str = "BENCH_CERTIFICATES";
/// The name that the server is asked for.
pub(crate) const HOST: &str = "store.example";

/// One certificate for both ends, whoever is its issuer, and the key; all PEM.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Certificates {
    pub(crate) root: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Certificates {
    /// A root and what it issues: ECDSA over P-256, as ours.
    pub(crate) fn issue() -> Result<Self> {
        let root_key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params.self_signed(&root_key)?.pem();
        let issuer = Issuer::new(params, root_key);
        let mut params = CertificateParams::new([HOST.to_owned()])?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        Ok(Self {
            root,
            certificate: params.signed_by(&key, &issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Writes them to `file`, for [`Certificates::from_env`].
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        Ok(fs::write(file, serde_json::to_vec(self)?)?)
    }

    /// Reads those that the parent has written.
    pub(crate) fn from_env() -> Result<Self> {
        let file = std::env::var(ENV_CERTIFICATES)?;
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }
}
