//! A replica's connection to the control plane. It comes back when it breaks.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};

use anylith_core::{Endpoint, Metrics, Name};
use anylith_rpc::Pauses;
use anylith_telemetry::{Batch, Report};
use anylith_wire::control::{
    self, Bootstrap, CONTROL_PROTOCOL, ComponentState, Decoder, FromReplica, Hello, Opening,
    ToReplica,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use crate::{
    guard,
    replica::{Borne, Gauge, Replica, Standing, States},
    trails::clocks,
};

/// The first pause before connecting again, which doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// For so long spans are gathered before they are told of.
const GATHER: Duration = Duration::from_millis(200);

/// Of so many spans is told at once.
const MOST_SPANS: usize = 512;

/// How long a new replica waits for a control plane that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where this replica reports, and as whom, from its environment.
#[derive(Debug, Clone)]
pub(crate) struct Enlistment {
    pub(crate) control: PathBuf,
    pub(crate) replica: Name,
    pub(crate) incarnation: u64,
}

impl Enlistment {
    fn hello(&self, replica: Option<&Replica>) -> Hello {
        Hello {
            protocol: CONTROL_PROTOCOL,
            replica: self.replica.clone(),
            incarnation: self.incarnation,
            pid: std::process::id(),
            endpoint: replica.and_then(Replica::endpoint),
            epoch: replica.map_or(0, Replica::epoch),
            components: replica.map(states).unwrap_or_default(),
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
    async fn open(enlistment: &Enlistment, hello: Hello) -> io::Result<Self> {
        let stream = UnixStream::connect(&enlistment.control).await?;
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
    pub(crate) async fn be_welcomed(enlistment: &Enlistment) -> io::Result<(Self, Bootstrap)> {
        let end = Instant::now() + PATIENCE;
        let mut pauses = Pauses::new(FIRST_PAUSE, LONGEST_PAUSE);
        let welcomed = async {
            loop {
                let pause = pauses.take();
                match Self::open(enlistment, enlistment.hello(None)).await {
                    Ok(mut link) => match link.next().await? {
                        ToReplica::Welcome(bootstrap) => {
                            link.port_unknown = bootstrap.endpoints.iter().any(leaves_port_open);
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
    /// A new connection is told everything that one control plane may have been told and another not: the states
    /// of all components, and every report. If the queue of `orders` is full the control plane waits, which loses
    /// nothing.
    pub(crate) async fn keep(
        mut self,
        enlistment: Enlistment,
        replica: Arc<Replica>,
        reports: mpsc::Receiver<FromReplica>,
        orders: mpsc::Sender<ToReplica>,
    ) {
        let mut account = Account {
            states: replica.states(),
            // The first hello named no components.
            told: States::new(),
            reports,
            made: Vec::new(),
            sent: 0,
            wanted: replica.wanted(),
            asked_for: BTreeMap::new(),
            gauge: None,
            reported: None,
            spans_at: None,
        };
        if self.port_unknown {
            account
                .made
                .push(FromReplica::Hello(enlistment.hello(Some(&replica))));
        }
        let mut pauses = Pauses::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let opened = Instant::now();
            match self.converse(&replica, &mut account, &orders).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(target: "anylith", %error, "lost the control plane; serving on");
                }
            }
            pauses.ended(opened.elapsed());
            account
                .made
                .retain(|it| !matches!(it, FromReplica::Hello(_)));
            self = loop {
                // Also where the last connection was taken and closed again at once.
                sleep(pauses.take()).await;
                let hello = enlistment.hello(Some(&replica));
                // What the hello says, and no more: a change on the way is told after it, as are reasons.
                let told = hello.components.iter();
                account.told = told
                    .map(|(name, state)| (name.clone(), Standing::from(*state)))
                    .collect();
                account.sent = 0;
                account.reported = None;
                account.asked_for.clear();
                account.spans_at = None;
                if let Ok(link) = Self::open(&enlistment, hello).await {
                    break link;
                }
            };
        }
    }

    /// Tells what was counted, if there is anything new in it.
    async fn report(&mut self, replica: &Replica, account: &mut Account) -> io::Result<()> {
        let report = replica.report();
        let is_known = |told: &Report| report.is_like(told);
        if report.metrics == Metrics::Off || account.reported.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        let measured = FromReplica::Measured {
            report: Box::new(report),
        };
        self.send(&measured).await?;
        if let FromReplica::Measured { report } = measured {
            account.reported = Some(*report);
        }
        Ok(())
    }

    /// Tells of calls that were kept in their traces, if there are any or `always`; returns after how long to tell of more, if more
    /// may come.
    async fn tell_spans(
        &mut self,
        replica: &Replica,
        always: bool,
    ) -> io::Result<Option<Duration>> {
        let Some(trails) = replica.trails() else {
            return Ok(None);
        };
        let (now, wall_ns) = clocks();
        let Batch {
            spans,
            wanted,
            dropped,
            more,
        } = trails.tracer.take(MOST_SPANS, now, wall_ns);
        let pause = match spans.len() {
            MOST_SPANS => Duration::ZERO,
            _ => GATHER,
        };
        if always || !spans.is_empty() || dropped > 0 {
            let spans = FromReplica::Spans {
                spans,
                wanted,
                dropped,
            };
            self.send(&spans).await?;
        }
        Ok(more.then_some(pause))
    }

    /// Talks until the connection breaks, or the replica is gone.
    async fn converse(
        &mut self,
        replica: &Replica,
        account: &mut Account,
        orders: &mpsc::Sender<ToReplica>,
    ) -> io::Result<()> {
        let mut last = false;
        self.tell_spans(replica, true).await?;
        loop {
            while let Some(news) = account.news() {
                self.send(&news).await?;
            }
            if last {
                while self.tell_spans(replica, false).await? == Some(Duration::ZERO) {}
                return self.report(replica, account).await;
            }
            tokio::select! {
                changed = account.states.changed() => last = changed.is_err(),
                // The sender lives as long as `replica`.
                Ok(()) = account.wanted.changed() => {}
                gauge = is_due(&mut account.gauge) => gauge.look(replica),
                () = spans_are_due(replica, account.spans_at) => {
                    let pause = match account.spans_at {
                        None => Some(GATHER),
                        Some(_) => self.tell_spans(replica, false).await?,
                    };
                    account.spans_at = pause.map(|pause| Instant::now() + pause);
                }
                report = account.reports.recv() => match report {
                    Some(report) => account.made.push(report),
                    // What has changed by now is still told.
                    None => last = true,
                },
                order = self.next() => match order? {
                    // Here, and not where orders are carried out: one of them may take its time.
                    ToReplica::Ping { measure } => {
                        let borne = measured(&mut account.gauge, measure, replica);
                        let Borne {
                            load,
                            each,
                            outgoing,
                        } = borne;
                        let pong = FromReplica::Pong {
                            calls: replica.calls_inside(),
                            counters: replica.counters(),
                            outcomes: guard::outcomes(),
                            load,
                            each,
                            outgoing,
                        };
                        self.send(&pong).await?;
                        self.report(replica, account).await?;
                    }
                    ToReplica::Recall { traces } => if let Some(trails) = replica.trails() {
                        trails.want(&traces);
                    }
                    // Where nobody carries it out any more, the last reports are still to be told.
                    order => drop(orders.send(order).await),
                },
            }
        }
    }
}

/// What there is to tell a control plane, and what it has been told.
struct Account {
    states: watch::Receiver<States>,
    told: States,
    reports: mpsc::Receiver<FromReplica>,
    /// All reports so far: one for each component that failed, at most.
    made: Vec<FromReplica>,
    /// How many of them were sent over this connection.
    sent: usize,
    /// The components of which nothing runs, and that calls wait for.
    wanted: watch::Receiver<BTreeMap<Name, u64>>,
    /// Those of them that were asked for over this connection.
    asked_for: BTreeMap<Name, u64>,
    /// What measures the replica, while it is asked what it bears.
    gauge: Option<Gauge>,
    /// What it was last told over this connection that was counted.
    reported: Option<Report>,
    /// When to tell of spans next, if there are any.
    spans_at: Option<Instant>,
}

/// Resolves when spans are to be told of: at `at`, or else when there are any.
async fn spans_are_due(replica: &Replica, at: Option<Instant>) {
    match (replica.trails(), at) {
        (None, _) => std::future::pending().await,
        (Some(_), Some(at)) => tokio::time::sleep_until(at).await,
        (Some(trails), None) => trails.news.notified().await,
    }
}

impl Account {
    /// The next thing to tell, which counts as told then. What it is about to end for comes before what has ended.
    fn news(&mut self) -> Option<FromReplica> {
        while let Ok(report) = self.reports.try_recv() {
            self.made.push(report);
        }
        if let Some(report) = self.made.get(self.sent) {
            self.sent += 1;
            return Some(report.clone());
        }
        if let Some(component) = self.wish() {
            return Some(FromReplica::Wanted { component });
        }
        let states = self.states.borrow_and_update();
        let (name, standing) = states
            .iter()
            .find(|(name, standing)| self.told.get(*name) != Some(*standing))?;
        let told = self.told.get(name).and_then(|told| told.bequest.as_ref());
        if let (Some(bequest), None) = (&standing.bequest, told) {
            let told = Standing {
                bequest: Some(Arc::clone(bequest)),
                ..ComponentState::Draining.into()
            };
            self.told.insert(name.clone(), told);
            return Some(FromReplica::HandedOver {
                component: name.clone(),
                state: bequest.state.clone(),
                lost: bequest.lost.clone(),
            });
        }
        self.told.insert(name.clone(), standing.clone());
        if standing.not_started {
            return Some(FromReplica::NotStarted {
                component: name.clone(),
                message: standing.reason.clone().unwrap_or_default(),
            });
        }
        Some(FromReplica::Component {
            name: name.clone(),
            state: standing.state,
            reason: standing.reason.clone(),
        })
    }

    /// A component to ask for, which counts as asked for then.
    fn wish(&mut self) -> Option<Name> {
        let wanted = self.wanted.borrow_and_update();
        let news =
            |(component, since): &(&Name, &u64)| self.asked_for.get(*component) != Some(*since);
        let (component, since) = wanted.iter().find(news)?;
        self.asked_for.insert(component.clone(), *since);
        Some(component.clone())
    }
}

/// Resolves when it is time to look at the calls under way, if they are measured.
async fn is_due(gauge: &mut Option<Gauge>) -> &mut Gauge {
    match gauge {
        Some(gauge) => {
            gauge.is_due().await;
            gauge
        }
        None => std::future::pending().await,
    }
}

/// What the replica bears, if somebody asks for it: from now on it is measured, or not any more.
fn measured(gauge: &mut Option<Gauge>, measure: bool, replica: &Replica) -> Borne {
    if !measure {
        if gauge.take().is_some() {
            Gauge::end(replica);
        }
        return Borne::default();
    }
    let gauge = gauge.get_or_insert_with(|| Gauge::begin(replica));
    gauge.take(replica)
}

/// The state of each component of `replica`.
fn states(replica: &Replica) -> BTreeMap<Name, ComponentState> {
    let states = replica.states();
    let states = states.borrow();
    // Of one that hands something over it is said afterwards that it has stopped.
    let state = |standing: &Standing| match standing.bequest {
        Some(_) => ComponentState::Draining,
        None => standing.state,
    };
    states
        .iter()
        .map(|(name, standing)| (name.clone(), state(standing)))
        .collect()
}

/// Whether the system is to choose the port of `endpoint`.
fn leaves_port_open(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Tcp(address) if address.port() == 0)
}
