//! The processes that the benchmarks are made of: this very binary, started again in another role.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{self, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use anylith_core::Endpoint;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{
    contestant::{
        Peer, anylith, raw, tarpc,
        tonic::{self, Frames},
    },
    grpc_shop,
    local::LocalRound,
    round::{Answer, Command, Harness, Measurement, Round},
};

/// How long a child may take to come up.
const START: Duration = Duration::from_secs(20);

/// Environment variable: the socket of a child's parent.
pub(crate) const ENV_HARNESS: &str = "BENCH_HARNESS";

/// What a child is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) part: Part,
    pub(crate) placement: Placement,
}

/// The part that a child plays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// The server of a contestant.
    Serve { peer: Peer, endpoint: Endpoint },
    /// Its client.
    Call { peer: Peer, endpoint: Endpoint },
    /// Ours, with caller and callee in one process.
    Local,
    /// One process of the shop behind tonic.
    Shop { component: String },
}

/// Where a child may run, and in how many threads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Placement {
    /// The processors that it is pinned to; none for anywhere.
    pub(crate) cpus: Vec<usize>,
    /// The worker threads of a multi-thread runtime, or 0 for a current-thread runtime.
    pub(crate) workers: usize,
}

impl Placement {
    /// On the last processor that we may use, with a current-thread runtime.
    pub(crate) fn one_core() -> Result<Self> {
        let last = *allowed_cpus()?.last().context("no processor may be used")?;
        Ok(Self {
            cpus: vec![last],
            workers: 0,
        })
    }

    /// On the last two processors that we may use, with a multi-thread runtime of as many workers.
    pub(crate) fn multi_thread() -> Result<Self> {
        let cpus = allowed_cpus()?;
        let cpus = cpus[cpus.len().saturating_sub(2)..].to_vec();
        Ok(Self {
            workers: cpus.len(),
            cpus,
        })
    }

    /// Anywhere, with a multi-thread runtime of the usual size.
    pub(crate) fn free() -> Self {
        Self {
            cpus: Vec::new(),
            workers: 2,
        }
    }

    /// Pins this process, which must have one thread as yet, and makes the runtime.
    fn enter(&self) -> Result<tokio::runtime::Runtime> {
        let mut set = CpuSet::new();
        for cpu in &self.cpus {
            set.set(*cpu);
        }
        if !self.cpus.is_empty() {
            sched_setaffinity(None, &set).context("cannot pin to a processor")?;
        }
        let mut runtime = match self.workers {
            0 => tokio::runtime::Builder::new_current_thread(),
            workers => {
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                runtime.worker_threads(workers);
                runtime
            }
        };
        Ok(runtime.enable_all().build()?)
    }
}

fn allowed_cpus() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect())
}

impl Role {
    /// Plays the role, in the child, until the parent is gone.
    pub(crate) fn play(self) -> Result<()> {
        let harness = env::var_os(ENV_HARNESS).context("BENCH_HARNESS is not set")?;
        let harness = PathBuf::from(harness);
        self.placement.enter()?.block_on(async {
            match self.part {
                Part::Serve { peer, endpoint } => {
                    let ready = move || {
                        tokio::spawn(async move {
                            Harness::connect(&harness).await?.obey_as_server().await
                        });
                    };
                    match peer {
                        Peer::Anylith => {
                            ready();
                            anylith::run().await
                        }
                        Peer::Raw => raw::serve(&endpoint, ready).await,
                        Peer::Tonic => tonic::serve(&endpoint, Frames::Default, ready).await,
                        Peer::TonicLargeFrames => {
                            tonic::serve(&endpoint, Frames::Large, ready).await
                        }
                        Peer::Tarpc => tarpc::serve(&endpoint, ready).await,
                    }
                }
                Part::Local => anylith::run().await,
                Part::Shop { component } => grpc_shop::run(&component).await,
                Part::Call { peer, endpoint } => match peer {
                    Peer::Anylith => anylith::run().await,
                    Peer::Raw => {
                        let client = raw::connect(&endpoint).await?;
                        Harness::connect(&harness)
                            .await?
                            .obey_as_client(client, None)
                            .await
                    }
                    Peer::TonicLargeFrames => {
                        let client = tonic::connect(&endpoint, Frames::Large)?;
                        Harness::connect(&harness)
                            .await?
                            .obey_as_client(client, None)
                            .await
                    }
                    Peer::Tonic => {
                        let client = tonic::connect(&endpoint, Frames::Default)?;
                        Harness::connect(&harness)
                            .await?
                            .obey_as_client(client, None)
                            .await
                    }
                    Peer::Tarpc => {
                        let client = tarpc::connect(&endpoint).await?;
                        Harness::connect(&harness)
                            .await?
                            .obey_as_client(client, None)
                            .await
                    }
                },
            }
        })
    }
}

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

    fn ask(&mut self, command: &Command) -> Result<Answer> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        self.answers.get_mut().write_all(&line)?;
        self.answer()
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
