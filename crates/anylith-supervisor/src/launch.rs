//! From what is wanted to a supervisor at work.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anylith_control::{GroupSpec, Memory, Spec, Timing};
use anylith_core::{Fingerprint, Name};
use anylith_pki::AuthorityError;
use tokio::net::UnixListener;

use crate::{
    collector::Collection,
    difference,
    engine::{Deployment, Engine},
    identities::Identities,
    listener_socket::{self, BindError, ListenerSocket},
    lock::{self, LockError},
    process::Process,
    record::{Build, Legacy, Program, Record, Shape},
    remains::Remains,
    report::Report,
    run_folder::RunFolder,
    stray,
    supervisor::{Retiring, Supervisor},
};

/// Everything that a supervisor must know to run an application.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What should run.
    pub spec: Spec,
    /// The application's binary.
    pub program: Program,
    /// Whether the spec was made of the build that an earlier supervisor has left running, and not of `program`, which is
    /// another one ([`other_build_left`]): then what runs is adopted with its build, and nothing is started in its place.
    pub keeps_build: bool,
    /// Listener → the address to bind it to, as `host:port`; port 0 leaves the choice to the system. Each
    /// listener of the spec must be in it.
    pub addresses: BTreeMap<Name, String>,
    /// Where it keeps its sockets and logs.
    pub folder: RunFolder,
    /// How long it waits for what.
    pub timing: Timing,
    /// What is done with what the replicas tell of themselves.
    pub collection: Collection,
    /// Whether replicas die with the supervisor's task. A test wants that; the command does not, so that a
    /// supervisor's crash disturbs nobody.
    pub kill_on_drop: bool,
}

