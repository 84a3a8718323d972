//! Makes things go wrong around a deployment, and puts them right again.

use std::{
    collections::BTreeSet,
    fs,
    process::Child,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::{
    deployment::Deployment,
    fault::{Fault, Snag, Victim},
    flaw::Flaw,
    link::{Links, Way, Weather},
    packet::{Packets, port_of},
    plan::{Plan, Strike},
    process::{self, Process},
    topology::Topology,
};

/// How long an order to the running application may take, where other things go wrong beside it.
const ORDER_PATIENCE: Duration = Duration::from_secs(4);

/// How much later everything arrives.
const DELAY_MS: u64 = 50;

/// How many bytes a second a slow reader reads, or a slow writer writes: less than what they are asked for.
const TRICKLE: u64 = 20_000;

/// A deployment, and what was done to it.
#[derive(Debug)]
pub(crate) struct Stage {
    /// What stands between the replicas, if anything does.
    links: Option<Links>,
    pub(crate) deployment: Deployment,
    /// The processes that were killed, and so need not have finished anything.
    pub(crate) killed: BTreeSet<u32>,
    /// The processes that were told to stop. To tell one twice is to kill it.
    told: BTreeSet<u32>,
    disk_full: bool,
}

/// What puts a fault right again.
#[derive(Debug)]
pub(crate) enum Remedy {
    /// Nothing: it heals by itself.
    Nothing,
    /// These processes go on.
    GoOn(Vec<u32>),
    /// The supervisor, which was this process, is started again once it has ended.
    Supervise(u32),
    /// What was ordered by this command, since then, is done.
    Await(Child, Instant),
    /// The same, and then there are as many callees as usual.
    ScaleBack(Child, Instant),
    /// Nothing is in the way of the bytes any more.
    Clear(Snag, Arc<Weather>),
    /// Every packet passes.
    Pass,
    /// These processes have the room for descriptors that they had.
    Descriptors(Vec<(u32, Rlimit)>),
    /// There is room on the disk.
    FreeDisk,
    /// The clock on the wall is right.
    SetClock,
    /// Every replica has the certificate that is its own; of this one the process is another's.
    Certify(Option<String>),
}

impl Stage {
    /// `plan` says what will have to be in the way.
    pub(crate) fn new(deployment: Deployment, plan: &Plan) -> Self {
        let snags = plan.has(|fault| matches!(fault, Fault::Snag(_)));
        let links =
            (snags && deployment.ground.is_none()).then(|| Links::before(&deployment.home.run()));
        Self {
            links,
            deployment,
            killed: BTreeSet::new(),
            told: BTreeSet::new(),
            disk_full: false,
        }
    }

    /// Makes a fault happen. Returns what puts it right.
    pub(crate) fn strike(&mut self, strike: &Strike) -> anyhow::Result<Remedy> {
        Ok(match strike.fault {
            Fault::Kill(victim) => {
                let victims = self.send(victim, strike.pick, Signal::KILL);
                self.killed.extend(&victims);
                after(victim, &victims)
            }
            Fault::Term(victim) => {
                let victims = self.send(victim, strike.pick, Signal::TERM);
                after(victim, &victims)
            }
            Fault::Stop(victim) => Remedy::GoOn(self.send(victim, strike.pick, Signal::STOP)),
            Fault::Snag(snag) => return self.snag(snag, strike.pick),
            Fault::NoDescriptors => Remedy::Descriptors(self.exhaust()),
            Fault::DiskFull => {
                self.deployment.home.fill_disk();
                self.disk_full = true;
                Remedy::FreeDisk
            }
            Fault::ClockJump => {
                let jump = if strike.pick.is_multiple_of(2) {
                    "+3d"
                } else {
                    "-3d"
                };
                fs::write(self.deployment.home.clock(), jump)?;
                Remedy::SetClock
            }
            // The driver knows of it.
            Fault::Overload => Remedy::Nothing,
            Fault::Restart => Remedy::Await(self.deployment.order(&["restart"])?, Instant::now()),
            Fault::Scale => {
                let usual = self.deployment.topology.targets();
                let other = match strike.pick.is_multiple_of(2) && usual > 1 {
                    true => usual - 1,
                    false => usual + 1,
                };
                let order = format!("Target={other}");
                let child = self.deployment.order(&["scale", &order])?;
                Remedy::ScaleBack(child, Instant::now())
            }
            Fault::Rotate => {
                self.deployment.certify()?;
                Remedy::Nothing
            }
            Fault::Expired => return self.spoil(Flaw::Expired, strike.pick),
            Fault::OtherComponent => return self.spoil(Flaw::OtherComponent, strike.pick),
            Fault::Impostor => return self.spoil(Flaw::Impostor, strike.pick),
            Fault::OtherAuthority if self.deployment.topology == Topology::Static => {
                return self.spoil(Flaw::OtherAuthority, strike.pick);
            }
            Fault::OtherAuthority => {
                self.deployment.home.lose_authority();
                let victims = self.send(Victim::Supervisor, strike.pick, Signal::KILL);
                after(Victim::Supervisor, &victims)
            }
        })
    }

    /// Kills a replica, which begins anew with an identity that has `flaw`.
    fn spoil(&mut self, flaw: Flaw, pick: u32) -> anyhow::Result<Remedy> {
        let callees = self.callees();
        let Some(victim) = callees.get(pick as usize % callees.len().max(1)) else {
            return Ok(Remedy::Nothing);
        };
        let name = victim.replica.clone().unwrap_or_default();
        self.deployment.spoil(&name, flaw)?;
        self.kill(victim);
        Ok(Remedy::Certify((flaw == Flaw::Impostor).then_some(name)))
    }

    fn kill(&mut self, victim: &Process) {
        self.killed.insert(victim.pid);
        victim.signal(Signal::KILL);
    }

    /// The replicas that others call.
    fn callees(&self) -> Vec<Process> {
        [
            self.deployment.replicas_with("Target"),
            self.deployment.replicas_with("Relay"),
        ]
        .concat()
    }

    /// Makes something go wrong before one of the replicas.
    fn snag(&self, snag: Snag, pick: u32) -> anyhow::Result<Remedy> {
        if let Some(ground) = &self.deployment.ground {
            let callees = self.callees();
            let callee = callees.get(pick as usize % callees.len().max(1));
            let packets = callee.and_then(port_of).and_then(|port| match snag {
                Snag::Reset => Some(Packets::Reset(port)),
                Snag::PartitionIn => Some(Packets::DroppedTo(port)),
                Snag::PartitionOut => Some(Packets::DroppedFrom(port)),
                Snag::Partition => Some(Packets::Dropped(port)),
                Snag::Loss => Some(Packets::Lost),
                Snag::Delay | Snag::SlowReader | Snag::SlowWriter => None,
            });
            return Ok(match packets {
                Some(packets) => {
                    ground.strike(packets)?;
                    Remedy::Pass
                }
                None => Remedy::Nothing,
            });
        }
        let links = self.links.as_ref();
        let Some(weather) = links.and_then(|links| links.pick(pick)) else {
            return Ok(Remedy::Nothing);
        };
        match snag {
            Snag::Reset => weather.cut_at_each_byte(true, u64::from(pick % 500)),
            Snag::PartitionIn => weather.hold(Way::In, true),
            Snag::PartitionOut => weather.hold(Way::Out, true),
            Snag::Partition => {
                weather.hold(Way::In, true);
                weather.hold(Way::Out, true);
            }
            Snag::Delay => weather.delay(DELAY_MS),
            Snag::SlowReader => weather.slow(Way::In, TRICKLE),
            Snag::SlowWriter => weather.slow(Way::Out, TRICKLE),
            Snag::Loss => return Ok(Remedy::Nothing),
        }
        Ok(Remedy::Clear(snag, weather))
    }

    /// Takes every room for a further descriptor from all callees. Returns how much they had.
    fn exhaust(&self) -> Vec<(u32, Rlimit)> {
        let callees = self.deployment.replicas_with("Target");
        let limit = |callee: &Process| {
            let pid = Pid::from_raw(i32::try_from(callee.pid).ok()?)?;
            let open = fs::read_dir(format!("/proc/{}/fd", callee.pid))
                .ok()?
                .count() as u64;
            let before = prlimit(
                Some(pid),
                Resource::Nofile,
                Rlimit {
                    current: Some(open),
                    maximum: None,
                },
            );
            Some((callee.pid, before.ok()?))
        };
        callees.iter().filter_map(limit).collect()
    }

    /// Puts a fault right, if it is time for that already; else returns it.
    pub(crate) fn heal(&mut self, remedy: Remedy) -> anyhow::Result<Option<Remedy>> {
        match remedy {
            Remedy::Nothing => {}
            Remedy::GoOn(stopped) => {
                for pid in stopped {
                    process::send(pid, Signal::CONT);
                }
            }
            Remedy::Supervise(pid) => {
                // Nothing starts on a full disk; it says so.
                if self.deployment.supervisor() == Some(pid) || self.disk_full {
                    return Ok(Some(remedy));
                }
                self.deployment.launch()?;
            }
            Remedy::Await(mut child, since) => {
                if child.try_wait()?.is_none() && since.elapsed() < ORDER_PATIENCE {
                    return Ok(Some(Remedy::Await(child, since)));
                }
                end(child);
            }
            Remedy::ScaleBack(mut child, since) => {
                if child.try_wait()?.is_none() && since.elapsed() < ORDER_PATIENCE {
                    return Ok(Some(Remedy::ScaleBack(child, since)));
                }
                end(child);
                let order = format!("Target={}", self.deployment.topology.targets());
                let child = self.deployment.order(&["scale", &order])?;
                return Ok(Some(Remedy::Await(child, Instant::now())));
            }
            Remedy::Clear(snag, weather) => clear(snag, &weather),
            Remedy::Pass => {
                if let Some(ground) = &self.deployment.ground {
                    ground.heal()?;
                }
            }
            Remedy::Descriptors(before) => {
                for (pid, limit) in before {
                    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                        // It may have ended.
                        let _ = prlimit(Some(pid), Resource::Nofile, limit);
                    }
                }
            }
            Remedy::FreeDisk => {
                self.deployment.home.free_disk();
                self.disk_full = false;
            }
            Remedy::Certify(reborn) => {
                self.deployment.certify()?;
                let replicas = self.deployment.replicas().into_iter();
                for replica in replicas.filter(|it| reborn.is_some() && it.replica == reborn) {
                    self.kill(&replica);
                }
            }
            Remedy::SetClock => fs::write(self.deployment.home.clock(), "+0")?,
        }
        Ok(None)
    }

    /// Sends `signal` to the victim, and returns to which processes.
    fn send(&mut self, victim: Victim, pick: u32, signal: Signal) -> Vec<u32> {
        let mut victims: Vec<u32> = match victim {
            Victim::Callee => one(&self.deployment.replicas_with("Target"), pick),
            Victim::Relay => one(&self.deployment.replicas_with("Relay"), pick),
            Victim::Caller => one(&self.deployment.replicas_with("Driver"), pick),
            Victim::All => self.deployment.replicas().iter().map(|it| it.pid).collect(),
            Victim::Supervisor => self.deployment.supervisor().into_iter().collect(),
        };
        if signal == Signal::TERM {
            victims.retain(|pid| self.told.insert(*pid));
        }
        for pid in &victims {
            process::send(*pid, signal);
        }
        victims
    }
}

/// Ends a command. What it has ordered goes on.
fn end(mut child: Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// Lets everything pass again that `snag` holds up.
fn clear(snag: Snag, weather: &Weather) {
    match snag {
        Snag::Reset => weather.cut_at_each_byte(false, 0),
        Snag::Delay => weather.delay(0),
        Snag::SlowReader => weather.slow(Way::In, 0),
        Snag::SlowWriter => weather.slow(Way::Out, 0),
        Snag::PartitionIn => weather.hold(Way::In, false),
        Snag::PartitionOut => weather.hold(Way::Out, false),
        Snag::Partition => {
            weather.hold(Way::In, false);
            weather.hold(Way::Out, false);
        }
        Snag::Loss => {}
    }
}

/// One of several, if there is any.
fn one(found: &[Process], pick: u32) -> Vec<u32> {
    let chosen = found.get(pick as usize % found.len().max(1));
    chosen.map(|process| process.pid).into_iter().collect()
}

/// What puts right that `victim` has ended: replicas are started again by their supervisor.
fn after(victim: Victim, victims: &[u32]) -> Remedy {
    match (victim, victims) {
        (Victim::Supervisor, [pid]) => Remedy::Supervise(*pid),
        _ => Remedy::Nothing,
    }
}
