//! Whom this replica believes, and whom it lets call: the certificates of an application, the users of a host, and
//! the dependency graph.

use std::{collections::BTreeMap, io, sync::Arc, time::Instant};

use anylith_core::{Endpoint, Name};
use anylith_wire::{Identity, ProtocolError, ServingEnd};
use arc_swap::ArcSwapOption;
use tokio::net::{TcpStream, UnixStream};

use crate::{
    news::News,
    tally::Tally,
    tls::{IdentityError, Names, Tls, TlsStream, Unproven},
};

/// What a replica is within its application.
#[derive(Debug, Clone)]
pub struct Membership {
    /// Its name.
    pub replica: Name,
    /// The components on whose behalf it calls.
    pub components: Vec<Name>,
    /// Component of this replica → the components that may call it. Without it, every replica of the application may.
    pub callers: Option<BTreeMap<Name, Vec<Name>>>,
}

impl Membership {
    /// The replica called `replica`, of which nothing else is known: it calls for no component, and lets everybody
    /// call.
    pub fn of(replica: Name) -> Self {
        Self {
            replica,
            components: Vec::new(),
            callers: None,
        }
    }
}

/// Judges who is at the other end of a connection, and what he may do.
#[derive(Debug)]
pub(crate) struct Trust {
    membership: Membership,
    /// What this replica proves itself with, and whose certificates it believes.
    tls: ArcSwapOption<Tls>,
    tally: Arc<Tally>,
    /// The refusals that were written to the log.
    news: News<String>,
}

impl Trust {
    pub(crate) fn new(membership: Membership, tally: Arc<Tally>) -> Self {
        Self {
            membership,
            tls: ArcSwapOption::empty(),
            tally,
            news: News::default(),
        }
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Takes the identity for connections that are opened and accepted from now on.
    pub(crate) fn set_identity(&self, identity: &Identity) -> Result<(), IdentityError> {
        let Membership {
            replica,
            components,
            ..
        } = &self.membership;
        let tls = Tls::of(identity, replica, components)?;
        tracing::debug!(identity = %tls.credential(), "took a certificate");
        self.tls.store(Some(Arc::new(tls)));
        Ok(())
    }

    /// Whether calls can go over `endpoint`.
    ///
    /// # Errors
    ///
    /// Over TCP both ends must prove who they are, and this replica cannot.
    pub(crate) fn allows(&self, endpoint: &Endpoint) -> io::Result<()> {
        match endpoint {
            Endpoint::Unix(_) => Ok(()),
            Endpoint::Tcp(_) => self.tls().map(drop),
        }
    }

    fn tls(&self) -> io::Result<Arc<Tls>> {
        self.tls.load_full().ok_or_else(|| {
            let replica = &self.membership.replica;
            let text = format!(
                "over TCP replicas prove to each other who they are, and {replica} was given no certificate"
            );
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })
    }

    /// Proves who we are over `stream`, and that `replica` is at its other end.
    pub(crate) async fn connect_tls(
        &self,
        stream: TcpStream,
        replica: &Name,
    ) -> io::Result<(TlsStream, Names)> {
        let connected = self.tls()?.connect(stream, replica).await;
        connected.inspect_err(|error| self.note(error, "a replica that this one was to call"))
    }

    /// The serving end of `stream`, whose handshake is still to be made.
    pub(crate) fn accept_tls(&self, stream: TcpStream) -> io::Result<TlsStream> {
        self.tls()?.accept(stream)
    }

    /// Refuses a process of another user at the other end of `stream`. Root is another user, too: it can do all that
    /// our user can, but what it means to do here it can do as that user.
    pub(crate) fn check_user(&self, stream: &UnixStream) -> io::Result<()> {
        let ours = rustix::process::geteuid().as_raw();
        let theirs = stream.peer_cred()?.uid();
        if theirs == ours {
            return Ok(());
        }
        let text = format!("it belongs to user {theirs}, and this replica to user {ours}");
        let error = io::Error::from(Unproven::new(text));
        self.note(&error, "a process at the other end of a Unix socket");
        Err(error)
    }

    /// Counts and logs `error`, if it is that the peer did not prove who it is.
    pub(crate) fn note(&self, error: &io::Error, who: &str) {
        if !Unproven::is(error) {
            return;
        }
        self.tally.unauthenticated.up();
        if !self.is_news(&format!("{who}: {error}")) {
            return;
        }
        match &*self.tls.load() {
            Some(tls) if Unproven::is_of_us(error) => {
                let shown = tls.credential();
                tracing::warn!(%error, %shown, "{who} does not take the certificate of this replica");
            }
            Some(tls) => {
                let believed = tls.believed();
                tracing::warn!(%error, believed, "{who} did not prove that it belongs to the application");
            }
            None => {
                tracing::warn!(%error, "{who} did not prove that it belongs to the application");
            }
        }
    }

    /// Makes of `error`, with which a connection to `replica` could not be opened, what there is to know of it, and logs
    /// it, if it is that the certificate of this replica is refused. More than an alert the other end does not say.
    pub(crate) fn refused(&self, error: io::Error, replica: &Name) -> io::Error {
        let tls = self.tls.load();
        let Some(tls) = tls.as_ref().filter(|_| Unproven::is_of_us(&error)) else {
            return error;
        };
        let shown = tls.credential();
        if self.is_news(&format!("{replica}: {error}")) {
            tracing::warn!(
                %replica,
                %error,
                %shown,
                "a replica that this one was to call does not take its certificate: the log of that replica says why"
            );
        }
        let text = format!("{error}; the certificate that was shown: {shown}");
        io::Error::new(error.kind(), text)
    }

    /// Looks at what a called replica says of itself.
    ///
    /// # Errors
    ///
    /// Its certificate, which names `names`, does not say the same.
    pub(crate) fn meets<'a>(
        &self,
        names: &Names,
        replica: &Name,
        components: impl IntoIterator<Item = &'a Name>,
    ) -> Result<(), ProtocolError> {
        let claim = match *replica == names.replica {
            false => "a name",
            true if !names.cover(components) => "a component",
            true => return Ok(()),
        };
        self.tally.unauthenticated.up();
        if self.is_news(&format!("{names} claims {claim}")) {
            tracing::warn!(certificate = %names, said = %replica, "a replica claimed {claim} that its certificate does not name");
        }
        Err(ProtocolError::Impostor(claim))
    }

