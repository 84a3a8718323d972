//! `anylith dev`.

use std::{
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anylith_core::with_causes;
use anylith_supervisor::{Answer, Launch, NewBuild, Request, Upgrade, ask};

use super::{
    run::{self, Prepared, Run},
    runtime,
};
use crate::{
    app::App,
    args::{DevArgs, Running},
    doorway::Doorway,
    failure::Failure,
    paint::Paint,
    signals::Signals,
    sources::Sources,
};

/// How often it is looked whether another change is over, where one is in the way.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs an application, and puts each new build of it in its place while it runs.
pub(crate) fn dev(args: &DevArgs) -> Result<(), Failure> {
    let args = &args.running;
    runtime()?.block_on(async {
        // Before anything else, so that every signal finds somebody who answers it.
        let mut signals = Signals::listen()?;
        let app = App::find(&args.app)?;
        let mut bench = tokio::select! {
            bench = Bench::set_up(&app, args) => bench?,
            _ = signals.next() => return Ok(()),
        };
        let mut next = tokio::select! {
            prepared = bench.first_build() => prepared?,
            _ = signals.next() => return Ok(()),
        };
        loop {
            let Prepared {
                launch, settings, ..
            } = next;
            bench.running = Some(launch.clone());
            bench.stuck = false;
            let run = Run {
                doorway: Doorway::prepare(args, &settings)?,
                launch,
                settings,
                in_background: false,
                release: args.building.release,
            };
            let work = bench.work();
            let over = run::supervise(run, &app, &mut signals, work).await?;
            match over {
                Some(prepared) => next = *prepared?,
                None => return Ok(()),
            }
        }
    })
}

/// Where an application is worked on.
struct Bench<'a> {
    args: &'a Running,
    sources: Sources,
    /// What was started last.
    running: Option<Launch>,
    /// Two builds run, and nothing can be put in the place of either.
    stuck: bool,
    /// The last build has yet to be put in, since another change was under way.
    waits: bool,
}

/// What becomes of a new build.
enum Outcome {
    /// It runs in the place of the one before.
    InPlace,
    /// Nothing that runs is another.
    Same,
    /// It cannot run beside the one before.
    Anew(Box<Prepared>),
}

impl<'a> Bench<'a> {
    async fn set_up(app: &App, args: &'a Running) -> Result<Self, Failure> {
        let settings = app.read(&args.overriding, None).settings;
        let (package, binary) = (
            settings.app().package.as_deref(),
            settings.app().binary.as_deref(),
        );
        Ok(Self {
            args,
            sources: Sources::watch(app, package, binary).await?,
            running: None,
            stuck: false,
            waits: false,
        })
    }

    /// Builds until there is something to run.
    async fn first_build(&mut self) -> Result<Prepared, Failure> {
        loop {
            match self.build().await {
                Ok(prepared) => return Ok(prepared),
                Err(failure) => {
                    tell(&failure);
                    say("waiting for a change of the sources");
                    self.sources.changed().await?;
                }
            }
        }
    }

    async fn build(&mut self) -> Result<Prepared, Failure> {
        // What it says of itself may have changed, too.
        let app = App::find(&self.args.app)?;
        let prepared = run::prepare(&app, self.args).await?;
        self.sources.learn(&prepared.launch.program.path)?;
        Ok(prepared)
    }

