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

/// Where each component answers, as the control plane last published it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Directory {
    /// The version. It only grows, also over restarts of the control plane; a replica that is offered an
    /// older directory than its own keeps its own.
    pub epoch: u64,
    /// What is known of each component. One that is absent answers nowhere, and nobody sees to it that it will.
    pub components: BTreeMap<Name, Whereabouts>,
    /// Component → replica → what its interface looks like there. Only components are in it whose replicas are of builds
    /// that differ in it; all others look the same everywhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub interfaces: BTreeMap<Name, BTreeMap<Name, Fingerprint>>,
    /// The components of which replicas are started alone when there is a burst of calls → those of its replicas that were:
    /// none, while there is no burst.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bursts: BTreeMap<Name, BTreeSet<Name>>,
}

/// Where a component is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whereabouts {
    /// Its ready replicas, in the order of their names: at least one.
    Answers(#[serde(deserialize_with = "at_least_one")] Vec<Address>),
    /// It is on its way from one place to another, and calls do well to wait for it.
    Moves,
    /// Nothing of it runs until it is called: then a replica is started, and the call waits for it.
    Sleeps,
}

impl Whereabouts {
    /// That a component answers at `addresses`; `None` if there are none.
    pub fn at(addresses: Vec<Address>) -> Option<Self> {
        (!addresses.is_empty()).then_some(Self::Answers(addresses))
    }

    /// The ready replicas; empty if there are none.
    pub fn replicas(&self) -> &[Address] {
        match self {
            Self::Answers(replicas) => replicas,
            Self::Moves | Self::Sleeps => &[],
        }
    }
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    let addresses = Vec::<Address>::deserialize(deserializer)?;
    match addresses.is_empty() {
        true => Err(D::Error::custom("a component that answers has a replica")),
        false => Ok(addresses),
    }
}

impl Directory {
    /// One in which each of `components` answers at these replicas; one without any answers nowhere.
    pub fn new(epoch: u64, components: impl IntoIterator<Item = (Name, Vec<Address>)>) -> Self {
        let components = components.into_iter();
        Self {
            epoch,
            components: components
                .filter_map(|(name, replicas)| Some((name, Whereabouts::at(replicas)?)))
                .collect(),
            interfaces: BTreeMap::new(),
            bursts: BTreeMap::new(),
        }
    }

    /// The part of it that a process can use in which interfaces look as `own` says: without the replicas that have another
    /// version of a component's interface. Where that is all of them, the component answers nowhere, and is not on its way
    /// either. What is not in `own` is not looked at.
    #[must_use]
    pub fn fitting(mut self, own: &BTreeMap<Name, Fingerprint>) -> Self {
        for (component, seen) in &self.interfaces {
            let here = self.components.get_mut(component);
            let (Some(own), Some(Whereabouts::Answers(replicas))) = (own.get(component), here)
            else {
                continue;
            };
            let fits = |replica: &Name| seen.get(replica).is_none_or(|there| there == own);
            replicas.retain(|address| fits(&address.replica));
            if replicas.is_empty() {
                self.components.remove(component);
            }
        }
        self
    }

    /// The ready replicas of `component`; empty if there are none.
    pub fn replicas(&self, component: &str) -> &[Address] {
        let known = self.components.get(component);
        known.map_or(&[], Whereabouts::replicas)
    }

    /// Whether `replica` was started for a burst of calls of `component`, and has nothing else to do.
    pub fn is_for_burst(&self, component: &str, replica: &Name) -> bool {
        let own = self.bursts.get(component);
        own.is_some_and(|replicas| replicas.contains(replica))
    }

    /// Every address in it, once for each component that answers there.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.components.values().flat_map(Whereabouts::replicas)
    }

    /// Whether `component` answers nowhere and is on its way, so that calls do well to wait for it.
    pub fn is_moving(&self, component: &str) -> bool {
        self.components.get(component) == Some(&Whereabouts::Moves)
    }

    /// Whether nothing of `component` runs until it is called.
    pub fn is_asleep(&self, component: &str) -> bool {
        self.components.get(component) == Some(&Whereabouts::Sleeps)
    }

    /// Whether `component` can be called: it has a ready replica, or gets one when it is called.
    pub fn can_call(&self, component: &str) -> bool {
        match self.components.get(component) {
            Some(Whereabouts::Answers(replicas)) => !replicas.is_empty(),
            Some(Whereabouts::Sleeps) => true,
            Some(Whereabouts::Moves) | None => false,
        }
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

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn address(replica: &str) -> Address {
        Address {
            replica: name(replica),
            endpoint: Endpoint::Unix("/run/s".into()),
        }
    }

    #[test]
    fn who_has_another_version_of_an_interface_is_not_in_the_directory_for_me() {
        let seen = BTreeMap::from([
            (name("Cart-1"), Fingerprint(1)),
            (name("Cart-2"), Fingerprint(2)),
        ]);
        let replicas = vec![address("Cart-1"), address("Cart-2"), address("Cart-3")];
        let both = [(name("Cart"), replicas.clone()), (name("Ad"), replicas)];
        let directory = Directory {
            interfaces: BTreeMap::from([(name("Cart"), seen)]),
            ..Directory::new(3, both)
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
    fn a_component_that_answers_in_another_version_alone_is_not_on_its_way() {
        let seen = BTreeMap::from([(name("Cart-1"), Fingerprint(1))]);
        let directory = Directory {
            interfaces: BTreeMap::from([(name("Cart"), seen)]),
            ..Directory::new(3, [(name("Cart"), vec![address("Cart-1")])])
        };
        let fitting = directory.fitting(&BTreeMap::from([(name("Cart"), Fingerprint(2))]));
        assert!(fitting.replicas("Cart").is_empty() && !fitting.can_call("Cart"));
        assert!(!fitting.is_moving("Cart") && !fitting.is_asleep("Cart"));
    }

    #[test]
    fn a_component_without_a_replica_is_not_one_that_answers() {
        let directory = Directory::new(1, [(name("Cart"), Vec::new())]);
        assert_eq!(directory, Directory::new(1, []));
        let read = serde_json::from_str::<Whereabouts>;
        assert!(read(r#"{"answers": []}"#).is_err());
        assert_eq!(read(r#""moves""#).unwrap(), Whereabouts::Moves);
        assert_eq!(read(r#""sleeps""#).unwrap(), Whereabouts::Sleeps);
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
