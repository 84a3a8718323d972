//! Whom a certificate names.

use std::fmt;

use anylith_core::Name;
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::list;

/// What the URIs among the subject's alternative names say:
///
/// ```text
/// anylith://boutique/replica/Checkout-1
/// anylith://boutique/group/Checkout
/// anylith://boutique/component/Checkout
/// anylith://boutique/component/Payment
/// ```
///
/// All must be of one application, and exactly one must be a replica. A DNS name or an address counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) app: Name,
    pub(crate) replica: Name,
    pub(crate) components: Vec<Name>,
}

impl Names {
    /// Reads those of `certificate`, whoever has issued it.
    ///
    /// # Errors
    ///
    /// What is wrong with them, for people to read.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let certificate =
            EndEntityCert::try_from(certificate).map_err(|error| error.to_string())?;
        Self::read(certificate.valid_uri_names())
    }

    fn read<'a>(uris: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let (mut app, mut replica, mut components) = (None, None, Vec::new());
        for uri in uris.filter_map(|uri| uri.strip_prefix("anylith://")) {
            let mut parts = uri.split('/');
            let (Some(of), Some(kind), Some(name), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(format!("it names `anylith://{uri}`, which is nothing"));
            };
            let read = |text: &str| Name::new(text).map_err(|error| error.to_string());
            let (of, name) = (read(of)?, read(name)?);
            if app.get_or_insert_with(|| of.clone()) != &of {
                return Err("it names two applications".to_owned());
            }
            match kind {
                "replica" if replica.is_some() => return Err("it names two replicas".to_owned()),
                "replica" => replica = Some(name),
                "component" => components.push(name),
                // Of a group, and of what later versions add.
                _ => {}
            }
        }
        let (Some(app), Some(replica)) = (app, replica) else {
            return Err("it names no replica of an application".to_owned());
        };
        Ok(Self {
            app,
            replica,
            components,
        })
    }

    /// Whether each of `components` is named.
    pub(crate) fn cover<'a>(&self, components: impl IntoIterator<Item = &'a Name>) -> bool {
        let mut components = components.into_iter();
        components.all(|component| self.components.contains(component))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (replica, app) = (&self.replica, &self.app);
        match self.components.as_slice() {
            [] => write!(f, "replica {replica} of {app}"),
            some => write!(f, "replica {replica} of {app} with {}", list(some)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uris: &[&str]) -> Result<Names, String> {
        Names::read(uris.iter().copied())
    }

    #[test]
    fn a_certificate_names_one_replica_of_one_application() {
        let names = read(&[
            "anylith://shop/replica/Cart-1",
            "anylith://shop/group/Cart",
            "anylith://shop/component/Cart",
            "spiffe://example.org/cart",
        ])
        .unwrap();
        assert_eq!(names.to_string(), "replica Cart-1 of shop with Cart");
        for wrong in [
            &[][..],
            &["anylith://shop/component/Cart"],
            &[
                "anylith://shop/replica/Cart-1",
                "anylith://shop/replica/Cart-2",
            ],
            &[
                "anylith://shop/replica/Cart-1",
                "anylith://bank/component/Vault",
            ],
            &["anylith://shop/replica/Cart-1/more"],
            &["anylith://shop/replica/"],
            &["anylith:///replica/Cart-1"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
