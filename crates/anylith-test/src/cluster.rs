//! The application under test, while it runs.

use std::{
    any::type_name,
    fmt, io,
    marker::PhantomData,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anylith_core::{InvalidName, Name, with_causes};
use anylith_runtime::{
    __rt::{Interface, Provides},
    AppError, Application, Builder, CallCounts, Running,
    telemetry::Report,
};
use anylith_supervisor::{
    Answer, Progress, ReplicaStatus, Request, RunFolder, Status, Supervisor, ask,
};
use anylith_topology::Problems;
use tempfile::TempDir;

use crate::{
    body::Body,
    builder::{ClusterBuilder, Fake},
    interceptor::Interceptor,
    logs,
    topology::Topology,
};

/// An application under test: all of its processes, of which this one is the middle.
///
/// When it is dropped everything of it is killed; [`Cluster::stop`] stops it in good order.
pub struct Cluster<A> {
    pub(crate) topology: Topology,
    pub(crate) body: Arc<Body>,
    /// `None` once it was stopped.
    pub(crate) running: Mutex<Option<Running>>,
    /// `None` where there are no other processes.
    pub(crate) supervisor: Option<Supervisor>,
    pub(crate) fakes: Vec<Fake>,
    /// The last to go: the sockets and logs are in it.
    pub(crate) folder: TempDir,
    pub(crate) app: PhantomData<fn() -> A>,
}

/// Why an application under test did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The test's own process could not do its part, or, where all runs in it, a component failed.
    #[error(transparent)]
    App(#[from] AppError),
    /// A Rust name is too long to be a component's.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The settings are wrong.
    #[error("the settings of the test are wrong:\n{0}")]
    Settings(#[from] Problems),
    /// The supervisor could not begin.
    #[error(transparent)]
    Supervisor(#[from] anylith_supervisor::StartError),
    /// A replica fails again and again.
    #[error("{0}")]
    Failing(String),
    /// There is no room for sockets and logs.
    #[error("no folder for the sockets and logs of the test")]
    Folder(#[source] io::Error),
    /// Replicas need a program to run.
    #[error(
        "nothing says which program the replicas run: write the test with `#[anylith::test]`, or name the \
         application's binary with `ClusterBuilder::binary`"
    )]
    NoProgram,
}

impl<A: Application> Cluster<A> {
    /// Begins to say what the application under test is to be like.
    pub fn builder() -> ClusterBuilder<A> {
        ClusterBuilder::new(Builder::new())
    }

    /// The topology.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// A client whose calls come from the test. Its edges are called `test -> …`.
    pub fn client<I: Interface>(&self) -> I
    where
        A: Provides<I>,
    {
        self.body.client()
    }

    /// A client of anything, whether or not the application provides it: for tests of what happens then.
    pub fn any_client<I: Interface>(&self) -> I {
        self.body.client()
    }

    /// The fake of type `F`.
    ///
    /// # Panics
    ///
    /// If there is no fake of that type, or more than one.
    pub fn fake<F: Send + Sync + 'static>(&self) -> Arc<F> {
        let mut found = self.fakes.iter().filter_map(|fake| {
            let implementation = Arc::clone(&fake.implementation);
            implementation.downcast::<F>().ok()
        });
        let wanted = type_name::<F>();
        match (found.next(), found.next()) {
            (Some(fake), None) => fake,
            (None, _) => {
                panic!("no fake is a `{wanted}`: add `fakes(SomeClient = ...)` to the attribute")
            }
            (Some(_), Some(_)) => {
                panic!("two fakes are a `{wanted}`: give one of them a type of its own")
            }
        }
    }

    /// The address of the listener called `name`.
    ///
    /// # Panics
    ///
    /// If no component serves a listener of that name.
    pub fn address(&self, name: &str) -> SocketAddr {
        let bound = match &self.supervisor {
            None => self.with_running(|running| running.address(name)).flatten(),
            Some(supervisor) => supervisor.status().listeners.get(name).and_then(|url| {
                let address = url.strip_prefix("http://").unwrap_or(url);
                address.trim_end_matches('/').parse().ok()
            }),
        };
        bound.unwrap_or_else(|| panic!("no component serves a listener `{name}`"))
    }

    /// What was called along each edge out of the components in this process, the test's own first; nothing where
    /// `[telemetry] metrics` is `"off"`.
    pub fn calls(&self) -> Vec<CallCounts> {
        self.with_running(Running::calls).unwrap_or_default()
    }

    /// All that this process has counted of calls, the test's own among them.
    ///
    /// # Panics
    ///
    /// If the application was stopped.
    pub fn report(&self) -> Report {
        let report = self.with_running(Running::report);
        report.expect("what was stopped counts nothing")
    }

    /// The replicas with a process of their own.
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        let status = self.supervisor.as_ref().map(Supervisor::status);
        let replicas = status.iter().flat_map(Status::replicas);
        replicas.filter(|one| one.pid.is_some()).cloned().collect()
    }

    /// Kills the process of a replica, as a fault would, and returns when it is gone. It is started again.
    ///
    /// # Cancellation
    ///
    /// It was asked for, or not; if it was, the process is killed all the same.
    ///
    /// # Panics
    ///
    /// If there is no process of that name: in one process there is none.
    pub async fn kill(&self, replica: &str) {
        let (supervisor, before) = self.process(replica);
        supervisor.kill_replica(before.id.clone()).await;
        let gone = |status: &Status| {
            let now = status.replica(replica);
            now.is_none_or(|now| now.pid != before.pid)
        };
        supervisor.wait_for(gone).await;
    }

    /// Kills the process of a replica, and returns when its successor is ready.
    ///
    /// # Cancellation
    ///
    /// It was asked for, or not; if it was, the process is killed and started again all the same.
    ///
    /// # Panics
    ///
    /// If there is no process of that name: in one process there is none.
    pub async fn restart(&self, replica: &str) {
        let (supervisor, before) = self.process(replica);
        self.kill(replica).await;
        let back = |status: &Status| {
            status.is_ready()
                && status
                    .replica(replica)
                    .is_some_and(|now| now.restarts > before.restarts)
        };
        supervisor.wait_for(back).await;
    }

    /// Starts the replicas of a group anew, one by one and in good order, as `anylith restart` does; returns when that is over.
    /// The group is meant by its own name or by that of a component in it.
    ///
    /// # Errors
    ///
    /// What kept it from that, in words.
    ///
    /// # Cancellation
    ///
    /// It was asked for, or not; if it was, it goes on.
    ///
    /// # Panics
    ///
    /// If there are no processes: in one process nothing can be started anew.
    pub async fn renew(&self, group: &str) -> Result<(), String> {
        let supervisor = self.supervisor.as_ref();
        let supervisor = supervisor.expect("a topology with processes has a supervisor");
        let group = Some(Name::new(group).map_err(|error| error.to_string())?);
        let request = Request::Restart { group };
        match ask(&supervisor.control_socket(), request).await {
            Ok(Answer::Changed { .. }) => Ok(()),
            Ok(other) => Err(format!("it was answered {other:?}")),
            Err(error) => Err(with_causes(&error)),
        }
    }

    /// Puts itself before the socket of a replica, and so between it and those who connect to it from now on. In one
    /// process, where calls go through a socket, that one socket belongs to `monolith-1`.
    ///
    /// # Panics
    ///
    /// If there is no Unix socket of that replica.
    pub fn intercept(&self, replica: &str) -> Interceptor {
        let socket = match &self.supervisor {
            None => Some(self.folder.path().join("monolith-1.sock")),
            Some(_) => match self.process(replica).1.address {
                Some(anylith_core::Endpoint::Unix(path)) => Some(path),
                _ => None,
            },
        };
        let socket: Option<PathBuf> = socket.filter(|path| path.exists());
        let socket = socket.unwrap_or_else(|| panic!("`{replica}` has no Unix socket"));
        Interceptor::before(&socket)
            .expect("a socket can be moved within a folder of the test's own")
    }

    fn process(&self, replica: &str) -> (&Supervisor, ReplicaStatus) {
        let found = self
            .replicas()
            .into_iter()
            .find(|one| one.id == *replica)
            .unwrap_or_else(|| {
                let all = self.replicas();
                let all: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
                panic!("no process is the replica `{replica}`; there are {all:?}")
            });
        let supervisor = self.supervisor.as_ref();
        (
            supervisor.expect("a process that was found has a supervisor"),
            found,
        )
    }

    /// Stops the application in good order, callers before those they call, and returns when nothing of it runs any
    /// more. Afterwards calls fail.
    ///
    /// # Cancellation
    ///
    /// What this process runs and has not stopped yet is dropped; other processes go on to stop.
    pub async fn stop(&self) {
        let running = self.running().take();
        match (&self.supervisor, running) {
            (None, Some(running)) => running.shut_down().await,
            (Some(supervisor), Some(running)) => {
                supervisor.ask_stop().await;
                let mut progress = supervisor.progress();
                // Without its sender the supervisor is gone, which is as good.
                let _ = progress.wait_for(|now| *now == Progress::Over).await;
                running.shut_down().await;
            }
            (_, None) => {}
        }
    }

    fn with_running<T>(&self, look: impl FnOnce(&Running) -> T) -> Option<T> {
        self.running().as_ref().map(look)
    }
}

impl<A> Cluster<A> {
    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Drop for Cluster<A> {
    fn drop(&mut self) {
        if std::thread::panicking() && self.supervisor.is_some() {
            logs::show(&RunFolder::at(self.folder.path()));
        }
    }
}

impl<A> fmt::Debug for Cluster<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("topology", &self.topology)
            .finish_non_exhaustive()
    }
}

/// A folder for sockets and logs. Its path is short, as those of Unix sockets must be.
pub(crate) fn folder() -> Result<TempDir, ClusterError> {
    const LONGEST: usize = 32;
    let usual = std::env::temp_dir();
    let short = match usual.as_os_str().len() {
        0..=LONGEST => usual,
        _ => PathBuf::from("/tmp"),
    };
    tempfile::Builder::new()
        .prefix("anylith-test-")
        .tempdir_in(short)
        .map_err(ClusterError::Folder)
}

/// The name of the test's own group and replica in the other processes' eyes.
pub(crate) fn own_group() -> Name {
    Name::new("test").expect("a constant that is a name")
}
