//! What a replica without a control plane is told: once, in a file.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anylith_core::{Fingerprint, Name, SecretReference};
use serde::{Deserialize, Serialize};

use crate::control::Bootstrap;

/// The orders of a replica without a control plane, as `anylith render static` writes them for each, and `anylith render
/// kubernetes` for all replicas of a group at once.
///
/// They are what a control plane would say in its welcome, and where the rest is found. The process reads the file
/// again on SIGHUP: another directory in it counts as a newer one, whatever its epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StandingOrders {
    /// The replica's name; with `discovery` that of its group, and [`replica_at`] makes the replica's of it.
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
    /// How it finds those that it calls, if it looks for them by name. Then the directory of the bootstrap is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// Where it says over HTTP how it is, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<SocketAddr>,
}

/// How a replica finds others whose addresses nobody knows beforehand: each group has a name in the DNS, with the addresses
/// of all of its replicas, and these answer at the same port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// The port at which it answers calls itself; none if nobody calls it.
    #[serde(default)]
    pub port: Option<u16>,
    /// The groups that it calls.
    pub peers: Vec<PeerGroup>,
}

/// A group that is found by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerGroup {
    /// Its name.
    pub group: Name,
    /// Its name in the DNS.
    pub host: String,
    /// The port at which its replicas answer.
    pub port: u16,
    /// Those of its components that are called.
    pub components: Vec<Name>,
}

/// The environment variable with the address that others find a replica at, which looks for others by name.
pub const ENV_ADDRESS: &str = "ANYLITH_ADDRESS";

/// The name of the replica of `group` at `address`, which it and those that have looked it up come to alike: `rest-10-0-0-7`.
/// `None` if the group's name leaves no room for it.
pub fn replica_at(group: &Name, address: IpAddr) -> Option<Name> {
    Name::new(format!("{group}-{}", address_part(address))).ok()
}

/// Whether `replica` is a name that [`replica_at`] makes of `group`.
pub fn is_replica_of(group: &Name, replica: &Name) -> bool {
    let rest = replica.as_str().strip_prefix(group.as_str());
    let Some(part) = rest.and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    let is_hash = part.len() == 16
        && part
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let dotted = part.replace('-', ".").parse();
    is_hash || dotted.is_ok_and(|address| address_part(IpAddr::V4(address)) == part)
}

/// An address as a part of a name. One of the sixth version is too long for it, and has a hash instead: two replicas that it
/// does not tell apart are told apart by their addresses.
fn address_part(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string().replace('.', "-"),
        IpAddr::V6(address) => Fingerprint::EMPTY.with(&address.to_string()).to_string(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn a_replica_is_named_after_its_group_and_its_address() {
        let rest = name("rest");
        let at = |address: &str| replica_at(&rest, address.parse().unwrap());
        assert_eq!(at("10.0.0.7").unwrap(), "rest-10-0-0-7");
        assert_eq!(at("::ffff:10.0.0.7"), at("10.0.0.7"));
        let sixth = at("fd00::1").unwrap();
        assert_ne!(at("fd00::2").unwrap(), sixth);
        for replica in [at("10.0.0.7").unwrap(), sixth] {
            assert!(is_replica_of(&rest, &replica), "{replica}");
        }
        let long = name(&"x".repeat(32));
        let widest = "255.255.255.255".parse().unwrap();
        assert!(replica_at(&long, widest).is_some());
        assert!(replica_at(&name(&"x".repeat(33)), widest).is_none());
    }

    #[test]
    fn no_other_name_is_one_of_a_replica_of_the_group() {
        let rest = name("rest");
        for other in [
            "rest",
            "rest-",
            "rest-1",
            "rest-10-0-0",
            "rest-10-0-0-256",
            "rest-010-0-0-1",
            "rest-b-10-0-0-1",
            "restful-10-0-0-1",
            "rest-10-0-0-1-1",
            "rest-0123456789ABCDEF",
        ] {
            assert!(!is_replica_of(&rest, &name(other)), "{other}");
        }
    }
}
