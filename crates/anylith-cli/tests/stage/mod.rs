//! An application of puppets, and the command that is typed for it.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// An application of puppets in a folder of its own, with run folders of its own.
pub(crate) struct Stage {
    pub(crate) temp: TempDir,
    pub(crate) orders: &'static str,
}

pub(crate) const TOML: &str = r#"
[topologies.split]
groups.front = { components = ["Front"], replicas = 2 }
groups.rest = { components = ["*"] }
"#;

/// The example next to this test's own binary.
pub(crate) fn puppet() -> PathBuf {
    example("puppet-app")
}

fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        path.exists(),
        "build it first: cargo build -p anylith-cli --examples"
    );
    path
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(TOML)
    }

    pub(crate) fn with(toml: &str) -> Self {
        Self::of("puppet-app", "puppet", toml)
    }

    /// The application `app`, which an example is the program of.
    pub(crate) fn of(program: &str, app: &str, toml: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("app")).unwrap();
        fs::create_dir(temp.path().join("run")).unwrap();
        let program = example(program);
        let app = format!("[app]\nname = \"{app}\"\nbinary = {program:?}\n");
        fs::write(temp.path().join("app/anylith.toml"), app + toml).unwrap();
        Self { temp, orders: "" }
    }

    pub(crate) fn orders(mut self, orders: &'static str) -> Self {
        self.orders = orders;
        self
    }

    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anylith"));
        command
            .args(args.split_whitespace())
            .current_dir(self.temp.path().join("app"))
            .env("XDG_RUNTIME_DIR", self.temp.path().join("run"))
            .env("PUPPET", self.orders)
            .env("PUPPET_JOURNAL", self.temp.path().join("journal"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn call(&self, args: &str) -> Call {
        Call(self.command(args).output().unwrap())
    }

    /// Runs in the foreground until the first line of results is there.
    pub(crate) fn run(&self, args: &str) -> Foreground {
        let mut child = self
            .command(&format!("run {args}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        while !ready.starts_with("ready: ") {
            ready.clear();
            assert_ne!(
                lines.read_line(&mut ready).unwrap(),
                0,
                "it ended before it was ready"
            );
        }
        Foreground {
            child,
            ready: ready.trim_end().to_owned(),
            lines,
        }
    }

    pub(crate) fn status(&self) -> Value {
        let call = self.call("status --json");
        assert_eq!(call.code(), 0, "{}", call.err());
        serde_json::from_str(&call.out()).unwrap()
    }

    /// Runs it in the background; returns where its listener `web` is.
    pub(crate) fn detached(&self, topology: &str) -> String {
        let call = self.call(&format!("run --topology {topology} --detach"));
        assert_eq!(call.code(), 0, "{}", call.err());
        let out = call.out();
        let url = out.trim_end().strip_prefix("ready: web ");
        url.unwrap().to_owned()
    }

    /// All replicas, as `status` has them.
    pub(crate) fn replicas(&self) -> Vec<Value> {
        let status = self.status();
        let groups = status["groups"].as_array().unwrap();
        let replicas = groups
            .iter()
            .flat_map(|group| group["replicas"].as_array().unwrap());
        replicas.cloned().collect()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        let replicas = self.replicas().into_iter();
        replicas
            .map(|replica| replica["pid"].as_u64().unwrap() as u32)
            .collect()
    }

    /// The process of a replica.
    pub(crate) fn pid(&self, replica: &str) -> Pid {
        let mut replicas = self.replicas().into_iter();
        let found = replicas.find(|one| one["id"] == replica).unwrap();
        Pid::from_raw(i32::try_from(found["pid"].as_u64().unwrap()).unwrap()).unwrap()
    }

    /// The one file with this name, in the one run folder.
    pub(crate) fn run_file(&self, name: &str) -> PathBuf {
        let mut folders = fs::read_dir(self.temp.path().join("run/anylith")).unwrap();
        folders.next().unwrap().unwrap().path().join(name)
    }
}

impl Drop for Stage {
    /// Leaves nothing running, however the test went.
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(logs) = self.command("logs -n 200").output()
        {
            eprintln!("{}", String::from_utf8_lossy(&logs.stdout));
        }
        let _ = self.command("stop --kill").output();
    }
}

pub(crate) struct Call(pub(crate) Output);

impl Call {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// It says that the input is wrong, and all of `words`.
    pub(crate) fn is_wrong(&self, words: &[&str]) {
        assert_eq!(self.code(), 2, "{}{}", self.out(), self.err());
        for word in words {
            assert!(
                self.err().contains(word),
                "`{word}` is not in:\n{}",
                self.err()
            );
        }
    }
}

pub(crate) struct Foreground {
    pub(crate) child: Child,
    pub(crate) ready: String,
    pub(crate) lines: BufReader<std::process::ChildStdout>,
}

impl Foreground {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, and all that it still had to say.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.lines.read_to_string(&mut out).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits for what other processes bring about; fails after longer than any of them takes.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn visit(url: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().last().unwrap().to_owned()
}
