//! Replicas as the system knows them, for when `state.json` does not: where the disk was full from the beginning there is none, and where
//! it is no disk that can be written over in place it may be older than what runs.
//!
//! A replica is a process of this user that was given this run folder's control socket to connect to, leads a process group of its own and
//! no session, and has no input, as the supervisor starts it. So what a component has started in turn is not taken for one, nor
//! is an external replica that somebody has started in a terminal.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::Path, time::Duration};

use anylith_core::{Fingerprint, Name};
use anylith_wire::control::{ENV_CONTROL, ENV_INCARNATION, ENV_REPLICA};
use rustix::process::Signal;

use crate::{
    process::{self, Process, Stat},
    run_folder::RunFolder,
};

/// What all replicas of the same launch have in their environment: of another program, other settings or another topology it
/// is another one.
pub(crate) const ENV_LAUNCH: &str = "ANYLITH_LAUNCH";

/// A process that was started as a replica.
#[derive(Debug)]
pub(crate) struct Stray {
    pub(crate) replica: Name,
    pub(crate) incarnation: u64,
    pub(crate) launch: Option<Fingerprint>,
    pub(crate) process: Process,
    started: u64,
}

impl Stray {
    /// Every replica in `folder` that runs one of `programs`, or a build that is kept there, or whatever it runs if there are
    /// none, held; the later process comes later, where two have one name.
    pub(crate) fn all(folder: &RunFolder, programs: &[&Path]) -> Vec<Self> {
        let Ok(processes) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let pids = processes.filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok());
        let is_meant = |pid: &u32| {
            programs.is_empty()
                || programs.iter().any(|path| process::runs(*pid, path))
                || process::runs_within(*pid, &folder.builds())
        };
        let strays = pids.filter_map(|pid| Self::at(pid, &folder.control_socket()));
        let mut strays: Vec<Self> = strays.filter(|it| is_meant(&it.process.pid)).collect();
        strays.sort_by_key(|stray| (stray.incarnation, stray.started));
        strays
    }

    fn at(pid: u32, control: &Path) -> Option<Self> {
        // Held first and looked at then: what is held keeps its number.
        let process = Process::open(pid).ok()?;
        let stat = Stat::of(pid)?;
        // The environment of other users' processes cannot be read.
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let value = |name: &str| {
            let mut set = environment.split(|byte| *byte == 0);
            set.find_map(|it| it.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        let text = |name| std::str::from_utf8(value(name)?).ok();
        let is_its_own = Path::new(OsStr::from_bytes(value(ENV_CONTROL)?)) == control;
        let leads_a_group = stat.group == pid;
        let leads_a_session = stat.session == pid;
        let input = fs::read_link(format!("/proc/{pid}/fd/0"));
        let has_no_input = input.is_ok_and(|input| input == Path::new("/dev/null"));
        (is_its_own && leads_a_group && !leads_a_session && has_no_input).then_some(())?;
        Some(Self {
            replica: Name::new(text(ENV_REPLICA)?).ok()?,
            incarnation: text(ENV_INCARNATION)?.parse().ok()?,
            launch: text(ENV_LAUNCH).and_then(|text| text.parse().ok()),
            process,
            started: stat.started,
        })
    }
}

/// Ends replicas of which nothing is known but that they run: each is told by a signal, and drains by itself; what is left of them
/// after `within` is killed.
///
/// # Cancellation
///
/// Some may be told, and others not.
pub(crate) async fn end(strays: Vec<Stray>, within: Duration) {
    for stray in &strays {
        stray.process.signal(Signal::TERM);
    }
    let kill_at = tokio::time::Instant::now() + within;
    for stray in strays {
        let Ok(gone) = stray.process.wait() else {
            stray.process.end();
            continue;
        };
        let mut gone = std::pin::pin!(gone);
        if tokio::time::timeout_at(kill_at, &mut gone).await.is_err() {
            stray.process.end();
            gone.await;
        }
    }
}
