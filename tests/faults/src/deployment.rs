//! The application at work, started by the real command.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use anylith_core::Counters;
use netns::Host;
use rustix::process::Signal;
use serde::Deserialize as _;

use crate::{
    defect::Defect,
    fault::Fault,
    flaw::Flaw,
    home::Home,
    link::Links,
    packet::Ground,
    plan::Plan,
    process::{self, Marks, Process},
    topology::Topology,
    unit::Units,
};

/// How long it may take to start or to stop, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// How often a condition is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Set when the user has interrupted the suite: whatever waits gives up.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The application at work. Dropping it kills it, and removes its home.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) topology: Topology,
    marks: Marks,
    /// The replicas, where there is no supervisor. Dropped before the hosts that they run on.
    units: Option<Units>,
    /// Where it runs, if not among everything else.
    pub(crate) ground: Option<Ground>,
    /// What stands between the replicas, if anything does.
    pub(crate) links: Option<Links>,
    command: Option<Child>,
    /// How the commands have ended that ran before.
    ended: Vec<(u32, ExitStatus)>,
    /// Whether that command has said that the application is ready.
    ready: Arc<AtomicBool>,
    pub(crate) home: Home,
}

impl Deployment {
    /// Starts the application as `plan` says, and returns once it is ready.
    pub(crate) fn start(plan: &Plan, defect: Option<Defect>) -> anyhow::Result<Self> {
        let home = Home::new().context("cannot make a folder in /tmp")?;
        fs::write(home.app().join("anylith.toml"), settings(plan, defect)?)?;
        if plan.has(|fault| fault == Fault::DiskFull) {
            home.give_disk()?;
        }
        let needs_ground = plan.has(|fault| matches!(fault, Fault::Snag(_)));
        let ground = match plan.topology {
            Topology::Tcp if needs_ground => Some(Ground::new(1)?),
            Topology::Static => Some(Ground::new(Topology::HOSTS.len() as u8)?),
            _ => None,
        };
        // There before the first replica: who has connected already goes past them.
        let links = (needs_ground && ground.is_none()).then(|| Links::before(&home.run()));
        let own_clock = plan.has(|fault| fault == Fault::ClockJump);
        let marks = Marks {
            home: home.path().to_owned(),
            threads: plan.threads,
            defect,
            clock: own_clock.then(|| home.clock()),
        };
        let mut deployment = Self {
            topology: plan.topology,
            marks,
            units: None,
            ground,
            links,
            command: None,
            ended: Vec::new(),
            ready: Arc::default(),
            home,
        };
        match (&deployment.ground, plan.topology) {
            (Some(ground), Topology::Static) => {
                let (program, renderer) = (application(defect)?, deployment.renderer()?);
                let units = Units::new(&deployment.home, ground, program, renderer)?;
                deployment.units = Some(units);
            }
            _ => deployment.launch()?,
        }
        deployment.until_ready()?;
        Ok(deployment)
    }

