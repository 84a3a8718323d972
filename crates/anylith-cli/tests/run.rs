//! What `run` and `stop` promise to those who type them, and to their scripts.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use stage::{Stage, eventually, is_alive, visit};

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
    assert!(err.contains("Front-1 | INFO  Front-1 ends"), "{err}");
    assert!(err.contains("\nstopped\n"), "{err}");
    assert_eq!(out, "", "standard output is for scripts");
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
    for replica in ["Cart-1 (process ", "Front-2 (process "] {
        assert!(gone.err().contains(replica), "{}", gone.err());
    }
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

/// A binary that never answers, so that a run waits for it.
fn silent(stage: &Stage) {
    let toml = stage.temp.path().join("app/anylith.toml");
    let program = stage.temp.path().join("app/silent");
    let journal = stage.temp.path().join("journal");
    fs::write(
        &program,
        format!(
            "#!/bin/sh\necho asked > {}\nexec sleep 600\n",
            journal.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(toml, "[app]\nname = \"puppet\"\nbinary = \"silent\"\n").unwrap();
}

#[test]
fn a_signal_before_anything_is_started_is_answered_in_words() {
    for args in ["run", "run --detach"] {
        let stage = Stage::new();
        silent(&stage);
        let running = stage
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let journal = stage.temp.path().join("journal");
        eventually("the binary is asked", || journal.exists());
        kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
        let end = running.wait_with_output().unwrap();
        assert_eq!(end.status.code(), Some(1), "{args}");
        let err = String::from_utf8_lossy(&end.stderr);
        assert!(err.starts_with("error: the run of puppet in /"), "{err}");
        assert!(
            err.ends_with("/app was ended by a signal before anything was started\n"),
            "{err}"
        );
    }
}

#[test]
fn a_failure_is_told_once_with_what_helps() {
    let stage = Stage::with("[components.Cart]\nlimit = 3\n").orders("Cart=fail");
    let running = stage
        .command("run --topology micro")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it fails again and again", || {
        stage.call("logs").out().contains("keeps failing, 5 times")
    });
    kill_process(Pid::from_child(&running), Signal::INT).unwrap();
    let end = running.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&end.stderr);
    let said = |text: &str| err.matches(text).count();
    // When it is new, and when it is a loop.
    assert_eq!(said("Cart failed: no such table: carts"), 2, "{err}");
    assert!(said("for the same reason") >= 2, "{err}");
    assert_eq!(
        said("= look at [components.Cart] at anylith.toml:4:13"),
        1,
        "{err}"
    );
}

#[test]
fn a_stop_that_takes_long_says_what_it_waits_for() {
    let stage = Stage::new().orders("Stock=stuck");
    let running = stage.run("--topology micro");
    let mut stop = stage
        .command("stop")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(stop.stderr.take().unwrap()).lines();
    let line = told.next().unwrap().unwrap();
    let wanted = "waiting for Stock-1: Stock finishes its work, for ";
    assert!(line.starts_with(wanted), "{line}");
    assert!(
        line.contains("`anylith stop --kill` does not wait"),
        "{line}"
    );
    // It drains already, so this is the second wish.
    running.signal(Signal::INT);
    let (code, _, err) = running.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains(wanted), "{err}");
    assert!(stop.wait().unwrap().success());
}

#[test]
fn a_stop_asked_of_a_supervisor_that_hangs_says_so_and_how_to_go_on() {
    let stage = Stage::new();
    let running = stage.run("--topology micro");
    let pids = stage.pids();
    running.signal(Signal::STOP);
    let call = stage.call("stop");
    assert_eq!(call.code(), 1);
    for words in [
        "the supervisor did not answer",
        "`kill -9`",
        "`anylith stop`",
    ] {
        assert!(call.err().contains(words), "{}", call.err());
    }
    running.signal(Signal::KILL);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    assert_eq!(stage.call("stop").out(), "stopped\n");
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    running.end();
}

#[test]
fn what_an_earlier_run_left_is_replaced_only_with_a_reason() {
    let stage = Stage::new();
    let mut first = stage.run("--topology micro");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let call = stage.call("run --topology micro --replicas Cart=2 --detach");
    let why = "stopping 3 replicas of topology micro that an earlier run has left, to start anew: \
               Cart has 2 replicas, and had 1\n";
    assert_eq!(call.code(), 0, "{}", call.err());
    assert!(call.err().starts_with(why), "{}", call.err());
    let again = stage.call("run --topology split");
    assert_eq!(again.code(), 1);
    let why = "and not as it was to be started: the topology is split, and was micro";
    assert!(again.err().contains(why), "{}", again.err());
}

