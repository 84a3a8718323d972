//! An application of puppets, to be started, hurt and looked at.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use anylith_core::{Limits, Name, Telemetry};
use anylith_supervisor::{
    Collection, GroupSpec, Launch, Program, RunFolder, Spec, Supervisor, Timing,
};
use anylith_topology::Transport;
use rustix::process::Signal;
use tempfile::TempDir;

/// An application of puppets: one, in a temporary folder.
pub(crate) struct Stage {
    pub(crate) temp: Ground,
    pub(crate) groups: Vec<(&'static str, Vec<&'static str>, u32)>,
    pub(crate) orders: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) address: String,
    pub(crate) timing: Timing,
    pub(crate) kill_on_drop: bool,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// The example next to this test's own binary.
pub(crate) fn puppet() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/puppet");
    assert!(
        path.exists(),
        "build it first: cargo build -p anylith-supervisor --example puppet"
    );
    path
}

impl Stage {
    pub(crate) fn micro() -> Self {
        let groups = [("Front", 1), ("Cart", 1), ("Stock", 1)];
        Self {
            temp: Ground(tempfile::tempdir().unwrap()),
            groups: groups.map(|(of, replicas)| (of, vec![of], replicas)).into(),
            orders: "",
            program: puppet(),
            address: "127.0.0.1:0".to_owned(),
            timing: Timing {
                reconnect: Duration::from_secs(5),
                ..Timing::default()
            },
            kill_on_drop: true,
        }
    }

    pub(crate) fn monolith(replicas: u32) -> Self {
        let groups = vec![("monolith", vec!["Stock", "Cart", "Front"], replicas)];
        Self {
            groups,
            ..Self::micro()
        }
    }

    pub(crate) fn orders(self, orders: &'static str) -> Self {
        Self { orders, ..self }
    }

    pub(crate) fn folder(&self) -> RunFolder {
        RunFolder::at(self.temp.0.path().join("run"))
    }

    /// The sockets of replicas that are left.
    pub(crate) fn sockets(&self) -> usize {
        let sockets = fs::read_dir(self.folder().path().join("r"));
        sockets.map_or(0, Iterator::count)
    }

    pub(crate) fn journal(&self) -> Vec<String> {
        let text = fs::read_to_string(self.temp.0.path().join("journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn launch(&self) -> Launch {
        let group = |(of, components, replicas): &(&str, Vec<&str>, u32)| GroupSpec {
            name: name(of),
            components: components.iter().map(|of| name(of)).collect(),
            replicas: *replicas,
            scaling: None,
            burst: false,
            external: false,
        };
        let spec = Spec {
            app: name("puppet"),
            topology: name("test"),
            groups: self.groups.iter().map(group).collect(),
            dependencies: BTreeMap::from([
                (name("Front"), vec![name("Cart"), name("Stock")]),
                (name("Cart"), vec![name("Stock")]),
                (name("Stock"), vec![]),
            ]),
            listeners: BTreeMap::from([(name("web"), name("Front"))]),
            config: BTreeMap::new(),
            edges: Vec::new(),
            limits: Limits::default(),
            telemetry: Telemetry::default(),
            transport: Transport::default(),
            singletons: BTreeMap::new(),
            interfaces: BTreeMap::new(),
        };
        let journal = self
            .temp
            .0
            .path()
            .join("journal")
            .to_string_lossy()
            .into_owned();
        let env = [
            ("PUPPET".to_owned(), self.orders.to_owned()),
            ("PUPPET_JOURNAL".to_owned(), journal),
        ];
        Launch {
            spec,
            program: Program {
                env: env.into(),
                ..Program::new(&self.program)
            },
            keeps_build: false,
            addresses: BTreeMap::from([(name("web"), self.address.clone())]),
            folder: self.folder(),
            timing: self.timing.clone(),
            collection: Collection::default(),
            kill_on_drop: self.kill_on_drop,
        }
    }

    pub(crate) async fn start(&self) -> Supervisor {
        self.launch().start().await.unwrap()
    }

    pub(crate) async fn start_ready(&self) -> Supervisor {
        let supervisor = self.start().await;
        supervisor.wait_ready().await.unwrap();
        supervisor
    }
}

/// A temporary folder. A failed test leaves no process in it either.
pub(crate) struct Ground(pub(crate) TempDir);

impl Drop for Ground {
    fn drop(&mut self) {
        let record = fs::read(self.0.path().join("run/state.json")).unwrap_or_default();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
        for (_, replica) in record["memory"]["replicas"]
            .as_object()
            .into_iter()
            .flatten()
        {
            if let Some(pid) = replica["pid"].as_u64() {
                kill(pid as u32);
            }
        }
    }
}

pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}

pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits for what other processes bring about; fails after longer than any of them takes.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A visitor who has sent a request and waits.
pub(crate) fn knock(supervisor: &Supervisor) -> TcpStream {
    let url = supervisor.status().listeners["web"].clone();
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream
}

/// Who answers at the listener.
pub(crate) fn visit(supervisor: &Supervisor) -> String {
    let mut stream = knock(supervisor);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().last().unwrap().to_owned()
}

pub(crate) fn pids(supervisor: &Supervisor) -> BTreeMap<String, u32> {
    let status = supervisor.status();
    status
        .replicas()
        .map(|one| (one.id.to_string(), one.pid.unwrap()))
        .collect()
}
