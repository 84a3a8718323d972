//! Faults of packets: for replicas that speak TCP, on hosts of their own, which are network namespaces.
//!
//! Nothing else on those hosts speaks TCP, since a control plane has a Unix socket, and no port is used on two of them. So the rules are plain, and the machine's own
//! network is never touched.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

use anyhow::{Context as _, ensure};
use netns::{Host, Lan};

use crate::{
    hold::Hold,
    process::{self, Process},
};

/// What happens to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packets {
    /// Those to this port are dropped.
    DroppedTo(u16),
    /// Those from this port are dropped.
    DroppedFrom(u16),
    /// Both.
    Dropped(u16),
    /// One of five is dropped.
    Lost,
    /// Those to and from this port come later, by dice of this seed, and not always in their order.
    Delayed(u16, u64),
    /// Each connection to this port is reset.
    Reset(u16),
}

/// Hosts of its own.
#[derive(Debug)]
pub(crate) struct Ground {
    lan: Lan,
}

/// Something that happens to packets until it is lifted. It has a table of its own, which counts the packets that it
/// meets, so several may be at a time.
#[derive(Debug)]
pub(crate) struct Trap {
    number: u16,
    packets: Packets,
    holds: Vec<Hold>,
}

impl Ground {
    /// Makes so many.
    ///
    /// # Errors
    ///
    /// This machine does not permit it, or has no `nft`.
    pub(crate) fn new(hosts: u8) -> anyhow::Result<Self> {
        let ground = Self {
            lan: Lan::new(hosts)?,
        };
        // That it can be done is seen here, and not in the middle of a run.
        let trap = ground.strike(Packets::Lost)?;
        ground.lift(trap)?;
        Ok(ground)
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        self.lan.hosts()
    }

    /// Lets this happen to packets, on every host.
    pub(crate) fn strike(&self, packets: Packets) -> anyhow::Result<Trap> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let mut trap = Trap {
            number: NEXT.fetch_add(1, Relaxed),
            packets,
            holds: Vec::new(),
        };
        for host in self.hosts() {
            if let Packets::Delayed(_, seed) = packets {
                // Whoever holds them is there before the first packet comes.
                trap.holds.push(Hold::on(host, trap.number, seed)?);
            }
            trap.set(host)?;
        }
        Ok(trap)
    }

    /// Lets everything pass again that `trap` is in the way of. Returns how many packets it met.
    pub(crate) fn lift(&self, trap: Trap) -> anyhow::Result<u64> {
        let mut met = 0;
        for host in self.hosts() {
            met += trap.take_away(host)?;
        }
        Ok(met + trap.holds.into_iter().map(Hold::end).sum::<u64>())
    }
}

impl Trap {
    fn table(&self) -> String {
        format!("faults{}", self.number)
    }

    fn set(&self, host: &Host) -> anyhow::Result<()> {
        let rules = match self.packets {
            Packets::DroppedTo(port) => format!("tcp dport {port} counter drop"),
            Packets::DroppedFrom(port) => format!("tcp sport {port} counter drop"),
            Packets::Dropped(port) => {
                format!("tcp dport {port} counter drop\ntcp sport {port} counter drop")
            }
            Packets::Lost => "meta l4proto tcp numgen random mod 100 < 20 counter drop".to_owned(),
            Packets::Reset(port) => format!("tcp dport {port} counter reject with tcp reset"),
            Packets::Delayed(port, _) => return self.queue(host, "-A", port),
        };
        let table = format!(
            "table inet {} {{\nchain in {{\ntype filter hook input priority 0\n{rules}\n}}\n}}\n",
            self.table()
        );
        let mut nft = host.command("nft");
        nft.args(["-f", "-"]);
        feed(nft, &table).map(drop)
    }

    /// Sends packets to and from `port` through a queue, or no longer. This kernel has no queue for rules of nft itself.
    fn queue(&self, host: &Host, order: &str, port: u16) -> anyhow::Result<()> {
        let (port, number) = (port.to_string(), self.number.to_string());
        for end in ["--dport", "--sport"] {
            let mut iptables = host.command("iptables");
            iptables.args(["-w", order, "INPUT", "-p", "tcp", end, &port]);
            // Where nobody holds them they pass.
            iptables.args(["-j", "NFQUEUE", "--queue-num", &number, "--queue-bypass"]);
            feed(iptables, "")?;
        }
        Ok(())
    }

    /// Takes it away from `host`. Returns how many packets it has met there.
    fn take_away(&self, host: &Host) -> anyhow::Result<u64> {
        if let Packets::Delayed(port, _) = self.packets {
            self.queue(host, "-D", port)?;
            return Ok(0); // Whoever holds them has counted.
        }
        let table = self.table();
        let mut list = host.command("nft");
        list.args(["list", "table", "inet", &table]);
        let rules = feed(list, "")?;
        let mut delete = host.command("nft");
        delete.args(["delete", "table", "inet", &table]);
        feed(delete, "")?;
        Ok(counted(&rules))
    }
}

/// The packets that the rules of a table have counted.
fn counted(rules: &str) -> u64 {
    let counts = rules.split("counter packets ").skip(1);
    counts
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// Runs `command` with `text` as its input. Returns its output.
fn feed(mut command: Command, text: &str) -> anyhow::Result<String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run `ip`")?;
    let mut input = child.stdin.take().context("its input is piped")?;
    input.write_all(text.as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The port at which `replica` takes calls.
pub(crate) fn port_of(replica: &Process) -> Option<u16> {
    process::listens_at(replica.pid).map(|(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_of_all_rules_of_a_table_are_counted() {
        let rules = "table inet faults3 {\n\tchain in {\n\t\ttcp dport 7400 counter packets 12 bytes 720 drop\n\
                     \t\ttcp sport 7400 counter packets 3 bytes 156 drop\n\t}\n}\n";
        assert_eq!(counted(rules), 15);
        assert_eq!(counted(""), 0);
    }
}
