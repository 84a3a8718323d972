//! What people see of a run, and what they ask of it.

use std::{collections::BTreeSet, fs::File, io};

use anylith_core::Name;
use anylith_supervisor::{Notice, Overview, Progress, ReplicaState, Report, Supervisor};
use anylith_topology::Settings;
use tokio::sync::broadcast;

use super::{signals::Signals, wording::Wording};
use crate::{command::detach, failure::Failure, paint::Paint, screen::Screen, waiting::Waiting};

/// Shows people what the supervisor does, and tells the supervisor what people want.
pub(super) struct Show {
    app: Name,
    listeners: BTreeSet<Name>,
    in_background: bool,
    /// There is none any more when the process has gone into the background.
    screen: Option<Screen>,
    waiting: Waiting,
    wording: Wording,
    announced: bool,
    failed: bool,
}

impl Show {
    pub(super) fn new(
        app: Name,
        listeners: BTreeSet<Name>,
        settings: Settings,
        screen: Screen,
        in_background: bool,
    ) -> Self {
        Self {
            app,
            listeners,
            in_background,
            screen: Some(screen),
            waiting: Waiting::new("Ctrl-C once more kills everything at once"),
            wording: Wording::new(settings),
            announced: false,
            failed: false,
        }
    }

    /// Goes on until nothing of the application runs any more.
    pub(super) async fn until_over(
        &mut self,
        supervisor: &Supervisor,
        mut reports: broadcast::Receiver<Report>,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let mut progress = supervisor.progress();
        let mut overview = supervisor.watch();
        let mut asked = false;
        loop {
            tokio::select! {
                // What happened is told in the order in which it happened.
                biased;
                Ok(report) = reports.recv() => self.report(&report),
                changed = overview.changed() => {
                    let now = overview.borrow_and_update().clone();
                    if changed.is_ok() {
                        self.overview(&now, *progress.borrow() == Progress::Ready, supervisor)?;
                    }
                    if *progress.borrow() == Progress::Over || changed.is_err() {
                        self.rest(&mut reports);
                        return Ok(());
                    }
                }
                _ = progress.changed() => {
                    let now = progress.borrow_and_update().clone();
                    match now {
                        Progress::Over => {
                            self.rest(&mut reports);
                            return Ok(());
                        }
                        Progress::Ready => {
                            let overview = overview.borrow().clone();
                            self.overview(&overview, true, supervisor)?;
                        }
                        Progress::Failing(report) if self.in_background => {
                            self.give_up(&report, supervisor).await;
                        }
                        Progress::Failing(_) | Progress::Starting => {}
                    }
                }
                _ = signals.next() => {
                    // Whoever asked for the stop: that one more kills was said.
                    if asked || self.waiting.has_begun() {
                        self.say("killing everything");
                        supervisor.ask_kill().await;
                    } else {
                        asked = true;
                        supervisor.ask_stop().await;
                    }
                }
            }
        }
    }

    fn rest(&mut self, reports: &mut broadcast::Receiver<Report>) {
        while let Ok(report) = reports.try_recv() {
            self.report(&report);
        }
    }

    /// Shows how far the start has come; and once, that it has succeeded.
    fn overview(
        &mut self,
        now: &Overview,
        ready: bool,
        supervisor: &Supervisor,
    ) -> Result<(), Failure> {
        let Some(screen) = &self.screen else {
            return Ok(());
        };
        if self.waiting.has_begun() {
            self.waiting.show(screen, now);
            return Ok(());
        }
        if self.announced {
            return Ok(());
        }
        let has_sockets = self
            .listeners
            .iter()
            .all(|name| now.status.listeners.contains_key(name));
        if !(ready && has_sockets) {
            screen.progress(starting(&self.app, now));
            return Ok(());
        }
        self.announced = true;
        screen.progress("");
        let word = Paint::for_stdout().bold_green("ready:");
        for (name, url) in &now.status.listeners {
            screen.result(format!("{word} {name} {url}"));
        }
        if now.status.listeners.is_empty() {
            screen.result(format!("{word} {}", self.app));
        }
        if self.in_background {
            screen.result(detach::IN_BACKGROUND);
            if let Some(screen) = self.screen.take() {
                screen.end();
            }
            leave_terminal(supervisor)?;
        }
        Ok(())
    }

    fn report(&mut self, report: &Report) {
        let is_of_replica = matches!(
            report,
            Report::Noticed {
                notice: Notice::Failed { .. } | Notice::CrashLoop { .. } | Notice::Stopping,
                ..
            }
        );
        if let Report::Noticed {
            notice: Notice::Stopping,
            ..
        } = report
        {
            self.waiting.begin();
        }
        // In the background it matters only if the start fails, and then it is said once.
        if !(self.in_background && is_of_replica)
            && let Some(text) = self.wording.of(report)
        {
            self.say(&text);
        }
    }

    /// A start in the background that fails is over: nobody is there to see what becomes of it.
    async fn give_up(&mut self, report: &Report, supervisor: &Supervisor) {
        if self.announced || self.failed {
            return;
        }
        self.failed = true;
        self.say(&self.wording.of_failed_start(&self.app, report));
        supervisor.ask_stop().await;
    }

    fn say(&self, text: &str) {
        if let Some(screen) = &self.screen {
            screen.say(text);
        }
    }

    /// Shows what is left, and says whether the start failed.
    pub(super) fn end(self) -> Result<(), Failure> {
        if let Some(screen) = self.screen {
            screen.end();
        }
        if self.failed {
            Err(Failure::Said(1))
        } else {
            Ok(())
        }
    }
}

/// `starting boutique: 7 of 10 replicas are ready; Checkout waits for Payment`
fn starting(app: &Name, now: &Overview) -> String {
    let all = now.status.replicas().count();
    let ready = now
        .status
        .replicas()
        .filter(|one| one.state == ReplicaState::Ready)
        .count();
    let why = now
        .notes
        .first()
        .map_or(String::new(), |note| format!("; {}", note.text));
    format!("starting {app}: {ready} of {all} replicas are ready{why}")
}

/// Lets go of the terminal and of whoever waits for our output; what is still to be said goes to the log.
fn leave_terminal(supervisor: &Supervisor) -> io::Result<()> {
    // It fails where this process leads its group already, which does no harm.
    let _ = rustix::process::setsid();
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    let log = File::options()
        .create(true)
        .append(true)
        .open(supervisor.folder().own_log())?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stderr(&log)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    Ok(())
}
