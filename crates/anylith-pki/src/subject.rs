//! Who a certificate is for.

use anylith_core::Name;
use anylith_wire::group_uris;
use rcgen::SanType;

/// A replica, as a certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The application.
    pub app: Name,
    /// The replica.
    pub replica: Name,
    /// The group it belongs to.
    pub group: Name,
    /// The components that run in it. It may call what they are dependent on, and nothing else.
    pub components: Vec<Name>,
}

impl Subject {
    /// Its URIs: `anylith://boutique/replica/Cart-1`, and so on.
    pub fn uris(&self) -> Vec<String> {
        let own = format!("anylith://{}/replica/{}", self.app, self.replica);
        let uris = group_uris(&self.app, &self.group, &self.components);
        std::iter::once(own).chain(uris).collect()
    }
}

/// All replicas of a group, as a certificate names them that they share: where nobody issues one to a replica before it
/// starts, as in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSubject {
    /// The application.
    pub app: Name,
    /// The group.
    pub group: Name,
    /// The components that run in it. Its replicas may call what they are dependent on, and nothing else.
    pub components: Vec<Name>,
}

impl GroupSubject {
    /// Its URIs: those of a [`Subject`], but for that of a replica.
    pub fn uris(&self) -> Vec<String> {
        group_uris(&self.app, &self.group, &self.components)
    }
}

pub(crate) fn alternative_names(uris: Vec<String>) -> Result<Vec<SanType>, rcgen::Error> {
    let uris = uris.into_iter();
    uris.map(|uri| Ok(SanType::URI(uri.try_into()?))).collect()
}
