//! What `upgrade` promises and what it refuses, with puppets that run one binary under two names. How builds are rolled in under load is
//! in the tests from end to end.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stage::{Call, Stage, build_at, eventually, example, program_of, puppet};

/// Another build, as far as anybody can see.
fn another_build(stage: &Stage) -> PathBuf {
    let path = stage.temp.path().join("another");
    build_at(&path, 1, "");
    path
}

/// `upgrade` to the build at `path`, which nobody watches.
fn to(path: &Path) -> String {
    format!("upgrade --binary {} --observe 0s", path.display())
}

#[test]
fn after_an_upgrade_that_went_back_by_itself_there_is_nothing_to_roll_back() {
    let stage = Stage::new().orders("front-3=fail");
    stage.detached("split");
    let another = another_build(&stage);
    let call = stage.call(&format!("{} --json", to(&another)));
    assert_eq!(call.code(), 1, "{}", call.out());
    let why = "front-3 does not run with the new build";
    assert!(call.err().contains(why), "{}", call.err());
    let told: Value = serde_json::from_str(&call.out()).unwrap();
    assert_eq!(told["state"], "failed");
    assert!(told["why"].as_str().unwrap().starts_with(why), "{told}");
    // What is kept besides the build that stands is the broken one.
    let call = stage.call("upgrade --rollback");
    assert_eq!((call.code(), call.out().as_str()), (1, ""));
    let why = "error: there is no build to go back to";
    assert!(call.err().contains(why), "{}", call.err());
    assert_eq!(stage.builds(), [0]);
}

#[test]
fn the_build_before_comes_back_after_an_upgrade_that_was_made() {
    let stage = Stage::new();
    stage.detached("split");
    let another = another_build(&stage);
    let call = stage.call(&to(&another));
    assert_eq!(call.code(), 0, "{}", call.err());
    assert_eq!(stage.builds(), [1]);
    let call = stage.call("upgrade --rollback --json");
    assert_eq!(call.code(), 0, "{}", call.err());
    let told: Value = serde_json::from_str(&call.out()).unwrap();
    assert_eq!(told["state"], "rolled_back");
    assert_eq!(stage.builds(), [2]);
}

#[test]
fn a_rollback_that_is_cut_off_by_a_stop_is_not_called_done() {
    let stage = Stage::new();
    stage.detached("split");
    let another = another_build(&stage);
    let call = stage.call(&format!("{} --canary 50%", to(&another)));
    assert_eq!(call.code(), 0, "{}", call.err());
    // It leaves only when it is killed for it.
    kill_process(stage.pid("front-3"), Signal::STOP).unwrap();
    let rollback = stage
        .command("upgrade --rollback")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it has begun", || {
        let status = stage.call("status").out();
        status.contains("rolling the upgrade back")
    });
    assert_eq!(stage.call("stop --kill").code(), 0);
    let end = rollback.wait_with_output().unwrap();
    let (out, err) = (end.stdout, String::from_utf8_lossy(&end.stderr));
    assert_eq!(
        (end.status.code(), out.as_slice()),
        (Some(1), &b""[..]),
        "{err}"
    );
    assert!(err.contains("the application is being stopped"), "{err}");
    assert!(!err.contains("serve on"), "{err}");
}

#[test]
fn a_replica_whose_own_build_cannot_be_kept_is_not_started_from_another_one() {
    let stage = Stage::new().with_own_program();
    stage.detached("split");
    let rest = || stage.status()["groups"][1]["replicas"][0].clone();
    let before = rest()["pid"].clone();
    build_at(&stage.program(), 1, "");
    // As where there is no room for it.
    let builds = stage.run_file("builds");
    fs::write(&builds, "").unwrap();
    let pid = Pid::from_raw(i32::try_from(before.as_u64().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    eventually("it cannot be started", || {
        let status = stage.call("status").out();
        status.contains("and its own cannot be kept")
    });
    assert_eq!(rest()["state"], "backoff");
    fs::remove_file(&builds).unwrap();
    eventually("it is ready", || rest()["state"] == "ready");
    let runs = program_of(rest()["pid"].as_u64().unwrap() as u32);
    assert!(runs.starts_with(&builds), "{}", runs.display());
}

#[test]
fn what_is_not_rolled_in_is_not_kept() {
    let stage = Stage::new().orders("front-3=mute");
    stage.detached("split");
    let kept = || fs::read_dir(stage.run_file("builds")).map_or(0, Iterator::count);
    let another = another_build(&stage);
    let call = stage.call(&format!("{} --dry-run", to(&another)));
    assert_eq!(call.code(), 0, "{}", call.err());
    assert_eq!(kept(), 0, "it was to be said only");
    // It is no program at all.
    let text = stage.temp.path().join("app/anylith.toml");
    assert_ne!(stage.call(&to(&text)).code(), 0);
    assert_eq!(kept(), 0);
    // One change at a time.
    let restart = stage
        .command("restart front")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it has begun", || {
        stage.call("status").out().contains("front-3 starts")
    });
    let call = stage.call(&to(&another));
    let why = "another change is under way";
    assert!(call.err().contains(why), "{}", call.err());
    assert_eq!(kept(), 0);
    kill_process(Pid::from_child(&restart), Signal::KILL).unwrap();
    restart.wait_with_output().unwrap();
}

/// `Cart` has a config.
const TOML: &str = "\n[components.Cart]\nlimit = 5\n";

