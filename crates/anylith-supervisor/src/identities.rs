//! What the replicas of a running application prove themselves with, where they call each other over TCP.

use std::{path::PathBuf, time::SystemTime};

use anylith_control::Spec;
use anylith_core::{Name, with_causes};
use anylith_pki::{Authority, AuthorityError, Lifetimes, Subject};
use anylith_topology::Transport;
use anylith_wire::Identity;

use crate::{renewals::Renewals, report::Report, run_folder::RunFolder};

/// The authority of one run of an application. It is kept in the run folder, so that a supervisor which takes over
/// issues what the replicas that run since before believe; with the end of the run it goes.
///
/// Where it cannot be written it serves all the same, and is written when there is room. Who takes over from a
/// supervisor that could never write it makes a new one, and tells it to everybody who connects.
#[derive(Debug)]
pub(crate) struct Identities {
    authority: Authority,
    renewals: Renewals,
    folder: PathBuf,
    is_kept: bool,
    /// Why it could not be written when that was tried last.
    trouble: Option<String>,
}

impl Identities {
    /// `None` where replicas call each other over Unix sockets: there the system says whose a process is.
    pub(crate) fn open(folder: &RunFolder, spec: &Spec) -> Result<Option<Self>, AuthorityError> {
        if spec.transport == Transport::Unix {
            return Ok(None);
        }
        let now = SystemTime::now();
        let (app, lifetimes) = (spec.app.clone(), Lifetimes::default());
        let folder = folder.authority();
        let (authority, is_kept) = match Authority::open(&folder, app.clone(), lifetimes, now) {
            Ok(authority) => (authority, true),
            // There is none yet. Not so where one cannot be read: it may be the one that replicas believe.
            Err(AuthorityError::Unkept { .. }) => (Authority::new(app, lifetimes, now)?, false),
            Err(error) => return Err(error),
        };
        Ok(Some(Self {
            authority,
            renewals: Renewals::default(),
            folder,
            is_kept,
            trouble: None,
        }))
    }

    /// A new identity for `subject`; or none, which is tried again. And what people must be told.
    pub(crate) fn issue(&mut self, subject: &Subject) -> (Option<Identity>, Option<Report>) {
        let now = SystemTime::now();
        let issued = self.authority.issue(subject, now);
        let outcome = issued
            .as_ref()
            .map(drop)
            .map_err(|error| with_causes(error));
        let report = self.renewals.note(&subject.replica, outcome, now);
        (issued.ok(), report)
    }

    /// Which of the replicas that are `connected` should get a new one: a third of the time of theirs is over, or the
    /// clock was set back, or they got none, or there is a new root to be made known. To be asked now and then by
    /// the wall clock, since other clocks stand still while the machine sleeps. What could not be written is written.
    pub(crate) fn tend(&mut self, connected: Vec<Name>) -> (Vec<Name>, Option<Report>) {
        let now = SystemTime::now();
        let kept = match self.is_kept {
            true => Ok(()),
            false => self.authority.keep_in(&self.folder),
        };
        self.is_kept |= kept.is_ok();
        let tended = kept.and_then(|()| self.authority.tend(now));
        if let Ok(true) = tended {
            self.renewals.make_all_due();
        }
        let report = self.told(tended.map(drop));
        let third = self.authority.lifetimes().certificate / 3;
        let due = self.renewals.due(connected, now, third).collect();
        (due, report)
    }

    /// What people must be told of an attempt to write the authority.
    fn told(&mut self, written: Result<(), AuthorityError>) -> Option<Report> {
        let trouble = written.err().map(|error| with_causes(&error));
        let before = std::mem::replace(&mut self.trouble, trouble.clone());
        match (before, trouble) {
            (before, Some(error)) => {
                (before.as_ref() != Some(&error)).then_some(Report::AuthorityUnkept { error })
            }
            (Some(_), None) => Some(Report::AuthorityKept),
            (None, None) => None,
        }
    }

    /// What is wrong now.
    pub(crate) fn troubles(&self) -> impl Iterator<Item = Report> {
        let authority = self.trouble.clone();
        let authority = authority.map(|error| Report::AuthorityUnkept { error });
        authority.into_iter().chain(self.renewals.failed())
    }
}
