//! Why an application could not start.

use std::{io, path::PathBuf, process::ExitCode};

use anylith_core::{InvalidName, Name, with_causes};

use crate::{
    orders::OrdersError, replica::ComponentFailure, role::InvalidRole, standalone::SetupError,
};

/// Why an application could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The environment makes no sense.
    #[error(transparent)]
    Role(#[from] InvalidRole),
    /// A Rust name is too long to be a component's.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The settings are wrong, or an address cannot be bound.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The orders of a replica without a control plane cannot be taken.
    #[error(transparent)]
    Orders(#[from] OrdersError),
    /// The orders of the replica are for another version of the application.
    #[error(
        "this binary has no {}: run the one for which the orders were made, or make orders for this one",
        components.iter().map(|it| format!("component `{it}`")).collect::<Vec<_>>().join(", no ")
    )]
    OtherBinary {
        /// What it was to run, and does not have.
        components: Vec<Name>,
    },
    /// What brings the replica its orders has ended, by a mistake of this crate. It was drained.
    #[error("nothing brings orders to this replica any more")]
    NoOrders,
    /// A component did not start.
    #[error("component `{component}` failed: {message}")]
    Component {
        /// The component.
        component: Name,
        /// What went wrong, with its causes.
        message: String,
    },
    /// The replica cannot answer calls.
    #[error("cannot bind the endpoint of this replica")]
    Endpoint(#[source] io::Error),
    /// Somebody has the endpoint of a replica with standing orders, such as itself, started twice.
    #[error(
        "cannot bind the endpoint of this replica: {0}: is this replica running already? If another program has the port, write \
         another one into hosts.toml (`port` of its host, or `ports` of its group), render again, and copy to all hosts"
    )]
    EndpointTaken(io::Error),
    /// The control plane cannot be reached.
    #[error("cannot reach the control plane at {}", path.display())]
    NoControl {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was to be checked cannot be read.
    #[error("cannot read the configs on standard input")]
    Input(#[source] io::Error),
    /// It was told to stop before it was ready.
    #[error("stopped before it was ready")]
    StoppedEarly,
    /// It was told twice to stop before it was ready, and did not wait for what it had begun.
    #[error("stopped at once")]
    StoppedAtOnce,
}

impl From<ComponentFailure> for AppError {
    fn from(failure: ComponentFailure) -> Self {
        Self::from_failure(&failure)
    }
}

impl AppError {
    pub(crate) fn from_failure(failure: &ComponentFailure) -> Self {
        Self::Component {
            component: failure.component.clone(),
            message: with_causes(&failure.error),
        }
    }

    /// Prints the error with its causes, and returns the exit code: 2 where a setting is wrong, 0 where it is no
    /// failure, 130 where nothing was waited for, else 1.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::StoppedEarly => return ExitCode::SUCCESS,
            Self::StoppedAtOnce => return ExitCode::from(130),
            _ => {}
        }
        eprintln!("error: {}", with_causes(self));
        match self {
            Self::Setup(_)
            | Self::Orders(_)
            | Self::OtherBinary { .. }
            | Self::Role(_)
            | Self::Name(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
