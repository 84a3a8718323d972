//! What the replicas of a group prove themselves with.
//!
//! Pods come and go, and nobody is asked before one starts: so all replicas of a group share a certificate, which names the
//! group and its components. It is in a Secret that `anylith certs` writes, or that cert-manager keeps.

use anylith_control::{GroupSpec, Spec};
use anylith_topology::ClusterGroup;
use anylith_wire::group_uris;
use serde_json::{Value, json};

use crate::{
    render::{Of, Request},
    yaml::{self, Unreadable},
};

/// The key of the certificate in the Secret, as everybody calls it.
pub const CERTIFICATE: &str = "tls.crt";
/// The key of its private key.
pub const KEY: &str = "tls.key";
/// The key of the authorities that are believed.
pub const ROOTS: &str = "ca.crt";

/// Whether the replicas of `group` call others, or are called by them: then they prove who they are.
pub fn needs_certificate(spec: &Spec, group: &GroupSpec) -> bool {
    let is_called = |other: &GroupSpec| {
        let called = spec.calls_of(&other.components);
        group.components.iter().any(|name| called.contains(name))
    };
    !spec.calls_of(&group.components).is_empty() || spec.groups.iter().any(is_called)
}

/// The name of the Secret of the group whose objects are called `object`.
pub fn secret_name(object: &str) -> String {
    format!("{object}-tls")
}

/// The Secret with these PEM texts, as a file.
///
/// # Errors
///
/// It cannot be written down.
pub fn secret_manifest(
    metadata: (&str, Option<&str>),
    [certificate, key, roots]: [&str; 3],
) -> Result<String, Unreadable> {
    let (name, namespace) = metadata;
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "stringData": { CERTIFICATE: certificate, KEY: key, ROOTS: roots },
        "type": "kubernetes.io/tls",
    });
    yaml::write("Written by `anylith certs`: it is secret.", &[secret])
}

impl Request<'_> {
    /// What cert-manager issues and renews, where it is to.
    pub(crate) fn certificate(&self, group: &ClusterGroup, of: Of<'_>) -> Option<Value> {
        let issuer = self.kubernetes.issuer.as_ref()?;
        needs_certificate(self.spec, of.spec).then(|| {
            json!({
                "apiVersion": "cert-manager.io/v1",
                "kind": "Certificate",
                "metadata": self.metadata(&group.object, Some(group)),
                "spec": {
                    "commonName": group.object,
                    "issuerRef": {
                        "name": issuer.name,
                        "group": "cert-manager.io",
                        "kind": issuer.kind,
                    },
                    "privateKey": {
                        "algorithm": "ECDSA",
                        "encoding": "PKCS8",
                        "rotationPolicy": "Always",
                        "size": 256,
                    },
                    "secretName": secret_name(&group.object),
                    "uris": group_uris(&self.spec.app, &group.group, &of.spec.components),
                    "usages": ["digital signature", "server auth", "client auth"],
                },
            })
        })
    }
}
