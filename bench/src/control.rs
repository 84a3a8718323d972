//! As much of a control plane as two replicas need: it welcomes them, and tells each who is ready.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, bail};
use anylith_core::{Address, Directory, Endpoint, Name};
use anylith_wire::control::{
    Bootstrap, ComponentState, Decoder, ENV_CONTROL, ENV_INCARNATION, ENV_REPLICA, FromReplica,
    Limits, ToReplica, encode,
};

/// Listens for replicas until the process ends.
pub(crate) struct ControlPlane {
    socket: PathBuf,
}

/// One component, where it runs, and in which replica.
#[derive(Clone)]
struct Home {
    component: Name,
    replica: Name,
    endpoint: Endpoint,
}

/// Who is there, and who was told of it.
#[derive(Default)]
struct State {
    directory: Directory,
    replicas: Vec<UnixStream>,
}

impl ControlPlane {
    /// Begins to listen in `folder`, for a replica of each component, which answers at its endpoint.
    pub(crate) fn start(folder: &Path, components: &[(&str, Endpoint)]) -> Result<Self> {
        let socket = folder.join("control.sock");
        let listener = UnixListener::bind(&socket)?;
        let mut homes = Vec::new();
        for (component, endpoint) in components {
            let component = Name::new(component)?;
            let replica = Name::new(replica_of(component.as_str()))?;
            homes.push(Home {
                component,
                replica,
                endpoint: endpoint.clone(),
            });
        }
        let state = Arc::new(Mutex::new(State::default()));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (homes, state) = (homes.clone(), Arc::clone(&state));
                thread::spawn(move || {
                    // A replica that goes away is noticed by whoever waits for it.
                    let _ = converse(stream, &homes, &state);
                });
            }
        });
        Ok(Self { socket })
    }

    /// The environment of the replica that runs `component`.
    pub(crate) fn environment(&self, component: &str) -> Vec<(&'static str, String)> {
        vec![
            (ENV_CONTROL, self.socket.display().to_string()),
            (ENV_REPLICA, replica_of(component)),
            (ENV_INCARNATION, "1".into()),
        ]
    }
}

fn replica_of(component: &str) -> String {
    format!("{component}-1")
}

/// Speaks with one replica until it goes.
fn converse(mut stream: UnixStream, homes: &[Home], state: &Mutex<State>) -> Result<()> {
    let mut decoder = Decoder::default();
    let mut buffer = [0; 4096];
    let mut home: Option<&Home> = None;
    loop {
        while let Some(message) = decoder.next::<FromReplica>()? {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            match message {
                FromReplica::Hello(hello) => {
                    let found = homes.iter().find(|home| home.replica == hello.replica);
                    let found = found.context("a replica that nobody started")?;
                    home = Some(found);
                    let welcome = welcome(found, state.directory.clone())?;
                    stream.write_all(&encode(&ToReplica::Welcome(Box::new(welcome)))?)?;
                    state.replicas.push(stream.try_clone()?);
                }
                FromReplica::Component {
                    name,
                    state: ComponentState::Ready,
                } => {
                    let home = home.context("a replica without a hello")?;
                    let address = Address {
                        replica: home.replica.clone(),
                        endpoint: home.endpoint.clone(),
                    };
                    state.publish(name, address)?;
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
    fn publish(&mut self, component: Name, address: Address) -> Result<()> {
        self.directory.epoch += 1;
        self.directory.components.insert(component, vec![address]);
        let message = encode(&ToReplica::Directory(self.directory.clone()))?;
        self.replicas
            .retain_mut(|replica| replica.write_all(&message).is_ok());
        Ok(())
    }
}

fn welcome(home: &Home, directory: Directory) -> Result<Bootstrap> {
    Ok(Bootstrap {
        app: Name::new("market")?,
        group: home.component.clone(),
        components: vec![home.component.clone()],
        endpoint: home.endpoint.clone(),
        listeners: BTreeMap::new(),
        config: BTreeMap::new(),
        edges: Vec::new(),
        limits: Limits::default(),
        directory,
    })
}
