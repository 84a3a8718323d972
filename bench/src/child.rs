//! The processes that the benchmarks are made of: this very binary, started again in another role.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    process::{self, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

use crate::{
    direct::LocalRound,
    fleet::{Behaviour, Load, Made},
    role::{Part, Role},
    round::{Answer, Command, ENV_HARNESS, Measurement, Round},
};

/// How long a child may take to come up.
const START: Duration = Duration::from_secs(20);

/// A running child, as its parent holds it. It is killed when it is dropped.
pub(crate) struct Child {
    process: process::Child,
    answers: BufReader<UnixStream>,
    _folder: TempDir,
}

impl Child {
    /// Starts this binary again and waits until it is ready.
    pub(crate) fn start(role: &Role, environment: &[(&'static str, String)]) -> Result<Self> {
        let folder = TempDir::with_prefix("bench-")?;
        let path = folder.path().join("harness.sock");
        let listener = UnixListener::bind(&path)?;
        let mut process = process::Command::new(env::current_exe()?)
            .arg("--child")
            .arg(serde_json::to_string(role)?)
            .env(ENV_HARNESS, &path)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(match role.part {
                // Its workers panic when they are told to.
                Part::Fleet(_) => Stdio::null(),
                _ => Stdio::inherit(),
            })
            .spawn()
            .context("cannot start a child")?;
        let start = Timespec {
            tv_sec: START.as_secs() as i64,
            tv_nsec: 0,
        };
        let mut waiting = [PollFd::new(&listener, PollFlags::IN)];
        if poll(&mut waiting, Some(&start))? == 0 {
            process.kill()?;
            process.wait()?;
            bail!("{:?} did not come up", role.part);
        }
        let answers = BufReader::new(listener.accept()?.0);
        let mut child = Self {
            process,
            answers,
            _folder: folder,
        };
        match child.answer()? {
            Answer::Ready => Ok(child),
            other => bail!("{:?} began with {other:?}", role.part),
        }
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Lets the child make the calls of a round.
    pub(crate) fn run(&mut self, round: Round) -> Result<Measurement> {
        match self.ask(&Command::Run(round))? {
            Answer::Done(measurement) => Ok(measurement),
            other => bail!("a round brought {other:?}"),
        }
    }

    /// Lets the child call within itself.
    pub(crate) fn local(&mut self) -> Result<LocalRound> {
        match self.ask(&Command::Local)? {
            Answer::Local(round) => Ok(round),
            other => bail!("a local round brought {other:?}"),
        }
    }

    /// The processor time that the child has used.
    pub(crate) fn cpu(&mut self) -> Result<Duration> {
        match self.ask(&Command::Cpu)? {
            Answer::Cpu(time) => Ok(time),
            other => bail!("a question for processor time brought {other:?}"),
        }
    }

    /// Lets a worker of a fleet work in another way.
    pub(crate) fn behave(&mut self, behaviour: Behaviour) -> Result<()> {
        match self.ask(&Command::Behave(behaviour))? {
            Answer::Behaves => Ok(()),
            other => bail!("told to behave, it said {other:?}"),
        }
    }

    /// Lets the caller of a fleet begin with its calls.
    pub(crate) fn begin_load(&mut self, load: Load) -> Result<()> {
        self.tell(&Command::Load(load))
    }

    /// Waits until the calls are made; returns them in the order in which they were due.
    pub(crate) fn end_load(&mut self) -> Result<Vec<Made>> {
        match self.answer()? {
            Answer::Loaded(made) => Ok(made),
            other => bail!("a load brought {other:?}"),
        }
    }

    fn ask(&mut self, command: &Command) -> Result<Answer> {
        self.tell(command)?;
        self.answer()
    }

    fn tell(&mut self, command: &Command) -> Result<()> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        Ok(self.answers.get_mut().write_all(&line)?)
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("a child died: {}", self.process.wait()?);
        }
        match serde_json::from_str(&line)? {
            Answer::Failed(message) => bail!("{message}"),
            answer => Ok(answer),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may be gone already, and then nothing is left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
