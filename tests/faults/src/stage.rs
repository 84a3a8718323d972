//! Makes things go wrong around a deployment, sees that they do, and puts them right again.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    net::{SocketAddrV4, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Child,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::{
    clock::now_ns,
    cut::Sweep,
    deployment::{Deployment, LOOK},
    fault::{Fault, Snag, Victim},
    flaw::Flaw,
    hold,
    link::{Way, Weather, sockets},
    packet::{Packets, Trap, port_of},
    plan::{Plan, Strike},
    process::{self, Process},
    proof::Claim,
    topology::Topology,
};

/// How long an order to the running application may take, where other things go wrong beside it.
const ORDER_PATIENCE: Duration = Duration::from_secs(20);

/// How long a process may take to end that was killed.
const DEATH_PATIENCE: Duration = Duration::from_secs(5);

/// How long one may take that is to drain: longer than its grace.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// How long a process may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// How many bytes a second a slow reader reads, or a slow writer writes: less than what they are asked for.
const TRICKLE: u64 = 4_000;

/// The groups that others call.
const CALLEES: [&str; 2] = ["Target", "Relay"];

/// The lowest limit of descriptors that leaves those which every process begins with.
const NO_DESCRIPTORS: u64 = 3;

/// A deployment, and what was done to it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) deployment: Deployment,
    /// The processes that were killed, and so need not have finished anything.
    pub(crate) killed: BTreeSet<u32>,
    /// The processes that were told to stop. To tell one twice is to kill it.
    told: BTreeSet<u32>,
    disk_full: bool,
    /// When the load began, by the clock of the ledgers.
    begin_ns: u64,
    /// Nothing but one fault is tried.
    alone: bool,
}

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
    /// As many callees as usual.
    Scaled(Order, String),
    /// Nothing is in the way of the bytes any more, which were met so often before.
    Clear(Snag, String, Arc<Weather>, u64),
    /// Connections are no longer cut. Whether they were to be cut at each byte by then.
    Mend(Vec<Arc<Weather>>, bool),
    /// These packets pass.
    Pass(Trap, String),
    /// These processes have the room for descriptors that they had, and the suite lets go of them.
    Descriptors(Vec<(u32, Rlimit)>, Knocks, usize),
    /// There is room on the disk. The log was so long before.
    FreeDisk(usize),
    /// The clock on the wall is right.
    SetClock(u64),
    /// Every replica has the certificate that is its own; of this one the process is another's.
    Certify(Option<String>, Claim),
}

/// What came of an attempt to put something right.
#[derive(Debug)]
pub(crate) enum Healed {
    /// It is not yet time.
    Later(Remedy),
    /// It is right, and this was seen of the fault.
    Done(Claim),
}

/// Something that was ordered by a command.
#[derive(Debug)]
pub(crate) struct Order {
    child: Child,
    text: String,
    said: File,
    since: Instant,
}

/// Connections of the suite to callees that have no room for them.
#[derive(Debug, Default)]
pub(crate) struct Knocks {
    unix: Vec<UnixStream>,
    tcp: Vec<TcpStream>,
}

impl Stage {
    /// `plan` says what will have to be in the way.
    pub(crate) fn new(deployment: Deployment, plan: &Plan, begin_ns: u64) -> Self {
        Self {
            deployment,
            killed: BTreeSet::new(),
            told: BTreeSet::new(),
            disk_full: false,
            begin_ns,
            alone: !plan.is_mixture(),
        }
    }

