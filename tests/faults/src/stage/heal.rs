//! Puts right again what a strike has made go wrong, and says what was seen of it.

use std::{
    fs, io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::{Knocks, Stage, order::Order};
use crate::{
    cut::Sweep,
    deployment::LOOK,
    fault::Snag,
    link::{Way, Weather},
    packet::Trap,
    plan::Strike,
    process::{self, Process},
    proof::Claim,
};

/// How long a process may take to end that was killed.
const DEATH_PATIENCE: Duration = Duration::from_secs(5);

/// How long one may take that is to drain: longer than its grace.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// How long others may take to meet a spoilt identity: its process has to begin anew, and they have to connect.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(10);

/// How long a process may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What puts a fault right again.
#[derive(Debug)]
pub(crate) enum Remedy {
    /// Nothing: it heals by itself. What is to be seen of it is known already.
    Nothing(Claim),
    /// These processes have ended.
    Bury(Vec<Process>, Signal, Instant),
    /// These processes go on.
    GoOn(Vec<Process>),
    /// The supervisor is started again once it has ended.
    Supervise(Process, Signal),
    /// The same, and then its authority is another than this.
    Replace(Process, Vec<u8>),
    /// There is another authority than this, which was there before.
    Replaced(Vec<u8>, Instant),
    /// This was ordered of all replicas; then none of them is there any more.
    Await(Order, Vec<Process>),
    /// There is another number of callees; then as many as usual.
    ScaleBack(Order, u32),
    /// As many callees as usual. What was seen of the other number, or not.
    Scaled(Order, Result<String, String>),
    /// Nothing is in the way of the bytes any more, which were met so often before.
    Clear(Snag, String, Arc<Weather>, u64),
    /// Connections are no longer cut. Whether they were to be cut at each byte by then.
    Mend(Vec<Arc<Weather>>, bool),
    /// These packets pass.
    Pass(Trap, String),
    /// These processes have the room for descriptors that they had, and the suite lets go of them.
    Descriptors(Vec<(u32, Rlimit)>, Knocks, usize),
    /// There is room on the disk.
    FreeDisk,
    /// The clock on the wall is right.
    SetClock(u64),
    /// Every replica has the certificate that is its own, once the one that it had was met; of this one the process is
    /// another's.
    Certify(Option<String>, Claim, Instant),
}

/// What came of an attempt to put something right.
#[derive(Debug)]
pub(crate) enum Healed {
    /// It is not yet time.
    Later(Remedy),
    /// It is right, and this was seen of the fault.
    Done(Claim),
}

impl Remedy {
    /// How long after the fault it is due.
    pub(crate) fn lasts_ms(&self, strike: &Strike) -> u64 {
        match self {
            // The end of a process is to be seen when it comes.
            Self::Bury(..) => 0,
            _ => strike.for_ms,
        }
    }
}

impl Stage {
    /// Puts a fault right, if it is time for that already, and says what was seen of it.
    pub(crate) fn heal(&mut self, remedy: Remedy) -> anyhow::Result<Healed> {
        let claim = match remedy {
            Remedy::Nothing(claim) => claim,
            Remedy::Bury(victims, signal, since) => return Ok(self.bury(victims, signal, since)),
            Remedy::GoOn(stopped) => self.go_on(&stopped),
            Remedy::Supervise(process, signal) => return self.supervise(process, signal),
            Remedy::Replace(process, before) => return self.replace(process, before),
            Remedy::Replaced(before, since) => return Ok(self.replaced(before, since)),
            Remedy::Await(order, before) => return renewed(order, before),
            Remedy::ScaleBack(order, other) => return self.scale_back(order, other),
            Remedy::Scaled(order, seen) => return scaled(order, seen),
            Remedy::Clear(snag, name, weather, before) => {
                clear(snag, &weather);
                let met = weather.met() - before;
                Claim::of(met > 0, format!("it met bytes before {name} {met} times"))
            }
            Remedy::Mend(weathers, everywhere) => self.mend(&weathers, everywhere),
            Remedy::Pass(trap, name) => {
                let ground = self.deployment.ground.as_ref();
                let met = ground.map_or(Ok(0), |ground| ground.lift(trap))?;
                Claim::of(met > 0, format!("it met {met} packets, before {name}"))
            }
            Remedy::Descriptors(before, knocks, since_bytes) => {
                drop(knocks);
                give_back(&before);
                Claim::Logged {
                    what: format!("{} callees could open nothing", before.len()),
                    words: &["Too many open files"],
                    since_bytes,
                }
            }
            Remedy::FreeDisk => self.free_disk()?,
            Remedy::Certify(reborn, claim, since) => return self.certify(reborn, claim, since),
            Remedy::SetClock(since_ns) => {
                fs::write(self.deployment.home.clock(), "+0")?;
                Claim::Jumped { since_ns }
            }
        };
        Ok(Healed::Done(claim))
    }

    fn bury(&self, victims: Vec<Process>, signal: Signal, since: Instant) -> Healed {
        let patience = match signal {
            Signal::KILL => DEATH_PATIENCE,
            _ => DRAIN_PATIENCE,
        };
        let lives = victims.iter().any(|it| process::lives(it.pid));
        if lives && since.elapsed() < patience {
            return Healed::Later(Remedy::Bury(victims, signal, since));
        }
        let end_of = |pid| self.deployment.end_of(pid);
        Healed::Done(buried(&victims, signal, since.elapsed(), end_of))
    }

    /// A spoilt identity that is mended before anybody has met it proves nothing.
    fn certify(
        &mut self,
        reborn: Option<String>,
        claim: Claim,
        since: Instant,
    ) -> anyhow::Result<Healed> {
        let is_met = claim.is_logged(&self.deployment.log());
        if !is_met && since.elapsed() < REFUSAL_PATIENCE {
            return Ok(Healed::Later(Remedy::Certify(reborn, claim, since)));
        }
        self.deployment.certify()?;
        let replicas = self.deployment.replicas().into_iter();
        for replica in replicas.filter(|it| reborn.is_some() && it.replica == reborn) {
            self.kill(&replica);
        }
        Ok(Healed::Done(claim))
    }

    fn go_on(&self, stopped: &[Process]) -> Claim {
        // Some may have been killed meanwhile; then they were not stopped to the end.
        let is_stopped =
            |it: &Process| process::is_stopped(it.pid) || self.killed.contains(&it.pid);
        let seen = within(STOP_PATIENCE, || stopped.iter().all(is_stopped));
        for it in stopped {
            it.signal(Signal::CONT);
        }
        match seen {
            true => Claim::Seen(format!("{} stood still", names(stopped))),
            false => Claim::Unseen(format!("{} did not stop", names(stopped))),
        }
    }

    fn supervise(&mut self, process: Process, signal: Signal) -> anyhow::Result<Healed> {
        if self.must_wait_for(&process) {
            return Ok(Healed::Later(Remedy::Supervise(process, signal)));
        }
        self.deployment.launch()?;
        let end_of = |pid| self.deployment.end_of(pid);
        let claim = buried(&[process], signal, Duration::ZERO, end_of);
        Ok(Healed::Done(claim))
    }

    fn replace(&mut self, process: Process, before: Vec<u8>) -> anyhow::Result<Healed> {
        if self.must_wait_for(&process) {
            return Ok(Healed::Later(Remedy::Replace(process, before)));
        }
        // It is gone, so nobody writes it down again.
        self.deployment.home.lose_authority();
        self.deployment.launch()?;
        let replaced = Remedy::Replaced(before, Instant::now());
        Ok(Healed::Later(replaced))
    }

    /// Whether the next supervisor cannot be started yet: `process`, the last one, has not ended, or the disk is full. (What
    /// becomes of one that is started on a full disk is for the tests of the command.)
    fn must_wait_for(&mut self, process: &Process) -> bool {
        self.deployment.supervisor() == Some(process.pid) || self.disk_full
    }

    fn replaced(&self, before: Vec<u8>, since: Instant) -> Healed {
        let claim = match self.deployment.home.authority() {
            Some(now) if now != before => {
                Claim::Seen("the supervisor has another authority than before".to_owned())
            }
            _ if since.elapsed() < DRAIN_PATIENCE => {
                return Healed::Later(Remedy::Replaced(before, since));
            }
            _ => Claim::Unseen("the supervisor has made no other authority".to_owned()),
        };
        Healed::Done(claim)
    }

    fn scale_back(&mut self, mut order: Order, other: u32) -> anyhow::Result<Healed> {
        let Some(done) = order.outcome()? else {
            return Ok(Healed::Later(Remedy::ScaleBack(order, other)));
        };
        let there = self.deployment.replicas_with("Target");
        let there = there.iter().filter(|it| process::lives(it.pid)).count();
        let is_right = there == other as usize;
        let seen = match done {
            Ok(text) if is_right => format!("{text}: {there} were there"),
            Ok(text) => format!("{text}, but {there} were there"),
            Err(text) => text,
        };
        let seen = if is_right { Ok(seen) } else { Err(seen) };
        let usual = self.deployment.topology.targets();
        let order = self.order(&["scale", &format!("Target={usual}")])?;
        Ok(Healed::Later(Remedy::Scaled(order, seen)))
    }

    fn mend(&self, weathers: &[Arc<Weather>], everywhere: bool) -> Claim {
        let links = self.deployment.links.as_ref();
        let cut = links.map_or(0, |links| links.sweep().cut());
        let wanted = if everywhere { Sweep::PLACES } else { 1 };
        for weather in weathers {
            weather.cut_at_each_byte(false);
        }
        let places = Sweep::PLACES;
        let text = format!("connections were cut at {cut} of {places} bytes of frames");
        Claim::of(cut >= wanted, text)
    }

    /// Makes room again. The control plane says nothing of it: its state has a place that the disk has given before.
    fn free_disk(&mut self) -> anyhow::Result<Claim> {
        let probe = self.deployment.home.try_disk();
        self.deployment.home.free_disk();
        self.disk_full = false;
        // One that had only just begun has ended for want of room.
        self.deployment.launch()?;
        Ok(match probe {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                Claim::Seen(format!("a write was refused: {error}"))
            }
            other => Claim::Unseen(format!("a write to the disk: {other:?}")),
        })
    }
}

