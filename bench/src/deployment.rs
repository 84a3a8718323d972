//! The shop, deployed: by the `anylith` command in one of its topologies, or as ten processes behind tonic.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    grpc_shop,
    role::{Part, Placement, Role},
    round::ENV_HARNESS,
};

/// How long a shop may take to come up.
const START: Duration = Duration::from_secs(30);

/// The binaries that users have, built as this one was.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Builds each program of `(package, name)`, or finds that nothing has changed. Nothing else of a package is
    /// built. Who has built all that there is says so with `E2E_BUILT`.
    pub(crate) fn build(programs: &[(&str, &str)]) -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let this = env::current_exe()?;
        let folder = this
            .parent()
            .context("this binary is in no folder")?
            .to_owned();
        if env::var_os("E2E_BUILT").is_some() {
            return Ok(Self { folder });
        }
        // Where somebody only tries it out, all of it is built for that.
        let profile = match folder.ends_with("debug") {
            true => "dev",
            false => "bench",
        };
        // Into where this binary is: the environment may name another folder by now.
        let target = folder.parent().context("a profile has no folder")?;
        let status = Command::new(cargo)
            .args(["build", "--profile", profile, "--target-dir"])
            .arg(target)
            .args(
                programs
                    .iter()
                    .flat_map(|(package, name)| ["-p", package, "--bin", name]),
            )
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .status()
            .context("cannot run cargo")?;
        ensure!(status.success(), "{programs:?} cannot be built");
        Ok(Self { folder })
    }

    /// The binary called `name`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A shop that runs. It is stopped when it is dropped.
pub(crate) struct Deployment {
    /// Where its pages are.
    pub(crate) url: String,
    /// How long it took from the first process until a page could be asked for.
    pub(crate) start: Duration,
    engine: Engine,
    _folder: TempDir,
}

/// What holds the processes of a shop.
enum Engine {
    /// The command, which started the others.
    Anylith {
        command: process::Child,
        binary: PathBuf,
        folder: PathBuf,
    },
    /// All of them.
    Grpc(Vec<process::Child>),
}

impl Deployment {
    /// Runs the shop in `topology`: `monolith`, `micro`, or the mix `front`.
    pub(crate) fn anylith(binaries: &Binaries, topology: &str) -> Result<Self> {
        Self::anylith_with(binaries, topology, "")
    }

    /// The same, with further sections in its `anylith.toml`.
    pub(crate) fn anylith_with(
        binaries: &Binaries,
        topology: &str,
        sections: &str,
    ) -> Result<Self> {
        let folder = TempDir::with_prefix("bench-shop-")?;
        let shop = binaries.path("boutique");
        let settings = format!(
            "[app]\n\
             name = \"boutique\"\n\
             binary = {shop:?}\n\
             [listeners.web]\n\
             address = \"127.0.0.1:0\"\n\
             [components.Cart]\n\
             database = \"sqlite:{carts}\"\n\
             [topologies.front]\n\
             groups.front = {{ components = [\"Frontend\", \"Catalog\", \"Currency\", \"Recommendation\"] }}\n\
             groups.orders = {{ components = [\"*\"] }}\n\
             {sections}",
            carts = folder.path().join("carts.db").display(),
        );
        fs::write(folder.path().join("anylith.toml"), settings)?;
        Self::run(binaries, folder, &["--topology", topology])
    }

    /// Runs the application that `settings`, its `anylith.toml`, describes; `arguments` are those of `anylith run`. It has
    /// a listener called `web`.
    pub(crate) fn of(binaries: &Binaries, settings: &str, arguments: &[&str]) -> Result<Self> {
        let folder = TempDir::with_prefix("bench-app-")?;
        fs::write(folder.path().join("anylith.toml"), settings)?;
        Self::run(binaries, folder, arguments)
    }

    /// Runs the application in `folder`.
    fn run(binaries: &Binaries, folder: TempDir, arguments: &[&str]) -> Result<Self> {
        let begin = Instant::now();
        let mut command = Command::new(binaries.path("anylith"))
            .arg("run")
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start `anylith run`")?;
        let lines = command.stdout.take().context("its output is not ours")?;
        let engine = Engine::Anylith {
            command,
            binary: binaries.path("anylith"),
            folder: folder.path().to_owned(),
        };
        let url = announced(lines)?;
        Ok(Self {
            url,
            start: begin.elapsed(),
            engine,
            _folder: folder,
        })
    }

