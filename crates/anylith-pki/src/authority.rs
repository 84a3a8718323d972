//! Who issues the certificates of an application.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anylith_core::Name;
use anylith_wire::Identity;

use crate::{
    Subject,
    keep::Keep,
    root::{Root, seconds},
};

/// For how long what an authority makes is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// A replica's certificate. It should be renewed when a third of this has passed: then there is time to try
    /// again, and for clocks that are off by hours.
    pub certificate: Duration,
    /// A root. When half of this has passed the next one is made.
    pub root: Duration,
}

impl Default for Lifetimes {
    /// A day for a certificate, and two years for a root.
    fn default() -> Self {
        Self {
            certificate: Duration::from_secs(24 * 3600),
            root: Duration::from_secs(2 * 365 * 24 * 3600),
        }
    }
}

/// Issues certificates to the replicas of one application.
///
/// It has one root, or two while one takes the place of the other: the new one is told to everybody with each identity
/// that is issued, and signs only when every certificate from before it was made has run out. So nobody meets a
/// certificate whose root he does not know, whenever his own was renewed.
#[derive(Debug)]
pub struct Authority {
    app: Name,
    lifetimes: Lifetimes,
    /// The oldest first.
    roots: Vec<Root>,
    keep: Option<Keep>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// Its folder cannot be used.
    #[error("the certificate authority in {} cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key could not be made, or did not sign.
    #[error("a certificate cannot be issued")]
    Issue(#[from] rcgen::Error),
    /// The clock says something that no certificate can.
    #[error("a certificate cannot be issued: the clock of this host is out of all bounds")]
    Date,
}

impl Authority {
    /// A new authority, which is kept nowhere.
    ///
    /// # Errors
    ///
    /// No key could be made.
    pub fn new(app: Name, lifetimes: Lifetimes, now: SystemTime) -> Result<Self, AuthorityError> {
        let mut authority = Self {
            app,
            lifetimes,
            roots: Vec::new(),
            keep: None,
        };
        authority.tend(now)?;
        Ok(authority)
    }

    /// The authority that is kept in `folder`, or a new one that is kept there from now on. The folder is made, and
    /// closed to everybody else.
    ///
    /// # Errors
    ///
    /// The folder belongs to somebody else, or what is in it cannot be read or written.
    pub fn open(
        folder: &Path,
        app: Name,
        lifetimes: Lifetimes,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let unusable = |source| AuthorityError::Folder {
            path: folder.to_owned(),
            source,
        };
        let keep = Keep::open(folder).map_err(unusable)?;
        let roots = keep.read().map_err(unusable)?;
        let mut authority = Self {
            app,
            lifetimes,
            roots,
            keep: Some(keep),
        };
        authority.tend(now)?;
        Ok(authority)
    }

    /// Makes the next root when its time has come, and forgets those whose time is over. Returns whether that changed
    /// anything: then everybody should get a new identity.
    ///
    /// # Errors
    ///
    /// What has changed could not be kept; all is as it was.
    pub fn tend(&mut self, now: SystemTime) -> Result<bool, AuthorityError> {
        let wear = seconds(now + self.lifetimes.root / 2);
        let is_needed = self.roots.last().is_none_or(|newest| newest.ends < wear);
        let over = |root: &Root| root.ends < seconds(now);
        if !is_needed && !self.roots.iter().any(over) {
            return Ok(false);
        }
        let mut roots: Vec<Root> = self
            .roots
            .iter()
            .filter(|root| !over(root))
            .cloned()
            .collect();
        if is_needed {
            roots.push(self.next_root(now, !roots.is_empty())?);
        }
        self.set(roots)?;
        Ok(true)
    }

    /// Makes a new root now, as if the time of the present one came to its end.
    ///
    /// # Errors
    ///
    /// As with [`Authority::tend`].
    pub fn replace_root(&mut self, now: SystemTime) -> Result<(), AuthorityError> {
        let mut roots = self.roots.clone();
        roots.push(self.next_root(now, true)?);
        self.set(roots)
    }

    fn next_root(&self, now: SystemTime, has_elder: bool) -> Result<Root, AuthorityError> {
        let known = match has_elder {
            true => now + self.lifetimes.certificate,
            false => now,
        };
        Root::new(&self.app, now, known, now + self.lifetimes.root)
    }

    fn set(&mut self, roots: Vec<Root>) -> Result<(), AuthorityError> {
        if let Some(keep) = &self.keep {
            keep.write(&roots)
                .map_err(|source| AuthorityError::Folder {
                    path: keep.folder().to_owned(),
                    source,
                })?;
        }
        self.roots = roots;
        Ok(())
    }

    /// The certificates of its roots, in PEM.
    pub fn roots(&self) -> String {
        let roots = self.roots.iter();
        roots.map(|root| root.certificate.as_str()).collect()
    }

    /// For how long what it issues is valid.
    pub fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// Issues an identity to `subject`, with a key that nobody else has, valid from half a day ago.
    ///
    /// # Errors
    ///
    /// No key could be made.
    pub fn issue(&self, subject: &Subject, now: SystemTime) -> Result<Identity, AuthorityError> {
        let mut newest_first = self.roots.iter().rev();
        let root = newest_first
            .find(|root| root.signs(now))
            // By a clock that was set back none signs yet: the oldest is known to everybody.
            .or(self.roots.first())
            .ok_or(AuthorityError::Date)?;
        let (certificates, key) = root.sign(subject, now, now + self.lifetimes.certificate)?;
        Ok(Identity {
            certificates,
            key,
            roots: self.roots(),
        })
    }
}
