//! Replicas without a control plane, on hosts of their own. What systemd does with their units is done here: they are
//! started, started again when they end, and told to stop.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use anylith_pki::Subject;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    flaw::{Flaw, authority_of},
    home::Home,
    packet::Ground,
    process::{self, Marks},
    topology::Topology,
};

/// How long a replica that has ended stays away.
const AWAY: Duration = Duration::from_millis(200);

/// The files of an identity: certificates, key, roots.
const IDENTITY: [&str; 3] = ["certificates.pem", "key.pem", "roots.pem"];

/// All replicas, on all hosts.
#[derive(Debug)]
pub(crate) struct Units {
    program: PathBuf,
    app: PathBuf,
    units: Vec<Unit>,
    /// How those processes have ended that are gone.
    pub(crate) ended: Vec<(u32, ExitStatus)>,
}

#[derive(Debug)]
struct Unit {
    /// The replica.
    name: String,
    /// The number of its host.
    host: usize,
    /// Where its orders are, and its identity.
    folder: PathBuf,
    /// Where it says that it is ready.
    notices: UnixDatagram,
    child: Option<Child>,
    ready: bool,
    /// When it is to be started.
    due: Instant,
}

impl Units {
    /// Writes `hosts.toml` for the hosts of `ground`, and has everything rendered for them by `anylith`.
    pub(crate) fn new(
        home: &Home,
        ground: &Ground,
        program: PathBuf,
        anylith: Command,
    ) -> anyhow::Result<Self> {
        let app = home.app();
        let mut hosts = String::new();
        for (host, (name, groups, port)) in ground.hosts().iter().zip(Topology::HOSTS) {
            write!(
                hosts,
                "[hosts.{name}]\naddress = \"{address}\"\ngroups = {groups}\nport = {port}\n\
                 folder = \"{app}/out/{name}\"\nrun = \"{run}/{name}\"\n\n",
                address = host.address(),
                app = app.display(),
                run = home.run().display(),
            )?;
        }
        fs::write(app.join("hosts.toml"), hosts)?;
        render(anylith)?;
        let mut units = Vec::new();
        for (host, (name, ..)) in Topology::HOSTS.iter().enumerate() {
            for replica in fs::read_dir(app.join("out").join(name).join("replicas"))? {
                units.push(Unit::new(home, host, replica?.path())?);
            }
        }
        Ok(Self {
            program,
            app,
            units,
            ended: Vec::new(),
        })
    }

    /// Starts what is to run and does not, and listens to what replicas say.
    pub(crate) fn tend(&mut self, ground: &Ground, marks: &Marks) -> anyhow::Result<()> {
        for unit in &mut self.units {
            unit.listen();
            if let Some(child) = &mut unit.child {
                let Some(status) = child.try_wait()? else {
                    continue;
                };
                self.ended.push((child.id(), status));
                unit.child = None;
                unit.ready = false;
                unit.due = Instant::now() + AWAY;
            }
            if Instant::now() >= unit.due {
                let command = ground.hosts()[unit.host].command(&self.program);
                unit.begin(command, marks)?;
            }
        }
        Ok(())
    }

    /// Whether every replica is ready.
    pub(crate) fn are_ready(&self) -> bool {
        self.units.iter().all(|unit| unit.ready)
    }

    /// Tells every replica to stop.
    pub(crate) fn stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Whether no replica runs. From now on none is started.
    pub(crate) fn have_stopped(&mut self) -> io::Result<bool> {
        for unit in &mut self.units {
            if let Some(child) = &mut unit.child
                && child.try_wait()?.is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The number of the host that `replica` runs on.
    pub(crate) fn host_of(&self, replica: &str) -> Option<usize> {
        let unit = self.units.iter().find(|unit| unit.name == replica);
        unit.map(|unit| unit.host)
    }

    /// Has everything rendered anew by `anylith`, and tells every replica to read it. Returns how many got another
    /// certificate than they had.
    pub(crate) fn render_again(&self, anylith: Command) -> anyhow::Result<usize> {
        let certificates = || -> io::Result<Vec<String>> {
            let units = self.units.iter();
            let files = units.map(|unit| unit.folder.join(IDENTITY[0]));
            files.map(fs::read_to_string).collect()
        };
        let before = certificates()?;
        render(anylith)?;
        self.signal(Signal::HUP);
        let after = certificates()?;
        Ok(before
            .iter()
            .zip(&after)
            .filter(|(old, new)| old != new)
            .count())
    }

    /// Gives `replica` an identity with `flaw`.
    pub(crate) fn spoil(&self, replica: &str, flaw: Flaw) -> anyhow::Result<()> {
        let mut units = self.units.iter();
        let unit = units
            .find(|unit| unit.name == replica)
            .context("a replica has a unit")?;
        let orders_file = unit.folder.join("bootstrap.json");
        let mut orders: Value = serde_json::from_slice(&fs::read(&orders_file)?)?;
        let (group, _) = replica.split_once('-').context("a replica has a number")?;
        let mut subject = Subject {
            app: "faults".parse()?,
            replica: replica.parse()?,
            group: group.parse()?,
            components: vec![group.parse()?],
        };
        flaw.change(&mut subject)?;
        // It knows itself by the name that its certificate has.
        orders["replica"] = subject.replica.as_str().into();
        let identity = flaw.issue(&authority_of(&self.app)?, &subject)?;
        fs::write(orders_file, serde_json::to_vec(&orders)?)?;
        let texts = [identity.certificates, identity.key, identity.roots];
        for (file, text) in IDENTITY.iter().zip(texts) {
            fs::write(unit.folder.join(file), text)?;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        for child in self.units.iter().filter_map(|unit| unit.child.as_ref()) {
            process::send(child.id(), signal);
        }
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        for child in self.units.iter_mut().filter_map(|unit| unit.child.as_mut()) {
            // It may have ended, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Unit {
    fn new(home: &Home, host: usize, folder: PathBuf) -> anyhow::Result<Self> {
        let name = folder.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let notices = UnixDatagram::bind(notices_at(home.path(), &name))?;
        notices.set_nonblocking(true)?;
        Ok(Self {
            name,
            host,
            folder,
            notices,
            child: None,
            ready: false,
            due: Instant::now(),
        })
    }

    fn begin(&mut self, mut command: Command, marks: &Marks) -> anyhow::Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(marks.home.join("command.log"))?;
        marks.put_on(&mut command);
        command
            .env("ANYLITH_BOOTSTRAP", self.folder.join("bootstrap.json"))
            .env("ANYLITH_REPLICA", &self.name)
            .env("NOTIFY_SOCKET", notices_at(&marks.home, &self.name))
            .current_dir(&marks.home)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.child = Some(command.spawn().context("cannot run a replica")?);
        Ok(())
    }

    fn listen(&mut self) {
        let mut bytes = [0; 1024];
        while let Ok(count) = self.notices.recv(&mut bytes) {
            let said = String::from_utf8_lossy(&bytes[..count]);
            self.ready |= said.lines().any(|line| line == "READY=1");
        }
    }
}

fn notices_at(home: &Path, replica: &str) -> PathBuf {
    home.join(format!("{replica}.notify"))
}

fn render(mut anylith: Command) -> anyhow::Result<()> {
    // Certificates for a day, so that a jump of the clock is beyond them.
    let rendering = anylith.args(["render", "static", "--topology", "replicas", "--days", "1"]);
    let output = rendering.output().context("cannot run the command")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the hosts cannot be rendered:\n{said}"
    );
    Ok(())
}