    /// Judges the replica that has just greeted `end`: who it is, and which components it may call. `names` are those of
    /// its certificate, where it has shown one.
    ///
    /// # Errors
    ///
    /// It claims what its certificate does not say.
    pub(crate) fn greeted(
        &self,
        end: &mut ServingEnd,
        names: Option<&Names>,
    ) -> Result<(), ProtocolError> {
        let Some(caller) = end.greeting() else {
            return Ok(());
        };
        let calling = || caller.components.iter().map(|component| &component.name);
        if let Some(names) = names {
            self.meets(names, &caller.replica, calling())?;
        }
        if let Some(callers) = &self.membership.callers {
            let may_call = |component: &Name| {
                let callers = callers.get(component).map_or(&[][..], Vec::as_slice);
                calling().any(|caller| callers.contains(caller))
            };
            let served = end.components().iter();
            let denied = served.map(|served| !may_call(&served.name)).collect();
            end.deny(denied);
        }
        Ok(())
    }

    /// Counts and logs a call of `component`, by its index, that the dependency graph has no edge for.
    pub(crate) fn denied(&self, end: &ServingEnd, component: u16) {
        self.tally.denied.up();
        let (Some(caller), Some(callee)) =
            (end.greeting(), end.components().get(usize::from(component)))
        else {
            return;
        };
        let (caller, callee) = (&caller.replica, &callee.name);
        if self.is_news(&format!("{caller} -> {callee}")) {
            tracing::warn!(
                %caller,
                %callee,
                "denied a call: none of the components in {caller} is dependent on {callee}"
            );
        }
    }

    /// Whether `refusal` was not written to the log for a while.
    fn is_news(&self, refusal: &str) -> bool {
        self.news.tell(refusal.to_owned(), Instant::now()).is_some()
    }
}
