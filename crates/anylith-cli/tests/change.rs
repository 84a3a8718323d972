//! What `restart`, `scale` and `reshape` promise.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    collections::BTreeMap,
    fs,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stage::{Call, Stage, eventually, is_alive, visit};

/// Replica → its process.
fn processes(stage: &Stage) -> BTreeMap<String, u64> {
    let replicas = stage.replicas();
    replicas
        .iter()
        .filter_map(|replica| {
            let id = replica["id"].as_str().unwrap().to_owned();
            Some((id, replica["pid"].as_u64()?))
        })
        .collect()
}

#[test]
fn a_restart_renews_every_process_while_visitors_are_served() {
    let stage = Stage::new();
    let url = stage.detached("split");
    let before = processes(&stage);
    let over = Arc::new(AtomicBool::new(false));
    let visitor = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut visits = 0;
            while !over.load(Ordering::Acquire) {
                assert!(visit(&url).starts_with("front-"));
                visits += 1;
            }
            visits
        }
    });
    let call = stage.call("restart");
    over.store(true, Ordering::Release);
    assert!(visitor.join().unwrap() > 10);
    assert_eq!(
        (call.code(), call.out().as_str()),
        (0, "restarted\n"),
        "{}",
        call.err()
    );
    let after = processes(&stage);
    assert!(before.keys().eq(after.keys()), "{after:?}");
    assert!(before.iter().all(|(id, pid)| after[id] != *pid));
    assert!(before.values().all(|pid| !is_alive(*pid as u32)));
    let logs = stage.call("logs --replica anylith").out();
    assert!(logs.contains("front-1 was started anew"), "{logs}");
    assert!(logs.contains("restarted 3 replicas"), "{logs}");
}

#[test]
fn a_restart_of_one_group_takes_the_name_of_a_component_too() {
    let stage = Stage::new();
    stage.detached("split");
    let before = processes(&stage);
    let call = stage.call("restart Cart");
    let rest = "restarted group rest: ";
    assert!(call.out().starts_with(rest), "{}", call.err());
    assert!(call.out().contains("Cart"), "{}", call.out());
    let after = processes(&stage);
    let same = |id: &str| before[id] == after[id];
    assert_eq!(
        (same("front-1"), same("front-2"), same("rest-1")),
        (true, true, false)
    );
}

#[test]
fn a_restart_whose_successor_cannot_start_says_why_and_changes_nothing() {
    let stage = Stage::new().orders("front-3=fail");
    let url = stage.detached("split");
    let before = processes(&stage);
    let call = stage.call("restart front");
    assert_eq!((call.code(), call.out().as_str()), (1, ""));
    let why = "error: front-3 does not start: Front failed: no such table: carts";
    assert!(call.err().contains(why), "{}", call.err());
    eventually("the stand-in is gone", || processes(&stage) == before);
    assert!(visit(&url).starts_with("front-"));
}

#[test]
fn names_and_numbers_that_cannot_be_are_refused() {
    let stage = Stage::new();
    stage.detached("split");
    let wrong = |args: &str, words: &[&str]| stage.call(args).is_wrong(words);
    wrong(
        "restart frnot",
        &["there is no group frnot", "did you mean `front`?"],
    );
    wrong(
        "restart nosuch",
        &[
            "there is no group nosuch, and no component of that name",
            "the groups and components are `front`, `rest`, `Stock`, `Cart`, `Front`",
        ],
    );
    wrong(
        "scale fornt=2",
        &["there is no group fornt", "did you mean `front`?"],
    );
    wrong(
        "scale front=0",
        &[
            "0 replicas cannot be had",
            "from 1 to 1000",
            "for none while nothing is called, write `front=0..1`",
        ],
    );
    wrong(
        "scale rest=5..2",
        &["5..2 has more for the fewest than for the most"],
    );
    wrong("scale rest=1..", &["`1..` is not a range", "`rest=1..6`"]);
    // It is the supervisor who knows the listeners, and what is in a group.
    wrong("scale front=0..2", &["front serves the listener web"]);
    wrong(
        "scale Cart=2 rest=3",
        &["Cart and rest are in one group: say once how many"],
    );
    wrong(
        "reshape Split",
        &[
            "there is no topology `Split` in anylith.toml",
            "did you mean `split`?",
        ],
    );
    wrong("scale front=many", &["`many` is not a number of replicas"]);
    wrong("scale front=1 front=2", &["`front` is there twice"]);
    wrong("scale .", &["no group is named"]);
    wrong("scale", &["GROUP=N"]);
    wrong("scale rest", &["`rest=2`"]);
    stage.call("stop");
    let call = stage.call("restart");
    assert_eq!(call.code(), 1);
    assert!(call.err().contains("is not running"), "{}", call.err());
}

