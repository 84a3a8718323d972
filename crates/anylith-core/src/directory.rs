//! Where each component answers right now.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{Fingerprint, Name};

/// An address at which a replica answers calls. Written `unix:/path` or `tcp:host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// A Unix socket on this host.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// The text is not an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an endpoint: write `unix:/path` or `tcp:address:port`")]
pub struct InvalidEndpoint(String);

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        match text.split_once(':').ok_or_else(invalid)? {
            ("unix", path) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            ("tcp", address) => address.parse().map(Self::Tcp).map_err(|_| invalid()),
            _ => Err(invalid()),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Component → addresses of its ready replicas, as the control plane last published it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Directory {
    /// The version. It only grows, also over restarts of the control plane; a replica that is offered an
    /// older directory than its own keeps its own.
    pub epoch: u64,
    /// The ready replicas of each component, in the order of their names. A component without a ready
    /// replica is absent, or there without any: then it is on its way from one place to another.
    pub components: BTreeMap<Name, Vec<Address>>,
    /// Component → replica → what its interface looks like there. Only components are in it whose replicas are of builds
    /// that differ in it; all others look the same everywhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub interfaces: BTreeMap<Name, BTreeMap<Name, Fingerprint>>,
    /// The components of which nothing runs until they are called: then a replica is started, and the call waits for it.
    /// None of them has a ready replica.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub dormant: BTreeSet<Name>,
}

impl Directory {
    /// The part of it that a process can use in which interfaces look as `own` says: without the replicas that have another
    /// version of a component's interface. What is not in `own` is not looked at.
    #[must_use]
    pub fn fitting(mut self, own: &BTreeMap<Name, Fingerprint>) -> Self {
        for (component, seen) in &self.interfaces {
            let Some((own, replicas)) = own.get(component).zip(self.components.get_mut(component))
            else {
                continue;
            };
            let fits = |replica: &Name| seen.get(replica).is_none_or(|there| there == own);
            replicas.retain(|address| fits(&address.replica));
        }
        self
    }

    /// The ready replicas of `component`; empty if there are none.
    pub fn replicas(&self, component: &str) -> &[Address] {
        self.components.get(component).map_or(&[], Vec::as_slice)
    }

    /// Whether `component` answers nowhere and is on its way, so that calls do well to wait for it.
    pub fn is_moving(&self, component: &str) -> bool {
        self.components.get(component).is_some_and(Vec::is_empty)
    }

    /// Whether nothing of `component` runs until it is called.
    pub fn is_dormant(&self, component: &str) -> bool {
        self.dormant.contains(component)
    }

    /// Whether `component` can be called: it has a ready replica, or gets one when it is called.
    pub fn can_call(&self, component: &str) -> bool {
        !self.replicas(component).is_empty() || self.is_dormant(component)
    }
}

/// A replica, and where it answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The replica's name, such as `Catalog-2`.
    pub replica: Name,
    /// Where it answers. A replica that was started again answers at another endpoint.
    pub endpoint: Endpoint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_another_version_of_an_interface_is_not_in_the_directory_for_me() {
        let name = |text: &str| Name::new(text).unwrap();
        let address = |replica: &str| Address {
            replica: name(replica),
            endpoint: Endpoint::Unix("/run/s".into()),
        };
        let seen = BTreeMap::from([
            (name("Cart-1"), Fingerprint(1)),
            (name("Cart-2"), Fingerprint(2)),
        ]);
        let replicas = vec![address("Cart-1"), address("Cart-2"), address("Cart-3")];
        let directory = Directory {
            epoch: 3,
            components: BTreeMap::from([(name("Cart"), replicas.clone()), (name("Ad"), replicas)]),
            interfaces: BTreeMap::from([(name("Cart"), seen)]),
            dormant: BTreeSet::new(),
        };
        let own = BTreeMap::from([(name("Cart"), Fingerprint(2)), (name("Ad"), Fingerprint(7))]);
        let fitting = directory.clone().fitting(&own);
        // Of one that says nothing it is not known, and its greeting tells.
        assert_eq!(
            fitting.replicas("Cart"),
            [address("Cart-2"), address("Cart-3")]
        );
        assert_eq!(fitting.replicas("Ad").len(), 3);
        assert_eq!(directory.clone().fitting(&BTreeMap::new()), directory);
    }

    #[test]
    fn an_endpoint_is_read_as_it_is_written() {
        for text in ["unix:/run/a.sock", "tcp:127.0.0.1:80", "tcp:[::1]:80"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "unix:",
            "unix:a",
            "tcp:x",
            "tcp:localhost:1",
            "http://a",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?} was taken");
        }
    }
}