fn renewed(mut order: Order, before: Vec<Process>) -> anyhow::Result<Healed> {
    let claim = match order.outcome()? {
        None => return Ok(Healed::Later(Remedy::Await(order, before))),
        Some(Ok(text)) => {
            let left = before.into_iter().filter(|it| process::lives(it.pid));
            let left: Vec<_> = left.collect();
            match left.is_empty() {
                true => Claim::Seen(format!("{text}, and no process is left of before")),
                false => Claim::Unseen(format!("{text}, but {} are still there", names(&left))),
            }
        }
        Some(Err(text)) => Claim::Unseen(text),
    };
    Ok(Healed::Done(claim))
}

fn scaled(mut order: Order, seen: Result<String, String>) -> anyhow::Result<Healed> {
    let claim = match (order.outcome()?, seen) {
        (None, seen) => return Ok(Healed::Later(Remedy::Scaled(order, seen))),
        (Some(Ok(text)), Ok(seen)) => Claim::Seen(format!("{seen}; {text}")),
        (Some(Ok(_)), Err(unseen)) => Claim::Unseen(unseen),
        (Some(Err(text)), _) => Claim::Unseen(text),
    };
    Ok(Healed::Done(claim))
}

/// Lets processes have as much room for descriptors as they had `before`.
fn give_back(before: &[(u32, Rlimit)]) {
    for (pid, limit) in before {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            // It may have ended.
            let _ = prlimit(Some(pid), Resource::Nofile, *limit);
        }
    }
}

