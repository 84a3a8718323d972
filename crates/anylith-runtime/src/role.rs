//! The role that a process was given by its environment.

use std::{env, ffi::OsString, path::PathBuf};

use anylith_core::Name;
use anylith_wire::control::{
    ENV_BOOTSTRAP, ENV_CONFIG, ENV_CONTROL, ENV_INCARNATION, ENV_REPLICA, ENV_ROLE,
};

use crate::link::Enlistment;

/// What this process is to do.
#[derive(Debug)]
pub(crate) enum Role {
    /// Print the manifest and exit.
    Describe,
    /// Check the configs on standard input, print what is wrong and exit.
    Check,
    /// Be a replica under a control plane.
    Replica(Enlistment),
    /// Be a replica without a control plane, whose orders are in this file.
    Orders(PathBuf),
    /// Be the whole application. The path is that of its `anylith.toml`, if one was named.
    Standalone(Option<PathBuf>),
}

/// The environment makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRole {
    /// An unknown role.
    #[error("{ENV_ROLE}={0:?} is no role: it is `describe` or `check`, and otherwise unset")]
    Unknown(OsString),
    /// A replica without a name or number.
    #[error(
        "{ENV_CONTROL} is set, so {0} has to be set as well: start replicas with `anylith run`"
    )]
    Incomplete(&'static str),
    /// A replica with two who give it orders.
    #[error("both {ENV_CONTROL} and {ENV_BOOTSTRAP} are set: unset the one that is not meant")]
    TwoMasters,
}

impl Role {
    /// Reads the environment.
    pub(crate) fn from_env() -> Result<Self, InvalidRole> {
        match env::var_os(ENV_ROLE) {
            Some(role) if role == "describe" => return Ok(Self::Describe),
            Some(role) if role == "check" => return Ok(Self::Check),
            Some(role) if !role.is_empty() => return Err(InvalidRole::Unknown(role)),
            _ => {}
        }
        let set = |variable| env::var_os(variable).filter(|path| !path.is_empty());
        let (control, orders) = (set(ENV_CONTROL), set(ENV_BOOTSTRAP));
        if let Some(orders) = orders {
            return match control {
                None => Ok(Self::Orders(orders.into())),
                Some(_) => Err(InvalidRole::TwoMasters),
            };
        }
        let Some(control) = control else {
            return Ok(Self::Standalone(env::var_os(ENV_CONFIG).map(PathBuf::from)));
        };
        let text = |variable| env::var(variable).map_err(|_| InvalidRole::Incomplete(variable));
        let replica =
            Name::new(text(ENV_REPLICA)?).map_err(|_| InvalidRole::Incomplete(ENV_REPLICA))?;
        let incarnation = text(ENV_INCARNATION)?
            .parse()
            .map_err(|_| InvalidRole::Incomplete(ENV_INCARNATION))?;
        Ok(Self::Replica(Enlistment {
            control: control.into(),
            replica,
            incarnation,
        }))
    }

    /// Whether the process is one replica of several, whose output others collect.
    pub(crate) fn is_replica(&self) -> bool {
        matches!(self, Self::Replica(_) | Self::Orders(_))
    }
}
