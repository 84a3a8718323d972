//! Somebody who connects to a replica with what he has, and tries to call it.

use std::{
    io::{IoSlice, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anylith_core::{CallContext, Endpoint, Limits, Name};
use anylith_pki::Identity;
use anylith_wire::{BATCH_SLICES, Batch, CallingEnd, CallingEvent, NewCall};
use bytes::BytesMut;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};

/// How he connects.
pub(crate) enum Means {
    /// Without TLS.
    Plain,
    /// With TLS of this version, and this certificate, if he has one.
    Tls {
        version: &'static SupportedProtocolVersion,
        certificate: Option<Stolen>,
    },
}

/// A certificate, and the key that he has; it may not be the one that belongs to it.
pub(crate) struct Stolen {
    pub(crate) certificates: String,
    pub(crate) key: String,
}

impl From<Identity> for Stolen {
    fn from(identity: Identity) -> Self {
        Self {
            certificates: identity.certificates,
            key: identity.key,
        }
    }
}

/// What he says of himself.
#[derive(Clone)]
pub(crate) struct Claim {
    pub(crate) replica: Name,
    pub(crate) components: Vec<Name>,
}

/// Tries to call the first method of the first component. Returns what came of it, as he sees it.
pub(crate) fn attack(endpoint: &Endpoint, means: Means, claim: &Claim) -> String {
    match endpoint {
        Endpoint::Unix(path) => attack_unix(path, means, claim),
        Endpoint::Tcp(address) => {
            let stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            through(stream, means, claim)
        }
    }
}

fn attack_unix(path: &Path, means: Means, claim: &Claim) -> String {
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) => format!("cannot connect: {}", error.kind()),
        Ok(stream) => {
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            through(stream, means, claim)
        }
    }
}

fn through(stream: impl Read + Write, means: Means, claim: &Claim) -> String {
    match means {
        Means::Plain => call(stream, claim),
        Means::Tls {
            version,
            certificate,
        } => call(tls(stream, version, certificate), claim),
    }
}

fn tls<S: Read + Write>(
    stream: S,
    version: &'static SupportedProtocolVersion,
    stolen: Option<Stolen>,
) -> StreamOwned<ClientConnection, S> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous));
    let config = match stolen {
        None => config.with_no_client_auth(),
        Some(stolen) => {
            let chain = CertificateDer::pem_slice_iter(stolen.certificates.as_bytes())
                .collect::<Result<_, _>>()
                .unwrap();
            let key = PrivateKeyDer::from_pem_slice(stolen.key.as_bytes()).unwrap();
            let key = provider.key_provider.load_private_key(key).unwrap();
            let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
            config.with_client_cert_resolver(Arc::new(shown))
        }
    };
    let nowhere = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), nowhere).unwrap();
    StreamOwned::new(connection, stream)
}

/// Greets and calls, as far as he is let.
fn call(mut stream: impl Read + Write, claim: &Claim) -> String {
    let (replica, limits) = (claim.replica.clone(), Limits::default());
    let mut end = CallingEnd::of_components(replica, &claim.components, &limits, Instant::now());
    let mut bytes = BytesMut::new();
    loop {
        if let Err(error) = write(&mut stream, &mut end) {
            return format!("cut off: {error}");
        }
        match end.receive(&mut bytes, Instant::now()) {
            Ok(Some(CallingEvent::Ready)) => {
                let context = CallContext::default();
                let call = NewCall {
                    component: 0,
                    method: super::support::ECHO,
                    deadline: None,
                    context: &context,
                    items: false,
                };
                end.begin(&call, &mut b"let me in".to_vec(), Instant::now())
                    .unwrap();
            }
            Ok(Some(CallingEvent::Failed { failure, .. })) => {
                return format!("the call: {failure}");
            }
            Ok(Some(CallingEvent::Answered { .. })) => return "ANSWERED".to_owned(),
            Ok(Some(_)) => {}
            Ok(None) => {
                let mut read = [0; 4096];
                match stream.read(&mut read) {
                    Ok(0) => return "cut off".to_owned(),
                    Ok(count) => bytes.extend_from_slice(&read[..count]),
                    Err(error) => return format!("cut off: {error}"),
                }
            }
            Err(error) => return format!("told: {error}"),
        }
    }
}

fn write(stream: &mut impl Write, end: &mut CallingEnd) -> std::io::Result<()> {
    let mut batch = Batch::default();
    while end.has_output() {
        end.fill(&mut batch, &mut Vec::new());
        while !batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH_SLICES];
            let count = batch.slices(&mut slices);
            let written = stream.write_vectored(&slices[..count])?;
            batch.advance(written);
            end.written(written);
        }
    }
    stream.flush()
}

/// Believes every server.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
        ]
    }
}
