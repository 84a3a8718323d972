//! What a replica proves itself with to others.

use std::fmt;

use anylith_core::Name;
use serde::{Deserialize, Serialize};

/// The certificate of a replica, the key that belongs to it, and whose certificates the replica believes. All of them
/// are PEM, so that they can be kept in files and looked at with the usual tools.
///
/// `docs/design/0024-who-is-calling.md` says what a certificate names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The replica's certificate, and behind it those that lead to a root, if there are any between.
    pub certificates: String,
    /// Its private key (PKCS #8). It is a secret: `Debug` leaves it out.
    pub key: String,
    /// The certificates of the authorities that are believed. Two of them while one takes the place of another.
    pub roots: String,
}

/// The URIs of a certificate that all replicas of `group` share: of the group, and of each of its components. One that a
/// single replica has names that replica as well.
pub fn group_uris(app: &Name, group: &Name, components: &[Name]) -> Vec<String> {
    let own = std::iter::once(format!("anylith://{app}/group/{group}"));
    let components = components.iter();
    own.chain(components.map(|component| format!("anylith://{app}/component/{component}")))
        .collect()
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificates", &self.certificates)
            .field("key", &"(a secret)")
            .field("roots", &self.roots)
            .finish()
    }
}
