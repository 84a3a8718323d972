//! What a control plane asks of its engine: who starts and stops processes.

use std::{collections::BTreeMap, fmt, time::Duration};

use anylith_core::{Directory, Name};
use anylith_wire::control::ToReplica;
use serde::{Deserialize, Serialize};

use crate::event::Exit;

/// Something for the engine to do, in the order in which it came.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start a process for `replica`; answered by `Spawned` or `SpawnFailed`.
    Spawn {
        /// The replica.
        replica: Name,
        /// Which start of it this is, from 1.
        incarnation: u64,
    },
    /// Send a message to a replica. If it is not connected (any more), nothing is lost: it gets what it
    /// must know when it says hello again.
    Send {
        /// The replica.
        replica: Name,
        /// The message.
        message: ToReplica,
    },
    /// Send this directory to every connected replica.
    Publish(Directory),
    /// Kill the process of `replica` (`SIGKILL`); answered by `Exited`.
    Kill {
        /// The replica.
        replica: Name,
    },
    /// Somebody called himself `replica` who is not wanted: close his connection, and kill his process if
    /// it is one of the application's.
    Dismiss {
        /// The name he gave.
        replica: Name,
    },
    /// See whether a debugger holds the process of `replica`, which is silent; answered by `Examined`.
    Examine {
        /// The replica.
        replica: Name,
    },
    /// Let no new connection come to the socket of a listener, and wait until none waits there any more;
    /// answered by `ListenerShut`.
    Shut {
        /// The listener.
        listener: Name,
    },
    /// Bind the socket of a listener; answered by `ListenerHeld` or `ListenerFailed`.
    Bind {
        /// The listener.
        listener: Name,
    },
    /// Tell people.
    Report(Notice),
    /// Nothing of the application runs any more, and nothing will.
    Done,
}

