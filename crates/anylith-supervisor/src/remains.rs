//! What an earlier supervisor has left behind in a run folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anylith_core::Name;

use crate::{process::Process, record::Record, run_folder::RunFolder, stray::Stray};

/// What is remembered of an earlier supervisor, and its processes that live, held.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    pub(crate) record: Option<Record>,
    /// Those that are remembered, or have a place in what is.
    pub(crate) living: BTreeMap<Name, Process>,
    /// Those of which nothing is known but that they run.
    pub(crate) strangers: Vec<Stray>,
}

impl Remains {
    /// Looks for them in `folder`, of which `record` tells. Processes that it does not remember have to run its program, or the
    /// one at `own`; whatever they run, if there is neither.
    pub(crate) fn of(mut record: Option<Record>, folder: &RunFolder, own: Option<&Path>) -> Self {
        let before = record.as_ref().map(Record::programs).unwrap_or_default();
        let before = before.iter().map(PathBuf::as_path);
        let programs: Vec<&Path> = before.chain(own).collect();
        let strays = Stray::all(folder, &programs);
        let (living, strangers) = match &mut record {
            Some(record) => record.hold_living(strays),
            None => (BTreeMap::new(), strays),
        };
        Self {
            record,
            living,
            strangers,
        }
    }

    /// How many replicas run.
    pub(crate) fn replicas(&self) -> usize {
        self.living.len() + self.strangers.len()
    }
}