/// Why an application could not be started. Nothing of it runs then that did not run before.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another supervisor runs it.
    #[error("{app} is already running, by process {pid}{}", differs(differences))]
    AlreadyRunning {
        /// The application.
        app: Name,
        /// The other supervisor, or 0 if it did not say.
        pid: u32,
        /// How what runs differs from what was to be started, in a few words for each difference.
        differences: Vec<String>,
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
    /// What was to be adopted is not there any more, or not as it was.
    #[error("what an earlier run of {app} had left running has changed just now")]
    Changed {
        /// The application.
        app: Name,
    },
    /// There are no certificates for calls over TCP.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The run folder cannot be used.
    #[error("the run folder {} cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn differs(differences: &[String]) -> String {
    match differences.is_empty() {
        true => String::new(),
        false => format!(
            ", and not as it was to be started: {}",
            differences.join("; ")
        ),
    }
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
        self.start_telling(|_| {}).await
    }

    /// Like [`Launch::start`]. If an earlier supervisor left something else running, `tell` hears why that is
    /// stopped before it is, and then how far that has come.
    ///
    /// # Cancellation
    ///
    /// As with [`Launch::start`].
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start_telling(
        mut self,
        mut tell: impl FnMut(Retiring),
    ) -> Result<Supervisor, StartError> {
        let folder = self.folder.clone();
        let unusable = |source| StartError::Folder {
            path: folder.path().to_owned(),
            source,
        };
        folder.create().map_err(unusable)?;
        let path = &self.program.path;
        let build = Build::of(path).map_err(|source| StartError::Program {
            path: path.clone(),
            source,
        })?;
        let lock = match lock::take(&folder).await {
            Ok(lock) => lock,
            Err(LockError::Held { pid }) => return Err(self.already_running(pid, build)),
            Err(LockError::Unusable(source)) => return Err(unusable(source)),
        };
        let (launched, mark) = (Some(Shape::of(&self.spec)), self.mark(build));
        let remains = self.remains(build);
        self.stand_by_changes(&remains, build);
        if self.keeps_build && !self.can_adopt(&remains) {
            let app = self.spec.app.clone();
            return Err(StartError::Changed { app });
        }
        let (legacy, lock, first) = self
            .take_over(remains, build, lock, &mut tell)
            .await
            .map_err(unusable)?;
        // Without it `logs` knows fewer names once the application has stopped.
        let _ = folder.keep_components(self.spec.dependencies.keys());
        let (sockets, lost) = self.bind_listeners(&legacy).await?;
        let identities = Identities::open(&folder, &self.spec)?;
        let control = bind_control(&folder.control_socket()).map_err(unusable)?;
        let deployment = Deployment {
            identities,
            launched,
            mark,
            spec: self.spec,
            // What is adopted was started from there, and may have been written over since.
            program: legacy.program.clone().unwrap_or(self.program),
            build: legacy.build.unwrap_or(build),
            kept: legacy.kept.clone(),
            addresses: self.addresses,
            timing: self.timing,
            folder,
            collection: self.collection,
            kill_on_drop: self.kill_on_drop,
        };
        let engine = Engine::new(deployment, legacy, &lost, sockets, control, lock);
        Ok(engine.start(first))
    }

    /// Whether it would adopt what an earlier supervisor has left running, with whatever build that is. Nothing is changed by
    /// asking.
    pub fn adopts(&self) -> bool {
        let mut asked = self.clone();
        let Ok(build) = Build::of(&self.program.path) else {
            return false;
        };
        let remains = self.remains(build);
        asked.take_shape(&remains);
        asked.can_adopt(&remains)
    }

    /// What an earlier supervisor has left.
    fn remains(&self, build: Build) -> Remains {
        let record = Record::read(&self.folder.record());
        let remains = Remains::of(record, &self.folder, Some(&self.program.path));
        remains.recognise(self.mark(build), &self.folder, || Record {
            spec: self.spec.clone(),
            launched: Some(Shape::of(&self.spec)),
            program: self.program.clone(),
            build,
            kept: BTreeMap::new(),
            addresses: self.addresses.clone(),
            memory: Memory::default(),
            started: BTreeMap::new(),
        })
    }

    /// What tells replicas of this launch from those of another one, where nothing else does.
    fn mark(&self, build: Build) -> Fingerprint {
        let all = (&self.spec, &self.program, build, &self.addresses);
        let text = serde_json::to_string(&all).unwrap_or_default();
        Fingerprint::EMPTY.with(&text)
    }

    fn can_adopt(&self, remains: &Remains) -> bool {
        let past = remains
            .record
            .as_ref()
            .filter(|_| !remains.living.is_empty());
        past.is_some_and(|past| difference::of_settings(past, self).is_empty())
    }

    /// Where what is asked for is what was asked for before, changes that were made since stand: who starts the same again
    /// does not mean to undo them.
    fn stand_by_changes(&mut self, remains: &Remains, build: Build) {
        self.take_shape(remains);
        if let Some(past) = remains.record.as_ref()
            && !remains.living.is_empty()
            && past.stands_for(&self.program.path, build)
        {
            self.spec.interfaces.clone_from(&past.spec.interfaces);
        }
    }

    fn take_shape(&mut self, remains: &Remains) {
        if let Some(past) = remains.record.as_ref()
            && !remains.living.is_empty()
            && past.launched == Some(Shape::of(&self.spec))
        {
            Shape::of(&past.spec).form(&mut self.spec);
        }
    }

    fn already_running(&self, pid: u32, build: Build) -> StartError {
        let past = Record::read(&self.folder.record());
        StartError::AlreadyRunning {
            app: self.spec.app.clone(),
            pid,
            differences: past.map_or(Vec::new(), |past| difference::all(&past, self, build)),
        }
    }

    /// What is adopted of the supervisor before, and what its control plane remembered. Stops what that has left running, if it is not
    /// what is wanted now.
    async fn take_over(
        &self,
        remains: Remains,
        build: Build,
        lock: File,
        tell: &mut impl FnMut(Retiring),
    ) -> io::Result<(Legacy, File, Option<Report>)> {
        let Remains {
            record,
            living,
            strangers,
        } = remains;
        stray::end(strangers, self.timing.grace).await;
        let Some(past) = record else {
            self.folder.sweep()?;
            return Ok((Legacy::default(), lock, None));
        };
        let differences = difference::all(&past, self, build);
        let mut memory = past.memory.clone();
        if !living.is_empty() && (self.keeps_build || differences.is_empty()) {
            let first = self.keeps_build.then(|| Report::OtherBuild {
                path: self.program.path.clone(),
            });
            let legacy = Legacy {
                memory,
                living,
                program: Some(past.program),
                build: Some(past.build),
                kept: past.kept,
            };
            return Ok((legacy, lock, first));
        }
        (memory.build, memory.rollout, memory.reshape) = (0, None, None);
        for replica in memory.replicas.values_mut() {
            replica.pid = None;
            // Of what is started anew now, nothing has failed.
            replica.restarts = 0;
        }
        let nothing_lives = Legacy {
            memory,
            ..Legacy::default()
        };
        if living.is_empty() {
            self.folder.sweep()?;
            return Ok((nothing_lives, lock, None));
        }
        let (topology, replicas) = (past.spec.topology.clone(), living.len());
        tell(Retiring::Because {
            topology: topology.clone(),
            replicas,
            differences: differences.clone(),
        });
        let told = (self.timing.clone(), self.collection.clone());
        let lock = retire(past, living, &self.folder, told, lock, tell).await?;
        self.folder.sweep()?;
        let replaced = Report::Replaced {
            topology,
            replicas,
            differences,
        };
        Ok((nothing_lives, lock, Some(replaced)))
    }

    /// Binds the sockets of the listeners, but for those that replicas may have which run since before.
    async fn bind_listeners(
        &self,
        legacy: &Legacy,
    ) -> Result<(BTreeMap<Name, ListenerSocket>, BTreeSet<Name>), BindError> {
        let mut sockets = BTreeMap::new();
        let mut lost = BTreeSet::new();
        for (listener, served_by) in &self.spec.listeners {
            let group = self.spec.group_of(served_by.as_str());
            let replicas = group.into_iter().flat_map(GroupSpec::replica_names);
            let extra = legacy.memory.extra.iter();
            let extra = extra.filter(|(_, one)| one.components.contains(served_by));
            let mut holders = replicas.chain(extra.map(|(name, _)| name.clone()));
            if holders.any(|name| legacy.living.contains_key(&name)) {
                lost.insert(listener.clone());
            } else {
                let address = self.addresses.get(listener);
                let address = address.map_or("127.0.0.1:0", String::as_str);
                let socket = listener_socket::bind(listener.clone(), address.to_owned()).await?;
                sockets.insert(listener.clone(), socket);
            }
        }
        Ok((sockets, lost))
    }
}

