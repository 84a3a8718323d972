//! A replica's connection to the control plane. It comes back when it breaks.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use anylith_core::{Endpoint, Name};
use anylith_wire::control::{
    self, Bootstrap, CONTROL_PROTOCOL, Decoder, FromReplica, Hello, Opening, ToReplica,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use crate::replica::{Replica, States};

/// The first pause before connecting again, which doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a new replica waits for a control plane that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who this replica is, from its environment.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) control: PathBuf,
    pub(crate) replica: Name,
    pub(crate) incarnation: u64,
}

impl Identity {
    fn hello(&self, replica: Option<&Replica>) -> Hello {
        Hello {
            protocol: CONTROL_PROTOCOL,
            replica: self.replica.clone(),
            incarnation: self.incarnation,
            pid: std::process::id(),
            endpoint: replica.and_then(Replica::endpoint),
            epoch: replica.map_or(0, Replica::epoch),
            components: replica
                .map(|it| it.states().borrow().clone())
                .unwrap_or_default(),
        }
    }
}

/// A connection on which whole messages come and go.
pub(crate) struct Link {
    stream: UnixStream,
    decoder: Decoder,
    /// The control plane left the choice of the port to the system, and does not know it yet.
    port_unknown: bool,
}

impl Link {
    /// Connects and introduces the replica.
    async fn open(identity: &Identity, hello: Hello) -> io::Result<Self> {
        let stream = UnixStream::connect(&identity.control).await?;
        let mut link = Self {
            stream,
            decoder: Decoder::default(),
            port_unknown: false,
        };
        link.send(&Opening::Hello(hello)).await?;
        Ok(link)
    }

    async fn send(&mut self, message: &impl serde::Serialize) -> io::Result<()> {
        let bytes = control::encode(message).map_err(io::Error::other)?;
        self.stream.write_all(&bytes).await
    }

    /// The next message.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    async fn next(&mut self) -> io::Result<ToReplica> {
        loop {
            if let Some(message) = self.decoder.next().map_err(io::Error::other)? {
                return Ok(message);
            }
            let mut bytes = [0; 8 * 1024];
            match self.stream.read(&mut bytes).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.decoder.feed(&bytes[..read]),
            }
        }
    }

    /// Connects for the first time and waits to be welcomed.
    ///
    /// # Errors
    ///
    /// There is no control plane, or it says something else.
    pub(crate) async fn be_welcomed(identity: &Identity) -> io::Result<(Self, Bootstrap)> {
        let end = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        let welcomed = async {
            loop {
                match Self::open(identity, identity.hello(None)).await {
                    Ok(mut link) => match link.next().await? {
                        ToReplica::Welcome(bootstrap) => {
                            link.port_unknown = leaves_port_open(&bootstrap.endpoint);
                            return Ok((link, *bootstrap));
                        }
                        other => {
                            let problem = format!("it said {other:?} in the place of a welcome");
                            return Err(io::Error::other(problem));
                        }
                    },
                    Err(error) if Instant::now() + pause > end => return Err(error),
                    Err(_) => sleep(pause).await,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        tokio::time::timeout_at(end, welcomed)
            .await
            .unwrap_or_else(|_| {
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "it does not answer",
                ))
            })
    }

    /// Keeps the control plane informed and hands over what it says, for as long as the replica lives.
    ///
    /// Messages in `reports` that could not be sent are sent on the next connection. If the queue of `orders`
    /// is full the control plane waits, which loses nothing.
    pub(crate) async fn keep(
        self,
        identity: Identity,
        replica: Arc<Replica>,
        mut reports: mpsc::Receiver<FromReplica>,
        orders: mpsc::Sender<ToReplica>,
    ) {
        let mut states = replica.states();
        // What the control plane was told last; nothing, as the first hello named no components.
        let mut told = States::new();
        // A report that was taken off the queue and has not left.
        let mut unsent = None;
        let mut link = Some(self);
        let mut pause = FIRST_PAUSE;
        loop {
            let mut open = match link.take() {
                Some(link) => link,
                None => {
                    // Also where the last connection was taken and closed again at once.
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    let hello = identity.hello(Some(&replica));
                    // What the hello says, and no more: a change on the way is told after it.
                    told.clone_from(&hello.components);
                    match Self::open(&identity, hello).await {
                        Ok(link) => link,
                        Err(_) => continue,
                    }
                }
            };
            let opened = Instant::now();
            let introduced = match std::mem::take(&mut open.port_unknown) {
                true => Some(FromReplica::Hello(identity.hello(Some(&replica)))),
                false => None,
            };
            let broken = open
                .converse(
                    &replica,
                    introduced,
                    &mut states,
                    &mut told,
                    (&mut unsent, &mut reports),
                    &orders,
                )
                .await;
            match broken {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(target: "anylith", %error, "lost the control plane; serving on");
                    if opened.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                }
            }
        }
    }

    /// Talks until the connection breaks, or the replica is gone; says `first` before all else.
    async fn converse(
        &mut self,
        replica: &Replica,
        first: Option<FromReplica>,
        states: &mut watch::Receiver<States>,
        told: &mut States,
        (unsent, reports): (&mut Option<FromReplica>, &mut mpsc::Receiver<FromReplica>),
        orders: &mpsc::Sender<ToReplica>,
    ) -> io::Result<()> {
        if let Some(first) = first {
            self.send(&first).await?;
        }
        loop {
            let now = states.borrow_and_update().clone();
            for (name, state) in &now {
                if told.get(name) != Some(state) {
                    let name = name.clone();
                    self.send(&FromReplica::Component {
                        name,
                        state: *state,
                    })
                    .await?;
                }
            }
            *told = now;
            if let Some(report) = &*unsent {
                self.send(report).await?;
                *unsent = None;
            }
            tokio::select! {
                changed = states.changed() => if changed.is_err() {
                    return Ok(());
                },
                report = reports.recv() => match report {
                    Some(report) => *unsent = Some(report),
                    None => return Ok(()),
                },
                order = self.next() => match order? {
                    // Here, and not where orders are carried out: one of them may take its time.
                    ToReplica::Ping => {
                        let calls = replica.calls_inside();
                        self.send(&FromReplica::Pong { calls }).await?;
                    }
                    order => if orders.send(order).await.is_err() {
                        return Ok(());
                    },
                },
            }
        }
    }
}

/// Whether the system is to choose the port of `endpoint`.
fn leaves_port_open(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Tcp(address) if address.port() == 0)
}