/// Where a namespace of processes was entered without a session of its own, the kernel calls the leaders of group and session 0.
#[test]
fn in_a_container_whose_session_is_led_from_outside_it_runs_as_elsewhere() {
    let stage = Stage::new();
    let anylith = env!("CARGO_BIN_EXE_anylith");
    let stray = "ANYLITH_CONTROL=/run/another sleep 1000 &";
    let script = format!("{stray} {anylith} run --topology micro --detach && {anylith} stop");
    let within = stage.command("");
    let mut container = Command::new("unshare");
    container
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", &script])
        .current_dir(within.get_current_dir().unwrap())
        .envs(
            within
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null());
    let call = container.output().unwrap();
    let err = String::from_utf8_lossy(&call.stderr);
    if err.contains("Operation not permitted") {
        return privileged::skip(err);
    }
    assert!(call.status.success(), "{err}");
    assert!(String::from_utf8_lossy(&call.stdout).ends_with("\nstopped\n"));
}

#[test]
fn what_does_not_run_is_called_by_its_name_and_folder() {
    let stage = Stage::new();
    for command in ["status", "status --json", "stop", "logs", "logs -f"] {
        let call = stage.call(command);
        assert_eq!((call.code(), call.out().as_str()), (1, ""), "{command}");
        let err = call.err();
        assert!(err.starts_with("error: puppet in /"), "{err}");
        assert!(
            err.ends_with("/app is not running\n  = start it with `anylith run`\n"),
            "{err}"
        );
    }
}

#[test]
fn a_run_that_cannot_go_into_the_background_is_stopped_and_says_why() {
    let stage = Stage::new();
    let mut first = stage.run("--topology micro");
    let pids = stage.pids();
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let log = stage.run_file("logs/anylith.log");
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    let call = stage.call("run --topology micro --detach");
    assert_eq!(call.code(), 1, "{}", call.out());
    assert!(
        call.err().contains("anylith.log cannot be written"),
        "{}",
        call.err()
    );
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    assert_eq!(stage.call("status").code(), 1);
    fs::remove_dir(&log).unwrap();
}

#[test]
fn a_supervisor_without_file_descriptors_goes_on_and_recovers() {
    let stage = Stage::new();
    let running = stage.run("--topology micro");
    let supervisor = Some(Pid::from_child(&running.child));
    let pids = stage.pids();
    let none = Rlimit {
        current: Some(3),
        ..getrlimit(Resource::Nofile)
    };
    let before = prlimit(supervisor, Resource::Nofile, none).unwrap();
    for pid in &pids {
        kill_process(Pid::from_raw(*pid as i32).unwrap(), Signal::KILL).unwrap();
    }
    let log = stage.run_file("logs/anylith.log");
    eventually("no process can be started", || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.contains("could not be started: Too many open files")
    });
    prlimit(supervisor, Resource::Nofile, before).unwrap();
    eventually("all is ready again", || {
        let replicas = stage.replicas();
        replicas.iter().all(|replica| replica["state"] == "ready")
    });
    running.signal(Signal::INT);
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn what_cargo_says_to_this_command_is_not_said_to_the_build_of_the_application() {
    let stage = Stage::new();
    let toml = "[app]\nname = \"puppet\"\npackage = \"puppet\"\n";
    fs::write(stage.temp.path().join("app/anylith.toml"), toml).unwrap();
    let (cargo, seen) = (
        stage.temp.path().join("cargo"),
        stage.temp.path().join("seen"),
    );
    fs::write(
        &cargo,
        format!("#!/bin/sh\nenv > {}\nexit 1\n", seen.display()),
    )
    .unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = stage.command("check");
    // As `cargo run` has it, and what its user has set.
    command
        .env("CARGO", &cargo)
        .env("CARGO_MANIFEST_DIR", "/elsewhere")
        .env("CARGO_PKG_NAME", "anylith-cli")
        .env("OUT_DIR", "/elsewhere")
        .env("CARGO_NET_OFFLINE", "true");
    assert!(!command.status().unwrap().success());
    let seen = fs::read_to_string(seen).unwrap();
    for gone in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "OUT_DIR"] {
        assert!(!seen.contains(&format!("{gone}=")), "{gone} is in {seen}");
    }
    assert!(seen.contains("CARGO_NET_OFFLINE=true"), "{seen}");
}
