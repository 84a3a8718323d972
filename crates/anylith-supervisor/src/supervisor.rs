//! A supervisor at work, as the one who started it sees it.

use std::path::PathBuf;

use anylith_control::Status;
use anylith_core::Name;
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinHandle,
};

use crate::{answer::Overview, report::Report, run_folder::RunFolder};

/// An application that a supervisor in this process runs.
#[derive(Debug)]
pub struct Supervisor {
    pub(crate) folder: RunFolder,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) overview: watch::Receiver<Overview>,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) reports: broadcast::Receiver<Report>,
    pub(crate) task: JoinHandle<()>,
}

/// What the owner of a supervisor tells it.
#[derive(Debug)]
pub(crate) enum Order {
    Stop,
    Kill,
    KillReplica(Name),
}

/// How far the start of an application has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Not every replica has been ready yet.
    Starting,
    /// Every replica has been ready.
    Ready,
    /// Some replica fails again and again. The supervisor goes on trying.
    Failing(Box<Report>),
    /// Nothing runs any more.
    Over,
    /// The supervisor itself has failed. What it ran may run on, and nobody watches it.
    Lost,
}

/// The supervisor itself has failed. What it ran may run on, and nobody watches it: the next supervisor adopts
/// it, and [`stop_orphans`](crate::stop_orphans) stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the supervisor has failed")]
pub struct SupervisorLost;

/// What happens while that is stopped which an earlier supervisor has left running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retiring {
    /// It is not what is wanted now, so it is stopped from here on.
    Because {
        /// The topology it runs in.
        topology: Name,
        /// How many replicas there are.
        replicas: usize,
        /// How it differs, in a few words for each difference.
        differences: Vec<String>,
    },
    /// Something worth telling people.
    Report(Report),
    /// What still runs, and why.
    Overview(Overview),
}

impl Supervisor {
    /// The application as it is now.
    pub fn status(&self) -> Status {
        self.overview.borrow().status.clone()
    }

    /// The application as it is now, with the reasons why replicas are not ready.
    pub fn overview(&self) -> Overview {
        self.overview.borrow().clone()
    }

    /// The application with the reasons why replicas are not ready, to watch it change.
    pub fn watch(&self) -> watch::Receiver<Overview> {
        self.overview.clone()
    }

    /// Where the application keeps its sockets and logs.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The socket to which external replicas connect.
    pub fn control_socket(&self) -> PathBuf {
        self.folder.control_socket()
    }

    /// How far the start has come, to watch it.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// What is worth telling people, from the start on. A reader that falls behind by more than 256 reports
    /// misses the oldest.
    pub fn reports(&self) -> broadcast::Receiver<Report> {
        self.reports.resubscribe()
    }

    /// Takes the reports from the very first on; a second call gets only later ones.
    pub fn take_reports(&mut self) -> broadcast::Receiver<Report> {
        let later = self.reports.resubscribe();
        std::mem::replace(&mut self.reports, later)
    }

    /// Waits until every replica is ready for the first time.
    ///
    /// # Cancellation
    ///
    /// The start goes on.
    ///
    /// # Errors
    ///
    /// The progress that makes waiting useless: [`Progress::Failing`], [`Progress::Over`] or
    /// [`Progress::Lost`].
    pub async fn wait_ready(&self) -> Result<(), Progress> {
        let mut progress = self.progress.clone();
        let settled = progress.wait_for(|now| *now != Progress::Starting).await;
        match settled.as_deref() {
            Ok(Progress::Ready) => Ok(()),
            Ok(other) => Err(other.clone()),
            Err(_) => Err(Progress::Lost),
        }
    }

    /// Waits until the status satisfies `wanted`, and returns it; `None` if everything is over before.
    ///
    /// # Cancellation
    ///
    /// Nothing happens.
    pub async fn wait_for(&self, wanted: impl FnMut(&Status) -> bool) -> Option<Status> {
        let mut wanted = wanted;
        let mut overview = self.overview.clone();
        let found = overview.wait_for(|now| wanted(&now.status)).await.ok()?;
        Some(found.status.clone())
    }

    /// Kills the process of a replica, as a fault would.
    ///
    /// # Cancellation
    ///
    /// It was asked, or not.
    pub async fn kill_replica(&self, replica: Name) {
        let _ = self.orders.send(Order::KillReplica(replica)).await;
    }

    /// Asks to drain and stop everything, and does not wait for it.
    ///
    /// # Cancellation
    ///
    /// It was asked, or not.
    pub async fn ask_stop(&self) {
        let _ = self.orders.send(Order::Stop).await;
    }

    /// Asks to kill everything, and does not wait for it.
    ///
    /// # Cancellation
    ///
    /// It was asked, or not.
    pub async fn ask_kill(&self) {
        let _ = self.orders.send(Order::Kill).await;
    }

    /// Waits until nothing of the application runs any more, whoever asked for it.
    ///
    /// # Cancellation
    ///
    /// The application goes on, and this can be called again.
    ///
    /// # Errors
    ///
    /// [`SupervisorLost`] if it ended in another way than by a stop.
    pub async fn over(&mut self) -> Result<(), SupervisorLost> {
        if !self.task.is_finished() {
            // How it ended is in its last progress.
            let _ = (&mut self.task).await;
        }
        match *self.progress.borrow() {
            Progress::Over => Ok(()),
            _ => Err(SupervisorLost),
        }
    }

    /// Drains and stops everything.
    ///
    /// # Cancellation
    ///
    /// The stop goes on.
    ///
    /// # Errors
    ///
    /// As with [`Supervisor::over`].
    pub async fn stop(mut self) -> Result<(), SupervisorLost> {
        self.ask_stop().await;
        self.over().await
    }
}
