//! Whether a certificate is one of the application's.

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::{EndEntityCert, KeyUsage};

use super::names::Names;
use anylith_core::Name;

/// Believes the roots of the application, and of what they have issued only what is for this application.
///
/// The same at both ends: that the certificate is in its time, of a chain that ends in a root, and for the side that
/// shows it. Which replica it must be, and for which components it may speak, is judged by who knows whom he wanted.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
    app: Name,
}

impl Verifier {
    pub(super) fn new(provider: &CryptoProvider, roots: RootCertStore, app: Name) -> Self {
        let algorithms = provider.signature_verification_algorithms;
        Self {
            roots,
            algorithms,
            app,
        }
    }

    pub(super) fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let leaf = EndEntityCert::try_from(certificate).map_err(|error| refusal(&error))?;
        leaf.verify_for_usage(
            self.algorithms.all,
            &self.roots.roots,
            between,
            now,
            usage,
            None,
            None,
        )
        .map_err(|error| refusal(&error))?;
        match Names::of(certificate) {
            Ok(names) if names.app == self.app => Ok(()),
            // The peer learns no more of it than that it is refused.
            Ok(_) | Err(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }
}

/// What the peer is told by an alert, and our own log in words.
fn refusal(error: &webpki::Error) -> Error {
    use webpki::Error as Wrong;
    let wrong = match *error {
        Wrong::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        Wrong::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Wrong::UnknownIssuer => CertificateError::UnknownIssuer,
        Wrong::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Wrong::BadDer | Wrong::BadDerTime => CertificateError::BadEncoding,
        _ => CertificateError::ApplicationVerificationFailure,
    };
    wrong.into()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(certificate, between, now, KeyUsage::server_auth())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Who calls has one certificate, and strangers need not know whose we believe.
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(certificate, between, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
