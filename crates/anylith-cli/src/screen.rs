//! Everything that `run` shows, written by a thread of its own.
//!
//! Standard output has the lines for scripts, and nothing else: `anylith run | while read …` works. Standard error has
//! the rest, logs included.
//!
//! Whoever reads our output may read slowly, or not at all; the supervisor must not wait for him. Logs are
//! read from their files as fast as they can be shown, so nothing piles up here.

use std::{
    io::{self, IsTerminal, Write},
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anylith_supervisor::{LogLine, LogReader};

use crate::{log_format::LogFormat, paint::Paint};

/// How often the logs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long the end waits for somebody to read what is still to be shown.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);

/// How many lines may wait to be shown.
const MOST_WAITING: usize = 1024;

/// How a replica's last line begins if one of its components could not be started: the supervisor has been told.
const FAILED_START: &str = "error: component `";

/// The longest line of progress, so that it stays one line.
const PROGRESS_CHARS: usize = 78;

/// The screen of one command.
#[derive(Debug)]
pub(crate) struct Screen {
    /// When it is full, nobody reads, and what is to be shown is dropped: the logs have it.
    shows: SyncSender<Show>,
    thread: JoinHandle<()>,
}

enum Show {
    /// A line for scripts, on standard output.
    Result(String),
    /// A line for people, on standard error.
    Say(String),
    /// What is awaited, on a line that the next one takes the place of; only on a terminal.
    Progress(String),
}

impl Screen {
    /// Begins to show; `logs` as they grow, if there are any to show.
    pub(crate) fn start(logs: Option<LogReader>) -> Self {
        let (shows, shown) = mpsc::sync_channel(MOST_WAITING);
        let painter = Painter {
            logs,
            format: LogFormat::new(Paint::for_stderr()),
            progress: String::new(),
            has_progress: io::stderr().is_terminal(),
        };
        Self {
            shows,
            thread: thread::spawn(move || painter.show_all(&shown)),
        }
    }

    /// A line for scripts, on standard output.
    pub(crate) fn result(&self, line: impl Into<String>) {
        self.show(Show::Result(line.into()));
    }

    /// A line for people, on standard error.
    pub(crate) fn say(&self, line: impl Into<String>) {
        self.show(Show::Say(line.into()));
    }

    /// What is awaited; nothing if it is empty.
    pub(crate) fn progress(&self, line: impl Into<String>) {
        self.show(Show::Progress(line.into()));
    }

    fn show(&self, show: Show) {
        // Where the thread is gone, or stuck, nobody can be shown anything.
        let _ = self.shows.try_send(show);
    }

    /// Shows what is left, and comes back when it is shown or nobody reads it.
    pub(crate) fn end(self) {
        drop(self.shows);
        let until = Instant::now() + SHOWN_WITHIN;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Painter {
    logs: Option<LogReader>,
    format: LogFormat,
    /// The line that stands there now.
    progress: String,
    has_progress: bool,
}

impl Painter {
    fn show_all(mut self, shown: &Receiver<Show>) {
        let every = if self.logs.is_some() {
            LOOK_EVERY
        } else {
            Duration::from_secs(3600)
        };
        loop {
            match shown.recv_timeout(every) {
                Ok(show) => self.show(show),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let lines = self.logs.as_mut().and_then(|logs| logs.poll().ok());
            self.show_logs(&lines.unwrap_or_default());
        }
        self.clear();
        let rest = self.logs.take().and_then(|logs| logs.finish().ok());
        self.show_logs(&rest.unwrap_or_default());
    }

    fn show(&mut self, show: Show) {
        match show {
            Show::Progress(line) if self.has_progress => {
                let line = line.chars().take(PROGRESS_CHARS).collect();
                if self.progress != line {
                    self.clear();
                    self.progress = line;
                    self.draw();
                }
            }
            Show::Progress(_) => {}
            Show::Say(line) => {
                self.clear();
                // Where nobody reads any more, the application goes on all the same.
                let _ = writeln!(io::stderr(), "{line}");
                self.draw();
            }
            Show::Result(line) => {
                self.clear();
                let mut out = io::stdout().lock();
                let _ = writeln!(out, "{line}").and_then(|()| out.flush());
                self.draw();
            }
        }
    }

    fn show_logs(&mut self, lines: &[LogLine]) {
        // What the supervisor itself has to say is said when it happens; of a replica's failed start, too.
        let is_said = |line: &LogLine| {
            &*line.source == "anylith"
                || (line.level.is_none() && line.text.starts_with(FAILED_START))
        };
        let lines = lines.iter().filter(|line| !is_said(line));
        let text: String = lines.map(|line| self.format.line(line) + "\n").collect();
        if !text.is_empty() {
            self.clear();
            let _ = io::stderr().lock().write_all(text.as_bytes());
            self.draw();
        }
    }

    fn clear(&self) {
        if !self.progress.is_empty() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn draw(&self) {
        if !self.progress.is_empty() {
            let _ = write!(io::stderr(), "{}", self.progress);
        }
    }
}
