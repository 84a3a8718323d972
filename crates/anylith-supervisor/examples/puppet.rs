//! A replica that does what a test tells it: it speaks to the control plane as the runtime does, and fails
//! where it is told to.
//!
//! `PUPPET` holds its orders, as `Who=what` separated by commas, where `Who` is a component or a replica:
//!
//! - `fail`: its start fails, with words; `crash`: without words; `rant`: its words come after many others, at once;
//! - `mute`: it never connects; `lazy`: it never becomes ready; `babble`: it says what nobody understands;
//! - `stuck`: it never answers a drain; `quit`: it exits when it is asked to drain;
//! - `strict`: its config must have a `reserve`, which it else must not have;
//! - `slow`: it takes its time for each visitor of its listener, one after the other;
//! - `other`: its interface is another one.
//!
//! What follows after the last `PUPPET:` of its own file is added to its orders: so builds of it differ.
//!
//! It is the application `puppet`: `Front`, which serves the listener `web`, is dependent on `Cart` and
//! `Stock`, and `Cart` on `Stock`. What happens to it is written to the file that `PUPPET_JOURNAL` names.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, IoSlice, Read, Seek, SeekFrom, Write},
    mem::MaybeUninit,
    net::{Shutdown, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::exit,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use anylith_core::{
    ComponentManifest, Counters, Directory, Endpoint, Fingerprint, Manifest, MethodManifest,
    MethodShape, Name,
};
use anylith_wire::control::{
    Bootstrap, CONTROL_PROTOCOL, ComponentState, Decoder, ENV_CONTROL, ENV_INCARNATION,
    ENV_REPLICA, ENV_ROLE, FromReplica, Hello, Opening, Outcomes, ToReplica, encode,
};
use rustix::{
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

fn main() {
    match env::var(ENV_ROLE).as_deref() {
        Ok("describe") => println!(
            "{}",
            serde_json::to_string(&manifest()).expect("a manifest")
        ),
        Ok("check") => check(),
        _ => Puppet::new().play(),
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// What it is told by its environment, and by its own file.
fn orders() -> BTreeMap<String, String> {
    let mut orders = env::var("PUPPET").unwrap_or_default();
    orders += ",";
    orders += &build().unwrap_or_default();
    let orders = orders.split(',').filter_map(|order| order.split_once('='));
    orders
        .map(|(who, what)| (who.to_owned(), what.to_owned()))
        .collect()
}

/// The end of its own file, if that says anything.
fn build() -> Option<String> {
    let mut file = fs::File::open("/proc/self/exe").ok()?;
    file.seek(SeekFrom::End(-64)).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    Some(end.rsplit_once("PUPPET:")?.1.to_owned())
}

fn manifest() -> Manifest {
    let orders = orders();
    let interface = |of: &str| {
        let usual = Fingerprint::EMPTY.with(of);
        match orders.get(of).is_some_and(|order| order == "other") {
            true => usual.with("other"),
            false => usual,
        }
    };
    let component = |of: &str, dependencies: &[&str], listeners: &[&str]| ComponentManifest {
        name: name(of),
        implementation: String::new(),
        summary: String::new(),
        dependencies: dependencies.iter().map(|of| name(of)).collect(),
        listeners: listeners.iter().map(|of| name(of)).collect(),
        methods: vec![MethodManifest {
            name: name("get"),
            idempotent: true,
            shape: MethodShape::Unary,
            routed: None,
        }],
        fingerprint: interface(of),
        misfits: Vec::new(),
        singleton: None,
    };
    Manifest {
        app: name("puppet"),
        summary: "Does what a test tells it.".to_owned(),
        components: vec![
            component("Front", &["Cart", "Stock"], &["web"]),
            component("Cart", &["Stock"], &[]),
            component("Stock", &[], &[]),
        ],
    }
}

/// Only `Cart` has a config, and only `limit`, a number; and `reserve`, if it is strict.
fn check() {
    let is_strict = orders().get("Cart").is_some_and(|order| order == "strict");
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).expect("the config");
    let config: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&input).expect("config as JSON");
    let mut problems = Vec::new();
    for (component, value) in config {
        if is_strict && component == "Cart" && value.get("reserve").is_none() {
            problems.push(serde_json::json!(
                {"component": component, "key": "", "message": "missing field `reserve`"}
            ));
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            let message = match (component.as_str(), key.as_str(), value.is_u64()) {
                ("Cart", "limit", true) => continue,
                ("Cart", "limit", false) => "invalid type: expected a number".to_owned(),
                _ => format!("unknown field `{key}`, expected `limit`"),
            };
            problems.push(serde_json::json!(
                {"component": component, "key": key, "message": message}
            ));
        }
    }
    println!("{}", serde_json::Value::from(problems));
}

struct Puppet {
    replica: Name,
    incarnation: u64,
    orders: BTreeMap<String, String>,
    life: Option<(Bootstrap, BTreeMap<Name, ComponentState>)>,
    directory: Directory,
    /// Where it would answer calls over TCP.
    door: Option<TcpListener>,
    /// Held while a visitor is served.
    busy: Arc<Mutex<()>>,
}

impl Puppet {
    fn new() -> Self {
        Self {
            replica: name(&env::var(ENV_REPLICA).expect("a replica's name")),
            incarnation: env::var(ENV_INCARNATION)
                .expect("how often")
                .parse()
                .expect("a number"),
            orders: orders(),
            life: None,
            directory: Directory::default(),
            door: None,
            busy: Arc::default(),
        }
    }

    fn is_told(&self, who: &Name, what: &str) -> bool {
        let told = |who: &Name| {
            self.orders
                .get(who.as_str())
                .is_some_and(|order| order == what)
        };
        told(who) || told(&self.replica)
    }

    fn play(mut self) {
        log("INFO", None, &format!("{} begins", self.replica));
        if self.is_told(&self.replica.clone(), "mute") {
            loop {
                thread::park();
            }
        }
        loop {
            if let Ok(control) = UnixStream::connect(env::var_os(ENV_CONTROL).expect("a socket")) {
                // When the control plane is gone, it is looked for again.
                let _ = self.converse(control);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn converse(&mut self, mut control: UnixStream) -> io::Result<()> {
        self.greet(&mut control)?;
        if self.is_told(&self.replica, "babble") {
            control.write_all(b"\0\0\0\x02{}")?;
        }
        let mut decoder = Decoder::default();
        let mut bytes = [0; 4096];
        loop {
            let read = control.read(&mut bytes)?;
            if read == 0 {
                return Ok(());
            }
            decoder.feed(&bytes[..read]);
            while let Some(message) = decoder.next().map_err(io::Error::other)? {
                self.hear(message, &mut control)?;
            }
        }
    }

    fn greet(&self, control: &mut UnixStream) -> io::Result<()> {
        let (endpoint, components) = match &self.life {
            Some((bootstrap, components)) => {
                (bootstrap.endpoints.first().cloned(), components.clone())
            }
            None => (None, BTreeMap::new()),
        };
        let hello = Hello {
            protocol: CONTROL_PROTOCOL,
            replica: self.replica.clone(),
            incarnation: self.incarnation,
            pid: std::process::id(),
            endpoint,
            epoch: self.directory.epoch,
            components,
        };
        say(control, &FromReplica::Hello(hello))
    }

    fn hear(&mut self, message: ToReplica, control: &mut UnixStream) -> io::Result<()> {
        match message {
            ToReplica::Welcome(mut bootstrap) => {
                self.take(bootstrap.directory.clone());
                if let [Endpoint::Unix(path)] = &bootstrap.endpoints[..] {
                    fs::write(path, "")?;
                }
                if bootstrap.listeners.contains_key("web") {
                    self.serve(&bootstrap);
                }
                let components = bootstrap
                    .components
                    .iter()
                    .map(|of| (of.clone(), ComponentState::Waiting));
                let components = components.collect();
                // Where the system is to choose the port, it is said in a second hello.
                let mut chosen = false;
                if let [Endpoint::Tcp(address)] = &mut bootstrap.endpoints[..] {
                    let door = TcpListener::bind(*address)?;
                    *address = door.local_addr()?;
                    self.door = Some(door);
                    chosen = true;
                }
                self.life = Some((*bootstrap, components));
                if chosen {
                    self.greet(control)?;
                }
                self.start(control)
            }
            ToReplica::Directory(directory) => {
                self.take(directory);
                self.start(control)
            }
            ToReplica::Drain { component, .. } => {
                journal(&format!("drain {component} of {}", self.replica));
                if self.is_told(&component, "quit") {
                    exit(0);
                }
                self.enter(&component, ComponentState::Draining, control)?;
                if self.is_told(&component, "stuck") {
                    return Ok(());
                }
                // Who was let in is served.
                drop(self.busy.lock());
                self.enter(&component, ComponentState::Stopped, control)
            }
            ToReplica::Stop { .. } => {
                journal(&format!("stop {}", self.replica));
                log("INFO", None, &format!("{} ends", self.replica));
                // Who was let in is served, and nobody is let in any more.
                let _busy = self.busy.lock();
                exit(0);
            }
            ToReplica::Ping { .. } => {
                let pong = FromReplica::Pong {
                    calls: BTreeMap::new(),
                    counters: Counters::default(),
                    outcomes: Outcomes::default(),
                    load: None,
                    each: BTreeMap::new(),
                    outgoing: BTreeMap::new(),
                };
                say(control, &pong)
            }
            ToReplica::HandOver { listener } => self.hand_over(&listener),
            _ => Ok(()),
        }
    }

    fn take(&mut self, directory: Directory) {
        assert!(
            directory.epoch >= self.directory.epoch,
            "an epoch went back"
        );
        self.directory = directory;
    }

    /// Starts every component that misses nothing.
    fn start(&mut self, control: &mut UnixStream) -> io::Result<()> {
        let manifest = manifest();
        loop {
            let Some((_, own)) = &self.life else {
                return Ok(());
            };
            let ready = |of: &Name| match own.get(of) {
                Some(state) => *state == ComponentState::Ready,
                None => !self.directory.replicas(of.as_str()).is_empty(),
            };
            let next = own.iter().find(|(of, state)| {
                let of = manifest
                    .component(of.as_str())
                    .expect("a component of puppet");
                **state == ComponentState::Waiting && of.dependencies.iter().all(ready)
            });
            let Some(next) = next.map(|(of, _)| of.clone()) else {
                return Ok(());
            };
            self.enter(&next, ComponentState::Starting, control)?;
            if self.is_told(&next, "fail") {
                log("ERROR", Some(&next), "there is no table `carts`");
                let message = "no such table: carts".to_owned();
                say(
                    control,
                    &FromReplica::Failed {
                        component: Some(next),
                        message,
                    },
                )?;
                exit(1);
            }
            if self.is_told(&next, "rant") {
                return rant(&next, control);
            }
            if self.is_told(&next, "crash") {
                eprintln!("thread 'main' panicked at src/stock.rs:7:9: the shelf is gone");
                exit(101);
            }
            if self.is_told(&next, "lazy") {
                continue;
            }
            log("INFO", Some(&next), "ready");
            self.enter(&next, ComponentState::Ready, control)?;
        }
    }

    fn enter(
        &mut self,
        component: &Name,
        state: ComponentState,
        control: &mut UnixStream,
    ) -> io::Result<()> {
        if let Some((_, components)) = &mut self.life {
            components.insert(component.clone(), state);
        }
        say(
            control,
            &FromReplica::Component {
                name: component.clone(),
                state,
                reason: None,
            },
        )
    }

    /// Answers at the listener with its own name.
    fn serve(&self, bootstrap: &Bootstrap) {
        let names = env::var("LISTEN_FDNAMES");
        assert_eq!(names.as_deref(), Ok("web:web@give:web@take"));
        let socket = TcpListener::from(inherited(bootstrap.listeners["web"]).expect("a socket"));
        socket.set_nonblocking(true).expect("a socket");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}\n",
            self.replica
        );
        let pause = match self.is_told(&name("Front"), "slow") {
            true => Duration::from_millis(30),
            false => Duration::ZERO,
        };
        let busy = Arc::clone(&self.busy);
        thread::spawn(move || {
            loop {
                let held = busy.lock();
                let Ok((mut stream, _)) = socket.accept() else {
                    drop(held);
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                thread::sleep(pause);
                stream.set_nonblocking(false).expect("a connection");
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
    }

    fn hand_over(&self, listener: &Name) -> io::Result<()> {
        let Some((bootstrap, _)) = &self.life else {
            return Ok(());
        };
        // Its relay comes after all listeners, and there is one.
        let own = bootstrap.listeners[listener];
        let held = [own, own + 1, own + 2].map(inherited);
        let held: Vec<OwnedFd> = held.into_iter().collect::<io::Result<_>>()?;
        let connection = UnixStream::connect(env::var_os(ENV_CONTROL).expect("a socket"))?;
        let (replica, listener) = (self.replica.clone(), listener.clone());
        let opening = encode(&Opening::Listener { replica, listener }).map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut attached = SendAncillaryBuffer::new(&mut space);
        let sockets: Vec<BorrowedFd<'_>> = held.iter().map(AsFd::as_fd).collect();
        assert!(attached.push(SendAncillaryMessage::ScmRights(&sockets)));
        let parts = [IoSlice::new(&opening)];
        rustix::net::sendmsg(&connection, &parts, &mut attached, SendFlags::empty())?;
        Ok(())
    }
}

fn inherited(number: i32) -> io::Result<OwnedFd> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(own, number, PidfdGetfdFlags::empty())?)
}

fn say(control: &mut UnixStream, message: &FromReplica) -> io::Result<()> {
    control.write_all(&encode(message).map_err(io::Error::other)?)
}

/// Fails after more words than are read at once. Each of them is answered with a new directory, which comes when
/// nobody listens any more.
fn rant(component: &Name, control: &mut UnixStream) -> io::Result<()> {
    let mut words = Vec::new();
    for state in [ComponentState::Ready, ComponentState::Waiting].repeat(100) {
        let name = component.clone();
        let word = FromReplica::Component {
            name,
            state,
            reason: None,
        };
        words.extend(encode(&word).map_err(io::Error::other)?);
    }
    let last = FromReplica::Failed {
        component: Some(component.clone()),
        message: "cannot read nope.txt".to_owned(),
    };
    words.extend(encode(&last).map_err(io::Error::other)?);
    control.write_all(&words)?;
    exit(1);
}

fn log(level: &str, component: Option<&Name>, message: &str) {
    let now = humantime::format_rfc3339_micros(std::time::SystemTime::now()).to_string();
    let line = serde_json::json!(
        {"ts": now, "level": level, "component": component, "target": "puppet", "msg": message}
    );
    // Where the disk is full, what it says is lost, and all else goes on.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Many puppets write to one journal, so each line goes there at once.
fn journal(line: &str) {
    if let Some(path) = env::var_os("PUPPET_JOURNAL") {
        let file = fs::File::options().create(true).append(true).open(path);
        let line = format!("{line}\n");
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("a journal");
    }
}