/// Whether processes ended by a signal. `end_of` says how one has ended whose parent is the suite.
fn buried(
    victims: &[Process],
    signal: Signal,
    took: Duration,
    end_of: impl Fn(u32) -> Option<String>,
) -> Claim {
    let word = if signal == Signal::KILL {
        "SIGKILL"
    } else {
        "SIGTERM"
    };
    let left = victims.iter().filter(|it| process::lives(it.pid));
    let left: Vec<_> = left.cloned().collect();
    if !left.is_empty() {
        return Claim::Unseen(format!("{} live on after {word}", names(&left)));
    }
    let said = victims.iter().filter_map(|it| end_of(it.pid));
    let said: Vec<_> = said.collect();
    let killed = |said: &String| said.contains("signal: 9");
    if signal == Signal::KILL && !said.iter().all(killed) {
        return Claim::Unseen(format!(
            "{} ended otherwise: {}",
            names(victims),
            said.join(", ")
        ));
    }
    Claim::Seen(format!(
        "{} ended within {} ms of {word}",
        names(victims),
        took.as_millis()
    ))
}

/// Whether `condition` comes true within `patience`.
fn within(patience: Duration, condition: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while !condition() {
        if begin.elapsed() > patience {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

fn names(processes: &[Process]) -> String {
    let names: Vec<_> = processes.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Lets everything pass again that `snag` holds up.
fn clear(snag: Snag, weather: &Weather) {
    match snag {
        Snag::Delay => weather.delay(0),
        Snag::SlowReader => weather.slow(Way::In, 0),
        Snag::SlowWriter => weather.slow(Way::Out, 0),
        Snag::PartitionIn => weather.hold(Way::In, false),
        Snag::PartitionOut => weather.hold(Way::Out, false),
        Snag::Partition => {
            weather.hold(Way::In, false);
            weather.hold(Way::Out, false);
        }
        Snag::Reset | Snag::Loss => {}
    }
}
