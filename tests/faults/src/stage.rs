//! Makes things go wrong around a deployment, sees that they do, and puts them right again.

mod heal;
mod order;

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddrV4, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Instant,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::{
    clock::now_ns,
    deployment::Deployment,
    fault::{Fault, Snag, Victim},
    flaw::Flaw,
    hold,
    link::{Way, sockets},
    packet::{Packets, port_of},
    plan::{Plan, Strike},
    process::{self, Process},
    proof::Claim,
    topology::Topology,
};

pub(crate) use heal::{Healed, Remedy};

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
                self.deployment.home.fill_disk();
                self.disk_full = true;
                Remedy::FreeDisk
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
        Ok(Some(Remedy::Certify(reborn, claim, Instant::now())))
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

/// One of several, if there is any.
fn one(found: &[Process], pick: u32) -> Vec<Process> {
    let chosen = found.get(pick as usize % found.len().max(1));
    chosen.cloned().into_iter().collect()
}
