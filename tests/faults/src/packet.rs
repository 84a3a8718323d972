//! Faults of packets: for replicas that speak TCP, on hosts of their own, which are network namespaces.
//!
//! Nothing else on those hosts speaks TCP, since a control plane has a Unix socket, and no port is used on two of them. So the rules are plain, and the machine's own
//! network is never touched.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use netns::{Host, Lan};

use crate::process::Process;

/// What happens to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packets {
    /// Those to these ports are dropped.
    DroppedTo(u16),
    /// Those from these ports are dropped.
    DroppedFrom(u16),
    /// Both.
    Dropped(u16),
    /// One of five is dropped.
    Lost,
    /// The next packet of each connection to this port resets it.
    Reset(u16),
}

/// Hosts of its own.
#[derive(Debug)]
pub(crate) struct Ground {
    lan: Lan,
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
        ground.heal()?;
        Ok(ground)
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        self.lan.hosts()
    }

    /// Lets this happen to packets, and nothing else.
    pub(crate) fn strike(&self, packets: Packets) -> anyhow::Result<()> {
        let rules = match packets {
            Packets::DroppedTo(port) => format!("tcp dport {port} drop"),
            Packets::DroppedFrom(port) => format!("tcp sport {port} drop"),
            Packets::Dropped(port) => format!("tcp dport {port} drop\ntcp sport {port} drop"),
            Packets::Lost => "meta l4proto tcp numgen random mod 100 < 20 drop".to_owned(),
            Packets::Reset(port) => format!("tcp dport {port} reject with tcp reset"),
        };
        self.rules(&rules)
    }

    /// Lets everything pass.
    pub(crate) fn heal(&self) -> anyhow::Result<()> {
        self.rules("")
    }

    fn rules(&self, rules: &str) -> anyhow::Result<()> {
        let table = format!(
            "table inet faults {{}}\nflush table inet faults\n\
             table inet faults {{\nchain in {{\ntype filter hook input priority 0\n{rules}\n}}\n}}\n"
        );
        self.hosts().iter().try_for_each(|host| {
            let mut nft = host.command("nft");
            nft.args(["-f", "-"]);
            feed(nft, &table)
        })
    }
}

fn feed(mut command: Command, text: &str) -> anyhow::Result<()> {
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run nft")?;
    let mut input = child.stdin.take().context("its input is piped")?;
    input.write_all(text.as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "nft: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// The port at which `replica` takes calls.
pub(crate) fn port_of(replica: &Process) -> Option<u16> {
    let pid = replica.pid;
    let mut sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    sockets.sort();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace();
        let local = columns.nth(1)?;
        // After the peer's address: the state, of which 0A is listening. The inode is six further on.
        let listens = columns.nth(1)? == "0A";
        let inode = columns.nth(5)?;
        let ours = sockets
            .binary_search_by(|it| it.as_str().cmp(inode))
            .is_ok();
        let port = local.rsplit(':').next()?;
        (listens && ours).then(|| u16::from_str_radix(port, 16).ok())?
    })
}
