//! Who issues the certificates of an application.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anylith_core::Name;
use anylith_wire::Identity;

use crate::{
    GroupSubject, Subject,
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
    /// Its folder cannot be used, or what is in it cannot be read.
    #[error("the certificate authority in {} cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is new of it cannot be written. What was in the folder is there as before.
    #[error("the certificate authority cannot be written to {}", path.display())]
    Unkept {
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
    /// closed to everybody else. One that is there is read and never written, so a full disk keeps nobody from it; what
    /// is due of it is for [`Authority::tend`].
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Folder`] if the folder belongs to somebody else, or what is in it cannot be read, and
    /// [`AuthorityError::Unkept`] if a new one cannot be written.
    pub fn open(
        folder: &Path,
        app: Name,
        lifetimes: Lifetimes,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let keep = open_keep(folder)?;
        let roots = keep.read().map_err(|source| AuthorityError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let is_good = roots.iter().any(|root| !root.is_over(now));
        let mut authority = Self {
            app,
            lifetimes,
            roots,
            keep: Some(keep),
        };
        if !is_good {
            authority.tend(now)?;
        }
        Ok(authority)
    }

    /// Keeps it in `folder` from now on, in the place of what may be there.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Folder`] or [`AuthorityError::Unkept`]; it is kept where it was before, if anywhere.
    pub fn keep_in(&mut self, folder: &Path) -> Result<(), AuthorityError> {
        let keep = open_keep(folder)?;
        write(&keep, &self.roots)?;
        self.keep = Some(keep);
        Ok(())
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
        if !is_needed && !self.roots.iter().any(|root| root.is_over(now)) {
            return Ok(false);
        }
        let mut roots: Vec<Root> = self
            .roots
            .iter()
            .filter(|root| !root.is_over(now))
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
            write(keep, &roots)?;
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
        self.sign((&subject.replica, subject.uris()), now)
    }

    /// Issues an identity to all replicas of a group, which share its key.
    ///
    /// # Errors
    ///
    /// As with [`Authority::issue`].
    pub fn issue_to_group(
        &self,
        subject: &GroupSubject,
        now: SystemTime,
    ) -> Result<Identity, AuthorityError> {
        self.sign((&subject.group, subject.uris()), now)
    }

    fn sign(
        &self,
        subject: (&Name, Vec<String>),
        now: SystemTime,
    ) -> Result<Identity, AuthorityError> {
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

fn open_keep(folder: &Path) -> Result<Keep, AuthorityError> {
    Keep::open(folder).map_err(|source| {
        let path = folder.to_owned();
        // Where there is no folder, there is nothing in it that could not be read.
        match folder.symlink_metadata() {
            Ok(_) => AuthorityError::Folder { path, source },
            Err(_) => AuthorityError::Unkept { path, source },
        }
    })
}

fn write(keep: &Keep, roots: &[Root]) -> Result<(), AuthorityError> {
    keep.write(roots).map_err(|source| AuthorityError::Unkept {
        path: keep.folder().to_owned(),
        source,
    })
}
