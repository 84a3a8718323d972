//! What `status` promises, and the folder that it asks.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::Path,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stage::{Call, Stage, eventually};

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
fn a_supervisor_that_was_stopped_is_told_from_one_of_another_version() {
    let stage = Stage::new();
    stage.call("run --detach");
    let pid = fs::read_to_string(stage.run_file("lock")).unwrap();
    let process = Pid::from_raw(pid.parse().unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    let call = stage.call("status");
    kill_process(process, Signal::CONT).unwrap();
    assert_eq!(call.code(), 1);
    for words in [format!("process {pid}"), format!("kill -CONT {pid}")] {
        assert!(call.err().contains(&words), "{}", call.err());
    }
    assert!(!call.err().contains("version"), "{}", call.err());
}

#[test]
fn restarts_are_counted_from_the_start_of_the_application() {
    let stage = Stage::new();
    stage.call("run --detach");
    let replica = || stage.status()["groups"][0]["replicas"][0].clone();
    let pid = |number: &str| Pid::from_raw(number.parse().unwrap()).unwrap();
    let first = replica()["pid"].to_string();
    kill_process(pid(&first), Signal::KILL).unwrap();
    eventually("it is started again", || {
        replica()["restarts"] == 1 && replica()["state"] == "ready"
    });
    let supervisor = fs::read_to_string(stage.run_file("lock")).unwrap();
    kill_process(pid(&supervisor), Signal::KILL).unwrap();
    let call = stage.call("run --replicas 2 --detach");
    assert_eq!(call.code(), 0, "{}", call.err());
    assert_eq!(replica()["restarts"], 0);
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
fn who_looks_in_another_place_is_told_where_it_runs() {
    let stage = Stage::new();
    stage.call("run --detach");
    let other = stage.temp.path().join("other");
    for command in ["status", "stop", "logs", "restart"] {
        let call = stage
            .command(command)
            .env("XDG_RUNTIME_DIR", &other)
            .output();
        let call = Call(call.unwrap());
        assert_eq!((call.code(), call.out().as_str()), (1, ""), "{command}");
        let run = stage.temp.path().join("run");
        let err = call.err();
        for words in [
            format!(
                "/app does not run here (looked in {}/anylith); ",
                other.display()
            ),
            "this user runs it with another XDG_RUNTIME_DIR, in ".to_owned(),
            format!("`XDG_RUNTIME_DIR={} anylith status`\n", run.display()),
        ] {
            assert!(err.contains(&words), "{command}: {words} is not in {err}");
        }
    }
    assert_eq!(stage.call("stop").code(), 0);
    let call = stage
        .command("status")
        .env("XDG_RUNTIME_DIR", &other)
        .output();
    let err = Call(call.unwrap()).err();
    assert!(
        err.ends_with("/app is not running\n  = start it with `anylith run`\n"),
        "{err}"
    );
}

#[test]
fn root_is_told_whose_application_it_is() {
    /// A user who is on every system, and owns nothing.
    const NOBODY: u32 = 65534;
    let stage = Stage::new().with_own_program();
    let own = |path: &Path| chown(path, Some(NOBODY), Some(NOBODY));
    let (temp, run) = (stage.temp.path(), stage.temp.path().join("run"));
    if let Err(error) = own(temp).and_then(|()| own(&run)) {
        return privileged::skip(error);
    }
    let as_nobody = |args: &str| {
        let mut command = stage.command(args);
        command.uid(NOBODY).gid(NOBODY);
        command.output().map(Call)
    };
    let call = match as_nobody("run --detach") {
        Ok(call) => call,
        // The folders above the command are closed to others.
        Err(error) => return privileged::skip(error),
    };
    assert_eq!(call.code(), 0, "{}", call.err());
    let mut command = stage.command("status");
    command.env("XDG_RUNTIME_DIR", temp.join("of-root"));
    let err = Call(command.output().unwrap()).err();
    let command = format!(
        "`sudo -u nobody XDG_RUNTIME_DIR={} anylith status`",
        run.display()
    );
    for words in ["; user nobody runs it\n", &command] {
        assert!(err.contains(words), "{words} is not in {err}");
    }
    assert_eq!(as_nobody("status").unwrap().code(), 0);
    assert_eq!(as_nobody("stop").unwrap().code(), 0);
}

#[test]
fn no_core_dump_of_the_supervisor_is_written() {
    use std::os::unix::process::ExitStatusExt as _;
    // With the limits of the shell lifted, so that the system would write one.
    let dumps = |program: &mut std::process::Command, runs: &dyn Fn(Pid) -> bool| {
        let mut child = program
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        eventually("it runs", || runs(pid));
        kill_process(pid, Signal::ABORT).unwrap();
        child.wait().unwrap().core_dumped()
    };
    let temp = tempfile::tempdir().unwrap();
    let shell = |script: &str| {
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &format!("ulimit -c unlimited; {script}")])
            .current_dir(temp.path());
        command
    };
    let sleeps = |pid: Pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("sleep")
    };
    if !dumps(&mut shell("exec sleep 60"), &sleeps) {
        println!("skipped: this system writes no core dumps");
        return;
    }
    let stage = Stage::new().orders("Stock=lazy");
    let own = env!("CARGO_BIN_EXE_anylith");
    let mut command = shell(&format!("exec {own} run"));
    let run = stage.temp.path().join("run");
    command
        .current_dir(stage.temp.path().join("app"))
        .env("XDG_RUNTIME_DIR", &run)
        .env("PUPPET", stage.orders);
    // It has begun before it knows anything: who comes earlier than that finds no secret.
    let supervises = |_| {
        let folders = fs::read_dir(run.join("anylith"));
        folders.is_ok_and(|mut folders| folders.next().is_some())
    };
    assert!(!dumps(&mut command, &supervises));
}
