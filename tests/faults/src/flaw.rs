//! What is wrong with the identity of a replica.

use std::{
    fmt,
    path::Path,
    time::{Duration, SystemTime},
};

use anylith_pki::{Authority, Lifetimes, Subject};

/// How long ago a certificate was issued that has run out: it is valid for a day.
const LONG_AGO: Duration = Duration::from_secs(3 * 24 * 3600);

/// Something wrong with an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The certificate has run out.
    Expired,
    /// It is of an authority that nobody knows.
    OtherAuthority,
    /// It names another component.
    OtherComponent,
    /// It is that of another replica, which is nowhere in the directory.
    Impostor,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "a certificate that has run out",
            Self::OtherAuthority => "a certificate of another authority",
            Self::OtherComponent => "a certificate for another component",
            Self::Impostor => "the certificate of another replica",
        })
    }
}

impl Flaw {
    /// What others log who turn it away.
    pub(crate) fn refusals(self) -> &'static [&'static str] {
        match self {
            // It does not even begin: it is the first to look at its certificate.
            Self::OtherComponent => &["its certificate is for replica"],
            Self::Expired | Self::OtherAuthority | Self::Impostor => &[
                "did not prove that it belongs to the application",
                "claimed a",
            ],
        }
    }

    /// Makes of the rightful subject the one that the certificate is for.
    pub(crate) fn change(self, subject: &mut Subject) -> anyhow::Result<()> {
        match self {
            Self::Expired | Self::OtherAuthority => {}
            Self::OtherComponent => subject.components = vec!["Driver".parse()?],
            Self::Impostor => subject.replica = "Impostor-1".parse()?,
        }
        Ok(())
    }

    /// Issues the identity. `authority` is that of the application.
    pub(crate) fn issue(
        self,
        authority: &Authority,
        subject: &Subject,
    ) -> anyhow::Result<anylith_wire::Identity> {
        let now = SystemTime::now();
        let other;
        let (authority, at) = match self {
            Self::Expired => (authority, now - LONG_AGO),
            Self::OtherAuthority => {
                other = Authority::new(subject.app.clone(), Lifetimes::default(), now)?;
                (&other, now)
            }
            Self::OtherComponent | Self::Impostor => (authority, now),
        };
        Ok(authority.issue(subject, at)?)
    }
}

/// The authority that `anylith render static` has made in `app`.
pub(crate) fn authority_of(app: &Path) -> anyhow::Result<Authority> {
    let folder = app.join(".anylith-ca");
    let now = SystemTime::now();
    Ok(Authority::open(
        &folder,
        "faults".parse()?,
        Lifetimes::default(),
        now,
    )?)
}
