//! From what is wanted to a supervisor at work.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anylith_control::{Event, GroupSpec, Spec, Timing};
use anylith_core::Name;
use tokio::net::UnixListener;

use crate::{
    door::{self, BindError},
    driver::{Deployment, Driver},
    record::{Build, Program, Record},
    run_folder::RunFolder,
    supervisor::{Report, Supervisor},
};

/// Everything that a supervisor must know to run an application.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What should run.
    pub spec: Spec,
    /// The application's binary.
    pub program: Program,
    /// Listener → the address to bind it to, as `host:port`; port 0 leaves the choice to the system. Each
    /// listener of the spec must be in it.
    pub addresses: BTreeMap<Name, String>,
    /// Where it keeps its sockets and logs.
    pub folder: RunFolder,
    /// How long it waits for what.
    pub timing: Timing,
    /// Whether replicas die with the supervisor's task. A test wants that; the command does not, so that a
    /// supervisor's crash disturbs nobody.
    pub kill_on_drop: bool,
}

/// Why an application could not be started. Nothing of it runs then that did not run before.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another supervisor runs it.
    #[error("{app} is already running, by process {pid}")]
    AlreadyRunning {
        /// The application.
        app: Name,
        /// The other supervisor, or 0 if it did not say.
        pid: u32,
    },
    /// A listener has no socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The binary cannot be found.
    #[error("the application's binary {} cannot be run", path.display())]
    Program {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run folder cannot be used.
    #[error("the run folder {} cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Launch {
    /// Starts the application, or adopts what an earlier supervisor of the same launch has left running.
    ///
    /// It comes back when the supervisor is at work; [`Supervisor::wait_ready`] says when the application
    /// is. If an earlier supervisor left something else running, that is drained and stopped first.
    ///
    /// # Cancellation
    ///
    /// What was left running may have been stopped; nothing new runs.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(self) -> Result<Supervisor, StartError> {
        let folder = self.folder.clone();
        let unusable = |source| StartError::Folder {
            path: folder.path().to_owned(),
            source,
        };
        folder.create().map_err(unusable)?;
        let mut lock = lock(&folder, &self.spec.app).await?;
        let path = &self.program.path;
        let build = Build::of(path).map_err(|source| StartError::Program {
            path: path.clone(),
            source,
        })?;
        let past = Record::read(&folder.record()).map(|mut past| (past.keep_living(), past));
        let mut first = None;
        let (living, memory) = match past {
            Some((living, past)) if living > 0 && !self.continues(&past, build) => {
                let (topology, memory) = (past.spec.topology.clone(), past.memory.clone());
                lock = retire(past, &folder, self.timing.clone(), lock)
                    .await
                    .map_err(unusable)?;
                first = Some(Report::Replaced {
                    topology,
                    replicas: living,
                });
                let forget = |mut memory: anylith_control::Memory| {
                    memory
                        .replicas
                        .values_mut()
                        .for_each(|replica| replica.pid = None);
                    memory
                };
                (0, forget(memory))
            }
            Some((living, past)) => (living, past.memory),
            None => (0, anylith_control::Memory::default()),
        };
        if living == 0 {
            sweep(&folder.sockets()).map_err(unusable)?;
            sweep(&folder.logs()).map_err(unusable)?;
        }
        let held_elsewhere = |listener: &Name| {
            let group = self
                .spec
                .listeners
                .get(listener)
                .and_then(|by| self.spec.group_of(by.as_str()));
            let mut replicas = group.into_iter().flat_map(GroupSpec::replica_names);
            replicas.any(|name| {
                memory
                    .replicas
                    .get(&name)
                    .is_some_and(|one| one.pid.is_some())
            })
        };
        let mut sockets = BTreeMap::new();
        let mut lost = BTreeSet::new();
        for listener in self.spec.listeners.keys() {
            if held_elsewhere(listener) {
                lost.insert(listener.clone());
            } else {
                let address = self
                    .addresses
                    .get(listener)
                    .map_or("127.0.0.1:0", String::as_str);
                sockets.insert(listener.clone(), door::bind(listener, address)?);
            }
        }
        let control = bind_control(&folder.control_socket()).map_err(unusable)?;
        let deployment = Deployment {
            spec: self.spec,
            program: self.program,
            build,
            addresses: self.addresses,
            timing: self.timing,
            folder,
            kill_on_drop: self.kill_on_drop,
        };
        let driver = Driver::new(deployment, &memory, &lost, sockets, control, lock);
        Ok(driver.start(first))
    }

    /// Whether what `past` has left running is what is wanted now.
    fn continues(&self, past: &Record, build: Build) -> bool {
        past.spec == self.spec
            && past.program == self.program
            && past.build == build
            && past.addresses == self.addresses
    }
}

/// How many replicas still run in `folder`, whether or not a supervisor watches them.
pub fn living_replicas(folder: &RunFolder) -> usize {
    Record::read(&folder.record()).map_or(0, |mut record| record.keep_living())
}

/// Drains and stops what a supervisor that is gone has left running; returns how many replicas that were.
///
/// # Cancellation
///
/// Some replicas may be stopped, and others not.
///
/// # Errors
///
/// [`StartError::AlreadyRunning`] if a supervisor is there after all, or [`StartError::Folder`].
pub async fn stop_orphans(folder: &RunFolder, timing: Timing) -> Result<usize, StartError> {
    let Some(mut record) = Record::read(&folder.record()) else {
        return Ok(0);
    };
    let lock = lock(folder, &record.spec.app).await?;
    let living = record.keep_living();
    if living > 0 {
        let unusable = |source| StartError::Folder {
            path: folder.path().to_owned(),
            source,
        };
        retire(record, folder, timing, lock)
            .await
            .map_err(unusable)?;
    }
    Ok(living)
}

/// Adopts what `past` has left running, only to stop it in good order.
async fn retire(past: Record, folder: &RunFolder, timing: Timing, lock: File) -> io::Result<File> {
    let control = bind_control(&folder.control_socket())?;
    let lost: BTreeSet<Name> = past.spec.listeners.keys().cloned().collect();
    let deployment = Deployment {
        spec: past.spec,
        program: past.program,
        build: past.build,
        addresses: past.addresses,
        timing,
        folder: folder.clone(),
        kill_on_drop: false,
    };
    let mut driver = Driver::new(
        deployment,
        &past.memory,
        &lost,
        BTreeMap::new(),
        control,
        lock,
    );
    driver.feed(Event::StopAsked, Instant::now());
    driver.run().await
}

/// How long a lock may be held by nobody who runs: a child of the supervisor before, between its fork and its
/// exec, or a supervisor that has answered a stop and is about to exit.
const LOCK_WITHIN: Duration = Duration::from_millis(300);

/// Takes the lock that says: this process is the supervisor here. The kernel gives it back when the process
/// is gone, however it went.
async fn lock(folder: &RunFolder, app: &Name) -> Result<File, StartError> {
    let unusable = |source| StartError::Folder {
        path: folder.path().to_owned(),
        source,
    };
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(folder.lock())
        .map_err(unusable)?;
    let until = Instant::now() + LOCK_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let pid = pid.parse().unwrap_or(0);
                return Err(StartError::AlreadyRunning {
                    app: app.clone(),
                    pid,
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
    }
    let own = std::process::id().to_string();
    file.set_len(0)
        .and_then(|()| file.write_all(own.as_bytes()))
        .map_err(unusable)?;
    Ok(file)
}

/// Binds the control socket in the place of one that a dead supervisor has left. The lock says that it is
/// dead.
fn bind_control(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// Removes what earlier runs have left in `folder`.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}
