//! Mutual TLS between replicas: what this one proves itself with, and whom it believes.
//!
//! TLS 1.3, a certificate at both ends, and no session that outlives its connection: each connection proves anew who
//! is there. A certificate names replicas and components, never hosts: see [`Names`].

mod credential;
mod names;
mod reason;
mod stream;
mod verifier;

use std::{fmt, io, sync::Arc};

use anylith_core::Name;
use anylith_wire::Identity;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, RootCertStore, ServerConfig,
    ServerConnection,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::NoServerSessionStorage,
    version::TLS13,
};
use tokio::net::TcpStream;

pub(crate) use credential::{CertificateFingerprint, Credential};
pub(crate) use names::Names;
pub(crate) use reason::Unproven;
pub(crate) use stream::TlsStream;
use verifier::Verifier;
use webpki::KeyUsage;

/// Why a replica cannot prove itself with an identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A part of it is no PEM, or not of its kind.
    #[error("its {part} cannot be read: {detail}")]
    Unreadable {
        /// Which part of it.
        part: IdentityPart,
        /// What is wrong with it. A key is not in it.
        detail: String,
    },
    /// It has nothing of a part.
    #[error("it has no {0}")]
    Missing(IdentityPart),
    /// The key is of another certificate.
    #[error("its key does not belong to its certificate")]
    Mismatch,
    /// None of the roots has issued the certificate.
    #[error("its certificate was not issued by any of its roots")]
    Foreign,
    /// The certificate is one that no replica could prove itself with.
    #[error("its certificate cannot be used: {0}")]
    Unusable(String),
    /// It was issued to somebody else.
    #[error("its certificate is for {theirs}, and this is {ours}")]
    NotOurs {
        /// Whom it names.
        theirs: String,
        /// Who this is.
        ours: String,
    },
}

/// A part of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityPart {
    /// The certificate, and what is between it and a root.
    Certificates,
    /// The key of the certificate.
    Key,
    /// Whom it believes.
    Roots,
}

impl IdentityError {
    /// The part of the identity that is wrong, or does not fit the others.
    pub fn part(&self) -> IdentityPart {
        match self {
            Self::Unreadable { part, .. } | Self::Missing(part) => *part,
            Self::Mismatch => IdentityPart::Key,
            Self::Foreign => IdentityPart::Roots,
            Self::Unusable(_) | Self::NotOurs { .. } => IdentityPart::Certificates,
        }
    }
}

impl fmt::Display for IdentityPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificates => "certificate",
            Self::Key => "key",
            Self::Roots => "roots",
        })
    }
}

/// Looks at `identity` as the replica called `replica`, with `components`, would prove itself with it. Returns what is
/// wrong with its dates by the clock of this host, if anything is: that passes with a new one, or a right clock.
///
/// # Errors
///
/// It can never prove itself with this one.
pub fn examine(
    identity: &Identity,
    replica: &Name,
    components: &[Name],
) -> Result<Option<String>, IdentityError> {
    Tls::of(identity, replica, components)?;
    let chain = certificates(&identity.certificates, IdentityPart::Certificates)?;
    let (leaf, between) = chain
        .split_first()
        .ok_or(IdentityError::Missing(IdentityPart::Certificates))?;
    let names = Names::of(leaf).map_err(IdentityError::Unusable)?;
    let roots = roots_of(&certificates(&identity.roots, IdentityPart::Roots)?)?;
    let verifier = Verifier::new(&provider(), roots, names.app);
    match verifier.verify(leaf, between, UnixTime::now(), KeyUsage::server_auth()) {
        Ok(()) => Ok(None),
        Err(rustls::Error::InvalidCertificate(
            wrong @ (CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYetContext { .. }),
        )) => Ok(Some(
            Unproven::from(&rustls::Error::InvalidCertificate(wrong)).to_string(),
        )),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => Err(IdentityError::Foreign),
        Err(wrong) => Err(IdentityError::Unusable(Unproven::from(&wrong).to_string())),
    }
}