#[test]
fn groups_get_more_replicas_and_fewer_while_they_serve() {
    let stage = Stage::new();
    let url = stage.detached("split");
    let before = processes(&stage);
    let call = stage.call("scale front=4 rest=2");
    assert_eq!(call.out(), "scaled front=4 rest=2\n", "{}", call.err());
    let grown = processes(&stage);
    assert_eq!(grown.len(), 6);
    assert!(before.iter().all(|(id, pid)| grown[id] == *pid));
    assert_eq!(stage.call("scale front=1").code(), 0);
    let ids: Vec<String> = processes(&stage).into_keys().collect();
    assert_eq!(ids, ["front-1", "rest-1", "rest-2"]);
    assert_eq!(visit(&url), "front-1");
    let call = stage.call("scale Cart=1");
    assert_eq!(
        call.out(),
        "scaled rest=1 (the group of Cart)\n",
        "{}",
        call.err()
    );
    // Another run knows what there is now.
    let again = stage.call("run --topology split");
    let why = "front has 2 replicas, and had 1";
    assert!(again.err().contains(why), "{}", again.err());
}

#[test]
fn what_other_numbers_would_start_and_stop_is_said_before_it_is_done() {
    let stage = Stage::new();
    stage.detached("split");
    let before = processes(&stage);
    let plan = stage.call("scale front=1 Cart=3 --dry-run");
    assert_eq!(plan.code(), 0, "{}", plan.err());
    for line in [
        "~ front, 1 replica and not 2: Front\n",
        "~ rest, 3 replicas and not 1: Stock, Cart\n",
        "start rest-2, rest-3\n",
        "drain and stop front-2\n",
        "3 processes now, 5 at the peak, 4 after\n",
        " MiB of memory now, at most about ",
    ] {
        assert!(plan.out().contains(line), "{}", plan.out());
    }
    assert_eq!(processes(&stage), before, "it was to be said only");
    stage
        .call("scale front=0..2 --dry-run")
        .is_wrong(&["front serves the listener web"]);
    let begun = stage.call("scale rest=3 --no-wait");
    assert_eq!(
        begun.out(),
        "scaling rest=3; `anylith status` says how far it is\n",
        "{}",
        begun.err()
    );
    eventually("all are there", || processes(&stage).len() == 5);
    eventually("it is over", || {
        stage.call("scale rest=1 --wait").code() == 0
    });
    assert_eq!(processes(&stage), before);
}

#[test]
fn a_number_that_cannot_be_reached_is_taken_back_and_said_each_time() {
    let stage = Stage::new().orders("rest-2=fail");
    let url = stage.detached("split");
    let before = processes(&stage);
    for _ in 0..2 {
        let call = stage.call("scale rest=3");
        assert_eq!((call.code(), call.out().as_str()), (1, ""));
        for words in [
            "error: rest-2 does not start: Stock failed: no such table: carts",
            "; rest has 1 replica again\n",
        ] {
            assert!(call.err().contains(words), "{}", call.err());
        }
        assert_eq!(processes(&stage), before);
        assert!(
            stage
                .call("status")
                .out()
                .contains("all 3 replicas are ready")
        );
    }
    assert!(visit(&url).starts_with("front-"));
}

#[test]
fn a_change_that_is_made_has_not_failed_because_nobody_can_be_told() {
    let stage = Stage::new();
    stage.detached("split");
    for change in ["scale rest=2", "reshape monolith --json", "restart"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = stage.command(change).stdout(full).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{change}: {err}");
        let warning = "warning: the output cannot be written: No space left on device";
        assert!(err.contains(warning), "{err}");
    }
    assert_eq!(stage.status()["topology"], "monolith");
}

