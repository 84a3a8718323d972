//! What the programs of a step print, so that what failed can be shown once more where a log ends.
//!
//! A log of many thousand lines is read from its end, and some keep no more than that. On a terminal nothing is
//! repeated: there one scrolls back, and programs draw their progress.

use std::{
    collections::VecDeque,
    io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use crate::step::{Stop, succeed};

/// How many lines of what tests say of their failures are kept, in all.
const FAILURE_LINES: usize = 600;
/// How many of the last lines are kept, whatever they say.
const LAST_LINES: usize = 40;
/// For how long the output of an ended program is waited for: one that it left behind may keep the pipe open.
const LEFT_BEHIND: Duration = Duration::from_secs(2);

/// When the output of a program is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Line by line.
    AsItComes,
    /// At its end, and only if it failed.
    IfItFails,
}

/// Of the step that runs now.
static CURRENT: Mutex<Transcript> = Mutex::new(Transcript::new());

/// The part of a step's output that says why it failed.
pub(crate) struct Transcript {
    /// What tests say of their failures: from `failures:` to `test result:`.
    failures: Vec<String>,
    in_failures: bool,
    /// The last lines.
    last: VecDeque<String>,
}

impl Transcript {
    const fn new() -> Self {
        Self {
            failures: Vec::new(),
            in_failures: false,
            last: VecDeque::new(),
        }
    }

    fn add(&mut self, line: &str) {
        if line == "failures:" {
            self.in_failures = true;
        }
        if self.in_failures && self.failures.len() < FAILURE_LINES {
            self.failures.push(line.to_owned());
        }
        if line.starts_with("test result:") {
            self.in_failures = false;
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    /// The lines that say why: what tests say of their failures, else the last lines.
    pub(crate) fn why(&self) -> impl Iterator<Item = &str> {
        let last = self.last.iter().filter(|_| self.failures.is_empty());
        self.failures.iter().chain(last).map(String::as_str)
    }
}

/// Begins a new transcript, and returns the one up to now.
pub(crate) fn take() -> Transcript {
    std::mem::replace(&mut current(), Transcript::new())
}

/// Prints a line of the step that runs now.
pub(crate) fn say(line: &str) {
    println!("{line}");
    current().add(line);
}

fn current() -> std::sync::MutexGuard<'static, Transcript> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `command` to its end, without input.
pub(crate) fn run(mut command: Command, show: Show) -> Result<(), Stop> {
    command.stdin(Stdio::null());
    if show == Show::AsItComes && io::stdout().is_terminal() {
        return succeed(command.status()?);
    }
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // It holds the ends of the pipe that are written to, which must close for the reader to end.
    drop(command);
    let (ended, wait) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            match show {
                Show::AsItComes => say(&line),
                Show::IfItFails => current().add(&line),
            }
        }
        _ = ended.send(());
    });
    let status = child.wait()?;
    _ = wait.recv_timeout(LEFT_BEHIND);
    if show == Show::IfItFails && !status.success() {
        let mut out = io::stdout().lock();
        for line in &current().last {
            writeln!(out, "{line}")?;
        }
    }
    succeed(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Vec<String> {
        let mut transcript = Transcript::new();
        for line in lines {
            transcript.add(line);
        }
        transcript.why().map(str::to_owned).collect()
    }

    #[test]
    fn tests_that_failed_are_told_whatever_came_after_them() {
        let failed = [
            "failures:",
            "---- it stdout ----",
            "no",
            "test result: FAILED.",
        ];
        let mut lines = vec!["running 1 test", "test it ... FAILED"];
        lines.extend(failed);
        lines.extend(["test other ... ok"; 1_000]);
        assert_eq!(of(&lines), failed);
    }

    #[test]
    fn where_no_test_failed_the_end_is_told() {
        let mut lines = vec!["Compiling"; 1_000];
        lines.push("error: could not compile");
        let why = of(&lines);
        assert_eq!(why.len(), LAST_LINES);
        assert_eq!(
            why.last().map(String::as_str),
            Some("error: could not compile")
        );
    }
}
