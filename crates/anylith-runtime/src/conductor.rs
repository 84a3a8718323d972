//! Carries out what a replica is told while it runs, until it has stopped.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anylith_core::Name;
use anylith_wire::control::{FromReplica, ToReplica};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    backlog::Backlog,
    fetching,
    link::Enlistment,
    replica::{ComponentFailure, Replica},
    serve::BoxFuture,
};

/// How long a replica takes to drain where nobody says otherwise.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// How a replica ended.
#[derive(Debug)]
pub(crate) enum End {
    /// As it was told.
    Stopped,
    /// A component could not go on.
    Failed(ComponentFailure),
    /// What brought its orders has ended, and with it the hope of further ones.
    Orphaned,
}

impl End {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Stopped => ExitCode::SUCCESS,
            Self::Failed(_) | Self::Orphaned => ExitCode::FAILURE,
        }
    }
}

/// Who gives orders, where there is somebody.
pub(crate) struct Command {
    /// By what the control plane knows this replica; `None` where orders come from a file.
    pub(crate) identity: Option<Enlistment>,
    pub(crate) orders: mpsc::Receiver<ToReplica>,
    pub(crate) reports: mpsc::Sender<FromReplica>,
}

/// Carries out orders until the replica has stopped: by order, because `stop` was set, or because a component
/// failed, or what brings orders has ended; but for the order, it then drains within `grace`. Asked to stop, it first takes in what waits in `backlog`. A replica that stops still takes directories, since what it finishes makes calls.
pub(crate) async fn conduct(
    replica: Arc<Replica>,
    mut command: Option<Command>,
    backlog: Backlog,
    mut failures: mpsc::Receiver<ComponentFailure>,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) -> End {
    // Drains that were ordered one component at a time, and listeners on their way. Those that still run at the
    // end are overtaken by it.
    let mut errands = JoinSet::new();
    let mut stopping: Option<BoxFuture<'_, ()>> = None;
    let mut failed = None;
    let (mut closed, mut orphaned) = (false, false);
    loop {
        let order = async {
            match &mut command {
                Some(command) if !closed => command.orders.recv().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            order = order => match order {
                Some(ToReplica::Directory(directory)) => replica.update(directory),
                Some(ToReplica::Identity(identity)) => replica.set_identity(&identity),
                Some(ToReplica::Start(additions)) => {
                    let identity = command.as_ref().and_then(|it| it.identity.as_ref());
                    replica.take_in(*additions, identity, &mut errands);
                }
                Some(ToReplica::Drain { component, grace_ms, others_stay }) => {
                    replica.panel().others_stay.send_replace(others_stay);
                    let replica = Arc::clone(&replica);
                    errands.spawn(async move {
                        replica.drain(component.as_str(), Duration::from_millis(grace_ms)).await;
                    });
                }
                Some(ToReplica::Yield { component, grace_ms }) => {
                    // At once: whoever drains it from here on is to know.
                    replica.make_yield(&component);
                    let replica = Arc::clone(&replica);
                    errands.spawn(async move {
                        replica.drain(component.as_str(), Duration::from_millis(grace_ms)).await;
                    });
                }
                Some(ToReplica::Grant { component, state }) => replica.grant(&component, state),
                Some(ToReplica::Stop { grace_ms, others_stay }) => {
                    replica.panel().others_stay.send_replace(others_stay);
                    let grace = Duration::from_millis(grace_ms);
                    stopping.get_or_insert_with(|| Box::pin(replica.stop(grace)));
                }
                Some(ToReplica::HandOver { listener }) => {
                    hand_over(&replica, command.as_ref(), listener, &mut errands);
                }
                Some(other) => {
                    tracing::warn!(target: "anylith", ?other, "an order that this build does not know");
                }
                None => {
                    closed = true;
                    orphaned = stopping.is_none();
                    stopping.get_or_insert_with(|| Box::pin(replica.stop(grace)));
                }
            },
            Some(failure) = failures.recv() => {
                tell(command.as_ref(), &failure);
                failed.get_or_insert(failure);
                stopping.get_or_insert_with(|| Box::pin(replica.stop(grace)));
            }
            () = asked(&mut stop), if stopping.is_none() => {
                // What was said of a component that has left does not hold for those that leave now.
                replica.panel().others_stay.send_replace(false);
                stopping = Some(Box::pin(async {
                    backlog.take_in().await;
                    replica.stop(grace).await;
                }));
            }
            () = done(&mut stopping) => break,
            Some(_) = errands.join_next() => {}
        }
    }
    // A component may have failed while it finished its work.
    while let Ok(failure) = failures.try_recv() {
        tell(command.as_ref(), &failure);
        failed.get_or_insert(failure);
    }
    match failed {
        Some(failure) => End::Failed(failure),
        None if orphaned => End::Orphaned,
        None => End::Stopped,
    }
}

/// Resolves when `stop` is set, or nobody is left to set it.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|asked| *asked).await;
}

