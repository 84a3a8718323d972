//! What `kubectl apply -k` reads.

use serde_json::{Value, json};

use crate::render::Request;

/// All of `files`, in the order of their names.
pub(crate) fn of<'f>(request: &Request<'_>, files: impl Iterator<Item = &'f String>) -> Value {
    let mut kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": files.collect::<Vec<_>>(),
    });
    if let Some(namespace) = &request.namespace {
        kustomization["namespace"] = json!(namespace);
    }
    kustomization
}