/// Something worth telling people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Every replica is ready, for the first time.
    Ready,
    /// Every replica is ready again.
    Recovered,
    /// Replicas of an earlier control plane were taken over.
    Adopted {
        /// How many.
        replicas: usize,
    },
    /// A replica has failed and is started again.
    Failed {
        /// The replica.
        replica: Name,
        /// What it died of.
        failure: Failure,
        /// After which wait it is started again.
        retry_in: Duration,
    },
    /// A replica keeps failing.
    CrashLoop {
        /// The replica.
        replica: Name,
        /// What it died of this time.
        failure: Failure,
        /// How often it has failed in a row, this time included.
        failures: u32,
        /// After which wait it is started again.
        retry_in: Duration,
    },
    /// A replica gives no sign of life. It gets no calls until it does.
    Silent {
        /// The replica.
        replica: Name,
        /// For how long it has given none.
        silence: Duration,
    },
    /// A replica that was silent has given a sign of life.
    Answers {
        /// The replica.
        replica: Name,
    },
    /// A replica did not stop in its time, and is killed.
    Overdue {
        /// The replica.
        replica: Name,
        /// What it did not do.
        what: String,
    },
    /// The socket of a listener could not be had; it is tried again.
    ListenerLost {
        /// The listener.
        listener: Name,
        /// Why.
        error: String,
    },
    /// A replica of another build tried to take part.
    ForeignProtocol {
        /// The replica.
        replica: Name,
        /// The version it speaks.
        protocol: u32,
    },
    /// A drain had to drop what a component still did.
    CutShort {
        /// The replica.
        replica: Name,
        /// The component.
        component: Name,
        /// What it still did, and for how long it had been given time.
        left: String,
    },
    /// A component of which there is one at a time begins without the state of the one before it.
    BeginsAnew {
        /// The replica.
        replica: Name,
        /// The component.
        component: Name,
        /// Why.
        why: String,
    },
    /// A component of which there is one at a time could not start beside others that run, and is started again.
    NotStarted {
        /// The replica.
        replica: Name,
        /// The component.
        component: Name,
        /// Why.
        why: String,
        /// After this time.
        retry_in: Duration,
    },
    /// A component can be called and is better not: others take its place until it is well again.
    Unhealthy {
        /// The replica.
        replica: Name,
        /// The component.
        component: Name,
        /// What its `healthy` said.
        reason: String,
    },
    /// A component that was unhealthy is well again.
    Healthy {
        /// The replica.
        replica: Name,
        /// The component.
        component: Name,
    },
    /// The replicas of these groups are started anew, one by one.
    Restarting {
        /// The groups, in this order.
        groups: Vec<Name>,
    },
    /// A replica was started anew, and is ready.
    Renewed {
        /// The replica.
        replica: Name,
    },
    /// A restart is over.
    Restarted {
        /// How many replicas were started anew.
        replicas: u32,
    },
    /// Groups get other numbers of replicas.
    Scaling {
        /// Group → how many it has now, and how many it had.
        groups: BTreeMap<Name, (u32, u32)>,
    },
    /// The new numbers are reached.
    Scaled {
        /// Group → how many replicas it has.
        groups: BTreeMap<Name, u32>,
    },
    /// A group gets another number of replicas, because of what they bear, or because it is called.
    Autoscaled {
        /// The group.
        group: Name,
        /// How many it is to have now.
        now: u32,
        /// How many it had.
        before: u32,
        /// Why, in words.
        why: String,
    },
    /// The components are divided into other groups: what is new starts.
    Reshaping {
        /// The topology that runs.
        from: Name,
        /// The one that is to.
        to: Name,
    },
    /// All that is new is ready, and calls go there; what was before drains.
    Switched {
        /// The topology that runs from here on.
        to: Name,
    },
    /// The other topology runs, and nothing of the one before.
    Reshaped {
        /// The topology.
        to: Name,
    },
    /// A reshape cannot be done: what is new leaves again, and what was before serves on.
    TakingBack {
        /// The topology that stays.
        stays: Name,
        /// Why.
        why: String,
    },
    /// The control plane before was killed in the middle of a reshape, which is completed if the topology that it was to lead to
    /// stands, and else taken back.
    ReshapeResolved {
        /// The topology that it was to lead to.
        to: Name,
        /// The one that stands.
        stands: Name,
    },
    /// Another build is rolled in.
    Upgrading {
        /// How many replicas there are.
        replicas: u32,
    },
    /// An upgrade begins no further step until it is told to.
    UpgradePaused {
        /// How far it has come.
        how: String,
    },
    /// Every replica runs the new build.
    Upgraded {
        /// How many.
        replicas: u32,
    },
    /// An upgrade goes back to the old build.
    RollingBack {
        /// Why.
        why: String,
    },
    /// The old build does not come back: what serves is kept, until the old build starts after all, or somebody decides.
    RollbackStuck {
        /// Why, and how far it has come.
        how: String,
        /// The replica that does not run with the old build.
        replica: Option<Name>,
    },
    /// A change was given up. What has changed stays as it is; of a reshape or an upgrade nothing has, unless everything
    /// stops, or the cause says that it was made.
    ChangeFailed {
        /// Which kind.
        what: Change,
        /// What brought that about.
        cause: Cause,
        /// Why, in words.
        why: String,
        /// The replica that kept it, if one did.
        replica: Option<Name>,
    },
    /// Everything is drained and stopped now.
    Stopping,
}

/// What can be asked for while an application runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// To start replicas anew.
    Restart,
    /// To have more of them, or fewer.
    Scale,
    /// To divide the components into other groups.
    Reshape,
    /// To run another build.
    Upgrade,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart => "restart",
            Self::Scale => "change of the number of replicas",
            Self::Reshape => "reshape",
            Self::Upgrade => "upgrade",
        })
    }
}

/// What brings it about that a change is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Something kept it from being made, or it was taken back.
    #[default]
    Obstacle,
    /// It was made, and something of what is new does not run.
    Unsettled,
    /// The application is being stopped.
    Stop,
}

/// What a replica died of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The component at fault, if the replica named one.
    pub component: Option<Name>,
    /// What the replica or the engine said about it, with its causes.
    pub message: Option<String>,
    /// How the process ended, if there was one.
    pub exit: Option<Exit>,
}

impl fmt::Display for Failure {
    /// In one line: `Payment failed: no such host`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.component, &self.message, self.exit) {
            (Some(component), Some(message), _) => write!(f, "{component} failed: {message}"),
            (None, Some(message), _) => f.write_str(message),
            (Some(component), None, Some(exit)) => write!(f, "{component} failed: it {exit}"),
            (None, None, Some(exit)) => exit.fmt(f),
            (Some(component), None, None) => write!(f, "{component} failed"),
            (None, None, None) => f.write_str("failed"),
        }
    }
}
