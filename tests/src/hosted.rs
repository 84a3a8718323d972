//! The shop on several hosts without a control plane, as `anylith render static` renders it. The hosts are network
//! namespaces, and what systemd would do there is done here.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use netns::Lan;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Visitor, shop::App};

/// How long a replica may take to say what is waited for. Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A topology whose groups call each other on the same host, and across hosts.
const TOPOLOGY: &str = r#"
[topologies.far]
groups.pages = { components = ["Frontend", "Recommendation"] }
groups.goods = { components = ["Catalog", "Currency", "Ad"] }
groups.orders = { components = ["*"] }
"#;

/// The shop on two hosts: pages and goods on one, goods and orders on the other.
#[derive(Debug)]
pub struct HostedShop {
    /// The replicas. Dropped first, since they run on the hosts.
    pub replicas: Vec<HostedReplica>,
    /// The hosts.
    pub lan: Lan,
    app: App,
}

/// A replica on its host.
#[derive(Debug)]
pub struct HostedReplica {
    /// Its name.
    pub name: String,
    host: usize,
    folder: PathBuf,
    notices: UnixDatagram,
    child: Option<Child>,
}

impl HostedShop {
    /// Renders the shop for the hosts of `lan`, and starts every replica there. They are not awaited.
    ///
    /// # Errors
    ///
    /// What the command says.
    pub fn start(lan: Lan) -> anyhow::Result<Self> {
        let app = App::copy()?;
        OpenOptions::new()
            .append(true)
            .open(app.folder().join("anylith.toml"))?
            .write_all(TOPOLOGY.as_bytes())?;
        let home = app.folder().to_owned();
        let place = |host: &str| {
            let home = home.display();
            format!("folder = \"{home}/out/{host}\"\nrun = \"{home}/run-{host}\"\n")
        };
        let hosts = format!(
            "[hosts.one]\naddress = \"{one}\"\ngroups = {{ pages = 1, goods = 1 }}\n\
             listeners.web = \"{one}:8080\"\n{}\n\
             [hosts.two]\naddress = \"{two}\"\ngroups = {{ goods = 1, orders = 1 }}\n{}",
            place("one"),
            place("two"),
            one = lan.host(0).address(),
            two = lan.host(1).address(),
        );
        fs::write(home.join("hosts.toml"), hosts)?;
        let mut shop = Self {
            replicas: Vec::new(),
            lan,
            app,
        };
        shop.render()?;
        for (index, host) in ["one", "two"].into_iter().enumerate() {
            for entry in fs::read_dir(home.join("out").join(host).join("replicas"))? {
                let folder = entry?.path();
                let name = folder.file_name().unwrap_or_default();
                let name = name.to_string_lossy().into_owned();
                let notices = UnixDatagram::bind(home.join(format!("{name}.notify")))?;
                notices.set_read_timeout(Some(PATIENCE))?;
                shop.replicas.push(HostedReplica {
                    name,
                    host: index,
                    folder,
                    notices,
                    child: None,
                });
            }
        }
        for index in 0..shop.replicas.len() {
            shop.begin(index)?;
        }
        Ok(shop)
    }

    /// Renders it again: with new certificates, and what else has changed. Returns what was written on standard error.
    ///
    /// # Errors
    ///
    /// What the command says.
    pub fn render(&self) -> anyhow::Result<String> {
        let mut command = self.app.command()?;
        let output = command
            .args(["render", "static", "--topology", "far"])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{said}");
        Ok(said)
    }

    /// The folder of the shop, with `out` and `hosts.toml` in it.
    pub fn folder(&self) -> &std::path::Path {
        self.app.folder()
    }

    /// Starts the replica with this index, as its unit would.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn begin(&mut self, index: usize) -> anyhow::Result<()> {
        let program = self.app.program()?;
        let replica = &mut self.replicas[index];
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.app.folder().join(format!("{}.log", replica.name)))?;
        let mut command = self.lan.host(replica.host).command(program);
        command
            .env("ANYLITH_BOOTSTRAP", replica.folder.join("bootstrap.json"))
            .env(
                "NOTIFY_SOCKET",
                replica
                    .notices
                    .local_addr()?
                    .as_pathname()
                    .unwrap_or(&replica.folder),
            )
            .env("WATCHDOG_USEC", "1000000")
            .current_dir(self.app.folder())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        replica.child = Some(command.spawn()?);
        Ok(())
    }

    /// The index of the replica called `name`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn index(&self, name: &str) -> usize {
        let mut names = self.replicas.iter();
        names
            .position(|replica| replica.name == name)
            .expect("there is no such replica")
    }

    /// Waits until every replica is ready.
    ///
    /// # Errors
    ///
    /// One is not ready in time; with what it logged.
    pub fn ready(&self) -> anyhow::Result<()> {
        for replica in &self.replicas {
            replica
                .says("READY=1")
                .with_context(|| self.log(&replica.name))?;
        }
        Ok(())
    }

    /// What a replica has logged.
    pub fn log(&self, replica: &str) -> String {
        let path = self.app.folder().join(format!("{replica}.log"));
        format!(
            "{replica}:\n{}",
            fs::read_to_string(path).unwrap_or_default()
        )
    }

    /// Runs `work` with somebody who visits the shop from the first host.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub fn visit<T: Send>(
        &self,
        work: impl AsyncFnOnce(&mut Visitor) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        let host = self.lan.host(0);
        let url = format!("http://{}:8080", host.address());
        Visitor::at(host, &url, work)
    }
}

impl HostedReplica {
    /// Waits until the replica tells systemd `news`.
    ///
    /// # Errors
    ///
    /// It does not, in time.
    pub fn says(&self, news: &str) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while Instant::now() < end {
            let mut bytes = [0; 1024];
            let count = self.notices.recv(&mut bytes);
            let count =
                count.with_context(|| format!("{} said {heard:?}, not {news}", self.name))?;
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            if text.lines().any(|line| line == news) {
                return Ok(());
            }
            heard.push(text);
        }
        anyhow::bail!("{} said {heard:?}, not {news}", self.name)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("it has no process")?, signal)?;
        Ok(())
    }

    /// Waits until its process has ended; returns whether it says that all went well.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn ended(&mut self) -> anyhow::Result<bool> {
        let mut child = self.child.take().context("it does not run")?;
        Ok(child.wait()?.success())
    }
}

impl Drop for HostedReplica {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
