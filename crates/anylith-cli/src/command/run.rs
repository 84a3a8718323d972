//! `anylith run`.

mod show;
mod wording;

use std::{collections::BTreeSet, convert::Infallible, env, io, pin::pin};

use anylith_core::{Manifest, Name, with_causes};
use anylith_pki::AuthorityError;
use anylith_supervisor::{
    Collection, Launch, LogReader, OtlpTarget, Program, Spec, StartError, SupervisorLost,
    TRACES_BYTES, Timing, WrongTarget, other_build_left,
};
use anylith_topology::{ReplicaChange, Settings};

use self::{show::Show, wording::Wording};
use super::{detach, runtime};
use crate::{
    app::App,
    args::{RunArgs, Running},
    doorway::{self, Doorway},
    failure::Failure,
    inspection::{Inspection, replicas},
    screen::Screen,
    signals::Signals,
    waiting::Waiting,
};

/// Runs an application until it is stopped, or until it is ready if it is to be left alone then.
pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    if args.detach && !args.in_background {
        return detach::run_in_background(args);
    }
    runtime()?.block_on(async {
        // Before anything else, so that every signal finds somebody who answers it.
        let mut signals = Signals::listen()?;
        let app = App::find(&args.running.app)?;
        let Prepared {
            launch, settings, ..
        } = tokio::select! {
            prepared = prepare_again(&app, &args.running) => prepared?,
            _ = signals.next() => return Err(stopped_early(&app)),
        };
        let beside = std::future::pending::<Infallible>();
        let doorway = Doorway::prepare(&args.running, &settings)?;
        let run = Run {
            launch,
            settings,
            doorway,
            in_background: args.in_background,
            release: args.running.building.release,
        };
        supervise(run, &app, &mut signals, beside).await?;
        Ok(())
    })
}

/// An application that is ready to be run.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) launch: Launch,
    pub(crate) settings: Settings,
    pub(crate) manifest: Manifest,
}

fn stopped_early(app: &App) -> Failure {
    let what = format!(
        "the run of {} was ended by a signal before anything was started",
        app.title()
    );
    Failure::new(what, "")
}

/// From what is written to what should run: settings, binary, manifest, plan.
///
/// # Cancellation
///
/// What was asked of cargo or of the binary is killed.
pub(crate) async fn prepare(app: &App, args: &Running) -> Result<Prepared, Failure> {
    let (replicas, asked) = replicas(args.replicas.as_deref());
    let inspection = Inspection::of(app, &args.overriding, &args.building, asked).await?;
    planned(app, args, inspection, &replicas)
}

/// Like [`prepare`]. Where an earlier run has left replicas of another build than it finds, and they run as is asked for, that
/// is what should run.
async fn prepare_again(app: &App, args: &Running) -> Result<Prepared, Failure> {
    let (replicas, asked) = replicas(args.replicas.as_deref());
    let Running {
        overriding,
        building,
        ..
    } = args;
    let binary = Inspection::binary(app, overriding, building, &asked).await?;
    if let Some(folder) = app.last_run()?
        && let Some(left) = other_build_left(&folder, &binary)
        // What the new build says of itself and of the config is of no matter to the one that runs.
        && let Ok(inspection) = Inspection::of_binary(app, overriding, left, asked.clone()).await
        && let Ok(mut prepared) = planned(app, args, inspection, &replicas)
    {
        prepared.launch.program.path.clone_from(&binary);
        prepared.launch.keeps_build = true;
        if prepared.launch.adopts() {
            return Ok(prepared);
        }
    }
    let inspection = Inspection::of_binary(app, overriding, binary, asked).await?;
    planned(app, args, inspection, &replicas)
}

fn planned(
    app: &App,
    args: &Running,
    inspection: Inspection,
    replicas: &ReplicaChange,
) -> Result<Prepared, Failure> {
    let plan = inspection.plan(&args.topology, replicas)?;
    let Inspection {
        manifest,
        binary,
        settings,
        ..
    } = inspection;
    let addresses = plan.listeners.iter();
    let collection = collection(&settings)?;
    let launch = Launch {
        spec: Spec::new(&plan, &manifest),
        program: Program {
            env: plan.env.clone(),
            folder: Some(app.folder.clone()),
            ..Program::new(binary)
        },
        keeps_build: false,
        addresses: addresses
            .map(|(name, address)| (name.clone(), address.to_string()))
            .collect(),
        folder: app.run_folder(&plan.app)?,
        timing: Timing::default(),
        collection,
        kill_on_drop: false,
    };
    Ok(Prepared {
        launch,
        settings,
        manifest,
    })
}