/// One identity, ready for connections.
#[derive(Debug)]
pub(crate) struct Tls {
    /// What our own certificate says.
    credential: Credential,
    /// The authorities that are believed.
    believed: Vec<CertificateFingerprint>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads `identity`, which must be that of `replica` and name each of `components`.
    pub(crate) fn of(
        identity: &Identity,
        replica: &Name,
        components: &[Name],
    ) -> Result<Self, IdentityError> {
        let chain = certificates(&identity.certificates, IdentityPart::Certificates)?;
        let leaf = chain
            .first()
            .ok_or(IdentityError::Missing(IdentityPart::Certificates))?;
        let names = Names::of(leaf).map_err(IdentityError::Unusable)?;
        if !names.are_of(replica) || !names.cover(components) {
            return Err(IdentityError::NotOurs {
                theirs: names.to_string(),
                ours: format!("replica {replica} with {}", list(components)),
            });
        }
        let believed = certificates(&identity.roots, IdentityPart::Roots)?;
        let roots = roots_of(&believed)?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
            .map_err(|error| unreadable(IdentityPart::Key, &error))?;
        let provider = Arc::new(provider());
        let verifier = Arc::new(Verifier::new(&provider, roots, names.app.clone()));
        let credential = Credential::of(&chain, names, &believed, &provider);
        let believed = believed.iter().map(CertificateFingerprint::of).collect();
        let unusable = |error: rustls::Error| match error {
            rustls::Error::InconsistentKeys(_) => IdentityError::Mismatch,
            error => IdentityError::Unusable(error.to_string()),
        };

        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(unusable)?;
        client.resumption = Resumption::disabled();
        client.enable_sni = false;

        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Self {
            credential,
            believed,
            client,
            server,
        })
    }

    /// What our own certificate says.
    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The authorities that are believed, for people to compare.
    pub(crate) fn believed(&self) -> String {
        let believed: Vec<String> = self
            .believed
            .iter()
            .map(CertificateFingerprint::to_string)
            .collect();
        believed.join(", ")
    }

    /// Proves who we are over `stream`, and that the other end is `replica`. Returns whom its certificate names.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        replica: &Name,
    ) -> io::Result<(TlsStream, Names)> {
        let address = stream.peer_addr()?.ip();
        // It is not looked at: what counts is whom the certificate names, wherever that replica runs.
        let nowhere = ServerName::IpAddress(address.into());
        let connection =
            ClientConnection::new(Arc::clone(&self.client), nowhere).map_err(io::Error::other)?;
        let mut stream = TlsStream::new(stream, connection.into());
        std::future::poll_fn(|cx| stream.poll_handshake(cx)).await?;
        let names = stream
            .names()
            .ok_or_else(|| Unproven::new("it has no certificate"))?;
        if !names.are_of(replica) {
            return Err(
                Unproven::new(format!("{replica} was wanted there, and {names} answers")).into(),
            );
        }
        Ok((stream, names))
    }

    /// The serving end of `stream`. Whoever polls it makes the handshake.
    pub(crate) fn accept(&self, stream: TcpStream) -> io::Result<TlsStream> {
        let connection =
            ServerConnection::new(Arc::clone(&self.server)).map_err(io::Error::other)?;
        Ok(TlsStream::new(stream, connection.into()))
    }
}

/// What we encrypt with. AES with the shorter key comes first: it is as good as the other here, and cheaper.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..ring::default_provider()
    }
}

fn roots_of(believed: &[CertificateDer<'static>]) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for root in believed.iter().cloned() {
        roots
            .add(root)
            .map_err(|error| unreadable(IdentityPart::Roots, &error))?;
    }
    match roots.is_empty() {
        true => Err(IdentityError::Missing(IdentityPart::Roots)),
        false => Ok(roots),
    }
}

fn certificates(
    pem: &str,
    part: IdentityPart,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(part, &error))
}

fn unreadable(part: IdentityPart, error: &dyn std::fmt::Display) -> IdentityError {
    IdentityError::Unreadable {
        part,
        detail: error.to_string(),
    }
}

fn list(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}
