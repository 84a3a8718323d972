//! What must outlive a control plane.

use std::collections::BTreeMap;

use anylith_core::Name;
use serde::{Deserialize, Serialize};

/// What a control plane must know of the one before it.
///
/// The engine keeps it where a killed control plane leaves it behind, and writes it *before* it carries out
/// the actions that came with it: an epoch that a replica has seen, or an incarnation that was started, is
/// never given out twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// The epoch of the last directory that was published.
    pub epoch: u64,
    /// Every replica that was ever started.
    pub replicas: BTreeMap<Name, Remembered>,
}

/// What is remembered of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Remembered {
    /// How often it was started.
    pub incarnation: u64,
    /// How often it was started again because it had failed.
    pub restarts: u64,
    /// Its process, if one was running.
    pub pid: Option<u32>,
}