    /// Makes a fault happen. Returns what puts it right; `None` while nobody is there whom it could hit.
    pub(crate) fn strike(&mut self, strike: &Strike) -> anyhow::Result<Option<Remedy>> {
        Ok(Some(match strike.fault {
            Fault::Kill(victim) => return Ok(self.end(victim, strike.pick, Signal::KILL)),
            Fault::Term(victim) => return Ok(self.end(victim, strike.pick, Signal::TERM)),
            Fault::Stop(victim) => {
                let victims = self.send(victim, strike.pick, Signal::STOP);
                if victims.is_empty() {
                    return Ok(None);
                }
                Remedy::GoOn(victims)
            }
            Fault::Snag(snag) => return self.snag(snag, strike),
            Fault::NoDescriptors => return self.exhaust(),
            Fault::DiskFull => {
                let since = self.log_bytes();
                self.deployment.home.fill_disk();
                self.disk_full = true;
                Remedy::FreeDisk(since)
            }
            Fault::ClockJump => {
                let jump = match strike.pick.is_multiple_of(2) {
                    true => "+3d",
                    false => "-3d",
                };
                fs::write(self.deployment.home.clock(), jump)?;
                Remedy::SetClock(now_ns())
            }
            // The driver knows of it.
            Fault::Overload => {
                let at_ns = |ms: u64| self.begin_ns + ms * 1_000_000;
                Remedy::Nothing(Claim::Overloaded {
                    from_ns: at_ns(strike.at_ms),
                    to_ns: at_ns(strike.at_ms + strike.for_ms),
                })
            }
            Fault::Restart => {
                let before = self.deployment.replicas();
                Remedy::Await(self.order(&["restart"])?, before)
            }
            Fault::Scale => {
                let usual = self.deployment.topology.targets();
                let other = match strike.pick.is_multiple_of(2) && usual > 1 {
                    true => usual - 1,
                    false => usual + 1,
                };
                let order = self.order(&["scale", &format!("Target={other}")])?;
                Remedy::ScaleBack(order, other)
            }
            Fault::Rotate => {
                let since_bytes = self.log_bytes();
                let changed = self.deployment.certify()?;
                Remedy::Nothing(Claim::Logged {
                    what: format!("{changed} replicas were given another certificate"),
                    words: &["reading the orders again"],
                    since_bytes,
                })
            }
            Fault::Expired => return self.spoil(Flaw::Expired, strike.pick),
            Fault::OtherComponent => return self.spoil(Flaw::OtherComponent, strike.pick),
            Fault::Impostor => return self.spoil(Flaw::Impostor, strike.pick),
            Fault::OtherAuthority if self.deployment.topology == Topology::Static => {
                return self.spoil(Flaw::OtherAuthority, strike.pick);
            }
            Fault::OtherAuthority => {
                let Some(before) = self.deployment.home.authority() else {
                    return Ok(None);
                };
                let remedy = self.end(Victim::Supervisor, strike.pick, Signal::KILL);
                return Ok(remedy.map(|remedy| match remedy {
                    Remedy::Supervise(process, _) => Remedy::Replace(process, before),
                    other => other,
                }));
            }
        }))
    }

    /// Kills a replica, which begins anew with an identity that has `flaw`.
    fn spoil(&mut self, flaw: Flaw, pick: u32) -> anyhow::Result<Option<Remedy>> {
        let Some(victim) = one(&self.callees(), pick).pop() else {
            return Ok(None);
        };
        let name = victim.replica.clone().unwrap_or_default();
        let claim = Claim::Logged {
            what: format!("{victim} began anew with {flaw}"),
            words: flaw.refusals(),
            since_bytes: self.log_bytes(),
        };
        self.deployment.spoil(&name, flaw)?;
        self.kill(&victim);
        let reborn = (flaw == Flaw::Impostor).then_some(name);
        Ok(Some(Remedy::Certify(reborn, claim)))
    }

    fn kill(&mut self, victim: &Process) {
        self.killed.insert(victim.pid);
        victim.signal(Signal::KILL);
    }

    /// The replicas that others call.
    fn callees(&self) -> Vec<Process> {
        let callees = CALLEES.map(|group| self.deployment.replicas_with(group));
        let mut callees = callees.concat();
        callees.retain(|it| process::lives(it.pid));
        callees
    }

    /// Makes something go wrong before one of the replicas.
    fn snag(&self, snag: Snag, strike: &Strike) -> anyhow::Result<Option<Remedy>> {
        let pick = strike.pick;
        if let Some(ground) = &self.deployment.ground {
            let Some(callee) = one(&self.callees(), pick).pop() else {
                return Ok(None);
            };
            let Some(port) = port_of(&callee) else {
                return Ok(None); // It has only just begun.
            };
            let packets = match snag {
                Snag::Reset => Packets::Reset(port),
                Snag::PartitionIn => Packets::DroppedTo(port),
                Snag::PartitionOut => Packets::DroppedFrom(port),
                Snag::Partition => Packets::Dropped(port),
                Snag::Loss => Packets::Lost,
                Snag::Delay => Packets::Delayed(port, pick.into()),
                Snag::SlowReader | Snag::SlowWriter => return Ok(None),
            };
            let trap = ground.strike(packets)?;
            return Ok(Some(Remedy::Pass(trap, callee.to_string())));
        }
        let Some(links) = &self.deployment.links else {
            return Ok(None);
        };
        if snag == Snag::Reset {
            let weathers: Vec<_> = links.all(&CALLEES).into_iter().map(|it| it.1).collect();
            // That takes some time, or there is only some of it.
            let everywhere =
                self.alone && strike.for_ms >= strike.fault.lasts_ms(self.deployment.topology);
            links.sweep().begin(pick as usize);
            for weather in &weathers {
                weather.cut_at_each_byte(true);
            }
            return Ok(Some(Remedy::Mend(weathers, everywhere)));
        }
        let Some((name, weather)) = links.pick(&CALLEES, pick) else {
            return Ok(None);
        };
        let before = weather.met();
        match snag {
            Snag::PartitionIn => weather.hold(Way::In, true),
            Snag::PartitionOut => weather.hold(Way::Out, true),
            Snag::Partition => {
                weather.hold(Way::In, true);
                weather.hold(Way::Out, true);
            }
            Snag::Delay => weather.delay(hold::DELAY.as_millis() as u64),
            Snag::SlowReader => weather.slow(Way::In, TRICKLE),
            Snag::SlowWriter => weather.slow(Way::Out, TRICKLE),
            Snag::Loss | Snag::Reset => return Ok(None),
        }
        Ok(Some(Remedy::Clear(snag, name, weather, before)))
    }

