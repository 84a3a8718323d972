//! Whom this replica believes, and whom it lets call: the certificates of an application, the users of a host, and
//! the dependency graph.

use std::{collections::BTreeMap, fmt, io, net::SocketAddr, sync::Arc, time::Instant};

use anylith_core::{Address, Endpoint, Name};
use anylith_wire::{Identity, ProtocolError, ServingEnd};
use arc_swap::{ArcSwap, ArcSwapOption};
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

/// Who is at the other end of a connection, as far as that is known of somebody who has proven nothing.
#[derive(Debug)]
pub(crate) enum OtherEnd<'a> {
    /// It was connected to, at the address of a replica.
    Callee(&'a Address),
    /// It has connected; over TCP from there.
    Caller(Option<SocketAddr>),
    /// It is at the other end of a Unix socket.
    Process,
}

impl OtherEnd<'_> {
    /// The same without what changes with each connection, which would make news of each.
    fn told_apart(&self) -> String {
        match self {
            Self::Caller(Some(from)) => format!("from {}", from.ip()),
            Self::Callee(_) | Self::Caller(None) | Self::Process => self.to_string(),
        }
    }
}

impl fmt::Display for OtherEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Callee(Address { replica, endpoint }) => {
                write!(
                    f,
                    "{replica} at {endpoint}, which this replica was to call,"
                )
            }
            Self::Caller(Some(from)) => write!(f, "somebody who connected from {from}"),
            Self::Caller(None) => f.write_str("somebody who connected"),
            Self::Process => f.write_str("a process at the other end of a Unix socket"),
        }
    }
}

/// Judges who is at the other end of a connection, and what he may do.
#[derive(Debug)]
pub(crate) struct Trust {
    membership: ArcSwap<Membership>,
    /// What this replica proves itself with, and whose certificates it believes.
    tls: ArcSwapOption<Tls>,
    tally: Arc<Tally>,
    /// The refusals that were written to the log.
    news: News<String>,
}

impl Trust {
    pub(crate) fn new(membership: Membership, tally: Arc<Tally>) -> Self {
        Self {
            membership: ArcSwap::from_pointee(membership),
            tls: ArcSwapOption::empty(),
            tally,
            news: News::default(),
        }
    }

    pub(crate) fn membership(&self) -> Arc<Membership> {
        self.membership.load_full()
    }

    /// Takes other components, and who may call which, for connections that are opened and accepted from now on.
    pub(crate) fn become_member(
        &self,
        components: Vec<Name>,
        callers: Option<BTreeMap<Name, Vec<Name>>>,
        identity: Option<&Identity>,
    ) -> Result<(), IdentityError> {
        let replica = self.membership().replica.clone();
        let tls = identity.map(|identity| Tls::of(identity, &replica, &components));
        if let Some(tls) = tls.transpose()? {
            self.tls.store(Some(Arc::new(tls)));
        }
        self.membership.store(Arc::new(Membership {
            replica,
            components,
            callers,
        }));
        Ok(())
    }

    /// Takes the identity for connections that are opened and accepted from now on.
    pub(crate) fn set_identity(&self, identity: &Identity) -> Result<(), IdentityError> {
        let Membership {
            replica,
            components,
            ..
        } = &*self.membership();
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
            let replica = &self.membership().replica;
            let text = format!(
                "over TCP replicas prove to each other who they are, and {replica} was given no certificate"
            );
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })
    }

    /// Proves who we are over `stream`, and that the replica of `address` is at its other end.
    pub(crate) async fn connect_tls(
        &self,
        stream: TcpStream,
        address: &Address,
    ) -> io::Result<(TlsStream, Names)> {
        let connected = self.tls()?.connect(stream, &address.replica).await;
        connected.inspect_err(|error| self.note(error, &OtherEnd::Callee(address)))
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
        self.note(&error, &OtherEnd::Process);
        Err(error)
    }

    /// Counts and logs `error`, if it is that the peer, of which no more is known than `who`, did not prove who it is.
    pub(crate) fn note(&self, error: &io::Error, who: &OtherEnd<'_>) {
        if !Unproven::is(error) {
            return;
        }
        self.tally.unauthenticated.up();
        if !self.is_news(&format!("{}: {error}", who.told_apart())) {
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

    /// Makes of `error`, with which a connection to `address` could not be opened, what there is to know of it, and logs
    /// it, if it is that the certificate of this replica is refused. More than an alert the other end does not say.
    pub(crate) fn refused(&self, error: io::Error, address: &Address) -> io::Error {
        let tls = self.tls.load();
        let Some(tls) = tls.as_ref().filter(|_| Unproven::is_of_us(&error)) else {
            return error;
        };
        let shown = tls.credential();
        let who = OtherEnd::Callee(address);
        if self.is_news(&format!("{}: {error}", who.told_apart())) {
            tracing::warn!(
                %error,
                %shown,
                "{who} does not take the certificate of this replica: the log of that replica says why"
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
        let claim = match names.are_of(replica) {
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
        if let Some(callers) = &self.membership().callers {
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
        self.news.tell(refusal, Instant::now()).is_some()
    }
}
