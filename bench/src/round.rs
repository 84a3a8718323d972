//! One round of measuring, as the parent asks for it and a child carries it out.
//!
//! Parent and child speak lines of JSON over a Unix socket of their own, so that a child may print what it
//! likes. Nothing is said while a round runs.

use std::{
    path::Path,
    process,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    task::JoinSet,
};

use crate::{
    contestant::{Calls, Method},
    direct::{Local, LocalRound},
    fleet::{Behaviour, Load, Made},
};

/// Environment variable: the socket of a child's parent.
pub(crate) const ENV_HARNESS: &str = "BENCH_HARNESS";

/// What the parent asks of a child.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Make these calls, now.
    Run(Round),
    /// Call within the process, once each way.
    Local,
    /// Say how much processor time was used up to now.
    Cpu,
    /// Work in another way from now on.
    Behave(Behaviour),
    /// Call a fleet in an open loop.
    Load(Load),
}

/// Calls to be made as fast as they go: each caller makes one after the other.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) method: Method,
    pub(crate) callers: usize,
    pub(crate) calls_per_caller: usize,
}

/// What a child answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// First of all, and once: commands can come.
    Ready,
    /// The calls were made.
    Done(Measurement),
    /// What the calls within the process cost.
    Local(LocalRound),
    /// The processor time used by the child since it began, all threads, user and system.
    Cpu(Duration),
    /// It behaves as it was told.
    Behaves,
    /// The calls of an open loop, in the order in which they were due.
    Loaded(Vec<Made>),
    /// It could not be done; for people to read.
    Failed(String),
}

/// What one round cost its caller.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// How many calls were made.
    pub(crate) calls: usize,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// Processor time of the calling process meanwhile.
    pub(crate) cpu: Duration,
    /// The median of the time of a call; only of a round with one caller.
    pub(crate) median: Option<Duration>,
}

/// The socket through which a child hears from its parent.
pub(crate) struct Harness {
    lines: tokio::io::Lines<BufReader<tokio::net::unix::OwnedReadHalf>>,
    answers: tokio::net::unix::OwnedWriteHalf,
}

impl Harness {
    /// Connects to the parent and says that commands can come.
    pub(crate) async fn connect(path: &Path) -> Result<Self> {
        let (commands, answers) = UnixStream::connect(path)
            .await
            .with_context(|| format!("cannot reach the parent at {}", path.display()))?
            .into_split();
        let mut harness = Self {
            lines: BufReader::new(commands).lines(),
            answers,
        };
        harness.answer(&Answer::Ready).await?;
        Ok(harness)
    }

    /// The next command; exits the process when the parent is gone.
    pub(crate) async fn command(&mut self) -> Result<Command> {
        match self.lines.next_line().await? {
            Some(line) => Ok(serde_json::from_str(&line)?),
            None => process::exit(0),
        }
    }

    /// Answers the last command.
    pub(crate) async fn answer(&mut self, answer: &Answer) -> Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        Ok(self.answers.write_all(&line).await?)
    }

    /// Does as a server is told, until the parent is gone.
    pub(crate) async fn obey_as_server(mut self) -> Result<()> {
        loop {
            let answer = match self.command().await? {
                Command::Cpu => Answer::Cpu(cpu_time()),
                other => Answer::Failed(format!("a server cannot {other:?}")),
            };
            self.answer(&answer).await?;
        }
    }

    /// Does as a client is told, until the parent is gone.
    pub(crate) async fn obey_as_client(
        mut self,
        mut calls: impl Calls,
        local: Option<Local>,
    ) -> Result<()> {
        loop {
            let answer = match self.command().await? {
                Command::Cpu => Answer::Cpu(cpu_time()),
                Command::Local => match &local {
                    Some(local) => Answer::Local(local.round().await?),
                    None => Answer::Failed("this contestant has no calls within a process".into()),
                },
                Command::Run(round) => match run(round, &mut calls).await {
                    Ok(measurement) => Answer::Done(measurement),
                    Err(error) => Answer::Failed(format!("{error:#}")),
                },
                other => Answer::Failed(format!("a contestant cannot {other:?}")),
            };
            self.answer(&answer).await?;
        }
    }
}

/// The processor time that this process has used: all threads, user and system.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

async fn run(round: Round, calls: &mut impl Calls) -> Result<Measurement> {
    let mut callers = Vec::new();
    if round.callers > 1 {
        for _ in 0..round.callers {
            callers.push(calls.share()?);
        }
    }
    let (cpu, start) = (cpu_time(), Instant::now());
    let median = if round.callers == 1 {
        Some(one_by_one(round, calls).await?)
    } else {
        together(round, callers).await?;
        None
    };
    Ok(Measurement {
        calls: round.callers * round.calls_per_caller,
        elapsed: start.elapsed(),
        cpu: cpu_time() - cpu,
        median,
    })
}

/// Makes the calls one at a time and returns the median of their times.
async fn one_by_one(round: Round, calls: &mut impl Calls) -> Result<Duration> {
    let mut times = Vec::with_capacity(round.calls_per_caller);
    let mut before = Instant::now();
    for _ in 0..round.calls_per_caller {
        round.method.call(calls).await?;
        let now = Instant::now();
        times.push(now - before);
        before = now;
    }
    let middle = times.len() / 2;
    Ok(*times.select_nth_unstable(middle).1)
}

/// Lets each of the callers, a task each, make its calls.
async fn together<C: Calls>(round: Round, callers: Vec<C>) -> Result<()> {
    let mut tasks = JoinSet::new();
    for mut calls in callers {
        tasks.spawn(async move {
            for _ in 0..round.calls_per_caller {
                round.method.call(&mut calls).await?;
            }
            Ok(())
        });
    }
    tasks.join_all().await.into_iter().collect()
}