/// A build that is another file, and asks `Cart` for another config.
fn upgrade_to_a_strict_build(stage: &Stage) -> Call {
    let build = stage.temp.path().join("new-build");
    fs::copy(puppet(), &build).unwrap();
    let mut command = stage.command("upgrade --binary");
    command.arg(build).env("PUPPET", "Cart=strict");
    Call(command.output().unwrap())
}

#[test]
fn a_build_that_needs_another_config_is_refused_at_its_line_before_anything_is_started() {
    let stage = Stage::with(TOML);
    assert_eq!(stage.call("run --topology micro --detach").code(), 0);
    let before = stage.status();
    let call = upgrade_to_a_strict_build(&stage);
    assert_eq!(call.code(), 1, "{}", call.err());
    for word in [
        "does not accept the config that runs",
        "anylith.toml:5:13: the config of Cart has no `reserve`",
        "[components.Cart]",
        "add `reserve = …` to [components.Cart]",
        "nothing was started",
        "`anylith stop`",
    ] {
        assert!(call.err().contains(word), "{word}:\n{}", call.err());
    }
    // What is added now does not run, and what runs is said without the line that it no longer has.
    let file = stage.temp.path().join("app/anylith.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "reserve = 2\n").unwrap();
    let call = upgrade_to_a_strict_build(&stage);
    let word = "[components.Cart] as it runs, and no longer stands in anylith.toml: missing field `reserve`";
    assert_eq!(call.code(), 1);
    assert!(call.err().contains(word), "{}", call.err());
    assert_eq!(stage.status(), before);
}

#[test]
fn where_hosts_are_written_down_it_is_said_that_they_are_upgraded_there() {
    let stage = Stage::new();
    let call = stage.call("upgrade");
    assert_eq!(call.code(), 1);
    assert!(
        call.err().contains("start it with `anylith run`"),
        "{}",
        call.err()
    );
    let hosts = "[hosts.one]\naddress = \"10.0.0.1\"\n";
    fs::write(stage.temp.path().join("app/hosts.toml"), hosts).unwrap();
    for command in ["upgrade", "upgrade --rollback", "upgrade --dry-run"] {
        let call = stage.call(command);
        assert_eq!(call.code(), 1);
        let words = "the replicas on the hosts of hosts.toml are upgraded there";
        assert!(call.err().contains(words), "{command}: {}", call.err());
        assert!(call.err().contains("`anylith render static`"));
    }
    // What runs here, beside them, is upgraded here.
    assert_eq!(stage.call("run --detach").code(), 0);
    let call = stage.call("upgrade --resume");
    assert!(
        call.err().contains("no upgrade is under way"),
        "{}",
        call.err()
    );
    assert_eq!(stage.call("stop").code(), 0);
    let call = stage.call("upgrade --rollback");
    assert!(call.err().contains("are upgraded there"), "{}", call.err());
}

#[test]
fn what_was_typed_and_is_no_build_of_the_application_is_wrong_input() {
    let stage = Stage::new();
    stage.detached("split");
    let upgrade = |binary: &Path| stage.call(&format!("upgrade --binary {}", binary.display()));
    upgrade(Path::new("/bin/false")).is_wrong(&[
        "error: /",
        "/false does not answer as an Anylith application",
    ]);
    upgrade(Path::new("nowhere")).is_wrong(&["there is no file nowhere"]);
    upgrade(&example("counter")).is_wrong(&[
        "counter is a build of counter, and puppet runs",
        "name a build of the application that runs",
    ]);
    assert_eq!(stage.builds(), [0]);
}

#[test]
fn while_an_upgrade_is_paused_other_changes_are_told_how_it_ends() {
    let stage = Stage::new();
    stage.detached("split");
    let another = another_build(&stage);
    let call = stage.call(&format!("{} --canary 50%", to(&another)));
    assert_eq!(call.code(), 0, "{}", call.err());
    // One of each of the two groups.
    let paused = "the upgrade is paused; 2 new replicas beside 3 old ones";
    assert!(call.out().starts_with(paused), "{}", call.out());
    let status = stage.call("status").out();
    let rows = status.lines().skip(2).take(6);
    let builds: Vec<&str> = rows
        .map(|row| row.split_whitespace().nth(4).unwrap())
        .collect();
    assert_eq!(builds, ["BUILD", "0", "1", "0", "0", "1"], "{status}");
    let call = stage.call("restart");
    assert_eq!(call.code(), 1);
    for words in [
        "another change is under way: the upgrade is paused",
        "`anylith upgrade --resume`",
        "`anylith upgrade --rollback`",
    ] {
        assert!(call.err().contains(words), "{}", call.err());
    }
    assert_eq!(stage.call("upgrade --resume").code(), 0);
    // One build runs, and nobody has to be told which.
    assert!(!stage.call("status").out().contains("BUILD"));
}

#[test]
fn who_leaves_an_upgrade_is_told_how_it_can_be_ended() {
    let stage = Stage::new().orders("front-3=mute");
    stage.detached("split");
    let upgrade = stage
        .command(&to(&another_build(&stage)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it has begun", || {
        stage.call("status").out().contains("front-3 starts")
    });
    kill_process(Pid::from_child(&upgrade), Signal::INT).unwrap();
    let left = Call(upgrade.wait_with_output().unwrap());
    assert_eq!((left.code(), left.out().as_str()), (1, ""));
    assert_eq!(
        left.err(),
        "left; the upgrade goes on: `anylith status` says how far it has come, \
         and `anylith upgrade --rollback` brings the old build back\n"
    );
}