    /// Puts each new build in place; returns one that has to be started anew, once there is such a one.
    async fn work(&mut self) -> Result<Box<Prepared>, Failure> {
        loop {
            let news = self.something_to_do().await?;
            say(news);
            let put = match self.build().await {
                Ok(prepared) => {
                    let built = Instant::now();
                    self.put_in(prepared).await.map(|outcome| (outcome, built))
                }
                Err(failure) => Err(failure),
            };
            match put {
                Ok((Outcome::InPlace, built)) => {
                    let took = built.elapsed().as_millis();
                    say(&format!(
                        "the new build serves, {took} ms after it was built"
                    ));
                }
                Ok((Outcome::Same, _)) => say("nothing that runs has changed by it"),
                Ok((Outcome::Anew(prepared), _)) => {
                    say(
                        "what the application is made of has changed, and not only its code: starting it anew, \
                         without what it has in memory",
                    );
                    return Ok(prepared);
                }
                Err(failure) => {
                    tell(&failure);
                    say(match self.waits {
                        true => {
                            "the build before it serves on, and this one is put in place when that is over"
                        }
                        false => "the build before it serves on",
                    });
                }
            }
        }
    }

    /// Waits until the sources change, or until what was built can be put in place; returns what to say of it.
    async fn something_to_do(&mut self) -> Result<&'static str, Failure> {
        let changed = "the sources have changed: building";
        let waits = std::mem::take(&mut self.waits);
        let Some(running) = self.running.as_ref().filter(|_| waits) else {
            self.sources.changed().await?;
            return Ok(changed);
        };
        let socket = running.folder.control_socket();
        tokio::select! {
            new = self.sources.changed() => new.map(|()| changed),
            () = is_idle(&socket) => Ok("the other change is over: putting in place what was built meanwhile"),
        }
    }

    async fn put_in(&mut self, prepared: Prepared) -> Result<Outcome, Failure> {
        let Some(running) = &self.running else {
            return Ok(Outcome::Anew(Box::new(prepared)));
        };
        if self.stuck || !is_alike(running, &prepared.launch) {
            return Ok(Outcome::Anew(Box::new(prepared)));
        }
        let folder = &running.folder;
        let failed = |error| Failure::new(with_causes(&error), "");
        let build = NewBuild::find(folder, &prepared.launch.program.path).map_err(failed)?;
        if build.runs_already {
            return Ok(Outcome::Same);
        }
        let request = Request::Upgrade(Box::new(Upgrade {
            binary: build.keep(folder).map_err(failed)?,
            source: build.source,
            manifest: prepared.manifest,
            canary: None,
            observe_ms: 0,
            dry_run: false,
        }));
        match ask(&folder.control_socket(), request).await {
            Ok(Answer::Changed { .. }) => Ok(Outcome::InPlace),
            Ok(Answer::Refused {
                why, mend, is_busy, ..
            }) => {
                self.waits = is_busy;
                Err(Failure::new(why, mend.unwrap_or_default()))
            }
            Ok(Answer::GivenUp { why, .. }) => Err(Failure::new(
                format!("the new build was taken back: {why}"),
                "",
            )),
            Ok(Answer::Stuck { how, .. }) => {
                self.stuck = true;
                Err(Failure::new(how, "the next build is started anew"))
            }
            Ok(_) => Err(Failure::new("the supervisor answers something else", "")),
            Err(error) => Err(Failure::new(with_causes(&error), "")),
        }
    }
}

/// Comes back when no change is under way.
async fn is_idle(socket: &Path) {
    loop {
        if let Ok(Answer::Status(now)) = ask(socket, Request::Status).await
            && now.underway.is_none()
        {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether `next` is the same application as the one that runs, but for its code.
fn is_alike(running: &Launch, next: &Launch) -> bool {
    let mut spec = next.spec.clone();
    // What is called by several may be called by those of its own build; of a singleton there is but one.
    for (component, interface) in &mut spec.interfaces {
        let before = running.spec.interfaces.get(component);
        if let Some(before) = before.filter(|_| !spec.singletons.contains_key(component)) {
            *interface = *before;
        }
    }
    spec == running.spec
        && next.addresses == running.addresses
        && next.program.env == running.program.env
}

/// A line for people, among those of the logs.
fn say(text: &str) {
    // Nobody reads any more: there is nobody to tell, either.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn tell(failure: &Failure) {
    let text = failure.text(&Paint::for_stderr());
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