    /// Takes every room for a further descriptor from all callees, and knocks at each. Remembers how much they had.
    fn exhaust(&self) -> anyhow::Result<Option<Remedy>> {
        let mut callees = self.deployment.replicas_with("Target");
        callees.retain(|it| process::lives(it.pid));
        let since = self.log_bytes();
        let limit = |callee: &Process| {
            let pid = Pid::from_raw(i32::try_from(callee.pid).ok()?)?;
            let none = Rlimit {
                current: Some(NO_DESCRIPTORS),
                // As it is: nobody may raise it again.
                maximum: process::most_descriptors(callee.pid),
            };
            let before = prlimit(Some(pid), Resource::Nofile, none);
            Some((callee.pid, before.ok()?))
        };
        let before: Vec<_> = callees.iter().filter_map(limit).collect();
        let mut knocks = Knocks::default();
        for callee in &callees {
            self.knock(callee, &mut knocks)?;
        }
        Ok((!before.is_empty()).then_some(Remedy::Descriptors(before, knocks, since)))
    }

    /// Connects to a callee, as far as the system lets it: whether it is taken in is the callee's business.
    fn knock(&self, callee: &Process, knocks: &mut Knocks) -> anyhow::Result<()> {
        if !self.deployment.topology.speaks_tcp() {
            let name = callee.replica.as_deref().unwrap_or_default();
            let of = |path: &PathBuf| {
                let file = path.file_name().and_then(|it| it.to_str());
                file.is_some_and(|file| file.split('.').next() == Some(name))
            };
            let doors = sockets(&self.deployment.home.run());
            // Those of processes that are gone refuse, which is no harm.
            let doors = doors.iter().filter(|path| of(path));
            knocks
                .unix
                .extend(doors.filter_map(|path| UnixStream::connect(path).ok()));
            return Ok(());
        }
        let Some((address, port)) = process::listens_at(callee.pid) else {
            return Ok(());
        };
        let connect = || TcpStream::connect(SocketAddrV4::new(address, port)).ok();
        let host = self.deployment.host_of(callee);
        knocks.tcp.extend(match host {
            Some(host) => host.enter(connect)?,
            None => connect(),
        });
        Ok(())
    }

