//! `anylith run`.

use std::{collections::BTreeSet, fs::File, io};

use anylith_core::Name;
use anylith_supervisor::{
    Launch, LogReader, Notice, Overview, Program, Progress, ReplicaState, Report, Spec, StartError,
    Supervisor, Timing,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::broadcast,
};

use super::{detach, runtime};
use crate::{
    app::App,
    args::RunArgs,
    failure::{Failure, with_causes},
    inspection::{Inspection, replicas},
    paint::Paint,
    screen::Screen,
};

/// Runs an application until it is stopped, or until it is ready if it is to be left alone then.
pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    if args.detach && !args.in_background {
        return detach::run_in_background(args);
    }
    runtime()?.block_on(async {
        // Before anything else, so that every signal finds somebody who answers it.
        let mut signals = Signals::listen()?;
        let app = App::find(&args.app)?;
        let launch = tokio::select! {
            launch = prepare(&app, args) => launch?,
            () = signals.next() => return Err(stopped_early(&app)),
        };
        supervise(launch, &app, args.in_background, signals).await
    })
}

fn stopped_early(app: &App) -> Failure {
    let what = format!(
        "{} was stopped by a signal before it was started",
        app.label()
    );
    Failure::new(what, "")
}

/// From what is written to what should run: settings, binary, manifest, plan.
async fn prepare(app: &App, args: &RunArgs) -> Result<Launch, Failure> {
    let (replicas, asked) = replicas(args.replicas.as_deref());
    let inspection = Inspection::of(app, &args.overriding, &args.building, asked).await?;
    let plan = inspection.plan(&args.topology, &replicas)?;
    let Inspection {
        manifest, binary, ..
    } = inspection;
    let addresses = plan.listeners.iter();
    Ok(Launch {
        spec: Spec::new(&plan, &manifest),
        program: Program {
            env: plan.env.clone(),
            folder: Some(app.folder.clone()),
            ..Program::new(binary)
        },
        addresses: addresses
            .map(|(name, address)| (name.clone(), address.to_string()))
            .collect(),
        folder: app.run_folder(&plan.app)?,
        timing: Timing::default(),
        kill_on_drop: false,
    })
}

/// Runs the supervisor until nothing of the application runs any more.
async fn supervise(
    launch: Launch,
    app: &App,
    in_background: bool,
    mut signals: Signals,
) -> Result<(), Failure> {
    let (name, folder) = (launch.spec.app.clone(), launch.folder.clone());
    let listeners: BTreeSet<Name> = launch.spec.listeners.keys().cloned().collect();
    let logs = (!in_background).then(|| LogReader::from_end(&folder));
    let mut supervisor = tokio::select! {
        started = launch.start() => started.map_err(|error| start_failure(&error, app))?,
        () = signals.next() => return Err(stopped_early(app)),
    };
    let reports = supervisor.take_reports();
    let mut show = Show {
        app: name,
        listeners,
        in_background,
        screen: Some(Screen::start(logs)),
        paint: Paint::for_stderr(),
        announced: false,
        failed: false,
    };
    show.until_over(&supervisor, reports, &mut signals).await?;
    supervisor.over().await;
    show.end()
}

/// Shows people what the supervisor does, and tells the supervisor what people want.
struct Show {
    app: Name,
    listeners: BTreeSet<Name>,
    in_background: bool,
    /// There is none any more when the process has gone into the background.
    screen: Option<Screen>,
    paint: Paint,
    announced: bool,
    failed: bool,
}

impl Show {
    async fn until_over(
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
                () = signals.next() => {
                    if asked {
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

    fn rest(&self, reports: &mut broadcast::Receiver<Report>) {
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

    fn report(&self, report: &Report) {
        if self.in_background && is_of_replica(report) {
            // It matters only if the start fails, and then it is said once.
            return;
        }
        let (trouble, with_lines) = match report {
            Report::Replaced { .. } => (false, false),
            Report::Forgetful { .. } => (true, false),
            Report::Noticed { notice, .. } => match notice {
                // The lines that begin with `ready:` say it.
                Notice::Ready => return,
                Notice::Stopping => {
                    self.say("draining; Ctrl-C once more kills everything at once");
                    return;
                }
                Notice::Recovered | Notice::Adopted { .. } | Notice::Answers { .. } => {
                    (false, false)
                }
                Notice::Failed { .. } => (true, false),
                // Once is enough.
                Notice::CrashLoop { failures, .. } => (true, *failures == 3),
                Notice::Overdue { .. }
                | Notice::Silent { .. }
                | Notice::ListenerLost { .. }
                | Notice::ForeignProtocol { .. } => (true, false),
            },
        };
        if trouble {
            let mut text = format!("{}: {report}", self.paint.bold_yellow("warning"));
            if with_lines {
                text += &last_lines(report);
            }
            self.say(&text);
        } else {
            self.say(&report.to_string());
        }
    }

    /// A start in the background that fails is over: nobody is there to see what becomes of it.
    async fn give_up(&mut self, report: &Report, supervisor: &Supervisor) {
        if self.announced || self.failed {
            return;
        }
        self.failed = true;
        let what = match report {
            Report::Noticed {
                notice:
                    Notice::CrashLoop {
                        replica,
                        failure,
                        failures,
                        ..
                    },
                ..
            } => format!("{replica} has failed {failures} times in a row: {failure}"),
            other => other.to_string(),
        };
        let (app, error) = (&self.app, self.paint.bold_red("error"));
        self.say(&format!(
            "{error}: {app} does not start: {what}{}",
            last_lines(report)
        ));
        supervisor.ask_stop().await;
    }

    fn say(&self, text: &str) {
        if let Some(screen) = &self.screen {
            screen.say(text);
        }
    }

    fn end(self) -> Result<(), Failure> {
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

fn is_of_replica(report: &Report) -> bool {
    matches!(
        report,
        Report::Noticed {
            notice: Notice::Failed { .. } | Notice::CrashLoop { .. } | Notice::Stopping,
            ..
        }
    )
}

fn last_lines(report: &Report) -> String {
    match report {
        Report::Noticed { last_lines, .. } if !last_lines.is_empty() => {
            format!(
                "\n  the last lines of its log:\n    {}",
                last_lines.join("\n    ")
            )
        }
        _ => String::new(),
    }
}

fn start_failure(error: &StartError, app: &App) -> Failure {
    let mend = match error {
        StartError::AlreadyRunning { .. } => format!(
            "look at it with `{}`, or stop it with `{}` and run it again",
            app.hint("status"),
            app.hint("stop")
        ),
        // It says what to do itself.
        StartError::Bind(error) => return Failure::new(error.to_string(), ""),
        StartError::Program { .. } => "build it again".to_owned(),
        StartError::Folder { .. } => {
            "set XDG_RUNTIME_DIR to a folder that belongs to this user, with a short path"
                .to_owned()
        }
    };
    Failure::new(with_causes(error), mend)
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

/// The signals that ask for a stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
