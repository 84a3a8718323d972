//! A server in a process of its own, whose memory can be seen, and an honest peer of it whose calls all have to succeed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use anylith_core::{Counters, Endpoint, Fingerprint, Limits};
use anylith_rpc::{Callee, Network};
use tokio::task::JoinHandle;

use super::{Counts, ECHO, Echo, Folder, directory, making, name, soon};

const SOCKET: &str = "VICTIM_SOCKET";

/// The process of a victim: serves where its environment says, and answers each line with its counters. Does nothing in
/// any other process. `test` is the name of the test that calls this.
pub(crate) fn serve_if_told_to() {
    let Some(path) = std::env::var_os(SOCKET) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    let network = Network::new(name("Victim-1"), Limits::default());
    let service = Echo {
        component: name("Echo"),
        fingerprint: Fingerprint(1),
        counts: Arc::new(Counts::default()),
    };
    let counts = service.counts.clone();
    let _inside = runtime.enter();
    let endpoint = Endpoint::Unix(path.into());
    let _server = network.serve(&endpoint, Arc::new(service)).unwrap();
    // The end of its input is the end of it.
    println!("serving");
    for line in std::io::stdin().lines() {
        line.unwrap();
        let Counters {
            overloaded,
            misbehaved,
            crowded,
            ..
        } = network.counters();
        let running = counts.begun() - counts.dropped.load(SeqCst) - counts.finished.load(SeqCst);
        println!("counts {overloaded} {misbehaved} {crowded} {running}");
    }
}

pub(crate) struct Victim {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) endpoint: Endpoint,
    _folder: Folder,
}

/// What a victim has counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) overloaded: u64,
    pub(crate) misbehaved: u64,
    pub(crate) crowded: u64,
    /// Calls that were begun and have not ended.
    pub(crate) running: u64,
}

impl Victim {
    /// Starts one that may have so many files open. `test` calls [`serve_if_told_to`].
    pub(crate) fn start(test: &str, files: u32) -> Self {
        let folder = Folder::new();
        let endpoint = folder.socket("victim");
        let Endpoint::Unix(path) = &endpoint else {
            unreachable!()
        };
        let mut child = Command::new("sh")
            .args([
                "-c",
                "ulimit -n $1; exec \"$2\" --exact \"$3\" --nocapture --test-threads=1",
            ])
            .args(["sh", &files.to_string()])
            .arg(std::env::current_exe().unwrap())
            .arg(test)
            .env(SOCKET, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut victim = Self {
            child,
            input,
            output: BufReader::new(output),
            endpoint,
            _folder: folder,
        };
        victim.line("serving");
        victim
    }

    /// What follows `begin` in its next line that has that.
    fn line(&mut self, begin: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "the victim has ended");
            if let Some((_, rest)) = line.split_once(begin) {
                return rest.trim().to_owned();
            }
        }
    }

    pub(crate) fn seen(&mut self) -> Seen {
        self.input.write_all(b"?\n").unwrap();
        let line = self.line("counts ");
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Seen {
            overloaded: next(),
            misbehaved: next(),
            crowded: next(),
            running: next(),
        }
    }

    /// Waits until what it has counted is as it should be.
    pub(crate) async fn until(&mut self, holds: impl Fn(Seen) -> bool) {
        let mut seen = self.seen();
        for _ in 0..2000 {
            if holds(seen) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            seen = self.seen();
        }
        panic!("it never came true: {seen:?}");
    }

    /// The most memory that it had so far, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = peak
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib / 1024
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A new network that knows `endpoint`, and a callee of it.
pub(crate) fn caller(endpoint: &Endpoint) -> (Network, Callee) {
    let network = Network::new(name("Honest-1"), Limits::default());
    network.update(directory(1, &[endpoint]));
    let callee = network.callee(name("Echo"), Fingerprint(1));
    (network, callee)
}

/// A peer that makes one call after the other.
pub(crate) struct Honest {
    calling: JoinHandle<()>,
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Honest {
    pub(crate) async fn beside(victim: &Victim) -> Self {
        let (network, callee) = caller(&victim.endpoint);
        let (over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        soon(making(&callee, ECHO, "hi").message()).await.unwrap();
        let calling = tokio::spawn({
            let (over, answered) = (over.clone(), answered.clone());
            async move {
                let _network = network;
                while !over.load(SeqCst) {
                    let call = making(&callee, ECHO, "hi").message();
                    assert_eq!(soon(call).await.unwrap(), b"hi");
                    answered.fetch_add(1, SeqCst);
                }
            }
        });
        Self {
            calling,
            over,
            answered,
        }
    }

    /// How many of its calls were answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(SeqCst)
    }

    /// Stops it after some more calls. Every one was answered.
    pub(crate) async fn finish(self) {
        let before = self.answered();
        let more = async {
            while self.answered() < before + 10 && !self.calling.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        soon(more).await;
        self.over.store(true, SeqCst);
        soon(self.calling).await.expect("an honest call failed");
    }
}