#[test]
fn a_change_that_a_stopped_supervisor_was_asked_for_may_yet_be_made_and_that_is_said() {
    let stage = Stage::new();
    let run = stage.run("--topology split");
    run.signal(Signal::STOP);
    let [scale, reshape] = ["scale rest=2", "reshape monolith"]
        .map(|change| {
            let mut command = stage.command(change);
            command.stderr(Stdio::piped()).spawn().unwrap()
        })
        .map(|asked| Call(asked.wait_with_output().unwrap()));
    assert_eq!(scale.code(), 1);
    let words = "was asked for, and may yet be made\n  = is it stopped, or is this host busy? `anylith status`";
    assert!(scale.err().contains(words), "{}", scale.err());
    // This one asks what would change first.
    assert_eq!(reshape.code(), 1);
    let words = "the supervisor does not answer, and nothing was changed";
    assert!(reshape.err().contains(words), "{}", reshape.err());
    run.signal(Signal::CONT);
    eventually("it is made", || processes(&stage).contains_key("rest-2"));
    assert_eq!(stage.status()["topology"], "split");
    run.signal(Signal::INT);
    run.end();
}

#[test]
fn a_group_gets_a_range_and_the_status_says_how_many_are_wanted_and_why() {
    let stage = Stage::new();
    stage.detached("split");
    let call = stage.call("scale rest=2..3");
    assert_eq!(call.out(), "scaled rest=2..3\n", "{}", call.err());
    assert_eq!(processes(&stage).len(), 4);
    let status = stage.call("status").out();
    let line = "rest: 2 replicas wanted, of 2 to 3: ";
    assert!(status.contains(line), "{status}");
    // It has the number that it had from here on.
    assert_eq!(stage.call("scale rest=1..3").code(), 0);
    let log = fs::read_to_string(stage.run_file("logs/anylith.log")).unwrap();
    assert!(
        log.contains("scaling rest, which keeps 2 replicas"),
        "{log}"
    );
    let json: Value = serde_json::from_str(&stage.call("status --json").out()).unwrap();
    let groups = json["groups"].as_array().unwrap();
    let group = |name: &str| groups.iter().find(|group| group["name"] == name).unwrap();
    assert_eq!(group("front").get("scaling"), None);
    let scaling = &group("rest")["scaling"];
    assert_eq!(
        (&scaling["wanted"], &scaling["max"]),
        (&2.into(), &3.into())
    );
    assert_eq!(scaling["target"], serde_json::json!({"concurrency": 16}));
    // A number holds, whatever they bear.
    assert_eq!(stage.call("scale rest=1").code(), 0);
    let status = stage.call("status").out();
    assert!(status.contains("it was set to this number"), "{status}");
}

#[test]
fn a_restart_goes_on_without_the_command_and_another_one_is_refused() {
    let stage = Stage::new().orders("front-3=mute");
    stage.detached("split");
    let restart = stage
        .command("restart front")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it has begun", || {
        stage.call("status").out().contains("front-3 starts")
    });
    let call = stage.call("scale rest=2");
    assert_eq!(call.code(), 1);
    let why = "another change is under way: restarted 0 of 2 replicas; front-3 starts";
    assert!(call.err().contains(why), "{}", call.err());
    kill_process(Pid::from_child(&restart), Signal::INT).unwrap();
    let end = restart.wait_with_output().unwrap();
    assert_eq!(end.status.code(), Some(1));
    let err = String::from_utf8_lossy(&end.stderr);
    let left = "left; the restart goes on: `anylith status` says how far it has come\n";
    assert_eq!(err, left);
    assert!(stage.call("status").out().contains("front-3 starts"));
}

#[test]
fn a_supervisor_that_is_killed_in_a_restart_leaves_nothing_to_mend() {
    let stage = Stage::new().orders("front-3=mute");
    let mut first = stage.run("--topology split");
    let before = processes(&stage);
    let restart = stage
        .command("restart front")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it has begun", || processes(&stage).contains_key("front-3"));
    let stand_in = processes(&stage)["front-3"] as u32;
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let end = restart.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&end.stderr);
    assert_eq!(end.status.code(), Some(1));
    for words in [
        "error: the supervisor ended in the middle of the restart; 4 replicas serve on without it\n",
        "`anylith run` with the same arguments as before takes them over",
    ] {
        assert!(err.contains(words), "{words} is not in {err}");
    }
    let second = stage.run("--topology split");
    eventually("the stand-in is gone", || {
        processes(&stage) == before && !is_alive(stand_in)
    });
    second.signal(Signal::INT);
    assert_eq!(second.end().0, Some(0));
}

