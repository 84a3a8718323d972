//! Whom a certificate names.

use std::fmt;

use anylith_core::Name;
use anylith_wire::is_replica_of;
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
/// All must be of one application, and at most one may be a replica. Without one it is the certificate of all replicas of the
/// one group that it names then: those that are called after it and an address. A DNS name or an address counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) app: Name,
    bearer: Bearer,
    pub(crate) components: Vec<Name>,
}

/// Whose certificate it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Bearer {
    Replica(Name),
    /// Any replica of this group.
    Group(Name),
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
        let (mut app, mut replica, mut group) = (None, None, None);
        let mut components = Vec::new();
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
                "group" if group.is_some() => return Err("it names two groups".to_owned()),
                "group" => group = Some(name),
                "component" => components.push(name),
                // What later versions add.
                _ => {}
            }
        }
        let bearer = replica.map(Bearer::Replica).or(group.map(Bearer::Group));
        let (Some(app), Some(bearer)) = (app, bearer) else {
            return Err("it names no replica of an application".to_owned());
        };
        Ok(Self {
            app,
            bearer,
            components,
        })
    }

    /// Whether `replica` is named, by itself or with its group.
    pub(crate) fn are_of(&self, replica: &Name) -> bool {
        match &self.bearer {
            Bearer::Replica(own) => own == replica,
            Bearer::Group(group) => is_replica_of(group, replica),
        }
    }

    /// Whether each of `components` is named.
    pub(crate) fn cover<'a>(&self, components: impl IntoIterator<Item = &'a Name>) -> bool {
        let mut components = components.into_iter();
        components.all(|component| self.components.contains(component))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let app = &self.app;
        match &self.bearer {
            Bearer::Replica(replica) => write!(f, "replica {replica} of {app}"),
            Bearer::Group(group) => write!(f, "any replica of the group {group} of {app}"),
        }?;
        match self.components.as_slice() {
            [] => Ok(()),
            some => write!(f, " with {}", list(some)),
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
            &["anylith://shop/group/Cart", "anylith://shop/group/Till"],
            &["anylith://shop/replica/Cart-1/more"],
            &["anylith://shop/replica/"],
            &["anylith:///replica/Cart-1"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
    #[test]
    fn a_certificate_of_a_group_is_good_for_its_replicas_and_nobody_else() {
        let names = read(&["anylith://shop/group/Cart", "anylith://shop/component/Cart"]).unwrap();
        let is_of = |replica: &str| names.are_of(&Name::new(replica).unwrap());
        assert!(is_of("Cart-10-0-0-7"));
        for other in ["Cart", "Cart-1", "Cart-b-10-0-0-7", "Till-10-0-0-7"] {
            assert!(!is_of(other), "{other}");
        }
        assert_eq!(
            names.to_string(),
            "any replica of the group Cart of shop with Cart"
        );
    }
}
