//! `anylith logs`.

use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

use anylith_supervisor::{LogLine, LogReader};

use super::last_run;
use crate::{
    app::App,
    args::LogsArgs,
    failure::Failure,
    log_format::{LogFilter, LogFormat},
    paint::Paint,
};

/// How often the logs are looked at for new lines.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Prints the lines that fit, and those that come if they are wanted too.
pub(crate) fn logs(args: &LogsArgs) -> Result<(), Failure> {
    let app = App::find(&args.app)?;
    let folder = last_run(&app)?;
    let filter = LogFilter::new(args);
    let mut format = LogFormat::new(Paint::for_stdout());
    let unreadable = |error: io::Error| {
        Failure::new(
            format!("the logs cannot be read: {error}"),
            "do they belong to this user?",
        )
    };
    let mut print = |lines: Vec<LogLine>, most: Option<usize>| -> Result<(), Failure> {
        let lines: Vec<LogLine> = lines
            .into_iter()
            .filter(|line| filter.wants(line))
            .collect();
        let skipped = most.map_or(0, |most| lines.len().saturating_sub(most));
        let text: String = lines
            .iter()
            .skip(skipped)
            .map(|line| format.line(line) + "\n")
            .collect();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    };
    let mut reader = LogReader::from_start(&folder);
    if !args.follow {
        return print(reader.finish().map_err(unreadable)?, args.lines);
    }
    print(reader.catch_up().map_err(unreadable)?, args.lines)?;
    loop {
        thread::sleep(LOOK_EVERY);
        print(reader.poll().map_err(unreadable)?, None)?;
    }
}
