//! Where images are pulled from: pushing one there, as the OCI distribution specification has it.

use anylith_core::with_causes;
use anylith_image::{Blob, MANIFEST_TYPE, Packed};
use anylith_kube::ImageReference;
use docker_credential::{DockerCredential, get_credential, get_podman_credential};
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    secrets::RegistryAuth,
};

use crate::failure::Failure;

/// How a registry says in HTTP that it wants to know who is there, or does not want him.
const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;

/// What an image is to be pushed as.
#[derive(Debug)]
pub(crate) struct Target {
    reference: Reference,
    registry: String,
}

impl Target {
    /// What `reference` means, or why nothing can be pushed there.
    pub(crate) fn of(reference: &ImageReference) -> Result<Self, String> {
        let registry = reference.registry();
        let registry = registry
            .ok_or("it names no registry to push to")?
            .to_owned();
        let reference: Reference = reference
            .to_string()
            .parse()
            .map_err(|error| format!("it cannot be pushed to: {error}"))?;
        if reference.digest().is_some() {
            return Err("what is pushed has the digest that it gets".to_owned());
        }
        Ok(Self {
            reference,
            registry,
        })
    }

    /// Pushes what the registry does not have of `image`, and returns how many bytes that were.
    ///
    /// # Cancellation
    ///
    /// The registry may have parts of the image, to which nothing leads.
    pub(crate) async fn push(&self, image: &Packed) -> Result<usize, Failure> {
        // Whoever installed one before is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        self.send(image).await.map_err(|error| self.failed(&error))
    }

    async fn send(&self, image: &Packed) -> Result<usize, OciDistributionError> {
        let client = Client::try_from(self.settings())?;
        client
            .auth(&self.reference, &self.credential(), RegistryOperation::Push)
            .await?;
        let mut sent = 0;
        for Blob { digest, bytes } in &image.parts {
            if !client.blob_exists(&self.reference, digest).await? {
                client
                    .push_blob(&self.reference, bytes.clone(), digest)
                    .await?;
                sent += bytes.len();
            }
        }
        // Last, since all that it leads to has to be there.
        let Blob { bytes, .. } = &image.manifest;
        let kind = MANIFEST_TYPE.parse().expect("a media type is a header");
        client
            .push_manifest_raw(&self.reference, bytes.clone(), kind)
            .await?;
        Ok(sent + bytes.len())
    }

    fn settings(&self) -> ClientConfig {
        let plain = match self.is_here() {
            true => vec![self.registry.clone()],
            false => Vec::new(),
        };
        ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain),
            // A layer is small, and not every registry takes parts of one.
            use_monolithic_push: true,
            user_agent: concat!("anylith/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        }
    }

    /// Whether the registry is on this machine: nobody listens on the way there.
    fn is_here(&self) -> bool {
        let host = self.registry.rsplit_once(':');
        let host = host.map_or(self.registry.as_str(), |(host, _)| host);
        let address = host.parse::<std::net::Ipv4Addr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Who pushes, as he has told other tools. Whether somebody has to be known is the registry's to say.
    fn credential(&self) -> RegistryAuth {
        let noted =
            get_podman_credential(&self.registry).or_else(|_| get_credential(&self.registry));
        match noted {
            Ok(DockerCredential::UsernamePassword(name, password)) => {
                RegistryAuth::Basic(name, password)
            }
            Ok(DockerCredential::IdentityToken(token)) => RegistryAuth::Bearer(token),
            Err(_) => RegistryAuth::Anonymous,
        }
    }

    fn failed(&self, error: &OciDistributionError) -> Failure {
        let registry = &self.registry;
        let what = format!("{} was not pushed: {}", self.reference, with_causes(error));
        let refused = match error {
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => true,
            OciDistributionError::RequestError(error) => {
                let status = error.status().map(|status| status.as_u16());
                status.is_some_and(|status| [UNAUTHORIZED, FORBIDDEN].contains(&status))
            }
            _ => false,
        };
        let mend = match error {
            _ if refused => {
                format!(
                    "say who you are first, with `podman login {registry}` or `docker login {registry}`"
                )
            }
            OciDistributionError::RequestError(error) if error.is_connect() => {
                format!("is {registry} the registry, and can it be reached from here?")
            }
            _ => format!("that is what {registry} says; nothing that it had was changed"),
        };
        Failure::new(what, mend)
    }
}