    /// Runs the ten processes of the shop behind tonic.
    pub(crate) fn grpc() -> Result<Self> {
        let folder = TempDir::with_prefix("bench-grpc-")?;
        // The port is free again when the listener is dropped, and nobody else asked for it.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let begin = Instant::now();
        let mut shop = Self {
            url: format!("http://{address}"),
            start: Duration::ZERO,
            engine: Engine::Grpc(Vec::new()),
            _folder: folder,
        };
        for component in grpc_shop::COMPONENTS {
            let process = shop.start_process(component, &address.to_string())?;
            if let Engine::Grpc(processes) = &mut shop.engine {
                processes.push(process);
            }
        }
        while std::net::TcpStream::connect(address).is_err() {
            ensure!(
                begin.elapsed() < START,
                "the shop behind tonic does not come up"
            );
            thread::sleep(Duration::from_millis(5));
        }
        shop.start = begin.elapsed();
        Ok(shop)
    }

    fn start_process(&self, component: &str, web: &str) -> Result<process::Child> {
        let folder = self._folder.path();
        let settings = match component {
            "Cart" => format!(
                "[components.Cart]\ndatabase = \"sqlite:{}\"\n",
                folder.join("carts.db").display()
            ),
            "Frontend" => format!("[listeners.web]\naddress = \"{web}\"\n"),
            _ => String::new(),
        };
        let path = folder.join(component).with_extension("toml");
        fs::write(&path, settings)?;
        let role = Role {
            part: Part::Shop {
                component: component.to_owned(),
            },
            placement: Placement::free(),
        };
        Command::new(env::current_exe()?)
            .arg("--child")
            .arg(serde_json::to_string(&role)?)
            .env("ANYLITH_CONFIG", path)
            .env(grpc_shop::ENV_SOCKETS, folder)
            .env(ENV_HARNESS, "")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {component}"))
    }

    /// The processes that answer pages and calls; not the one that watches over them.
    pub(crate) fn replicas(&self) -> Result<Vec<Replica>> {
        match &self.engine {
            Engine::Grpc(processes) => Ok(processes
                .iter()
                .zip(grpc_shop::COMPONENTS)
                .map(|(process, component)| Replica {
                    pid: process.id(),
                    group: component.into(),
                    ready: true,
                })
                .collect()),
            Engine::Anylith { binary, folder, .. } => {
                let asked = Command::new(binary)
                    .args(["status", "--json"])
                    .current_dir(folder)
                    .output()
                    .context("cannot run `anylith status`")?;
                ensure!(asked.status.success(), "`anylith status` failed");
                let status: Status = serde_json::from_slice(&asked.stdout)?;
                Ok(status.replicas())
            }
        }
    }

    /// The process that watches over the replicas, if there is one.
    pub(crate) fn supervisor(&self) -> Option<u32> {
        match &self.engine {
            Engine::Anylith { command, .. } => Some(command.id()),
            Engine::Grpc(_) => None,
        }
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let processes = match &mut self.engine {
            Engine::Anylith { command, .. } => std::slice::from_mut(command),
            Engine::Grpc(processes) => processes,
        };
        for process in &*processes {
            // Who is gone already need not be told.
            let _ = kill_process(Pid::from_child(process), Signal::TERM);
        }
        for process in processes {
            let _ = process.wait();
        }
    }
}

/// A process of the shop.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) pid: u32,
    pub(crate) group: String,
    /// Whether all of it answers.
    pub(crate) ready: bool,
}

/// As much of `anylith status --json` as is of use here.
#[derive(Deserialize)]
struct Status {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    replicas: Vec<ReplicaStatus>,
}

#[derive(Deserialize)]
struct ReplicaStatus {
    pid: Option<u32>,
    state: String,
}

impl Status {
    fn replicas(self) -> Vec<Replica> {
        let group = |Group { name, replicas }| {
            let replicas = replicas.into_iter();
            replicas.filter_map(move |ReplicaStatus { pid, state }| {
                Some(Replica {
                    pid: pid?,
                    group: name.clone(),
                    ready: state == "ready",
                })
            })
        };
        self.groups.into_iter().flat_map(group).collect()
    }
}

/// The address in the line `ready: web URL`; what follows is read and forgotten.
fn announced(lines: process::ChildStdout) -> Result<String> {
    let (found, wait) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(lines).lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("ready: web ") {
                // Only the first one is waited for.
                let _ = found.send(url.trim().to_owned());
            }
        }
    });
    match wait.recv_timeout(START) {
        Ok(url) => Ok(url),
        Err(_) => bail!("`anylith run` does not get ready"),
    }
}
