//! What a replica without a control plane is told: once, in a file.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use anylith_core::{Name, SecretReference};
use serde::{Deserialize, Serialize};

use crate::control::Bootstrap;

/// The orders of a replica without a control plane, as `anylith render static` writes them for each.
///
/// They are what a control plane would say in its welcome, and where the rest is found. The process reads the file
/// again on SIGHUP: another directory in it counts as a newer one, whatever its epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StandingOrders {
    /// The replica's name.
    pub replica: Name,
    /// All that a welcome says, but for secrets and its identity, which are not in this file.
    pub bootstrap: Bootstrap,
    /// Listener → where it listens, if its socket is not inherited.
    #[serde(default)]
    pub listen: BTreeMap<Name, SocketAddr>,
    /// Component → the values of its config that are elsewhere. A file's path begins at the folder of this file.
    #[serde(default)]
    pub secrets: BTreeMap<Name, Vec<SecretReference>>,
    /// What it proves itself with to other hosts; without it there is nothing between hosts.
    #[serde(default)]
    pub identity: Option<IdentityFiles>,
    /// How long it may take to drain, in milliseconds.
    pub grace_ms: u64,
}

/// Where an identity is kept, each file in PEM. Paths begin at the folder of the orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityFiles {
    /// The certificate, and those that lead from it to a root.
    pub certificates: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The roots that others are known by.
    pub roots: PathBuf,
}
