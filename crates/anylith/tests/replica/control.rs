//! A control plane whose every word is said by the test.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anylith_core::{Address, Directory, Endpoint, Limits, Name, Telemetry};
use anylith_wire::control::{
    self, Bootstrap, ComponentState, Decoder, FromReplica, Hello, ToReplica,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    time::timeout,
};

/// Nothing takes as long as this, unless it never comes.
const LONG: Duration = Duration::from_secs(20);

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Fails in the place of hanging.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(LONG, future).await.expect("it hangs")
}

/// Where one replica finds its control plane.
pub(crate) struct Control {
    listener: UnixListener,
    folder: tempfile::TempDir,
}

impl Control {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("control.sock")).unwrap();
        Self { listener, folder }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Where the replica answers calls.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.folder.path().join("replica.sock"))
    }

    /// The replica's next connection, and how it introduced itself.
    pub(crate) async fn called(&self) -> (Line, Hello) {
        soon(async {
            let (stream, _) = self.listener.accept().await.unwrap();
            let mut line = Line {
                stream,
                decoder: Decoder::default(),
            };
            match line.hear().await {
                FromReplica::Hello(hello) => (line, hello),
                other => panic!("it began with {other:?}"),
            }
        })
        .await
    }

    /// Takes the replica's next connection and hangs up.
    pub(crate) async fn hang_up(&self) {
        soon(self.listener.accept()).await.unwrap();
    }

    /// Welcomes a new replica that runs `components`, with what `directory` says.
    pub(crate) async fn welcomed(&self, components: &[&str], directory: Directory) -> Line {
        self.welcomed_as(components, directory, None).await
    }

    /// The same; `callers` are those that may call each component.
    pub(crate) async fn welcomed_as(
        &self,
        components: &[&str],
        directory: Directory,
        callers: Option<&[(&str, &str)]>,
    ) -> Line {
        let bootstrap = Bootstrap {
            directory,
            callers: callers.map(allowed),
            ..self.bootstrap(components)
        };
        self.welcomed_with(bootstrap).await
    }

    /// Welcomes a new replica that runs `components`, and holds those of `held` back.
    pub(crate) async fn welcomed_holding(&self, components: &[&str], held: &[&str]) -> Line {
        let bootstrap = Bootstrap {
            held: held.iter().map(|it| name(it)).collect(),
            ..self.bootstrap(components)
        };
        self.welcomed_with(bootstrap).await
    }

    /// Welcomes a new replica that runs `components`, and is to tell of itself what `telemetry` says.
    pub(crate) async fn welcomed_to_tell(&self, components: &[&str], telemetry: Telemetry) -> Line {
        let bootstrap = Bootstrap {
            telemetry,
            ..self.bootstrap(components)
        };
        self.welcomed_with(bootstrap).await
    }

    fn bootstrap(&self, components: &[&str]) -> Bootstrap {
        Bootstrap {
            app: name("kitchen"),
            group: name("kitchen"),
            components: components.iter().map(|it| name(it)).collect(),
            endpoints: vec![self.endpoint()],
            listeners: BTreeMap::new(),
            config: BTreeMap::new(),
            edges: Vec::new(),
            limits: Limits::default(),
            telemetry: Telemetry::default(),
            directory: Directory::default(),
            identity: None,
            callers: None,
            held: Vec::new(),
        }
    }

    async fn welcomed_with(&self, bootstrap: Bootstrap) -> Line {
        let (mut line, _) = self.called().await;
        line.say(&ToReplica::Welcome(Box::new(bootstrap))).await;
        line
    }
}

/// Callee → its one caller.
pub(crate) fn allowed(callers: &[(&str, &str)]) -> BTreeMap<Name, Vec<Name>> {
    let one = |(callee, caller): &(&str, &str)| (name(callee), vec![name(caller)]);
    callers.iter().map(one).collect()
}

/// A directory that names one replica of each of `components`.
pub(crate) fn directory(epoch: u64, components: &[(&str, &Endpoint)]) -> Directory {
    let at = |(component, endpoint): &(&str, &Endpoint)| {
        let address = Address {
            replica: name("kitchen-9"),
            endpoint: (*endpoint).clone(),
        };
        (name(component), vec![address])
    };
    Directory::new(epoch, components.iter().map(at))
}

/// A connection of a replica.
pub(crate) struct Line {
    stream: UnixStream,
    decoder: Decoder,
}

impl Line {
    pub(crate) async fn say(&mut self, message: &ToReplica) {
        let bytes = control::encode(message).unwrap();
        soon(self.stream.write_all(&bytes)).await.unwrap();
    }

    /// What the replica says next; `None` once it has hung up.
    pub(crate) async fn next(&mut self) -> Option<FromReplica> {
        soon(async {
            loop {
                if let Some(message) = self.decoder.next().unwrap() {
                    return Some(message);
                }
                let mut bytes = [0; 1024];
                match self.stream.read(&mut bytes).await {
                    Ok(0) | Err(_) => return None,
                    Ok(count) => self.decoder.feed(&bytes[..count]),
                }
            }
        })
        .await
    }

    pub(crate) async fn hear(&mut self) -> FromReplica {
        self.next().await.expect("the replica hung up")
    }

    /// What the replica says next, but for what it has counted.
    pub(crate) async fn word(&mut self) -> FromReplica {
        loop {
            match self.hear().await {
                FromReplica::Measured { .. } | FromReplica::Spans { .. } => {}
                other => return other,
            }
        }
    }

    /// Listens until `component` is in `state`.
    pub(crate) async fn until(&mut self, component: &str, state: ComponentState) {
        let wanted = FromReplica::Component {
            name: name(component),
            state,
            reason: None,
        };
        while self.hear().await != wanted {}
    }

    /// Listens until `component` has stopped; returns what it left undone.
    pub(crate) async fn stopped(&mut self, component: &str) -> Option<String> {
        loop {
            if let FromReplica::Component {
                name,
                state: ComponentState::Stopped,
                reason,
            } = self.hear().await
                && name == component
            {
                return reason;
            }
        }
    }

    /// Listens until the replica says what went wrong.
    pub(crate) async fn failure(&mut self) -> String {
        loop {
            if let FromReplica::Failed { message, .. } = self.hear().await {
                return message;
            }
        }
    }

    /// Listens until the replica has hung up.
    pub(crate) async fn silence(&mut self) {
        while self.next().await.is_some() {}
    }
}