/// The replicas that still run in `folder`, whether or not a supervisor watches them, each with its process.
pub fn living_replicas(folder: &RunFolder) -> BTreeMap<Name, u32> {
    let remains = Remains::of(Record::read(&folder.record()), folder, None);
    let known = remains.living.into_iter();
    let known = known.map(|(replica, process)| (replica, process.pid));
    let strangers = remains.strangers.into_iter();
    let strangers = strangers.map(|stray| (stray.replica, stray.process.pid));
    known.chain(strangers).collect()
}

/// Where the build that stands in `folder` can be run to be asked what it is, if anything runs there.
pub fn what_runs(folder: &RunFolder) -> Option<PathBuf> {
    let record = Record::read(&folder.record())?;
    let found = record.standing_build();
    Some(found.unwrap_or_else(|| record.program_of(record.memory.build).path))
}

/// What [`what_runs`] in `folder`, if a supervisor that is gone has left replicas there, and the program at `path` is another
/// build than theirs.
pub fn other_build_left(folder: &RunFolder, path: &Path) -> Option<PathBuf> {
    let build = Build::of(path).ok()?;
    let Remains { record, living, .. } =
        Remains::of(Record::read(&folder.record()), folder, Some(path));
    let record = record.filter(|record| !living.is_empty() && !record.stands_for(path, build))?;
    record.standing_build()
}

/// Drains and stops what a supervisor that is gone has left running; returns how many replicas that were. `tell`
/// hears how far it has come.
///
/// # Cancellation
///
/// Some replicas may be stopped, and others not.
///
/// # Errors
///
/// [`StartError::AlreadyRunning`] if a supervisor is there after all, or [`StartError::Folder`].
pub async fn stop_orphans(
    folder: &RunFolder,
    timing: Timing,
    mut tell: impl FnMut(Retiring),
) -> Result<usize, StartError> {
    let Some(record) = Record::read(&folder.record()) else {
        let remains = Remains::of(None, folder, None);
        let replicas = remains.replicas();
        stray::end(remains.strangers, timing.grace).await;
        return Ok(replicas);
    };
    let unusable = |source| StartError::Folder {
        path: folder.path().to_owned(),
        source,
    };
    let lock = match lock::take(folder).await {
        Ok(lock) => lock,
        Err(LockError::Held { pid }) => {
            return Err(StartError::AlreadyRunning {
                app: record.spec.app,
                pid,
                differences: Vec::new(),
            });
        }
        Err(LockError::Unusable(source)) => return Err(unusable(source)),
    };
    let remains = Remains::of(Some(record), folder, None);
    let replicas = remains.replicas();
    stray::end(remains.strangers, timing.grace).await;
    if let Some(record) = remains.record
        && !remains.living.is_empty()
    {
        // Nobody has said how much may be kept of what they tell at their end, or where it goes.
        let nothing = Collection {
            traces_bytes: 0,
            otlp: None,
        };
        let told = (timing, nothing);
        retire(record, remains.living, folder, told, lock, &mut tell)
            .await
            .map_err(unusable)?;
    }
    Ok(replicas)
}

/// Adopts what `past` has left running, only to stop it in good order.
async fn retire(
    past: Record,
    living: BTreeMap<Name, Process>,
    folder: &RunFolder,
    (timing, collection): (Timing, Collection),
    lock: File,
    tell: &mut impl FnMut(Retiring),
) -> io::Result<File> {
    let control = bind_control(&folder.control_socket())?;
    let lost: BTreeSet<Name> = past.spec.listeners.keys().cloned().collect();
    let deployment = Deployment {
        // What they have is good until they have stopped.
        identities: None,
        launched: past.launched,
        // Nothing is started any more.
        mark: Fingerprint::EMPTY,
        spec: past.spec,
        program: past.program,
        build: past.build,
        kept: past.kept,
        addresses: past.addresses,
        timing,
        folder: folder.clone(),
        collection,
        kill_on_drop: false,
    };
    let legacy = Legacy {
        memory: past.memory,
        living,
        ..Legacy::default()
    };
    let engine = Engine::new(deployment, legacy, &lost, BTreeMap::new(), control, lock);
    engine.retire(tell).await
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
