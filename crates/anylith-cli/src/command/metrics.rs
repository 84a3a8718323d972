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
    counts(survey.app.as_str(), survey.metrics)?;
    let text = prometheus::render(&survey);
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// What the replicas of an application have counted up to now.
pub(super) async fn survey(app: &App, folder: &RunFolder) -> Result<Survey, Failure> {
    match ask(&folder.control_socket(), Request::Metrics).await {
        Ok(Answer::Metrics(survey)) => Ok(*survey),
        Ok(Answer::Status(_)) => Err(too_old(app, "no metrics")),
        Ok(_) => Err(not_running(app)),
        Err(error) => Err(no_answer(app, folder, &error)),
    }
}

/// The supervisor is of an earlier version, which answers with what it knows: `what` it does not.
pub(super) fn too_old(app: &App, what: &str) -> Failure {
    Failure::new(
        format!("the supervisor that runs the application knows {what}"),
        format!("start it anew with `{}`", app.hint("run")),
    )
}

/// Whether anything is counted at all in the application called `app`.
pub(super) fn counts(app: &str, metrics: Metrics) -> Result<(), Failure> {
    match metrics {
        Metrics::Off => Err(Failure::new(
            format!("{app} counts nothing: `[telemetry] metrics` is \"off\""),
            "take that out of anylith.toml, and start it anew",
        )),
        Metrics::Counters | Metrics::All => Ok(()),
    }
}