#[test]
fn a_reshape_says_what_it_would_do_and_then_does_it() {
    let stage = Stage::new();
    let url = stage.detached("split");
    let before = processes(&stage);
    let plan = stage.call("reshape monolith --dry-run");
    assert_eq!(plan.code(), 0, "{}", plan.err());
    for line in [
        "split -> monolith\n",
        "+ monolith, 1 replica: ",
        "- front, 2 replicas: ",
        "1. start monolith\n",
        "3 processes now, 4 at the peak, 1 after\n",
        " MiB of memory now, at most about ",
    ] {
        assert!(plan.out().contains(line), "{}", plan.out());
    }
    let json = stage.call("reshape monolith --dry-run --json").out();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["processes"]["peak"], 4, "{json}");
    assert_eq!(json["outcome"], "planned", "{json}");
    let memory = |when: &str| json["memory"][when].as_u64().unwrap();
    assert!(memory("before_bytes") > 0, "{json}");
    assert!(memory("peak_bytes") > memory("before_bytes"), "{json}");
    assert_eq!(processes(&stage), before, "it was to be said only");
    let call = stage.call("reshape monolith");
    assert_eq!(call.out(), "reshaped to monolith\n", "{}", call.err());
    assert_eq!(stage.status()["topology"], "monolith");
    assert_eq!(processes(&stage).len(), 1);
    assert_eq!(visit(&url), "monolith-1");
    let again = stage.call("reshape monolith");
    assert_eq!(
        (again.code(), again.out().as_str()),
        (0, "monolith runs already\n")
    );
    let wrong = stage.call("reshape monolit");
    wrong.is_wrong(&["there is no topology `monolit`", "did you mean `monolith`?"]);
}

#[test]
fn a_reshape_that_cannot_be_made_is_taken_back_and_says_why() {
    let stage = Stage::new().orders("monolith-1=fail");
    let url = stage.detached("split");
    let before = processes(&stage);
    let call = stage.call("reshape monolith");
    assert_eq!((call.code(), call.out().as_str()), (1, ""));
    let why = "error: monolith-1 does not start: Stock failed: no such table: carts";
    assert!(call.err().contains(why), "{}", call.err());
    assert_eq!(stage.status()["topology"], "split");
    assert_eq!(processes(&stage), before);
    assert!(visit(&url).starts_with("front-"));
}

#[test]
fn a_topology_can_come_from_a_file() {
    let stage = Stage::new();
    stage.detached("split");
    let file = |text: &str| {
        fs::write(stage.temp.path().join("app").join("night.toml"), text).unwrap();
    };
    file("[topologies.night]\ngroups.all = { components = [\"*\"] }\n");
    let call = stage.call("reshape night.toml --json");
    assert_eq!(call.code(), 0, "{}", call.err());
    let told: serde_json::Value = serde_json::from_str(&call.out()).unwrap();
    assert_eq!(
        (&told["to"], &told["outcome"]),
        (&"night".into(), &"done".into())
    );
    assert_eq!(stage.status()["topology"], "night");
    let again = stage.call("reshape night.toml --json");
    let told: serde_json::Value = serde_json::from_str(&again.out()).unwrap();
    assert_eq!(told["groups"], serde_json::json!([]), "{told}");
    assert_eq!(told["processes"]["after"], 1, "{told}");

    file("[topologies.night]\ngroups.all = { components = [\"Crat\"] }\n");
    let wrong = stage.call("reshape night.toml");
    wrong.is_wrong(&[
        "night.toml:2:",
        "there is no component `Crat`",
        "did you mean `Cart`?",
    ]);
    file("groups.all = { components = [\"*\"] }\n");
    let wrong = stage.call("reshape night.toml");
    wrong.is_wrong(&[
        "night.toml:1:1: a file with a topology has no `groups`",
        "[topologies.NAME]",
    ]);
    let day = "[topologies.day]\ngroups.all = { components = [\"*\"] }\n";
    file(&(day.to_owned() + "[topologies.dusk]\n"));
    let wrong = stage.call("reshape night.toml");
    wrong.is_wrong(&[
        "night.toml:3:",
        "a file for `reshape` has one topology; this has `day` and `dusk`",
    ]);
    let wrong = stage.call("reshape night");
    wrong.is_wrong(&[
        "there is no topology `night`",
        "did you mean the file `night.toml`?",
    ]);
    let wrong = stage.call("reshape day.toml");
    wrong.is_wrong(&["there is no file day.toml", "[topologies.NAME]"]);
    assert_eq!(stage.status()["topology"], "night");
}