/// What is done with what replicas tell of themselves, by the settings and the environment.
fn collection(settings: &Settings) -> Result<Collection, Failure> {
    let told = settings.collection();
    let otlp = OtlpTarget::find(told.otlp.as_deref(), |name| env::var(name).ok());
    let wrong = |error: WrongTarget| Failure::input(error.to_string(), "mend it, or unset it");
    Ok(Collection {
        traces_bytes: told.traces_bytes.unwrap_or(TRACES_BYTES),
        otlp: otlp.map_err(wrong)?,
    })
}

/// A run that is about to begin.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) launch: Launch,
    pub(crate) settings: Settings,
    pub(crate) doorway: Doorway,
    /// Nobody watches it once it is ready.
    pub(crate) in_background: bool,
    /// Builds are made with optimisations.
    pub(crate) release: bool,
}

/// Runs the supervisor until nothing of the application runs any more. Once `beside` is done the application is stopped
/// for it; returns what it came to.
pub(crate) async fn supervise<T>(
    run: Run,
    app: &App,
    signals: &mut Signals,
    beside: impl Future<Output = T>,
) -> Result<Option<T>, Failure> {
    let Run {
        launch,
        settings,
        doorway,
        in_background,
        release,
    } = run;
    let (name, folder) = (launch.spec.app.clone(), launch.folder.clone());
    let listeners: BTreeSet<Name> = launch.spec.listeners.keys().cloned().collect();
    let logs = (!in_background).then(|| LogReader::from_end(&folder));
    let screen = Screen::start(logs);
    let mut waiting = Waiting::new("Ctrl-C gives up");
    let tell = |retiring| waiting.show_retiring(&screen, &retiring);
    let started = tokio::select! {
        started = launch.start_telling(tell) => started.map_err(|error| start_failure(&error, app)),
        _ = signals.next() => Err(stopped_early(app)),
    };
    screen.progress("");
    let mut supervisor = match started {
        Ok(supervisor) => supervisor,
        Err(failure) => {
            screen.end();
            return Err(failure);
        }
    };
    let reports = supervisor.take_reports();
    let dashboard = doorway.open(app, &settings, &folder);
    let upgrade = app.hint(if release {
        "upgrade --release"
    } else {
        "upgrade"
    });
    let wording = Wording::new(settings, upgrade);
    let mut show = Show::new(name, listeners, wording, screen, in_background);
    if let Some(dashboard) = &dashboard {
        show.announce(doorway::announcement(dashboard, app));
    }
    let outcome = {
        let mut over = pin!(show.until_over(&supervisor, reports, signals));
        let done = tokio::select! {
            () = &mut over => None,
            done = beside => Some(done),
        };
        if done.is_some() {
            supervisor.ask_stop().await;
            over.await;
        }
        done
    };
    let over = supervisor.over().await;
    drop(dashboard);
    show.end(over.is_ok())?;
    over.map_err(|error| lost(&error, app))?;
    Ok(outcome)
}

fn lost(error: &SupervisorLost, app: &App) -> Failure {
    Failure::new(
        format!("{error}; what it ran may run on, and nobody watches it"),
        format!(
            "`{}` watches it again, and `{}` stops it",
            app.hint("run"),
            app.hint("stop")
        ),
    )
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
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
        StartError::Changed { .. } => "run it again".to_owned(),
        StartError::Program { .. } => "build it again".to_owned(),
        StartError::Authority(AuthorityError::Folder { path, .. }) => format!(
            "remove {} if it cannot be mended: what runs gets new certificates then",
            path.display()
        ),
        StartError::Authority(_) => "see that the clock of this host is right".to_owned(),
        StartError::Folder { path, source } if is_full(source) => {
            format!("make room on the disk of {}", path.display())
        }
        StartError::Folder { .. } => {
            "set XDG_RUNTIME_DIR to a folder that belongs to this user, with a short path"
                .to_owned()
        }
    };
    Failure::new(with_causes(error), mend)
}
