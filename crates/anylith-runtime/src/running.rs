//! An application while it runs.

use std::{
    collections::BTreeMap,
    fmt, io,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    pin::pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anylith_core::Name;
use anylith_telemetry::Report;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    app::AppError,
    backlog::Backlog,
    component::Component,
    conductor::{self, Command, End, GRACE},
    edge::CallCounts,
    link::{Enlistment, Link},
    notify::Notifier,
    orders::OrdersFile,
    probe::Probed,
    replica::{ComponentFailure, Replica},
    signals::Signals,
    task::Task,
};

/// How long the last reports to the control plane may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The same, where a component hands its state over with them.
const LAST_WILL: Duration = Duration::from_secs(3);

/// Whose orders a replica carries out.
pub(crate) enum Orders {
    /// It is the whole application, and its own master.
    Nobodys,
    /// Those of the control plane.
    Control(Link, Enlistment),
    /// Those of a file, with the door at which probes are answered, if it has one.
    File(Box<OrdersFile>, Option<Probed>),
}

/// An application, or the part of it that this process is, while it runs.
///
/// Dropping it ends all of it at once: calls and components are dropped, without their `stop`. To let them finish
/// use [`Running::wait`] or [`Running::shut_down`].
#[must_use = "the application ends when this is dropped"]
pub struct Running {
    replica: Arc<Replica>,
    listeners: BTreeMap<Name, Arc<TcpListener>>,
    conductor: Task<End>,
    /// Brings orders, and takes reports to the control plane; `None` where there are none, and at the end.
    link: Option<Task<()>>,
    /// Tells systemd how it goes, where that listens.
    _news: Option<Task<()>>,
    /// Answers probes, where somebody may ask.
    _probed: Option<Task<()>>,
    stop: watch::Sender<bool>,
    signals: Signals,
}

impl Running {
    /// Starts the components of `replica`, and returns when they are ready. On one of `signals` those that are ready
    /// already are stopped in good order, and on a second one nothing is waited for.
    pub(crate) async fn begin(
        replica: Replica,
        failures: mpsc::Receiver<ComponentFailure>,
        mut orders: Orders,
        (listeners, backlog): (BTreeMap<Name, Arc<TcpListener>>, Backlog),
        signals: Signals,
    ) -> Result<Self, AppError> {
        let replica = Arc::new(replica);
        let (stop, stop_asked) = watch::channel(false);
        let nobody_else_tells = matches!(orders, Orders::File(..));
        // A supervisor tells systemd of itself; its replicas only inherit where to.
        let notifier = match &orders {
            Orders::Control(..) => None,
            Orders::Nobodys | Orders::File(..) => Notifier::from_env(),
        };
        let news = notifier.map(|notifier| Task::spawn(notifier.follow(replica.states())));
        let grace = match &orders {
            Orders::File(file, _) => file.grace(),
            Orders::Nobodys | Orders::Control(..) => GRACE,
        };
        let probed = match &mut orders {
            Orders::File(_, probed) => probed.take(),
            Orders::Nobodys | Orders::Control(..) => None,
        };
        let probed = probed.map(|probed| Task::spawn(probed.answer(Arc::clone(&replica))));
        let (command, link) = commanded(orders, &replica).unzip();
        let reports = command.as_ref().map(|command| command.reports.clone());
        let conducted = conductor::conduct(
            Arc::clone(&replica),
            command,
            backlog,
            failures,
            stop_asked,
            grace,
        );
        let mut running = Self {
            replica,
            listeners,
            conductor: Task::spawn(conducted),
            link,
            _news: news,
            _probed: probed,
            stop,
            signals,
        };
        let starting = Arc::clone(&running.replica);
        let mut starting = pin!(starting.start());
        let (mut asked, mut gone) = (false, false);
        let started = loop {
            tokio::select! {
                // What it waited to start it is not to start any more: it stops, and was never ready.
                started = &mut starting, if !asked && !gone => match started {
                    Ok(()) if running.replica.is_stopping() => gone = true,
                    started => break started,
                },
                end = &mut running.conductor => {
                    running.end_link().await;
                    return Err(match end {
                        Ok(End::Failed(failure)) => failure.into(),
                        Ok(End::Orphaned) => AppError::NoOrders,
                        _ => AppError::StoppedEarly,
                    });
                }
                () = running.signals.next() => {
                    if std::mem::replace(&mut asked, true) {
                        return Err(AppError::StoppedAtOnce);
                    }
                    running.stop();
                }
            }
        };
        match started {
            Ok(()) => {
                if nobody_else_tells {
                    running.tell_ready();
                }
                Ok(running)
            }
            Err(failure) => {
                if let Some(reports) = reports {
                    conductor::report(&reports, &failure);
                }
                running.stop();
                let _ = (&mut running.conductor).await;
                running.end_link().await;
                Err(failure.into())
            }
        }
    }