/// Resolves when the replica has stopped, if it stops.
async fn done(stopping: &mut Option<BoxFuture<'_, ()>>) {
    match stopping {
        Some(stopping) => stopping.await,
        None => std::future::pending().await,
    }
}

fn tell(command: Option<&Command>, failure: &ComponentFailure) {
    if let Some(command) = command {
        report(&command.reports, failure);
    }
}

/// Tells the control plane what went wrong.
pub(crate) fn report(reports: &mpsc::Sender<FromReplica>, failure: &ComponentFailure) {
    let report = FromReplica::Failed {
        component: Some(failure.component.clone()),
        message: anylith_core::with_causes(&failure.error),
    };
    // Full only where the component has failed before: then that is what is reported.
    let _ = reports.try_send(report);
}

/// Sends a listener's socket, and its relay, to a control plane that has lost its own.
fn hand_over(
    replica: &Replica,
    command: Option<&Command>,
    listener: Name,
    errands: &mut JoinSet<()>,
) {
    let Some(identity) = command.and_then(|command| command.identity.clone()) else {
        return;
    };
    let given = replica.panel().given.load();
    let Some(socket) = given.listeners.get(&listener).cloned() else {
        tracing::warn!(target: "anylith", %listener, "asked for a listener that this replica does not have");
        return;
    };
    let relay = given.relays.get(&listener).cloned();
    errands.spawn_blocking(move || {
        if let Err(error) = fetching::bring(&identity, listener, &socket, relay.as_deref()) {
            tracing::warn!(target: "anylith", %error, "could not hand over a listener");
        }
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use anylith_core::{Directory, Limits, Telemetry};

    use super::*;
    use crate::{
        component::{Component, Registration, StartError},
        interface::NoInterface,
        replica::Setup,
        wiring::Wiring,
    };

    static DRAINED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

    struct Tidy;

    impl Component for Tidy {
        type Interface = NoInterface<Self>;
        type Dependencies = ();
        const NAME: &'static str = "Tidy";

        async fn build(_: &Wiring) -> Result<Self, StartError> {
            Ok(Self)
        }

        async fn shut_down(&self) {
            DRAINED.store(true, std::sync::atomic::Ordering::Release);
        }
    }

    #[tokio::test]
    async fn a_replica_to_which_nothing_brings_orders_any_more_drains_and_fails() {
        let setup = Setup {
            name: Name::new("test-1").unwrap(),
            components: vec![Registration::of::<Tidy>()],
            others: Vec::new(),
            endpoints: Vec::new(),
            directory_is_hope: false,
            listeners: BTreeMap::new(),
            relays: BTreeMap::new(),
            config: BTreeMap::new(),
            edges: Vec::new(),
            limits: Limits::default(),
            telemetry: Telemetry::default(),
            collected: false,
            directory: Directory::default(),
            identity: None,
            callers: None,
            through_the_wire: false,
            held: Vec::new(),
        };
        let (replica, failures) = Replica::new(setup).unwrap();
        let replica = Arc::new(replica);
        replica.start().await.unwrap();
        let (_, orders) = mpsc::channel(1);
        let (reports, _reports) = mpsc::channel(1);
        let (_stop, stop) = watch::channel(false);
        let command = Command {
            identity: None,
            orders,
            reports,
        };
        let (backlog, second) = (Backlog::new(Vec::new()), Duration::from_secs(1));
        let end = conduct(replica, Some(command), backlog, failures, stop, second).await;
        assert!(matches!(end, End::Orphaned), "{end:?}");
        assert!(DRAINED.load(std::sync::atomic::Ordering::Acquire));
    }
}
