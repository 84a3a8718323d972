//! What is remembered of an upgrade.

use std::collections::{BTreeMap, BTreeSet};

use anylith_core::{Fingerprint, Name};
use serde::{Deserialize, Serialize};

use super::plan::Borders;
use crate::spec::Spec;

/// An upgrade that is under way, as the next control plane must know it. Which replica runs which build is remembered
/// with each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The build that was there.
    pub from: u32,
    /// The one that is to be.
    pub to: u32,
    /// What the interfaces look like in the new build.
    pub interfaces: BTreeMap<Name, Fingerprint>,
    /// After which share of each group's replicas it pauses, in percent; `None` if it does not, or has.
    #[serde(default)]
    pub canary: Option<u8>,
    /// How long the new build is watched, in milliseconds.
    #[serde(default)]
    pub observe_ms: u64,
    /// Whether no further step begins.
    #[serde(default)]
    pub paused: bool,
    /// Why it goes back to the old build, if it does.
    #[serde(default)]
    pub setback: Option<Setback>,
    /// Why it cannot go back any further, if it cannot. It does as soon as it can, or forward if it is told to.
    #[serde(default)]
    pub stuck: Option<Setback>,
}

/// Why an upgrade goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setback {
    /// In a sentence.
    pub why: String,
    /// The replica that kept it, if one did.
    #[serde(default)]
    pub replica: Option<Name>,
}

impl Rollout {
    /// The build that replicas are to run in the end, as far as is known now.
    pub(crate) fn target(&self) -> u32 {
        match self.setback {
            None => self.to,
            Some(_) => self.from,
        }
    }

    /// The one that they are to leave.
    pub(crate) fn source(&self) -> u32 {
        match self.setback {
            None => self.from,
            Some(_) => self.to,
        }
    }

    /// Which groups of `spec` call which through an interface that is not the same in both builds.
    pub(crate) fn borders(&self, spec: &Spec) -> Borders {
        let changed = self.differing(spec, self.to);
        let changed: BTreeSet<&Name> = changed.map(|(component, _)| component).collect();
        Borders::new(spec, &changed)
    }

    /// What the interfaces look like that are not the same in both builds, in `build`.
    pub(crate) fn differing<'a>(
        &'a self,
        spec: &'a Spec,
        build: u32,
    ) -> impl Iterator<Item = (&'a Name, Fingerprint)> {
        let both = spec.interfaces.iter().filter_map(|(component, old)| {
            let new = self.interfaces.get(component)?;
            (old != new).then_some((component, *old, *new))
        });
        both.map(move |(component, old, new)| match build == self.to {
            true => (component, new),
            false => (component, old),
        })
    }
}
