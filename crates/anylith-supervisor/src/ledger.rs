//! `state.json`, kept as a control plane wants it.
//!
//! It is written before anything is done about what it says, so what it says must always find room. It has a reserve
//! for what may come by itself (replicas that are started again, or that load brings), and a change that may need more gets
//! that first, or is not begun. It is not forced to the disk each time: the replicas don't survive what the page cache doesn't.

use std::{collections::BTreeMap, io, mem::discriminant, path::PathBuf};

use anylith_control::{Memory, Spec};
use thiserror::Error;

use crate::{
    builds::Kept,
    process,
    record::Record,
    report::Report,
    slots::{self, Slots},
};

/// For how much more than it says now it has room, at least, in bytes.
const RESERVE_BYTES: u64 = 16 << 10;

/// What a replica takes in it, generously: its name, its number and components, its process.
pub(crate) const REPLICA_BYTES: u64 = 1 << 10;

/// `state.json`.
#[derive(Debug)]
pub(crate) struct Ledger {
    record: Record,
    slots: Slots,
    state: Recorded,
    /// Why it has less room than it should.
    cramped: Option<String>,
    /// For how much more the change that is under way may need room.
    ahead: u64,
}

/// What became of the last attempt to write it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Recorded {
    Never,
    Written,
    /// And people were told why.
    Failed(String),
}

/// What is about to be changed could not be written down.
#[derive(Debug, Error)]
#[error("{} has no room for what would be changed: {why}", path.display())]
pub(crate) struct NoRoom {
    path: PathBuf,
    why: String,
    /// How many bytes the disk must have left.
    pub(crate) bytes: u64,
}

impl Ledger {
    /// Nothing is written yet.
    pub(crate) fn new(record: Record, path: PathBuf) -> Self {
        Self {
            record,
            slots: Slots::at(path),
            state: Recorded::Never,
            cramped: None,
            ahead: 0,
        }
    }

    /// What `state.json` says, or should.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// From now on builds are where `kept` says; it is written with what is to be remembered next.
    pub(crate) fn keep_builds(&mut self, kept: BTreeMap<u32, Kept>) {
        self.record.kept = kept;
        self.state = Recorded::Never;
    }

    /// Writes down what is wanted and what is to be remembered, if that has changed or is not written; returns what
    /// people must be told.
    pub(crate) fn keep(&mut self, spec: &Spec, memory: Memory) -> Option<Report> {
        let is_same = memory == self.record.memory && *spec == self.record.spec;
        if is_same && self.is_kept() && self.cramped.is_none() && self.slots.path().exists() {
            return None;
        }
        self.record.spec.clone_from(spec);
        let pids = memory.replicas.values().filter_map(|replica| replica.pid);
        let started = |pid| process::started_at(pid).map(|at| (pid, at));
        self.record.started = pids.filter_map(started).collect();
        self.record.memory = memory;
        let before = self.trouble();
        self.state = match self.write() {
            Ok(()) => Recorded::Written,
            Err(error) => Recorded::Failed(error.to_string()),
        };
        match (before, self.trouble()) {
            (Some(_), None) => Some(Report::StateKept),
            (Some(before), Some(now)) if discriminant(&before) == discriminant(&now) => None,
            (_, trouble) => trouble,
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let text = self.record.text()?;
        let wanted = text.len() as u64 + self.reserve();
        let has = self.slots.capacity();
        // Each time a little more at once than has to be; and what a change has needed is given back.
        if !(wanted..=8 * wanted.next_power_of_two()).contains(&has) {
            let resized = self
                .slots
                .resize(text.as_bytes(), wanted.next_power_of_two());
            self.cramped = match resized {
                Ok(()) => return Ok(()),
                Err(error) => (has < wanted).then(|| error.to_string()),
            };
        } else {
            self.cramped = None;
        }
        self.slots.write(text.as_bytes())
    }

    /// For how much more than it says there is to be room.
    fn reserve(&self) -> u64 {
        let groups = self.record.spec.groups.iter();
        let most = groups.map(|group| {
            let scaling = group.scaling.map_or(0, |scaling| scaling.max);
            // One stands in while others are started anew.
            u64::from(group.replicas.max(scaling)) + 1
        });
        let known = self.record.memory.replicas.len() as u64;
        let more = most.sum::<u64>().saturating_sub(known);
        RESERVE_BYTES + more * REPLICA_BYTES + self.ahead
    }

    /// Sees that there is room for a change that may need so many bytes `more` to be written down, until [`Ledger::is_over`].
    pub(crate) fn make_room(&mut self, more: u64) -> Result<(), NoRoom> {
        self.ahead = more;
        let before = self.cramped.clone();
        self.state = match self.write() {
            Ok(()) => Recorded::Written,
            Err(error) => Recorded::Failed(error.to_string()),
        };
        let why = match &self.state {
            Recorded::Failed(error) => Some(error.clone()),
            Recorded::Written | Recorded::Never => self.cramped.clone(),
        };
        let Some(why) = why else {
            return Ok(());
        };
        let text = self.record.text().map_or(0, |text| text.len() as u64);
        let wanted = (text + self.reserve()).next_power_of_two();
        (self.ahead, self.cramped) = (0, before);
        Err(NoRoom {
            path: self.slots.path().to_owned(),
            why,
            // There are two of it.
            bytes: 2 * wanted,
        })
    }

    /// No change is under way: it needs no more room than it does by itself.
    pub(crate) fn is_over(&mut self) {
        self.ahead = 0;
    }

    /// Whether it says what it should.
    pub(crate) fn is_kept(&self) -> bool {
        self.state == Recorded::Written
    }

    /// What is wrong, if the last attempt to write has failed, or nothing is to be changed for want of room.
    pub(crate) fn trouble(&self) -> Option<Report> {
        match (&self.state, &self.cramped) {
            (Recorded::Failed(error), _) => Some(Report::StateUnkept {
                error: error.clone(),
            }),
            (Recorded::Never | Recorded::Written, Some(error)) => Some(Report::StateCramped {
                error: error.clone(),
            }),
            (Recorded::Never | Recorded::Written, None) => None,
        }
    }

    /// Removes it.
    pub(crate) fn remove(&self) {
        slots::remove(self.slots.path());
    }
}
