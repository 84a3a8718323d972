//! What must outlive a control plane.

use std::collections::BTreeMap;

use anylith_core::Name;
use anylith_wire::control::Handed;
use serde::{Deserialize, Serialize};

use crate::{
    fate::Fate,
    spec::{GroupSpec, Spec},
    upgrade::Rollout,
};

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
    /// Those of them that the spec does not want: a stand-in, one that leaves, or one that a reshape has started and not
    /// come to need yet.
    #[serde(default)]
    pub extra: BTreeMap<Name, Extra>,
    /// The build that stands: 0 is the one that was launched.
    #[serde(default)]
    pub build: u32,
    /// The upgrade that was under way.
    #[serde(default)]
    pub rollout: Option<Rollout>,
    /// The reshape that was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reshape: Option<Interrupted>,
    /// Who has each component of which there is one at a time.
    #[serde(default)]
    pub seats: BTreeMap<Name, Seat>,
}

/// A reshape in the middle of which a control plane was killed. Which topology stands says whether it had come to be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupted {
    /// The topology that was to run.
    pub to: Name,
    /// Its groups, once that is decided: all of them were ready, and calls may go there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupSpec>>,
}

impl Memory {
    /// Has `spec` be what was decided, if a control plane was killed after it had decided and before it had done it: nobody
    /// can tell how much of it was done.
    pub fn carry_out_decision(&mut self, spec: &mut Spec) {
        let Some(Interrupted { to, groups }) = &mut self.reshape else {
            return;
        };
        let Some(groups) = groups.take() else {
            return;
        };
        let before = std::mem::replace(&mut spec.groups, groups);
        spec.topology = to.clone();
        for group in before {
            for ordinal in 1..=group.replicas {
                let leaves = Extra {
                    group: group.name.clone(),
                    ordinal,
                    components: group.components.clone(),
                };
                self.extra.insert(group.replica_name(ordinal), leaves);
            }
        }
    }
}

/// The place of a component of which there is one at a time, which one replica has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seat {
    /// Who has it. It keeps it until it has said that the component has stopped, or is known to be dead.
    pub holder: Option<Holder>,
    /// Whether the component was ready there.
    #[serde(default)]
    pub begun: bool,
    /// Whether the holder was not known as such when it already drained: it may say once more what it handed over long ago.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Whether it goes from one place to another, in good order: calls wait for it.
    #[serde(default)]
    pub moving: bool,
    /// What was handed over and nobody has begun with yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Handed>,
    /// Why there is nothing that the next one could begin with, where there was one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// One process of a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The replica.
    pub replica: Name,
    /// Which of its starts.
    pub incarnation: u64,
}

/// A replica that the spec does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// The group.
    pub group: Name,
    /// Its number in the group.
    pub ordinal: u32,
    /// What it is made of, since its group may be none of the spec's any more, or not yet.
    #[serde(default)]
    pub components: Vec<Name>,
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
    /// What was to become of it.
    #[serde(default)]
    pub fate: Fate,
    /// The build that it was started from last, or is to be next.
    #[serde(default)]
    pub build: u32,
}
