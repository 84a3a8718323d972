//! `anylith trace`.

mod waterfall;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anylith_supervisor::{FoundTraces, RunFolder, TraceReader};
use anylith_telemetry::{Trace, TraceFilter, TraceId};

use super::last_run;
use crate::{
    app::{self, App},
    args::TraceArgs,
    failure::Failure,
    paint::Paint,
};

/// With fewer digits nothing is looked for: too many traces begin with them.
const FEWEST_DIGITS: usize = 4;

/// What the first words name.
struct Subject<'a> {
    app: PathBuf,
    /// The beginning of a trace's name.
    trace: Option<&'a str>,
}

/// Prints one trace, or the newest ones that fit.
pub(crate) fn trace(args: &TraceArgs) -> Result<(), Failure> {
    let subject = subject(args)?;
    let app = App::find(&subject.app)?;
    let folder = last_run(&app)?;
    let text = match subject.trace {
        Some(prefix) => one(args, &folder, prefix, &app)?,
        None => list(args, &folder, &app)?,
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// The application and the trace. Either may be the first word: what is no application is a trace's name.
fn subject(args: &TraceArgs) -> Result<Subject<'_>, Failure> {
    let is_trace = |word: &str| {
        word.len() >= FEWEST_DIGITS
            && word.len() <= 32
            && word
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            && !app::is_one(Path::new(word))
    };
    let named = || args.app_flag.clone();
    let here = || PathBuf::from(".");
    match args.words.as_slice() {
        [] => Ok(Subject {
            app: named().unwrap_or_else(here),
            trace: None,
        }),
        [trace] if is_trace(trace) => Ok(Subject {
            app: named().unwrap_or_else(here),
            trace: Some(trace),
        }),
        [app] if args.app_flag.is_none() && app::is_one(Path::new(app)) => Ok(Subject {
            app: app.into(),
            trace: None,
        }),
        [trace, app] if args.app_flag.is_none() && is_trace(trace) => Ok(Subject {
            app: app.into(),
            trace: Some(trace),
        }),
        [word, ..] => Err(Failure::input(
            format!("`{word}` is neither an application nor the name of a trace"),
            format!(
                "write the first digits of its name, {FEWEST_DIGITS} at least, or see them with `anylith trace`"
            ),
        )),
    }
}

/// The trace whose name begins with `prefix`.
fn one(args: &TraceArgs, folder: &RunFolder, prefix: &str, app: &App) -> Result<String, Failure> {
    let reader = TraceReader::of(folder);
    let id = match prefix.parse::<TraceId>() {
        Ok(id) => id,
        Err(_) => {
            let filter = TraceFilter::default().with_text(prefix);
            let found = reader
                .find(&filter, usize::MAX)
                .map_err(|error| unreadable(&error))?;
            let ids = found.traces.iter().map(|trace| trace.id);
            let mut ids = ids.filter(|id| id.to_string().starts_with(prefix));
            match (ids.next(), ids.next()) {
                (Some(id), None) => id,
                (Some(_), Some(_)) => {
                    return Err(Failure::input(
                        format!("several traces begin with {prefix}"),
                        "write more of its name",
                    ));
                }
                (None, _) => return Err(no_such(prefix, app)),
            }
        }
    };
    let trace = reader.trace(id).map_err(|error| unreadable(&error))?;
    let trace = trace.ok_or_else(|| no_such(prefix, app))?;
    match args.json {
        true => json(&trace),
        false => Ok(drawn(&trace)),
    }
}

fn drawn(trace: &Trace) -> String {
    waterfall::of(trace, waterfall::columns(), Paint::for_stdout())
}

/// The newest traces that fit.
fn list(args: &TraceArgs, folder: &RunFolder, app: &App) -> Result<String, Failure> {
    let filter = TraceFilter {
        edge: args.edge.clone(),
        component: args.component.clone(),
        at_least: args.min,
        failed: args.failed,
        since_ns: args.since.map(ago),
        ..TraceFilter::default()
    };
    let texts = args.text.iter().flat_map(|text| text.split_whitespace());
    let filter = texts.fold(filter, TraceFilter::with_text);
    let found = TraceReader::of(folder).find(&filter, args.lines);
    let found = found.map_err(|error| unreadable(&error))?;
    if args.json {
        return json(&found);
    }
    let FoundTraces { traces, more } = found;
    if traces.is_empty() {
        let all = filter == TraceFilter::default();
        let what = match all {
            true => format!("nothing is kept of {} yet", app.title()),
            false => "no trace that is kept fits".to_owned(),
        };
        let mend = "of all traces `[telemetry] traces` are kept, by default 1%, and those that fail or are slow";
        return Err(Failure::new(what, mend));
    }
    let mut text = waterfall::table(&traces, Paint::for_stdout());
    if more {
        text += "…\n";
    }
    Ok(text)
}

/// The moment so long ago, in nanoseconds of Unix time.
fn ago(age: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let at = now.unwrap_or_default().saturating_sub(age);
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    let failed = |error: serde_json::Error| Failure::new(error.to_string(), "");
    Ok(text.map_err(failed)? + "\n")
}

fn no_such(prefix: &str, app: &App) -> Failure {
    Failure::new(
        format!("nothing is kept of a trace {prefix}"),
        format!("see those that are with `{}`", app.hint("trace")),
    )
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(
        format!("the traces cannot be read: {error}"),
        "do they belong to this user?",
    )
}