    /// The component `C`, if it runs in this process.
    pub fn component<C: Component>(&self) -> Option<Arc<C>> {
        self.replica.component::<C>(C::NAME)
    }

    /// What was called along each edge out of this process's components; nothing where `[telemetry] metrics` is `"off"`.
    pub fn calls(&self) -> Vec<CallCounts> {
        self.replica.panel().counts()
    }

    /// All that this process has counted of its calls up to now: what `anylith metrics` sums over the replicas.
    pub fn report(&self) -> Report {
        self.replica.report()
    }

    /// The address at which the listener called `name` was bound by this process.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.get(name)?.local_addr().ok()
    }

    /// Asks the components to stop, and waits until they have. Unlike [`Running::wait`] it leaves the process's
    /// signals alone.
    ///
    /// # Cancellation
    ///
    /// What has not stopped yet is dropped.
    pub async fn shut_down(mut self) {
        self.stop();
        let _ = (&mut self.conductor).await;
        self.end_link().await;
    }

    /// Asks the components to stop; [`Running::wait`] returns when they have.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the application has stopped: because [`Running::stop`] was called, on SIGINT or SIGTERM, by the
    /// control plane's order, or because a component failed. Returns the exit code that says which.
    ///
    /// # Cancellation
    ///
    /// As when a [`Running`] is dropped: the application ends at once.
    pub async fn wait(mut self) -> ExitCode {
        self.signals.listen();
        let mut asked = false;
        loop {
            tokio::select! {
                end = &mut self.conductor => {
                    self.end_link().await;
                    return match end {
                        Ok(end) => {
                            match &end {
                                End::Failed(failure) => {
                                    eprintln!("error: {}", AppError::from_failure(failure));
                                }
                                End::Orphaned => eprintln!("error: {}", AppError::NoOrders),
                                End::Stopped => {}
                            }
                            end.exit_code()
                        }
                        Err(_) => ExitCode::FAILURE,
                    };
                }
                () = self.signals.next() => {
                    if std::mem::replace(&mut asked, true) {
                        return ExitCode::from(130);
                    }
                    self.stop.send_replace(true);
                }
            }
        }
    }

    /// Says where the listeners are, for people and scripts.
    pub(crate) fn announce(&self) {
        for (name, socket) in &self.listeners {
            if let Ok(address) = socket.local_addr() {
                // Nobody reads any more: there is nobody to tell, either.
                let _ = writeln!(io::stdout().lock(), "ready: {name} http://{address}");
            }
        }
    }

    /// Writes into the log what is ready, and where.
    fn tell_ready(&self) {
        let states = self.replica.states();
        let components: Vec<String> = states.borrow().keys().map(Name::to_string).collect();
        let endpoints = self.replica.endpoints().into_iter();
        let places = endpoints.map(|endpoint| format!("at {endpoint}"));
        let doors = self.listeners.iter().filter_map(|(name, socket)| {
            let address = socket.local_addr().ok()?;
            Some(format!("{name} at http://{address}"))
        });
        let places: Vec<String> = places.chain(doors).collect();
        let (components, places) = (components.join(", "), places.join(", "));
        match places.is_empty() {
            true => tracing::info!(target: "anylith", "ready: {components}"),
            false => tracing::info!(target: "anylith", "ready: {components}; {places}"),
        }
    }

    /// Lets the last reports out.
    async fn end_link(&mut self) {
        if let Some(link) = self.link.take() {
            let has_will = self.replica.has_will();
            let _ = timeout(if has_will { LAST_WILL } else { LAST_WORDS }, link).await;
        }
    }
}

/// Sets up who gives orders to `replica`: what the conductor has of it, and what brings them.
fn commanded(from: Orders, replica: &Arc<Replica>) -> Option<(Command, Task<()>)> {
    // A control plane that sends faster than orders are carried out waits.
    let (orders_in, orders) = mpsc::channel(64);
    // Has room for one report of each component that there may be; who makes more waits.
    let (reports, reports_out) = mpsc::channel(replica.most_components().max(1));
    let (enlistment, brought) = match from {
        Orders::Nobodys => return None,
        Orders::Control(link, enlistment) => {
            let kept = link.keep(
                enlistment.clone(),
                Arc::clone(replica),
                reports_out,
                orders_in,
            );
            (Some(enlistment), Task::spawn(kept))
        }
        Orders::File(file, _) => (None, Task::spawn(file.keep(Arc::clone(replica), orders_in))),
    };
    let command = Command {
        identity: enlistment,
        orders,
        reports,
    };
    Some((command, brought))
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}
