//! What the replicas of a group are told: their orders, in a ConfigMap, and what is secret of them, in a Secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
};

use anylith_core::{Fingerprint, Name, SecretReference, SecretSource};
use anylith_topology::{Cluster, ClusterGroup};
use anylith_wire::{Discovery, IdentityFiles, PeerGroup, StandingOrders};
use serde_json::{Value, json};

use crate::{
    identity::{CERTIFICATE, KEY, ROOTS, needs_certificate},
    render::{Of, Request},
};

/// Where a pod finds its orders.
pub(crate) const ORDERS_FOLDER: &str = "/etc/anylith/orders";
/// The file with them.
pub(crate) const ORDERS_FILE: &str = "bootstrap.json";
/// Where a pod finds what it proves itself with.
pub(crate) const IDENTITY_FOLDER: &str = "/etc/anylith/tls";
/// Where a pod finds secrets that its config takes from files.
pub(crate) const SECRETS_FOLDER: &str = "/etc/anylith/secrets";

/// The key in a Secret of what the config takes from the file at `path`.
pub(crate) fn key_of_file(path: &str) -> String {
    let short = path.trim_start_matches("./").trim_start_matches('/');
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
    let key: String = short
        .chars()
        .map(|letter| if is_plain(letter) { letter } else { '_' })
        .collect();
    // Where other letters than those that part folders have gone, two paths may look the same.
    match short
        .chars()
        .all(|letter| is_plain(letter) || letter == '/')
    {
        true => key,
        false => format!("{key}-{}", Fingerprint::EMPTY.with(path)),
    }
}

impl Request<'_> {
    /// The orders of the replicas of `group`.
    fn orders(&self, group: &ClusterGroup, of: Of<'_>) -> StandingOrders {
        let certified = needs_certificate(self.spec, of.spec);
        let file = |name: &str| format!("{IDENTITY_FOLDER}/{name}").into();
        let peers = self
            .callees(of)
            .into_iter()
            .map(|(callee, components)| PeerGroup {
                group: callee.group.clone(),
                host: peers_name(callee),
                port: Cluster::CALLS,
                components,
            });
        let listen = of.plan.listeners.iter().filter_map(|name| {
            let listener = self.cluster.listeners.get(name)?;
            Some((name.clone(), anywhere(listener.port)))
        });
        StandingOrders {
            replica: group.group.clone(),
            bootstrap: self.spec.standing_bootstrap(of.spec),
            listen: listen.collect(),
            secrets: self
                .secrets_of(of)
                .map(|(name, all)| (name.clone(), moved(all)))
                .collect(),
            identity: certified.then(|| IdentityFiles {
                certificates: file(CERTIFICATE),
                key: file(KEY),
                roots: file(ROOTS),
            }),
            grace_ms: self.grace.as_millis() as u64,
            discovery: Some(Discovery {
                port: (!self.callers(group).is_empty()).then_some(Cluster::CALLS),
                peers: peers.collect(),
            }),
            health: Some(anywhere(Cluster::HEALTH)),
        }
    }

    fn secrets_of(&self, of: Of<'_>) -> impl Iterator<Item = (&Name, &Vec<SecretReference>)> {
        let own = move |(component, _): &(&Name, &Vec<SecretReference>)| {
            of.spec.components.contains(component)
        };
        self.secrets.iter().filter(own)
    }

    /// The environment variables that secrets of the config come from.
    pub(crate) fn secret_variables(&self, of: Of<'_>) -> BTreeSet<&str> {
        let sources = self.secrets_of(of).flat_map(|(_, all)| all);
        sources
            .filter_map(|reference| match &reference.source {
                SecretSource::Env(name) => Some(name.as_str()),
                SecretSource::File(_) => None,
            })
            .collect()
    }

    /// The keys of the Secret that become files.
    pub(crate) fn secret_files(&self, of: Of<'_>) -> BTreeSet<String> {
        let sources = self.secrets_of(of).flat_map(|(_, all)| all);
        sources
            .filter_map(|reference| match &reference.source {
                SecretSource::File(path) => Some(key_of_file(path)),
                SecretSource::Env(_) => None,
            })
            .collect()
    }

    fn orders_text(&self, group: &ClusterGroup, of: Of<'_>) -> String {
        let text = serde_json::to_string_pretty(&self.orders(group, of));
        text.expect("orders have text for keys, and nothing that is no JSON") + "\n"
    }

    /// Something that changes with the orders: pods are to be replaced then.
    pub(crate) fn checksum(&self, group: &ClusterGroup, of: Of<'_>) -> String {
        Fingerprint::EMPTY
            .with(&self.orders_text(group, of))
            .to_string()
    }

    pub(crate) fn config_map(&self, group: &ClusterGroup, of: Of<'_>) -> Value {
        let data = BTreeMap::from([(ORDERS_FILE, self.orders_text(group, of))]);
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self.metadata(&group.object, Some(group)),
            "data": data,
        })
    }
}

/// The name of the Service by which the replicas of `group` are found.
pub(crate) fn peers_name(group: &ClusterGroup) -> String {
    format!("{}-peers", group.object)
}

/// A port at every address. A pod that has none of the fourth version takes those of the sixth.
fn anywhere(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

/// The same secrets, where a pod finds them.
fn moved(references: &[SecretReference]) -> Vec<SecretReference> {
    let moved = |reference: &SecretReference| SecretReference {
        source: match &reference.source {
            SecretSource::Env(name) => SecretSource::Env(name.clone()),
            SecretSource::File(path) => {
                SecretSource::File(format!("{SECRETS_FOLDER}/{}", key_of_file(path)))
            }
        },
        ..reference.clone()
    };
    references.iter().map(moved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_secret_has_a_key_of_its_own() {
        assert_eq!(key_of_file("secrets/rates.key"), "secrets_rates.key");
        assert_eq!(key_of_file("./secrets/rates.key"), "secrets_rates.key");
        assert_ne!(key_of_file("a b"), key_of_file("a_b"));
        assert_ne!(key_of_file("a_b"), key_of_file("a/b"));
        for key in [key_of_file("/run/ä ö"), key_of_file("a/b")] {
            assert!(
                key.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
                "{key}"
            );
        }
    }
}
