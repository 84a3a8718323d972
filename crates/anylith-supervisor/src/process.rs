//! Starting a replica's process, and watching it whether or not it is our own child.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anylith_control::Exit;
use anylith_core::{Fingerprint, Name};
use anylith_wire::control::{ENV_CONTROL, ENV_INCARNATION, ENV_REPLICA, ENV_ROLE};
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{listener_socket::ListenerSocket, record::Program, stray::ENV_LAUNCH};

/// A process, held by a file descriptor that never means another one.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    handle: OwnedFd,
}

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Program,
    /// The socket at which it finds the control plane.
    pub(crate) control: &'a Path,
    pub(crate) replica: &'a Name,
    pub(crate) incarnation: u64,
    /// Of which launch it is.
    pub(crate) launch: Fingerprint,
    /// Where its output goes; nowhere, if there is none.
    pub(crate) log: Option<File>,
}

impl Start<'_> {
    /// Starts the replica, with `sockets` from file descriptor 3 on, and after all of them their relays.
    ///
    /// It gets a process group of its own, so that Ctrl-C at the supervisor's terminal is not its business,
    /// and its output goes to a file, so that it does not depend on the supervisor's life.
    pub(crate) fn process(self, sockets: &BTreeMap<Name, ListenerSocket>) -> io::Result<Process> {
        let program = self.program;
        let (out, err) = match self.log {
            Some(log) => (log.try_clone()?.into(), log.into()),
            None => (Stdio::null(), Stdio::null()),
        };
        let mut command = Command::new(&program.path);
        command
            .args(&program.args)
            .envs(&program.env)
            .env_remove(ENV_ROLE)
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .env(ENV_CONTROL, self.control)
            .env(ENV_REPLICA, self.replica.as_str())
            .env(ENV_INCARNATION, self.incarnation.to_string())
            .env(ENV_LAUNCH, self.launch.to_string())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        if let Some(folder) = &program.folder {
            command.current_dir(folder);
        }
        if !sockets.is_empty() {
            let listeners = sockets.iter();
            let listeners = listeners.map(|(name, it)| (name.to_string(), it.socket.as_fd()));
            let relays = sockets.iter().flat_map(|(name, it)| {
                let ends = it.relay().into_iter();
                ends.map(move |(called, end)| (format!("{name}{called}"), end))
            });
            let (names, sockets): (Vec<String>, Vec<BorrowedFd<'_>>) =
                listeners.chain(relays).unzip();
            let mapping = |(socket, child_fd): (&BorrowedFd<'_>, i32)| {
                Ok(FdMapping {
                    parent_fd: socket.try_clone_to_owned()?,
                    child_fd,
                })
            };
            let mappings: io::Result<Vec<FdMapping>> =
                sockets.iter().zip(3..).map(mapping).collect();
            command.fd_mappings(mappings?).map_err(io::Error::other)?;
            command.env("LISTEN_FDS", sockets.len().to_string());
            command.env("LISTEN_FDNAMES", names.join(":"));
        }
        // The child is waited for through its handle, like those that are nobody's children any more.
        let mut child = command.spawn()?;
        Process::open(child.id()).inspect_err(|_| {
            // Nobody could watch it.
            let _ = child.kill();
            let _ = child.wait();
        })
    }
}

impl Process {
    /// Takes hold of a process that runs.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(io::ErrorKind::NotFound)?;
        let handle = rustix::process::pidfd_open(number, PidfdFlags::empty())?;
        Ok(Self { pid, handle })
    }

    /// Takes hold of process `pid`, if it is the one that started at `started`, and not another that got its number
    /// later.
    pub(crate) fn find(pid: u32, started: u64) -> Option<Self> {
        // Held first and looked at then: what is held keeps its number.
        let process = Self::open(pid).ok()?;
        (started_at(pid) == Some(started)).then_some(process)
    }

    /// Kills it, and waits for its end if it is a child of this process.
    pub(crate) fn end(&self) {
        self.signal(Signal::KILL);
        let _ = rustix::process::waitid(WaitId::PidFd(self.handle.as_fd()), WaitIdOptions::EXITED);
    }

    /// Sends it a signal. That it is already gone is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.handle, signal);
    }

    /// Waits for its end in a task of the caller's: the future does not borrow the process.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: a later wait sees the same end.
    pub(crate) fn wait(&self) -> io::Result<impl Future<Output = Exit> + Send + use<>> {
        #[expect(
            deprecated,
            reason = "unsound for types that change their descriptor; OwnedFd can't"
        )]
        let handle = AsyncFd::with_interest(self.handle.try_clone()?, Interest::READABLE)?;
        Ok(async move {
            // The handle becomes readable once, when the process is over.
            let _ = handle.readable().await;
            let options = WaitIdOptions::EXITED;
            match rustix::process::waitid(WaitId::PidFd(handle.get_ref().as_fd()), options) {
                Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    (None, None) => Exit::Unseen,
                },
                // It is not our child: somebody else gets its code.
                Ok(None) | Err(_) => Exit::Unseen,
            }
        })
    }
}

/// What the kernel says of a process that is not over.
pub(crate) struct Stat {
    /// The process that leads its group; 0 if that one cannot be seen from here, as from within a container.
    pub(crate) group: u32,
    /// The process that leads its session; 0 as above.
    pub(crate) session: u32,
    /// When it started, in the kernel's ticks since the machine did.
    pub(crate) started: u64,
}

impl Stat {
    /// `None` if there is no process `pid`, or only what is left of one that ended.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program is in parentheses and may hold anything, so count from the last one.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let stat = Self {
            group: fields.nth(1)?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            started: fields.nth(15)?.parse().ok()?,
        };
        (state != "Z" && state != "X").then_some(stat)
    }
}

/// When a process started, as [`Stat::started`] counts; `None` if it is over.
pub(crate) fn started_at(pid: u32) -> Option<u64> {
    Some(Stat::of(pid)?.started)
}

/// Whether a debugger holds a process.
pub(crate) fn is_traced(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

/// How much of a process is in memory, in bytes; `None` if it is over.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Whether process `pid` runs the program at `path`, or one that was there before it was built anew.
pub(crate) fn runs(pid: u32, path: &Path) -> bool {
    program_of(pid).is_some_and(|runs| runs == absolute(path))
}

/// Whether process `pid` runs a program that is, or was, in `folder`.
pub(crate) fn runs_within(pid: u32, folder: &Path) -> bool {
    program_of(pid).is_some_and(|runs| runs.starts_with(absolute(folder)))
}

/// Where the program of process `pid` is, or was; `None` if it cannot be known.
fn program_of(pid: u32) -> Option<PathBuf> {
    let runs = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let runs = runs.to_string_lossy();
    // So the kernel marks a file whose name is gone, or means another file now.
    Some(PathBuf::from(
        runs.strip_suffix(" (deleted)").unwrap_or(&runs),
    ))
}

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_when_it_started() {
        let own = std::process::id();
        assert!(started_at(own).is_some());
        assert_eq!(started_at(own), started_at(own));
        assert_eq!(started_at(u32::MAX), None);
        assert!(!is_traced(u32::MAX));
    }

    #[test]
    fn a_process_that_runs_is_in_memory() {
        assert!(resident_bytes(std::process::id()).is_some_and(|bytes| bytes > 1 << 16));
        assert_eq!(resident_bytes(u32::MAX), None);
    }
}
