//! As much of a control plane as replicas under measurement need: it welcomes them, and tells each who is ready.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::SystemTime,
};

use anyhow::{Context, Result, bail};
use anylith_core::{Address, Directory, Endpoint, Name, Telemetry, Whereabouts};
use anylith_pki::{Authority, Lifetimes, Subject};
use anylith_wire::control::{
    Bootstrap, ComponentState, Decoder, ENV_CONTROL, ENV_INCARNATION, ENV_REPLICA, EdgeSettings,
    FromReplica, Limits, ToReplica, encode,
};

/// Listens for replicas until the process ends.
pub(crate) struct ControlPlane {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
}

/// What is set for all replicas.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    /// What `[edges]` would say.
    pub(crate) edges: Vec<EdgeSettings>,
    /// What `[limits]` would say.
    pub(crate) limits: Limits,
    /// What `[telemetry]` would say.
    pub(crate) telemetry: Telemetry,
}

/// One component, where it runs, and in which replica.
#[derive(Clone)]
struct Home {
    component: Name,
    address: Address,
}

/// Who may come, who is there, and who was told of it.
struct State {
    policy: Policy,
    /// Over TCP replicas prove to each other who they are.
    authority: Authority,
    homes: Vec<Home>,
    directory: Directory,
    replicas: Vec<UnixStream>,
}

impl ControlPlane {
    /// Begins to listen in `folder`.
    pub(crate) fn start(folder: &Path, policy: Policy) -> Result<Self> {
        let socket = folder.join("control.sock");
        let listener = UnixListener::bind(&socket)?;
        let state = Arc::new(Mutex::new(State {
            policy,
            authority: Authority::new(app()?, Lifetimes::default(), SystemTime::now())?,
            homes: Vec::new(),
            directory: Directory::default(),
            replicas: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || {
                    let mut home = None;
                    // A replica that goes away is noticed by whoever waits for it.
                    let _ = converse(stream, &mut home, &state);
                    if let Some(home) = home {
                        // Who would be told is told with the next directory, or gone as well.
                        let _ = lock(&state).withdraw(&home);
                    }
                });
            }
        });
        Ok(Self { socket, state })
    }

    /// Expects the replica with this number of `component`, which answers at `endpoint`. Returns the environment that
    /// it is to be started with.
    pub(crate) fn expect(
        &self,
        component: &str,
        number: usize,
        endpoint: Endpoint,
    ) -> Result<Vec<(&'static str, String)>> {
        let replica = format!("{component}-{number}");
        let address = Address {
            replica: Name::new(&replica)?,
            endpoint,
        };
        let mut state = lock(&self.state);
        state
            .homes
            .retain(|home| home.address.replica != address.replica);
        state.homes.push(Home {
            component: Name::new(component)?,
            address,
        });
        Ok(vec![
            (ENV_CONTROL, self.socket.display().to_string()),
            (ENV_REPLICA, replica),
            (ENV_INCARNATION, "1".into()),
        ])
    }

    /// How many replicas of `component` are ready.
    pub(crate) fn ready(&self, component: &str) -> usize {
        lock(&self.state).directory.replicas(component).len()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Speaks with one replica until it goes; says in `home` which it is.
fn converse(mut stream: UnixStream, home: &mut Option<Home>, state: &Mutex<State>) -> Result<()> {
    let mut decoder = Decoder::default();
    let mut buffer = [0; 4096];
    loop {
        while let Some(message) = decoder.next::<FromReplica>()? {
            let mut state = lock(state);
            match message {
                FromReplica::Hello(hello) => {
                    let mut homes = state.homes.iter();
                    let found = homes.find(|home| home.address.replica == hello.replica);
                    let found = found.context("a replica that nobody started")?.clone();
                    let welcome = state.welcome(&found)?;
                    *home = Some(found);
                    stream.write_all(&encode(&ToReplica::Welcome(Box::new(welcome)))?)?;
                    state.replicas.push(stream.try_clone()?);
                }
                FromReplica::Component {
                    name,
                    state: ComponentState::Ready,
                    ..
                } => {
                    let home = home.as_ref().context("a replica without a hello")?;
                    state.announce(name, home.address.clone())?;
                }
                FromReplica::Failed { component, message } => bail!("{component:?}: {message}"),
                _ => {}
            }
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        decoder.feed(&buffer[..read]);
    }
}

impl State {
    fn announce(&mut self, component: Name, address: Address) -> Result<()> {
        let known = self.directory.replicas(component.as_str()).iter();
        let others = known.filter(|known| known.replica != address.replica);
        let mut replicas: Vec<Address> = others.cloned().collect();
        replicas.push(address);
        replicas.sort();
        let components = &mut self.directory.components;
        components.insert(component, Whereabouts::Answers(replicas));
        self.publish()
    }

    fn withdraw(&mut self, home: &Home) -> Result<()> {
        self.directory.components.retain(|_, known| {
            let others = known.replicas().iter();
            let others = others.filter(|known| **known != home.address).cloned();
            *known = Whereabouts::Answers(others.collect());
            !known.replicas().is_empty()
        });
        self.publish()
    }

    fn publish(&mut self) -> Result<()> {
        self.directory.epoch += 1;
        let message = encode(&ToReplica::Directory(self.directory.clone()))?;
        self.replicas
            .retain_mut(|replica| replica.write_all(&message).is_ok());
        Ok(())
    }

    fn welcome(&self, home: &Home) -> Result<Bootstrap> {
        let subject = Subject {
            app: app()?,
            replica: home.address.replica.clone(),
            group: home.component.clone(),
            components: vec![home.component.clone()],
        };
        // One that answers nobody over TCP may still call somebody who does.
        let identity = Some(self.authority.issue(&subject, SystemTime::now())?);
        Ok(Bootstrap {
            app: app()?,
            group: home.component.clone(),
            components: vec![home.component.clone()],
            endpoints: vec![home.address.endpoint.clone()],
            listeners: BTreeMap::new(),
            config: BTreeMap::new(),
            edges: self.policy.edges.clone(),
            limits: self.policy.limits.clone(),
            telemetry: self.policy.telemetry,
            directory: self.directory.clone(),
            identity,
            held: Vec::new(),
            callers: Some(
                [
                    (Name::new("Store")?, vec![Name::new("Load")?]),
                    (Name::new("Worker")?, vec![Name::new("Caller")?]),
                ]
                .into(),
            ),
        })
    }
}

fn app() -> Result<Name> {
    Ok(Name::new("market")?)
}
