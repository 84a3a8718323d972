//! What the command promises to those who type it, and to their scripts.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// An application of puppets in a folder of its own, with run folders of its own.
struct Stage {
    temp: TempDir,
    orders: &'static str,
}

const TOML: &str = r#"
[topologies.split]
groups.front = { components = ["Front"], replicas = 2 }
groups.rest = { components = ["*"] }
"#;

/// The example next to this test's own binary.
fn puppet() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/puppet-app");
    assert!(
        path.exists(),
        "build it first: cargo build -p anylith-cli --examples"
    );
    path
}

impl Stage {
    fn new() -> Self {
        Self::with(TOML)
    }

    fn with(toml: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("app")).unwrap();
        fs::create_dir(temp.path().join("run")).unwrap();
        let app = format!("[app]\nname = \"puppet\"\nbinary = {:?}\n", puppet());
        fs::write(temp.path().join("app/anylith.toml"), app + toml).unwrap();
        Self { temp, orders: "" }
    }

    fn orders(mut self, orders: &'static str) -> Self {
        self.orders = orders;
        self
    }

    fn command(&self, args: &str) -> Command {
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

    fn call(&self, args: &str) -> Call {
        Call(self.command(args).output().unwrap())
    }

    /// Runs in the foreground until the first line of results is there.
    fn run(&self, args: &str) -> Foreground {
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

    fn status(&self) -> Value {
        let call = self.call("status --json");
        assert_eq!(call.code(), 0, "{}", call.err());
        serde_json::from_str(&call.out()).unwrap()
    }

    fn pids(&self) -> Vec<u32> {
        let status = self.status();
        let groups = status["groups"].as_array().unwrap();
        let replicas = groups
            .iter()
            .flat_map(|group| group["replicas"].as_array().unwrap());
        replicas
            .map(|replica| replica["pid"].as_u64().unwrap() as u32)
            .collect()
    }

    /// The one file with this name, in the one run folder.
    fn run_file(&self, name: &str) -> PathBuf {
        let mut folders = fs::read_dir(self.temp.path().join("run/anylith")).unwrap();
        folders.next().unwrap().unwrap().path().join(name)
    }
}

impl Drop for Stage {
    /// Leaves nothing running, however the test went.
    fn drop(&mut self) {
        let _ = self.command("stop --kill").output();
    }
}

struct Call(Output);

impl Call {
    fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// It says that the input is wrong, and all of `words`.
    fn is_wrong(&self, words: &[&str]) {
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

struct Foreground {
    child: Child,
    ready: String,
    lines: BufReader<std::process::ChildStdout>,
}

impl Foreground {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, and all that it still had to say.
    fn end(mut self) -> (Option<i32>, String, String) {
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

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits for what other processes bring about; fails after longer than any of them takes.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn visit(url: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().last().unwrap().to_owned()
}

#[test]
fn run_says_where_its_listener_answers_and_ctrl_c_drains() {
    let stage = Stage::new();
    let running = stage.run("--topology micro");
    let url = running.ready.strip_prefix("ready: web ").unwrap();
    assert_eq!(visit(url), "Front-1");
    let pids = stage.pids();
    running.signal(Signal::INT);
    let (code, out, err) = running.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("Front-1 | INFO  Front-1 ends"), "{out}");
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    let journal = fs::read_to_string(stage.temp.path().join("journal")).unwrap();
    let drains: Vec<&str> = journal
        .lines()
        .filter(|line| line.starts_with("drain"))
        .collect();
    assert_eq!(
        drains,
        [
            "drain Front of Front-1",
            "drain Cart of Cart-1",
            "drain Stock of Stock-1"
        ]
    );
}

#[test]
fn a_second_ctrl_c_kills() {
    let stage = Stage::new().orders("Stock=stuck");
    let running = stage.run("--topology micro");
    let pids = stage.pids();
    running.signal(Signal::INT);
    let journal = stage.temp.path().join("journal");
    eventually("the drain begins", || {
        fs::read_to_string(&journal)
            .unwrap_or_default()
            .contains("drain Stock")
    });
    running.signal(Signal::INT);
    let (code, _, err) = running.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("killing everything"), "{err}");
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn terminating_it_drains_too() {
    let stage = Stage::new();
    let running = stage.run("");
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
    let journal = fs::read_to_string(stage.temp.path().join("journal")).unwrap();
    assert!(journal.contains("drain Stock of monolith-1"), "{journal}");
}

#[test]
fn detached_it_comes_back_when_all_is_ready() {
    let stage = Stage::new();
    let call = stage.call("run --topology split --replicas rest=2 --detach");
    assert_eq!(call.code(), 0, "{}", call.err());
    assert!(
        call.out().starts_with("ready: web http://127.0.0.1:"),
        "{}",
        call.out()
    );
    assert_eq!(call.out().lines().count(), 1);
    assert!(
        call.err().contains("`anylith stop` stops it"),
        "{}",
        call.err()
    );
    assert_eq!(stage.pids().len(), 4);
    let pids = stage.pids();
    assert_eq!(stage.call("stop").out(), "stopped\n");
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn a_detached_start_that_fails_says_what_the_log_says_and_leaves_nothing() {
    let stage = Stage::new().orders("Cart=fail");
    let call = stage.call("run --topology micro --detach");
    assert_eq!((call.code(), call.out().as_str()), (1, ""));
    let err = call.err();
    assert!(
        err.contains("puppet does not start: Cart-1 has failed"),
        "{err}"
    );
    assert!(err.contains("Cart failed: no such table: carts"), "{err}");
    assert!(err.contains("ERROR there is no table `carts`"), "{err}");
    assert_eq!(stage.call("status").code(), 1);
}

#[test]
fn status_in_json_is_what_the_contract_says() {
    let stage = Stage::new();
    let call = stage.call("run --topology split --detach");
    let url = call
        .out()
        .trim_end()
        .strip_prefix("ready: web ")
        .unwrap()
        .to_owned();
    let status = stage.status();
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&status),
        ["app", "epoch", "groups", "listeners", "topology"]
    );
    assert_eq!(
        (&status["app"], &status["topology"]),
        (&"puppet".into(), &"split".into())
    );
    assert!(status["epoch"].as_u64().unwrap() > 0);
    assert_eq!(status["listeners"]["web"], url.as_str());
    let groups = status["groups"].as_array().unwrap();
    let front = groups
        .iter()
        .find(|group| group["name"] == "front")
        .unwrap();
    assert_eq!(keys(front), ["components", "name", "replicas"]);
    assert_eq!(front["components"], serde_json::json!(["Front"]));
    let replica = &front["replicas"][1];
    assert_eq!(keys(replica), ["address", "id", "pid", "restarts", "state"]);
    assert_eq!(
        (&replica["id"], &replica["state"]),
        (&"front-2".into(), &"ready".into())
    );
    assert_eq!(replica["restarts"], 0);
    assert!(replica["address"].as_str().unwrap().starts_with("unix:/"));
}

#[test]
fn status_for_people_names_what_is_missing() {
    let stage = Stage::new().orders("Stock=lazy");
    let mut starting = stage
        .command("run --topology micro")
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("what is awaited is known", || {
        stage
            .call("status")
            .out()
            .contains("Front-1: Front waits for Cart, Stock")
    });
    assert!(
        stage
            .call("status")
            .out()
            .contains("0 of 3 replicas are ready")
    );
    kill_process(Pid::from_child(&starting), Signal::TERM).unwrap();
    assert!(starting.wait().unwrap().success());
}

#[test]
fn a_crash_loop_is_said_plainly_and_shows_as_backoff() {
    let stage = Stage::new().orders("Cart=fail");
    let mut running = stage
        .command("run --topology micro")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it backs off", || {
        let call = stage.call("status --json");
        call.code() == 0 && call.out().contains("\"backoff\"")
    });
    eventually("it is called a loop", || {
        stage.call("logs").out().contains("keeps failing, 3 times")
    });
    kill_process(Pid::from_child(&running), Signal::INT).unwrap();
    let mut err = String::new();
    running
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    assert!(running.wait().unwrap().success());
    let wanted = "Cart-1 keeps failing, 3 times in a row now";
    assert!(
        err.contains(wanted) && err.contains("Cart failed: no such table: carts"),
        "{err}"
    );
    assert!(err.contains("the last lines of its log:"), "{err}");
}

#[test]
fn a_killed_supervisor_leaves_its_replicas_and_the_next_run_adopts_them() {
    let stage = Stage::new();
    let mut first = stage.run("--topology micro --replicas 2");
    let url = first.ready.clone();
    let before = stage.pids();
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert!(before.iter().all(|pid| is_alive(*pid)));
    assert!(visit(url.strip_prefix("ready: web ").unwrap()).starts_with("Front-"));
    let gone = stage.call("status");
    assert_eq!(gone.code(), 1);
    assert!(
        gone.err()
            .contains("the supervisor is gone, and 6 replicas serve on"),
        "{}",
        gone.err()
    );
    let second = stage.run("--topology micro --replicas 2");
    assert_eq!(second.ready, url);
    assert_eq!(stage.pids(), before);
    second.signal(Signal::INT);
    let (code, _, err) = second.end();
    assert_eq!(code, Some(0));
    assert!(err.contains("adopted 6 replicas"), "{err}");
    assert!(before.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn stop_works_without_a_supervisor() {
    let stage = Stage::new();
    let mut first = stage.run("--topology micro");
    let pids = stage.pids();
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert_eq!(stage.call("stop").out(), "stopped\n");
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn run_refuses_what_already_runs_and_says_how_to_go_on() {
    let stage = Stage::new();
    assert_eq!(stage.call("run --detach").code(), 0);
    let again = stage.call("run");
    assert_eq!(again.code(), 1);
    assert!(
        again
            .err()
            .contains("puppet is already running, by process"),
        "{}",
        again.err()
    );
    assert!(again.err().contains("`anylith stop`"), "{}", again.err());
}

#[test]
fn an_address_in_use_is_said_with_listener_address_and_mend() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let stage = Stage::new();
    let call = stage.call(&format!("run --listen web={address}"));
    assert_eq!(call.code(), 1);
    for word in [
        "`web`",
        &address,
        "another process uses this address",
        "--listen web=127.0.0.1:0",
    ] {
        assert!(call.err().contains(word), "{}", call.err());
    }
}

#[test]
fn logs_can_be_asked_for_by_component_level_text_and_replica() {
    let stage = Stage::new().orders("Cart=fail");
    stage.call("run --topology micro --detach");
    let lines = |args: &str| {
        let call = stage.call(&format!("logs {args}"));
        assert_eq!(call.code(), 0, "{}", call.err());
        call.out().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(
        lines("--component Cart")
            .iter()
            .all(|line| line.contains(" Cart-1 "))
    );
    assert!(
        lines("--level error")
            .iter()
            .all(|line| line.contains("ERROR there is no table"))
    );
    assert!(!lines("--level error").is_empty());
    assert_eq!(lines("BEGINS --replica Stock").len(), 1);
    assert_eq!(lines("no table -n 1").len(), 1);
    assert!(lines("--text nowhere").is_empty());
    assert_eq!(stage.call("logs --level loud").code(), 2);
}

#[test]
fn followed_logs_go_on_with_new_lines() {
    let stage = Stage::new();
    stage.call("run --topology micro --detach");
    let mut follow = stage
        .command("logs -f ready --component Cart")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .contains("Cart-1 | INFO  ready")
    );
    let cart = stage.status();
    let groups = cart["groups"].as_array().unwrap().clone();
    let cart = groups.iter().find(|group| group["name"] == "Cart").unwrap();
    let pid = cart["replicas"][0]["pid"].as_i64().unwrap() as i32;
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    // The one that is started in its place.
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .contains("Cart-1 | INFO  ready")
    );
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let stage = Stage::new();
    stage.call("run --topology micro --detach");
    let mut logs = stage
        .command("logs")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(logs.stdout.take());
    let mut err = String::new();
    logs.stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    assert!(logs.wait().unwrap().success());
    assert_eq!(err, "");
}

#[test]
fn the_graph_is_drawn_in_every_format() {
    let stage = Stage::new();
    for format in ["text", "svg", "mermaid", "dot", "json"] {
        let call = stage.call(&format!("graph --format {format} --topology split"));
        assert_eq!(call.code(), 0, "{}", call.err());
        assert!(call.out().contains("Front"), "{format}");
    }
    let graph: Value = serde_json::from_str(&stage.call("graph --format json").out()).unwrap();
    assert_eq!(
        graph["components"][0]["dependencies"],
        serde_json::json!(["Cart", "Stock"])
    );
    stage
        .call("graph --format png")
        .is_wrong(&["png", "mermaid"]);
}

#[test]
fn check_reports_all_problems_at_once() {
    let toml = "
[components.Cart]
limit = \"many\"

[components.Karte]
limit = 3

[topologies.split]
groups.front = { components = [\"Front\", \"Kart\"] }
groups.rest = { components = [\"*\"], replica = 2 }
";
    let call = Stage::with(toml).call("check");
    call.is_wrong(&[
        "`limit` in the config of Cart",
        "Karte",
        "Kart",
        "`replica`",
        "did you mean",
    ]);
    // Each at its line, in the order of the file.
    let places = [
        "anylith.toml:6:",
        "anylith.toml:8:",
        "anylith.toml:12:",
        "anylith.toml:13:",
    ];
    let found: Vec<usize> = places
        .iter()
        .map(|place| call.err().find(place).unwrap())
        .collect();
    assert!(found.is_sorted(), "{}", call.err());
}

#[test]
fn check_says_that_nothing_is_wrong() {
    let call = Stage::new().call("check");
    assert_eq!(call.code(), 0, "{}", call.err());
    assert_eq!(
        call.out(),
        "ok: puppet with 3 components, in 3 topologies: monolith, micro, split\n"
    );
}

#[test]
fn wrong_input_is_told_from_failure() {
    let stage = Stage::new();
    stage
        .call("run --topology splat")
        .is_wrong(&["`splat`", "split"]);
    stage
        .call("run --replicas none")
        .is_wrong(&["--replicas none", "GROUP=NUMBER"]);
    stage.call("run --replicas Stok=2").is_wrong(&["Stok"]);
    stage
        .call("run --listen wob=127.0.0.1:0")
        .is_wrong(&["wob", "web"]);
    stage
        .call("run --set components.Cart.limit=many")
        .is_wrong(&["limit", "expected a number"]);
    stage.call("run nowhere").is_wrong(&["there is no nowhere"]);
    stage.call("run --bogus").is_wrong(&["--bogus"]);
    stage.call("").is_wrong(&["Usage"]);
    assert_eq!(stage.call("stop").code(), 1);
    assert_eq!(stage.call("status").code(), 1);
    assert_eq!(stage.call("logs").code(), 1);
    fs::remove_file(stage.temp.path().join("app/anylith.toml")).unwrap();
    stage
        .call("check")
        .is_wrong(&["has no anylith.toml", "[app]"]);
}

#[test]
fn a_program_that_is_no_application_is_told_what_to_call() {
    let stage = Stage::new();
    let toml = stage.temp.path().join("app/anylith.toml");
    for program in ["/bin/true", "/bin/false"] {
        fs::write(
            &toml,
            format!("[app]\nname = \"puppet\"\nbinary = \"{program}\"\n"),
        )
        .unwrap();
        let call = stage.call("graph");
        assert_eq!(call.code(), 1);
        assert!(call.err().contains(program), "{}", call.err());
        assert!(
            call.err()
                .contains("its `main` must call `App::run().await`"),
            "{}",
            call.err()
        );
    }
    fs::write(&toml, "[app]\nname = \"puppet\"\nbinary = \"gone\"\n").unwrap();
    stage.call("graph").is_wrong(&["is no program"]);
}

#[test]
fn nobody_else_can_look_into_the_run_folder() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    stage.call("run --detach");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&stage.run_file("")), 0o700);
    for file in ["control.sock", "logs/monolith-1.log"] {
        assert_eq!(mode(&stage.run_file(file)), 0o600, "{file}");
    }
    assert_eq!(
        mode(&stage.run_file("state.json")),
        0o600,
        "it holds the config"
    );
}

#[test]
fn an_application_can_be_named_by_its_folder_or_its_file() {
    let stage = Stage::new();
    let folder = stage.temp.path().join("app");
    let elsewhere = |args: &str| {
        let mut command = stage.command(args);
        Call(command.current_dir(stage.temp.path()).output().unwrap())
    };
    let run = elsewhere("run app --detach");
    assert!(
        run.err().contains("`anylith stop app` stops it"),
        "{}",
        run.err()
    );
    for way in [
        "status app",
        "status app/anylith.toml",
        "status --app app",
        "logs --app app",
    ] {
        assert_eq!(elsewhere(way).code(), 0, "{way}");
    }
    assert_eq!(elsewhere(&format!("stop {}", folder.display())).code(), 0);
}
