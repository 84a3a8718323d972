//! What the replicas of a running application prove themselves with, where they call each other over TCP.

use std::time::SystemTime;

use anylith_control::{GroupSpec, Spec};
use anylith_core::Name;
use anylith_pki::{Authority, AuthorityError, Lifetimes, Subject};
use anylith_topology::Transport;
use anylith_wire::Identity;

use crate::run_folder::RunFolder;

/// The authority of one run of an application. It is kept in the run folder, so that a supervisor which takes over
/// issues what the replicas that run since before believe; with the end of the run it goes.
#[derive(Debug)]
pub(crate) struct Identities {
    authority: Authority,
    /// When all were issued last.
    issued: SystemTime,
}

impl Identities {
    /// `None` where replicas call each other over Unix sockets: there the system says whose a process is.
    pub(crate) fn open(folder: &RunFolder, spec: &Spec) -> Result<Option<Self>, AuthorityError> {
        if spec.transport == Transport::Unix {
            return Ok(None);
        }
        let now = SystemTime::now();
        let (app, lifetimes) = (spec.app.clone(), Lifetimes::default());
        let authority = Authority::open(&folder.authority(), app, lifetimes, now)?;
        Ok(Some(Self {
            authority,
            issued: now,
        }))
    }

    /// A new identity for `replica`, of `group`.
    pub(crate) fn issue(
        &self,
        app: &Name,
        group: &GroupSpec,
        replica: &Name,
    ) -> Result<Identity, AuthorityError> {
        let subject = Subject {
            app: app.clone(),
            replica: replica.clone(),
            group: group.name.clone(),
            components: group.components.clone(),
        };
        self.authority.issue(&subject, SystemTime::now())
    }

    /// Whether all should get new ones: a third of their time is over, or the clock was set back, or there is a new
    /// root to be made known. To be asked now and then by the wall clock, since other clocks stand still while the
    /// machine sleeps.
    pub(crate) fn renew(&mut self) -> Result<bool, AuthorityError> {
        let now = SystemTime::now();
        let third = self.authority.lifetimes().certificate / 3;
        let due = now
            .duration_since(self.issued)
            .map_or(true, |age| age >= third);
        let tended = self.authority.tend(now)?;
        Ok(due || tended)
    }

    /// Notes that all have been issued now.
    pub(crate) fn issued(&mut self) {
        self.issued = SystemTime::now();
    }
}
