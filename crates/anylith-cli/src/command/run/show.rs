//! What people see of a run, and what they ask of it.

use std::{collections::BTreeSet, fs::File, os::unix::fs::OpenOptionsExt as _, time::SystemTime};

use anylith_core::Name;
use anylith_supervisor::{Notice, Overview, Progress, ReplicaState, Report, Supervisor};
use tokio::sync::broadcast;

use super::wording::Wording;
use crate::{
    command::detach, failure::Failure, paint::Paint, screen::Screen, signals::Signals,
    waiting::Waiting,
};

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
    /// There were replicas of an earlier run, which serve on whatever becomes of this one's start.
    took_over: bool,
    /// Where the dashboard is, in words; empty if there is none.
    dashboard: String,
    /// Why the run is given up.
    failure: Option<Failure>,
}

impl Show {
    pub(super) fn new(
        app: Name,
        listeners: BTreeSet<Name>,
        wording: Wording,
        screen: Screen,
        in_background: bool,
    ) -> Self {
        Self {
            app,
            listeners,
            in_background,
            screen: Some(screen),
            waiting: Waiting::new("Ctrl-C once more kills everything at once"),
            wording,
            announced: false,
            took_over: false,
            dashboard: String::new(),
            failure: None,
        }
    }

    /// Says where the dashboard is, once the application is ready.
    pub(super) fn announce(&mut self, dashboard: String) {
        self.dashboard = dashboard;
    }

    /// Goes on until nothing of the application runs any more.
    pub(super) async fn until_over(
        &mut self,
        supervisor: &Supervisor,
        mut reports: broadcast::Receiver<Report>,
        signals: &mut Signals,
    ) {
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
                        let ready = *progress.borrow() == Progress::Ready;
                        self.overview(&now, ready, supervisor).await;
                    }
                    if *progress.borrow() == Progress::Over || changed.is_err() {
                        return self.rest(&mut reports);
                    }
                }
                _ = progress.changed() => {
                    let now = progress.borrow_and_update().clone();
                    match now {
                        Progress::Over | Progress::Lost => return self.rest(&mut reports),
                        Progress::Ready => {
                            let overview = overview.borrow().clone();
                            self.overview(&overview, true, supervisor).await;
                        }
                        Progress::Failing(report) if self.in_background => {
                            self.start_failed(&report, supervisor).await;
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
    async fn overview(&mut self, now: &Overview, ready: bool, supervisor: &Supervisor) {
        let Some(screen) = &self.screen else { return };
        if self.waiting.has_begun() {
            self.waiting.show(screen, now);
            return;
        }
        if self.announced {
            return;
        }
        let has_sockets = self
            .listeners
            .iter()
            .all(|name| now.status.listeners.contains_key(name));
        if !(ready && has_sockets) {
            screen.progress(starting(&self.app, now));
            return;
        }
        let word = Paint::for_stdout().bold_green("ready:");
        let listeners = now.status.listeners.iter();
        let mut said: Vec<String> = listeners
            .map(|(name, url)| format!("{word} {name} {url}"))
            .collect();
        if said.is_empty() {
            said.push(format!("{word} {}", self.app));
        }
        self.stand_back(said, supervisor).await;
    }

    /// Says `last` what whoever has started it waits for, and leaves him alone if it is to run in the background.
    async fn stand_back(&mut self, last: Vec<String>, supervisor: &Supervisor) {
        self.announced = true;
        let background = self.in_background.then(|| Background::open(supervisor));
        let background = match background.transpose() {
            Ok(background) => background,
            // Nobody could read what is still to be said of it.
            Err(failure) => return self.give_up(failure, supervisor).await,
        };
        let Some(screen) = &self.screen else { return };
        screen.progress("");
        for line in last {
            screen.result(line);
        }
        if !self.dashboard.is_empty() {
            screen.say(self.dashboard.clone());
        }
        if let Some(background) = background {
            screen.result(detach::IN_BACKGROUND);
            if let Some(screen) = self.screen.take() {
                screen.end();
            }
            background.enter();
        }
    }

    fn report(&mut self, report: &Report) {
        let is_of_replica = matches!(
            report,
            Report::Noticed {
                notice: Notice::Failed { .. } | Notice::CrashLoop { .. } | Notice::Stopping,
                ..
            }
        );
        if let Report::Noticed { notice, .. } = report {
            match notice {
                Notice::Stopping => self.waiting.begin(),
                Notice::Adopted { .. } => self.took_over = true,
                _ => {}
            }
        }
        // In the background it matters only if the start fails, and then it is said once.
        if !(self.in_background && is_of_replica)
            && let Some(text) = self.wording.of(report)
        {
            // Among the lines of logs, which have their times; a start and a stop are watched.
            let amid_logs = self.announced && !self.in_background && !self.waiting.has_begun();
            match amid_logs {
                true => self.say(&format!("{} {text}", time_now())),
                false => self.say(&text),
            }
        }
    }

    /// A start in the background that fails is over: nobody is there to see what becomes of it. But what an earlier run has left
    /// serves, and goes on to.
    async fn start_failed(&mut self, report: &Report, supervisor: &Supervisor) {
        if self.announced || self.failure.is_some() {
            return;
        }
        if self.took_over {
            self.say(&self.wording.of_incomplete_takeover(&self.app, report));
            return self.stand_back(Vec::new(), supervisor).await;
        }
        self.say(&self.wording.of_failed_start(&self.app, report));
        self.give_up(Failure::Said(1), supervisor).await;
    }

    /// Nothing is left running that nobody would hear of.
    async fn give_up(&mut self, failure: Failure, supervisor: &Supervisor) {
        self.failure = Some(failure);
        supervisor.ask_stop().await;
    }

    fn say(&self, text: &str) {
        if let Some(screen) = &self.screen {
            screen.say(text);
        }
    }

    /// Shows what is left, and says why the run was given up, if it was.
    pub(super) fn end(self, has_stopped: bool) -> Result<(), Failure> {
        if let Some(screen) = self.screen {
            if has_stopped && !self.in_background {
                screen.say("stopped");
            }
            screen.end();
        }
        self.failure.map_or(Ok(()), Err)
    }
}

/// The time as lines of logs show it: `12:03:04.123`.
fn time_now() -> String {
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let time = now.split_once('T').map_or("", |(_, time)| time);
    Paint::for_stderr().dim(time.trim_end_matches('Z'))
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

/// What takes the place of the terminal in the background.
struct Background {
    nothing: File,
    log: File,
}

impl Background {
    /// What is still to be said goes to the supervisor's own log.
    fn open(supervisor: &Supervisor) -> Result<Self, Failure> {
        let path = supervisor.folder().own_log();
        let log = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        let log = log.map_err(|error| {
            let what = format!("the log {} cannot be written: {error}", path.display());
            Failure::new(what, "remove what is there, and run it again")
        })?;
        let nothing = File::options().read(true).write(true).open("/dev/null")?;
        Ok(Self { nothing, log })
    }

    /// Lets go of the terminal and of whoever waits for our output.
    fn enter(self) {
        // It fails where this process leads its group already, which does no harm.
        let _ = rustix::process::setsid();
        // Both ends are open, so these have no reason to fail; and nobody is left to be told.
        let _ = rustix::stdio::dup2_stdin(&self.nothing);
        let _ = rustix::stdio::dup2_stderr(&self.log);
        let _ = rustix::stdio::dup2_stdout(&self.nothing);
    }
}
