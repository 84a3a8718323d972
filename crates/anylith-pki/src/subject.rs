//! Who a certificate is for.

use anylith_core::Name;
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
        let app = &self.app;
        let mut uris = vec![
            format!("anylith://{app}/replica/{}", self.replica),
            format!("anylith://{app}/group/{}", self.group),
        ];
        let components = self.components.iter();
        uris.extend(components.map(|component| format!("anylith://{app}/component/{component}")));
        uris
    }

    pub(crate) fn alternative_names(&self) -> Result<Vec<SanType>, rcgen::Error> {
        let uris = self.uris().into_iter();
        uris.map(|uri| Ok(SanType::URI(uri.try_into()?))).collect()
    }
}
