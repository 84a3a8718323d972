//! The network and its hosts.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    net::Ipv4Addr,
    os::fd::AsFd as _,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

use rustix::{
    process::{Pid, test_kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// What all names of namespaces begin with, so that they are known as ours.
const PREFIX: &str = "anylith";
/// Where `ip netns` keeps them.
const FOLDER: &str = "/run/netns";

/// Why there are no hosts: the machine does not permit them. A test that needs them is skipped, and says this.
#[derive(Debug, thiserror::Error)]
#[error("network namespaces cannot be made here: {0}")]
pub struct NotPermitted(String);

/// Hosts on one network.
#[derive(Debug)]
pub struct Lan {
    /// The namespace of the bridge.
    switch: String,
    hosts: Vec<Host>,
}

/// One host.
#[derive(Debug)]
pub struct Host {
    namespace: String,
    switch: String,
    /// The end of its cable that is at the bridge.
    port: String,
    address: Ipv4Addr,
}

impl Lan {
    /// A network of `hosts` hosts, with the addresses 10.77.0.1, 10.77.0.2 and so on.
    ///
    /// # Errors
    ///
    /// The machine does not permit it; nothing is left behind then.
    pub fn new(hosts: u8) -> Result<Self, NotPermitted> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let tag = format!("{PREFIX}-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let mut lan = Self {
            switch: format!("{tag}-switch"),
            hosts: Vec::new(),
        };
        lan.make(&tag, hosts)?;
        Ok(lan)
    }

    fn make(&mut self, tag: &str, hosts: u8) -> Result<(), NotPermitted> {
        let switch = self.switch.clone();
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "lan", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "lan", "up"])?;
        for number in 1..=hosts {
            let namespace = format!("{tag}-host{number}");
            let port = format!("port{number}");
            ip(&["netns", "add", &namespace])?;
            let host = Host {
                namespace: namespace.clone(),
                switch: switch.clone(),
                port: port.clone(),
                address: Ipv4Addr::new(10, 77, 0, number),
            };
            // From here on it is taken away with the others, whatever fails.
            self.hosts.push(host);
            ip(&[
                "-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0",
                "netns", &namespace,
            ])?;
            ip(&["-n", &switch, "link", "set", &port, "master", "lan", "up"])?;
            let address = format!("10.77.0.{number}/24");
            ip(&["-n", &namespace, "address", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    /// The hosts, in the order of their addresses.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host with this number, from 0.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let names = self.hosts.iter().map(|host| &host.namespace);
        for name in names.chain([&self.switch]) {
            // Those that were never made cannot be taken away, and whatever else fails the next sweep takes.
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

impl Host {
    /// Its address on the network.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The name of its namespace, as `ip netns` knows it.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// `program`, to be run on this host. The process that is started is the program itself, not one that starts it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace])
            .arg(program);
        command
    }

    /// Runs `work` on this host, in a thread of its own. A socket that it makes stays on this host, wherever it is
    /// used afterwards.
    ///
    /// # Panics
    ///
    /// If `work` does.
    ///
    /// # Errors
    ///
    /// The namespace cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let namespace = File::open(format!("{FOLDER}/{}", self.namespace))?;
        let inside = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind)?;
            Ok(work())
        };
        // The thread ends with the work, so no other code ever runs in the namespace by mistake.
        thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Pulls the cable: nothing reaches this host or leaves it, and nobody is told.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn cut(&self) -> Result<(), NotPermitted> {
        ip(&["-n", &self.switch, "link", "set", &self.port, "down"])
    }

    /// Puts the cable back.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn heal(&self) -> Result<(), NotPermitted> {
        ip(&["-n", &self.switch, "link", "set", &self.port, "up"])
    }
}

/// Takes away what tests have left whose process is gone.
fn sweep() {
    let Ok(entries) = fs::read_dir(FOLDER) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('-')?.split('-').next()?.parse().ok())
            .and_then(Pid::from_raw);
        if owner.is_some_and(|owner| test_kill_process(owner) == Err(rustix::io::Errno::SRCH)) {
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), NotPermitted> {
    let said = |what: &str| NotPermitted(format!("`ip {}`: {what}", arguments.join(" ")));
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| said(&error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(said(String::from_utf8_lossy(&output.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    use super::*;

    /// The network, or `None` where the machine permits none; that is said.
    fn lan(hosts: u8) -> Option<Lan> {
        Lan::new(hosts)
            .inspect_err(|error| privileged::skip(error))
            .ok()
    }

    #[test]
    fn hosts_reach_each_other_until_a_cable_is_pulled_and_again_when_it_is_back() {
        let Some(lan) = lan(2) else { return };
        let (here, there) = (lan.host(0), lan.host(1));
        let listener = there
            .enter(|| TcpListener::bind((there.address(), 0)))
            .unwrap()
            .unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |patience| {
            here.enter(|| TcpStream::connect_timeout(&address, patience))
                .unwrap()
        };
        let mut stream = connect(Duration::from_secs(20)).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        there.cut().unwrap();
        connect(Duration::from_millis(100)).unwrap_err();
        // What is on its way arrives once the cable is back.
        stream.write_all(b"hi").unwrap();
        there.heal().unwrap();
        let mut got = [0; 2];
        accepted.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hi");
    }

    #[test]
    fn nothing_is_left_of_a_network_that_was_dropped() {
        let Some(lan) = lan(1) else { return };
        let path = format!("{FOLDER}/{}", lan.host(0).namespace());
        assert!(fs::exists(&path).unwrap());
        drop(lan);
        assert!(!fs::exists(&path).unwrap());
    }

    #[test]
    fn a_program_runs_on_its_host_and_is_the_process_that_was_started() {
        let Some(lan) = lan(1) else { return };
        let mut command = lan.host(0).command("sh");
        let output = command.args(["-c", "echo $$; ip -4 -o address"]);
        let child = output.stdout(process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(&format!("{pid}\n")), "{said}");
        assert!(said.contains("10.77.0.1/24"), "{said}");
    }
}