    /// Starts the command, unless it runs.
    pub(crate) fn launch(&mut self) -> anyhow::Result<()> {
        if self.supervisor().is_some() {
            return Ok(());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.home.path().join("command.log"))?;
        let mut command = self.anylith()?;
        command
            .args(["run", "--topology", self.topology.key()])
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().context("cannot run the command")?;
        let output = child.stdout.take().context("its output is piped")?;
        self.command = Some(child);
        let ready = Arc::new(AtomicBool::new(false));
        self.ready = Arc::clone(&ready);
        // Ends with the command.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.starts_with("ready:") {
                    ready.store(true, Relaxed);
                }
            }
        });
        Ok(())
    }

    /// Does what a supervisor would, where there is none: starts replicas that have ended.
    pub(crate) fn tend(&mut self) -> anyhow::Result<()> {
        match (&mut self.units, &self.ground) {
            (Some(units), Some(ground)) => units.tend(ground, &self.marks),
            _ => Ok(()),
        }
    }

    /// Gives every replica a new certificate, where there is no supervisor. Returns how many got another one than they had.
    pub(crate) fn certify(&self) -> anyhow::Result<usize> {
        let units = self.units.as_ref();
        units.map_or(Ok(0), |units| units.render_again(self.renderer()?))
    }

    /// How a process has ended that the suite had started; `None` of others, and of those that live.
    pub(crate) fn end_of(&self, pid: u32) -> Option<String> {
        let units = self.units.iter().flat_map(|units| &units.ended);
        let mut ended = units.chain(&self.ended);
        let (_, status) = ended.find(|(ended, _)| *ended == pid)?;
        Some(status.to_string())
    }

    /// The host that a replica runs on; `None` if there is none but the machine.
    pub(crate) fn host_of(&self, replica: &Process) -> Option<&Host> {
        let hosts = self.ground.as_ref()?.hosts();
        match &self.units {
            Some(units) => hosts.get(units.host_of(replica.replica.as_deref()?)?),
            None => hosts.first(),
        }
    }

    /// Everything that the command and the replicas have said.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.home.path().join("command.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Gives a replica an identity with `flaw`, where there is no supervisor.
    pub(crate) fn spoil(&self, replica: &str, flaw: Flaw) -> anyhow::Result<()> {
        let units = self.units.as_ref();
        units.map_or(Ok(()), |units| units.spoil(replica, flaw))
    }

    /// Waits until the application is ready.
    pub(crate) fn until_ready(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !self.is_ready() {
            check_interrupt()?;
            self.tend()?;
            let alive = self.units.is_some() || self.supervisor().is_some();
            if !alive || begin.elapsed() > PATIENCE {
                bail!("the application does not start:\n{}", self.said());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let units = self.units.as_ref();
        units.map_or_else(|| self.ready.load(Relaxed), Units::are_ready)
    }

    /// Orders something of the application that runs; what the order says goes to `said`. It may fail, where there is
    /// no supervisor.
    pub(crate) fn order(&self, order: &[&str], said: File) -> anyhow::Result<Child> {
        let mut command = self.anylith()?;
        command.args(order).stdout(said.try_clone()?).stderr(said);
        command.spawn().context("cannot run the command")
    }

    /// What all replicas have counted, as `anylith status` knows it; `None` without a supervisor. The counts of replicas
    /// that have died went with them.
    pub(crate) fn counted(&mut self) -> Option<Counters> {
        self.supervisor()?;
        let mut command = self.anylith().ok()?;
        let output = command.args(["status", "--json"]).output().ok()?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let groups = status["groups"].as_array()?.iter();
        let replicas = groups.filter_map(|it| it["replicas"].as_array()).flatten();
        let counters = replicas.map(|it| Counters::deserialize(&it["counters"]));
        Some(sum(counters.filter_map(Result::ok)))
    }

    /// What replicas without a control plane have logged of their counts when they stopped.
    pub(crate) fn counted_last(&self) -> Option<Counters> {
        self.units.as_ref()?;
        let log = fs::read_to_string(self.home.path().join("command.log")).ok()?;
        let counters = log.lines().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            serde_json::from_str(line["fields"]["counters"].as_str()?).ok()
        });
        Some(sum(counters))
    }

    /// The command's process, if it runs.
    pub(crate) fn supervisor(&mut self) -> Option<u32> {
        let child = self.command.as_mut()?;
        match child.try_wait() {
            Ok(None) => Some(child.id()),
            ended => {
                self.ended
                    .extend(ended.ok().flatten().map(|it| (child.id(), it)));
                self.command = None;
                None
            }
        }
    }

    /// The replicas of the group that has `component`.
    pub(crate) fn replicas_with(&self, component: &str) -> Vec<Process> {
        let group = self.topology.group(component);
        let mut found = process::of(self.home.path());
        found.retain(|one| one.is_of(group));
        found
    }

    /// All replicas.
    pub(crate) fn replicas(&self) -> Vec<Process> {
        let mut found = process::of(self.home.path());
        found.retain(|one| one.replica.is_some());
        found
    }

    /// Stops the application in good order, also where its supervisor is gone.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let supervisor = self.supervisor();
        match (&self.units, supervisor) {
            (Some(units), _) => units.stop(),
            (None, Some(pid)) => process::send(pid, Signal::TERM),
            (None, None) => {
                let mut stop = self.anylith()?;
                stop.arg("stop").stdout(Stdio::null()).stderr(Stdio::null());
                stop.status().context("cannot run the command")?;
            }
        }
        let begin = Instant::now();
        while self.runs()? {
            check_interrupt()?;
            ensure!(
                begin.elapsed() < PATIENCE,
                "the application does not stop:\n{}",
                self.said()
            );
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn runs(&mut self) -> anyhow::Result<bool> {
        if let Some(units) = &mut self.units {
            return Ok(!units.have_stopped()?);
        }
        let mut replicas = self.replicas().into_iter();
        Ok(self.supervisor().is_some() || replicas.any(|it| process::lives(it.pid)))
    }

    /// The command, by a clock that is right.
    fn renderer(&self) -> anyhow::Result<Command> {
        let mut command = self.anylith()?;
        command.env_remove("LD_PRELOAD");
        Ok(command)
    }

    /// The command, in the folder of the application, with all marks of the run.
    fn anylith(&self) -> anyhow::Result<Command> {
        let program = program("anylith")?;
        let mut command = match &self.ground {
            Some(ground) => ground.hosts()[0].command(program),
            None => Command::new(program),
        };
        self.marks.put_on(&mut command);
        command
            .current_dir(self.home.app())
            .stdin(Stdio::null())
            .env("XDG_RUNTIME_DIR", self.home.run());
        Ok(command)
    }

    /// What the command and the replicas have said, its end.
    pub(crate) fn said(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if let Some(mut child) = self.command.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Fails if the user has interrupted the suite.
pub(crate) fn check_interrupt() -> anyhow::Result<()> {
    ensure!(!INTERRUPTED.load(Relaxed), "interrupted");
    Ok(())
}

/// A program that was built beside this one.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("a running program has a path")?;
    // A test is one folder deeper.
    let mut folders = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name));
    folders.find(|path| path.is_file()).with_context(|| {
        format!("`{name}` was not built: run `cargo xtask faults`, which builds what it needs")
    })
}

