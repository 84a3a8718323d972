//! `anylith metrics`.

use std::io::{self, Write as _};

use anylith_supervisor::{Answer, Request, RunFolder, ask};
use anylith_telemetry::{Metrics, Survey, prometheus};

use super::{last_run, not_running, runtime, status::no_answer};
use crate::{app::App, args::MetricsArgs, failure::Failure};

/// Prints what the replicas of an application have counted.
pub(crate) fn metrics(args: &MetricsArgs) -> Result<(), Failure> {
    let app = super::app(&args.which)?;
    let folder = last_run(&app)?;
    let survey = runtime()?.block_on(survey(&app, &folder))?;
    counts(&survey)?;
    let text = prometheus::render(&survey);
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// What the replicas of an application have counted up to now.
pub(super) async fn survey(app: &App, folder: &RunFolder) -> Result<Survey, Failure> {
    match ask(&folder.control_socket(), Request::Metrics).await {
        Ok(Answer::Metrics(survey)) => Ok(*survey),
        // One of an earlier version answers with what it knows.
        Ok(Answer::Status(_)) => Err(Failure::new(
            "the supervisor that runs the application knows no metrics",
            format!("start it anew with `{}`", app.hint("run")),
        )),
        Ok(
            Answer::Stopped { .. }
            | Answer::Seen(_)
            | Answer::Changed { .. }
            | Answer::Plan(_)
            | Answer::UpgradePlan(_)
            | Answer::Paused { .. }
            | Answer::Stuck { .. }
            | Answer::Refused { .. }
            | Answer::GivenUp { .. },
        ) => Err(not_running(app)),
        Err(error) => Err(no_answer(app, folder, &error)),
    }
}

/// Whether anything is counted at all.
pub(super) fn counts(survey: &Survey) -> Result<(), Failure> {
    match survey.metrics {
        Metrics::Off => Err(Failure::new(
            format!(
                "{} counts nothing: `[telemetry] metrics` is \"off\"",
                survey.app
            ),
            "take that out of anylith.toml, and start it anew",
        )),
        Metrics::Counters | Metrics::All => Ok(()),
    }
}
