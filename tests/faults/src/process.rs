//! The processes of a run: found by a mark in their environment, whoever started them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    ability::faketime,
    app::{ENV_HOME, ENV_THREADS},
    defect::{Defect, ENV_DEFECT},
};

/// What the environment of every process of a run says.
#[derive(Debug, Clone)]
pub(crate) struct Marks {
    /// The home of the run.
    pub(crate) home: PathBuf,
    /// How many threads each process has.
    pub(crate) threads: u32,
    pub(crate) defect: Option<Defect>,
    /// The file that says what the clock on the wall shows, if that can be set.
    pub(crate) clock: Option<PathBuf>,
}

impl Marks {
    /// Makes what `command` starts a process of the run.
    pub(crate) fn put_on(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ANYLITH_") {
                command.env_remove(name);
            }
        }
        command
            .env(ENV_HOME, &self.home)
            .env(ENV_THREADS, self.threads.to_string())
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1");
        if let Some(defect) = self.defect {
            command.env(ENV_DEFECT, defect.name);
        }
        if let (Some(clock), Some(library)) = (&self.clock, faketime()) {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", clock)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
    }
}

/// A process that belongs to a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    /// The replica it is; `None` of the command.
    pub(crate) replica: Option<String>,
    pub(crate) pid: u32,
}

impl Process {
    /// Sends it a signal. It may just have ended: then nothing happens.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid, signal);
    }

    /// Whether it is a replica of `group`.
    pub(crate) fn is_of(&self, group: &str) -> bool {
        let replica = self.replica.as_deref().and_then(|it| it.rsplit_once('-'));
        replica.is_some_and(|(of, _)| of == group)
    }
}

/// Sends a signal to a process that may just have ended.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Every process of the run whose home is `home`, in the order of their names.
pub(crate) fn of(home: &Path) -> Vec<Process> {
    let mark = format!("{ENV_HOME}={}", home.display()).into_bytes();
    let mut found: Vec<Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(process.path().join("environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            if !variables.clone().any(|one| one == mark) {
                return None;
            }
            let replica = variables.find_map(|one| one.strip_prefix(b"ANYLITH_REPLICA="));
            Some(Process {
                replica: replica.map(|name| String::from_utf8_lossy(name).into_owned()),
                pid,
            })
        })
        .collect();
    found.sort();
    found
}

/// Whether there is such a process, and it is not one that has ended and waits to be noticed.
pub(crate) fn lives(pid: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The state follows the name, which is in parentheses and may contain some.
    let state = status
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}