/// The application that faults are tried on.
fn application(defect: Option<Defect>) -> anyhow::Result<PathBuf> {
    program(match defect {
        None => "faults-app",
        Some(_) => "faults-app-planted",
    })
}

fn sum(counters: impl Iterator<Item = Counters>) -> Counters {
    counters.fold(Counters::default(), |mut sum, more| {
        sum += more;
        sum
    })
}

/// The `anylith.toml` of a run.
fn settings(plan: &Plan, defect: Option<Defect>) -> anyhow::Result<String> {
    let binary = application(defect)?;
    let deadline = plan.load.deadline_ms;
    let limits = plan.room().map_or(String::new(), |room| {
        format!("\n[limits.components.Target]\nconcurrency = {room}\n")
    });
    Ok(format!(
        r#"
[app]
name = "faults"
binary = "{binary}"
transport = "{transport}"

[components.Driver]
{driver}
[components.Relay]
deadline_ms = {deadline}

[edges."Driver -> Target"]
deadline = "{deadline}ms"

[edges."Driver -> Relay"]
deadline = "{deadline}ms"

[edges."Relay -> Target"]
deadline = "{deadline}ms"
{limits}{topologies}"#,
        binary = binary.display(),
        transport = plan.topology.transport(),
        driver = toml::to_string(&plan.load)?,
        topologies = Topology::SETTINGS,
    ))
}
