//! The processes of a run: found by a mark in their environment, whoever started them.

use std::{
    fmt, fs,
    net::Ipv4Addr,
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

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.replica.as_deref().unwrap_or("the supervisor");
        write!(f, "{name} ({})", self.pid)
    }
}

impl Process {
    /// Sends it a signal. It may just have ended: then nothing happens.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid, signal);
    }

    /// Whether it is a replica of `group`.
    pub(crate) fn is_of(&self, group: &str) -> bool {
        // `Target-2`, and on several hosts `Target-one-2`.
        let replica = self.replica.as_deref().and_then(|it| it.split_once('-'));
        replica.is_some_and(|(of, _)| of == group)
    }
}

/// The most descriptors that a process may ever permit itself.
pub(crate) fn most_descriptors(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let limit = limits
        .lines()
        .find_map(|it| it.strip_prefix("Max open files"))?;
    limit.split_whitespace().nth(1)?.parse().ok()
}

/// The address and the port at which a process listens over TCP.
pub(crate) fn listens_at(pid: u32) -> Option<(Ipv4Addr, u16)> {
    let mut sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    sockets.sort();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace();
        let local = columns.nth(1)?;
        // After the peer's address: the state, of which 0A is listening. The inode is six further on.
        let listens = columns.nth(1)? == "0A";
        let inode = columns.nth(5)?;
        let ours = sockets
            .binary_search_by(|it| it.as_str().cmp(inode))
            .is_ok();
        let (address, port) = local.split_once(':')?;
        // The system shows the bytes of the address as the number that they are in memory.
        let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
        let port = u16::from_str_radix(port, 16).ok()?;
        (listens && ours).then_some((address.into(), port))
    })
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
    !matches!(state(pid), None | Some('Z' | 'X'))
}

/// Whether it is stopped.
pub(crate) fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// The state of a process, as `ps` shows it.
fn state(pid: u32) -> Option<char> {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // It follows the name, which is in parentheses and may contain some.
    let (_, rest) = status.rsplit_once(") ")?;
    rest.chars().next()
}
