//! `anylith logs`.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anylith_supervisor::{
    Answer, LogFilter, LogLine, LogReader, Request, RunFolder, ask, group_of, living_replicas,
};
use anylith_topology::suggest;

use super::{last_run, runtime};
use crate::{
    app::{self, App},
    args::LogsArgs,
    failure::Failure,
    log_format::LogFormat,
    paint::Paint,
};

/// How often the logs are looked at for new lines.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// After how many looks it is asked whether anything runs that could write.
const LOOKS: u32 = 5;

/// Prints the lines that fit, and those that come if they are wanted too.
pub(crate) fn logs(args: &LogsArgs) -> Result<(), Failure> {
    let (app, query) = subject(args);
    let app = App::find(&app)?;
    let folder = last_run(&app)?;
    runtime()?.block_on(async {
        let reader = LogReader::from_start(&folder);
        let mut known = Known::of(&folder).await;
        let mut printer = Printer {
            filter: filter(args, query),
            format: LogFormat::new(Paint::for_stdout()),
        };
        if !args.follow {
            let lines = reader.finish().map_err(|error| unreadable(&error))?;
            known.learn(&lines);
            known.check(args)?;
            return printer.print(lines, args.lines);
        }
        follow(args, &app, reader, known, printer, &folder).await
    })
}

/// The lines that the flags and the words of `query` ask for.
fn filter(args: &LogsArgs, query: &[String]) -> LogFilter {
    let mut filter = LogFilter::default()
        .of_components(&args.component)
        .of_replicas(&args.replica);
    if let Some(level) = args.level {
        filter = filter.at_least(level);
    }
    if let Some(trace) = args.trace {
        filter = filter.of_trace(trace);
    }
    if let Some(age) = args.since {
        filter = filter.younger_than(age);
    }
    let texts = query.iter().flat_map(|words| words.split_whitespace());
    let texts = texts.chain(args.text.as_deref());
    texts.fold(filter, LogFilter::with_text)
}

/// The application and the words to look for. Other commands take the application as their first word, so here a
/// first word that cannot be anything else is taken for it.
fn subject(args: &LogsArgs) -> (PathBuf, &[String]) {
    match (&args.app, args.query.split_first()) {
        (Some(app), _) => (app.clone(), &args.query),
        (None, Some((first, rest))) if app::is_one(Path::new(first)) => (first.into(), rest),
        (None, _) => (".".into(), &args.query),
    }
}

/// Prints what there is and what comes, until nothing runs that could write more.
async fn follow(
    args: &LogsArgs,
    app: &App,
    mut reader: LogReader,
    mut known: Known,
    mut printer: Printer,
    folder: &RunFolder,
) -> Result<(), Failure> {
    let lines = reader.catch_up().map_err(|error| unreadable(&error))?;
    known.learn(&lines);
    known.check(args)?;
    printer.print(lines, args.lines)?;
    for look in 1_u32.. {
        // Asked before the look, so that no line is missed that was written in between.
        let is_over = look % LOOKS == 1 && !is_running(folder).await;
        printer.print(reader.poll().map_err(|error| unreadable(&error))?, None)?;
        if is_over {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    printer.print(reader.finish().map_err(|error| unreadable(&error))?, None)?;
    writeln!(io::stderr(), "{} does not run any more", app.title())?;
    Ok(())
}

async fn is_running(folder: &RunFolder) -> bool {
    ask(&folder.control_socket(), Request::Status).await.is_ok()
        || !living_replicas(folder).is_empty()
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(
        format!("the logs cannot be read: {error}"),
        "do they belong to this user?",
    )
}

struct Printer {
    filter: LogFilter,
    format: LogFormat,
}

impl Printer {
    /// Prints those of `lines` that are wanted, or the last `most` of them.
    fn print(&mut self, mut lines: Vec<LogLine>, most: Option<usize>) -> Result<(), Failure> {
        lines.retain(|line| self.filter.wants(line));
        let skipped = most.map_or(0, |most| lines.len().saturating_sub(most));
        let lines = lines.iter().skip(skipped);
        let text: String = lines.map(|line| self.format.line(line) + "\n").collect();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}

/// What lines can be asked for by: what runs, and what the logs tell of.
struct Known {
    components: BTreeSet<String>,
    /// Replicas, and their groups.
    replicas: BTreeSet<String>,
}

impl Known {
    async fn of(folder: &RunFolder) -> Self {
        let mut known = Self {
            components: folder.components().into_iter().collect(),
            replicas: BTreeSet::new(),
        };
        if let Ok(Answer::Status(overview)) = ask(&folder.control_socket(), Request::Status).await {
            for group in overview.status.groups {
                let replicas = group.replicas.iter().map(|one| one.id.to_string());
                known.replicas.extend(replicas);
                known.replicas.insert(group.name.to_string());
                let components = group.components.iter().map(ToString::to_string);
                known.components.extend(components);
            }
        }
        known
    }

    fn learn(&mut self, lines: &[LogLine]) {
        for line in lines {
            let group = group_of(&line.source);
            for name in [&line.source, group] {
                if !self.replicas.contains(name) {
                    self.replicas.insert(name.to_owned());
                }
            }
            // A line of plain text counts as one of the component that the group is named after.
            if let Some(component) = line.component.as_deref()
                && !self.components.contains(component)
            {
                self.components.insert(component.to_owned());
            }
        }
    }

    /// Refuses names that no line can have.
    fn check(&self, args: &LogsArgs) -> Result<(), Failure> {
        let wanted = [
            ("component", &args.component, &self.components),
            ("replica", &args.replica, &self.replicas),
        ];
        for (kind, names, known) in wanted {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            if let Some(wrong) = names.iter().find(|name| !known.contains(&name.as_str())) {
                return Err(Failure::input(
                    format!("--{kind} {wrong}: the logs know no {kind} of this name"),
                    suggest(wrong, &known, &format!("{kind}s"), "leave it out"),
                ));
            }
        }
        Ok(())
    }
}
