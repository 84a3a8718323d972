//! `anylith top`.

mod pace;
mod table;

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    time::{Duration, Instant},
};

use anylith_supervisor::RunFolder;
use anylith_telemetry::Survey;

use self::pace::Pace;
use super::{
    last_run, metrics, runtime,
    terminal::{Key, Room, Terminal},
};
use crate::{app::App, args::TopArgs, failure::Failure, paint::Paint, signals::Signals};

/// How often it is looked. Replicas report once a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is shown is what has happened between so many looks: long enough that it does not matter when a report came.
const LOOKS: usize = 5;
/// Where it is shown once, this long.
const ONCE: Duration = Duration::from_secs(2);

/// Shows what goes on in an application.
pub(crate) fn top(args: &TopArgs) -> Result<(), Failure> {
    let app = super::app(&args.which)?;
    let folder = last_run(&app)?;
    runtime()?.block_on(async {
        let first = Look::take(&app, &folder).await?;
        metrics::counts(first.survey.app.as_str(), first.survey.metrics)?;
        let terminal = match args.json {
            true => None,
            false => Terminal::open()?,
        };
        match terminal {
            Some(terminal) => watch(&app, &folder, first, terminal).await,
            None => once(&app, &folder, &first, args.json).await,
        }
    })
}

/// What was counted, and when.
struct Look {
    survey: Survey,
    at: Instant,
}

impl Look {
    async fn take(app: &App, folder: &RunFolder) -> Result<Self, Failure> {
        let survey = metrics::survey(app, folder).await?;
        let at = Instant::now();
        Ok(Self { survey, at })
    }

    /// What has happened since `earlier`.
    fn since(&self, earlier: &Self) -> Pace {
        let length = self.at.duration_since(earlier.at);
        Pace::between(&earlier.survey, &self.survey, length)
    }
}

async fn once(app: &App, folder: &RunFolder, first: &Look, json: bool) -> Result<(), Failure> {
    tokio::time::sleep(ONCE).await;
    let pace = Look::take(app, folder).await?.since(first);
    let text = match json {
        true => serde_json::to_string_pretty(&pace).map_err(io::Error::other)? + "\n",
        false => table::of(&pace, Room::PLENTY, Paint::for_stdout()),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// Shows it again and again, until a key or a signal ends it.
async fn watch(
    app: &App,
    folder: &RunFolder,
    first: Look,
    mut terminal: Terminal,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let mut looks = VecDeque::from([first]);
    // Not at once: two looks within a moment tell no rates.
    let mut next = tokio::time::interval_at(tokio::time::Instant::now() + LOOK_EVERY, LOOK_EVERY);
    next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if let (Some(first), Some(last)) = (looks.front(), looks.back()) {
            let text = table::of(&last.since(first), terminal.room(), Paint::for_stdout());
            terminal.show(&text)?;
        }
        tokio::select! {
            _ = next.tick() => {
                looks.push_back(Look::take(app, folder).await?);
                if looks.len() > LOOKS + 1 {
                    looks.pop_front();
                }
            }
            key = terminal.key() => match key {
                Key::Quit => return Ok(()),
                Key::Other => {}
            },
            _ = signals.next() => return Ok(()),
        }
    }
}