#[test]
fn who_does_not_wait_for_a_reshape_comes_back_when_it_has_begun() {
    let stage = Stage::new();
    stage.detached("split");
    let call = stage.call("reshape monolith --no-wait --json");
    assert_eq!(call.code(), 0, "{}", call.err());
    let told: serde_json::Value = serde_json::from_str(&call.out()).unwrap();
    assert_eq!(told["to"], "monolith", "{told}");
    eventually("it is done", || processes(&stage).len() == 1);
    assert_eq!(stage.status()["topology"], "monolith");
}

#[test]
fn a_script_is_told_why_a_reshape_was_taken_back() {
    let stage = Stage::new().orders("monolith-1=fail");
    stage.detached("split");
    let call = stage.call("reshape monolith --wait --json");
    assert_eq!(call.code(), 1);
    let told: serde_json::Value = serde_json::from_str(&call.out()).unwrap();
    assert_eq!(told["outcome"], "failed", "{told}");
    let why = told["why"].as_str().unwrap();
    assert!(why.starts_with("monolith-1 does not start"), "{why}");
}

#[test]
fn a_script_is_told_why_a_reshape_was_refused() {
    let stage = Stage::new().orders("front-3=mute");
    stage.detached("split");
    let restart = stage
        .command("restart front")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it has begun", || {
        stage.call("status").out().contains("front-3 starts")
    });
    let call = stage.call("reshape monolith --json");
    assert_eq!(call.code(), 1);
    let told: Value = serde_json::from_str(&call.out()).unwrap();
    assert_eq!(
        (&told["to"], &told["outcome"]),
        (&"monolith".into(), &"failed".into())
    );
    let why = told["why"].as_str().unwrap();
    assert!(why.starts_with("another change is under way"), "{why}");
    kill_process(Pid::from_child(&restart), Signal::KILL).unwrap();
    restart.wait_with_output().unwrap();
}

#[test]
fn who_starts_the_same_again_keeps_what_it_has_become() {
    let stage = Stage::new();
    let mut first = stage.run("--topology split");
    let call = stage.call("reshape micro");
    assert_eq!(call.code(), 0, "{}", call.err());
    let before = processes(&stage);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let second = stage.run("--topology split");
    assert_eq!(stage.status()["topology"], "micro");
    assert_eq!(processes(&stage), before);
    second.signal(Signal::INT);
    assert_eq!(second.end().0, Some(0));
}

#[test]
fn who_takes_over_says_what_becomes_of_the_reshape_in_which_the_supervisor_was_killed() {
    // Who hangs comes not to be ready; or, of what was before, to its end.
    for (hangs, stage_of_it, end) in [
        (
            "monolith-1",
            "what is new starts",
            "is taken back: split stays",
        ),
        (
            "rest-1",
            "calls go to what is new",
            "is completed: what was before leaves",
        ),
    ] {
        let stage = match hangs {
            "monolith-1" => Stage::new().orders("monolith-1=mute"),
            _ => Stage::new(),
        };
        let first = stage.run("--topology split");
        if hangs == "rest-1" {
            kill_process(stage.pid(hangs), Signal::STOP).unwrap();
        }
        let reshape = stage
            .command("reshape monolith --json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        eventually("it has come so far", || {
            stage.call("status").out().contains(stage_of_it)
        });
        first.kill();
        let told = Call(reshape.wait_with_output().unwrap());
        assert_eq!(told.code(), 1);
        let json: Value = serde_json::from_str(&told.out()).unwrap();
        let why = json["why"].as_str().unwrap();
        let ended = "the supervisor ended in the middle of the reshape; ";
        assert!(why.starts_with(ended), "{why}");
        let again = stage.run("--topology split");
        eventually("it is said", || {
            let log = fs::read_to_string(stage.run_file("logs/anylith.log")).unwrap();
            let said = "the reshape to monolith, in which the supervisor before this one ended, ";
            log.contains(&format!("{said}{end}"))
        });
        assert_eq!(stage.call("stop --kill").code(), 0);
        again.end();
    }
}
