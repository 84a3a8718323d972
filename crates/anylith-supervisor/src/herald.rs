//! Tells those who watch a supervisor what happens, and writes it down.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
};

use anylith_control::Notice;
use anylith_core::{Name, with_causes};
use tokio::sync::{broadcast, watch};

use crate::{
    answer::Overview,
    log_file::{self, OwnLog},
    report::Report,
    run_folder::RunFolder,
    supervisor::Progress,
};

/// Reports that a slow reader may leave unread; then it misses the oldest.
const REPORTS: usize = 256;

/// What a report shows of a failed replica's log.
const LAST_LINES: usize = 10;

/// Tells those who watch a supervisor what happens.
#[derive(Debug)]
pub(crate) struct Herald {
    folder: RunFolder,
    log: OwnLog,
    /// How long each replica's log was when its process began: what is before is of another process.
    begun_at: BTreeMap<Name, u64>,
    /// Why the connection of each replica was closed last, as it was told.
    disconnected: BTreeMap<Name, String>,
    /// The users who were turned away.
    strangers: BTreeSet<u32>,
    reports: broadcast::Sender<Report>,
    overview: watch::Sender<Overview>,
    progress: watch::Sender<Progress>,
}

impl Herald {
    pub(crate) fn new(folder: &RunFolder, overview: Overview) -> Self {
        Self {
            folder: folder.clone(),
            log: OwnLog::open(&folder.own_log()),
            begun_at: BTreeMap::new(),
            disconnected: BTreeMap::new(),
            strangers: BTreeSet::new(),
            reports: broadcast::channel(REPORTS).0,
            overview: watch::channel(overview).0,
            progress: watch::channel(Progress::Starting).0,
        }
    }

    /// A process of `replica` is about to begin.
    pub(crate) fn begins(&mut self, replica: &Name) {
        let length = log_file::length(&self.folder.log_of(replica));
        self.begun_at.insert(replica.clone(), length);
        self.disconnected.remove(replica);
    }

    /// Tells why the connection of `replica` was closed; once, if it connects again only to meet the same.
    pub(crate) fn disconnected(&mut self, replica: Name, error: &dyn Error) {
        let error = with_causes(error);
        let before = self.disconnected.insert(replica.clone(), error.clone());
        if before.as_ref() != Some(&error) {
            self.report(Report::Disconnected { replica, error });
        }
    }

    /// Tells of somebody of another user who has connected; once of each user, whatever he tries.
    pub(crate) fn stranger(&mut self, uid: u32, pid: Option<u32>) {
        if self.strangers.insert(uid) {
            self.report(Report::Stranger { uid, pid });
        }
    }

    /// Tells of a notice of the control plane.
    pub(crate) fn notice(&mut self, notice: Notice) {
        let last_lines = match &notice {
            Notice::Failed { replica, .. } | Notice::CrashLoop { replica, .. } => {
                let from = self.begun_at.get(replica).copied().unwrap_or_default();
                log_file::last_lines(&self.folder.log_of(replica), from, LAST_LINES)
            }
            _ => Vec::new(),
        };
        let starting = *self.progress.borrow() == Progress::Starting;
        let report = Report::Noticed { notice, last_lines };
        let progress = match &report {
            Report::Noticed {
                notice: Notice::Ready,
                ..
            } => Some(Progress::Ready),
            Report::Noticed {
                notice: Notice::CrashLoop { .. },
                ..
            } if starting => Some(Progress::Failing(Box::new(report.clone()))),
            _ => None,
        };
        self.report(report);
        if let Some(progress) = progress {
            self.progress.send_replace(progress);
        }
    }

    /// Tells of anything else.
    pub(crate) fn report(&mut self, report: Report) {
        self.log.write(&report);
        // That nobody listens is no error.
        let _ = self.reports.send(report);
    }

    /// Writes what could not be written to the log before.
    pub(crate) fn catch_up(&mut self) {
        self.log.catch_up();
    }

    /// Shows how things are now.
    pub(crate) fn show(&self, overview: Overview) {
        self.overview.send_if_modified(|known| {
            let changed = *known != overview;
            *known = overview;
            changed
        });
    }

    /// How things were when they were last shown.
    pub(crate) fn shown(&self) -> Overview {
        self.overview.borrow().clone()
    }

    /// Nothing happens any more.
    pub(crate) fn end(&self) {
        self.progress.send_replace(Progress::Over);
    }

    pub(crate) fn reports(&self) -> broadcast::Receiver<Report> {
        self.reports.subscribe()
    }

    pub(crate) fn overview(&self) -> watch::Receiver<Overview> {
        self.overview.subscribe()
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }
}

impl Drop for Herald {
    /// Whatever unwinds through the engine, those who wait are told that there is nothing to wait for.
    fn drop(&mut self) {
        self.progress.send_if_modified(|progress| {
            let lost = *progress != Progress::Over;
            if lost {
                *progress = Progress::Lost;
            }
            lost
        });
    }
}