    /// Puts a fault right, if it is time for that already, and says what was seen of it.
    pub(crate) fn heal(&mut self, remedy: Remedy) -> anyhow::Result<Healed> {
        Ok(Healed::Done(match remedy {
            Remedy::Nothing(claim) => claim,
            Remedy::Bury(victims, signal, since) => {
                let patience = match signal {
                    Signal::KILL => DEATH_PATIENCE,
                    _ => DRAIN_PATIENCE,
                };
                let lives = victims.iter().any(|it| process::lives(it.pid));
                if lives && since.elapsed() < patience {
                    return Ok(Healed::Later(Remedy::Bury(victims, signal, since)));
                }
                buried(&victims, signal, since.elapsed(), |pid| {
                    self.deployment.end_of(pid)
                })
            }
            Remedy::GoOn(stopped) => {
                // Some may have been killed meanwhile; then they were not stopped to the end.
                let is_stopped =
                    |it: &Process| process::is_stopped(it.pid) || self.killed.contains(&it.pid);
                let seen = within(STOP_PATIENCE, || stopped.iter().all(is_stopped));
                for it in &stopped {
                    it.signal(Signal::CONT);
                }
                match seen {
                    true => Claim::Seen(format!("{} stood still", names(&stopped))),
                    false => Claim::Unseen(format!("{} did not stop", names(&stopped))),
                }
            }
            Remedy::Supervise(process, signal) => {
                // Nothing starts on a full disk; it says so.
                if self.deployment.supervisor() == Some(process.pid) || self.disk_full {
                    return Ok(Healed::Later(Remedy::Supervise(process, signal)));
                }
                self.deployment.launch()?;
                let end_of = |pid| self.deployment.end_of(pid);
                buried(&[process], signal, Duration::ZERO, end_of)
            }
            Remedy::Replace(process, before) => {
                if self.deployment.supervisor() == Some(process.pid) || self.disk_full {
                    return Ok(Healed::Later(Remedy::Replace(process, before)));
                }
                // It is gone, so nobody writes it down again.
                self.deployment.home.lose_authority();
                self.deployment.launch()?;
                return Ok(Healed::Later(Remedy::Replaced(before, Instant::now())));
            }
            Remedy::Replaced(before, since) => match self.deployment.home.authority() {
                Some(now) if now != before => {
                    Claim::Seen("the supervisor has another authority than before".to_owned())
                }
                _ if since.elapsed() < DRAIN_PATIENCE => {
                    return Ok(Healed::Later(Remedy::Replaced(before, since)));
                }
                _ => Claim::Unseen("the supervisor has made no other authority".to_owned()),
            },
            Remedy::Await(mut order, before) => match order.outcome()? {
                None => return Ok(Healed::Later(Remedy::Await(order, before))),
                Some(Ok(text)) => {
                    let left = before.into_iter().filter(|it| process::lives(it.pid));
                    let left: Vec<_> = left.collect();
                    match left.is_empty() {
                        true => Claim::Seen(format!("{text}, and no process is left of before")),
                        false => {
                            Claim::Unseen(format!("{text}, but {} are still there", names(&left)))
                        }
                    }
                }
                Some(Err(text)) => Claim::Unseen(text),
            },
            Remedy::ScaleBack(mut order, other) => match order.outcome()? {
                None => return Ok(Healed::Later(Remedy::ScaleBack(order, other))),
                Some(done) => {
                    let there = self.deployment.replicas_with("Target");
                    let there = there.iter().filter(|it| process::lives(it.pid)).count();
                    let seen = match done {
                        Ok(text) if there == other as usize => {
                            format!("{text}: {there} were there")
                        }
                        Ok(text) => format!("{text}, but {there} were there"),
                        Err(text) => text,
                    };
                    let seen = match there == other as usize {
                        true => seen,
                        false => format!("{UNSEEN}{seen}"),
                    };
                    let usual = self.deployment.topology.targets();
                    let order = self.order(&["scale", &format!("Target={usual}")])?;
                    return Ok(Healed::Later(Remedy::Scaled(order, seen)));
                }
            },
            Remedy::Scaled(mut order, seen) => match order.outcome()? {
                None => return Ok(Healed::Later(Remedy::Scaled(order, seen))),
                Some(Ok(text)) => match seen.strip_prefix(UNSEEN) {
                    None => Claim::Seen(format!("{seen}; {text}")),
                    Some(unseen) => Claim::Unseen(unseen.to_owned()),
                },
                Some(Err(text)) => Claim::Unseen(text),
            },
            Remedy::Clear(snag, name, weather, before) => {
                clear(snag, &weather);
                let met = weather.met() - before;
                let text = format!("it met bytes before {name} {met} times");
                if met > 0 {
                    Claim::Seen(text)
                } else {
                    Claim::Unseen(text)
                }
            }
            Remedy::Mend(weathers, everywhere) => {
                let cut = self
                    .deployment
                    .links
                    .as_ref()
                    .map_or(0, |links| links.sweep().cut());
                let wanted = if everywhere { Sweep::PLACES } else { 1 };
                for weather in weathers {
                    weather.cut_at_each_byte(false);
                }
                let text = format!(
                    "connections were cut at {cut} of {} bytes of frames",
                    Sweep::PLACES
                );
                if cut >= wanted {
                    Claim::Seen(text)
                } else {
                    Claim::Unseen(text)
                }
            }
            Remedy::Pass(trap, name) => {
                let ground = self.deployment.ground.as_ref();
                let met = ground.map_or(Ok(0), |ground| ground.lift(trap))?;
                let text = format!("it met {met} packets, before {name}");
                if met > 0 {
                    Claim::Seen(text)
                } else {
                    Claim::Unseen(text)
                }
            }
            Remedy::Descriptors(before, knocks, since_bytes) => {
                drop(knocks);
                for (pid, limit) in &before {
                    if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                        // It may have ended.
                        let _ = prlimit(Some(pid), Resource::Nofile, *limit);
                    }
                }
                Claim::Logged {
                    what: format!("{} callees could open nothing", before.len()),
                    words: &["Too many open files"],
                    since_bytes,
                }
            }
            Remedy::FreeDisk(since_bytes) => {
                let probe = self.deployment.home.try_disk();
                self.deployment.home.free_disk();
                self.disk_full = false;
                // One that had only just begun has ended for want of room.
                self.deployment.launch()?;
                match probe {
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => match self.alone {
                        false => Claim::Seen(format!("a write was refused: {error}")),
                        true => Claim::Logged {
                            what: format!("a write was refused: {error}"),
                            words: &["cannot be written"],
                            since_bytes,
                        },
                    },
                    other => Claim::Unseen(format!("a write to the disk: {other:?}")),
                }
            }
            Remedy::Certify(reborn, claim) => {
                self.deployment.certify()?;
                let replicas = self.deployment.replicas().into_iter();
                for replica in replicas.filter(|it| reborn.is_some() && it.replica == reborn) {
                    self.kill(&replica);
                }
                claim
            }
            Remedy::SetClock(since_ns) => {
                fs::write(self.deployment.home.clock(), "+0")?;
                Claim::Jumped { since_ns }
            }
        }))
    }

    /// Orders something of the application that runs.
    fn order(&self, words: &[&str]) -> anyhow::Result<Order> {
        let path = self.deployment.home.path().join("order.log");
        let to = File::options().create(true).append(true).open(&path)?;
        // A file of its own, since it is read from where the order begins to say something.
        let mut said = File::open(path)?;
        said.seek(io::SeekFrom::End(0))?;
        Ok(Order {
            child: self.deployment.order(words, to)?,
            text: format!("`anylith {}`", words.join(" ")),
            said,
            since: Instant::now(),
        })
    }

    /// How long the log is by now.
    fn log_bytes(&self) -> usize {
        self.deployment.log().len()
    }

    /// Ends the victim by `signal`; `None` if there is none.
    fn end(&mut self, victim: Victim, pick: u32, signal: Signal) -> Option<Remedy> {
        let mut victims = self.send(victim, pick, signal);
        if signal == Signal::KILL {
            self.killed.extend(victims.iter().map(|it| it.pid));
        }
        match victim {
            _ if victims.is_empty() => None,
            Victim::Supervisor => Some(Remedy::Supervise(victims.remove(0), signal)),
            _ => Some(Remedy::Bury(victims, signal, Instant::now())),
        }
    }

    /// Sends `signal` to the victim, and returns to which processes.
    fn send(&mut self, victim: Victim, pick: u32, signal: Signal) -> Vec<Process> {
        let mut victims = match victim {
            Victim::Callee => self.deployment.replicas_with("Target"),
            Victim::Relay => self.deployment.replicas_with("Relay"),
            Victim::Caller => self.deployment.replicas_with("Driver"),
            Victim::All => self.deployment.replicas(),
            Victim::Supervisor => {
                let pid = self.deployment.supervisor();
                let process = pid.map(|pid| Process { replica: None, pid });
                process.into_iter().collect()
            }
        };
        victims.retain(|it| process::lives(it.pid));
        if ![Victim::All, Victim::Supervisor].contains(&victim) {
            victims = one(&victims, pick);
        }
        if signal == Signal::TERM {
            victims.retain(|it| self.told.insert(it.pid));
        }
        for it in &victims {
            it.signal(signal);
        }
        victims
    }
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

/// What marks a text of something that was not seen.
const UNSEEN: &str = "not seen: ";

impl Order {
    /// How it ended, if it has: in words, as an error if it did not succeed. One that takes too long is ended.
    fn outcome(&mut self) -> anyhow::Result<Option<Result<String, String>>> {
        let status = match self.child.try_wait()? {
            Some(status) => status,
            None if self.since.elapsed() < ORDER_PATIENCE => return Ok(None),
            None => {
                // It may just have ended by itself.
                let _ = self.child.kill();
                self.child.wait()?
            }
        };
        let mut said = String::new();
        self.said
            .read_to_string(&mut said)
            .context("what an order says is text")?;
        let said = said.trim().replace('\n', "; ");
        let text = &self.text;
        Ok(Some(match status.success() {
            true => Ok(format!("{text} succeeded")),
            false => Err(format!("{text} failed with {status}: {said}")),
        }))
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

/// One of several, if there is any.
fn one(found: &[Process], pick: u32) -> Vec<Process> {
    let chosen = found.get(pick as usize % found.len().max(1));
    chosen.cloned().into_iter().collect()
}
