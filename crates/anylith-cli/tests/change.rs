//! What `restart`, `scale` and `reshape` promise.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stage::{Stage, eventually, is_alive, visit};

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
        "scale fornt=2",
        &["there is no group fornt", "did you mean `front`?"],
    );
    wrong(
        "scale front=0",
        &["0 replicas cannot be had", "from 1 to 1000"],
    );
    wrong(
        "scale rest=5..2",
        &["5..2 has more for the fewest than for the most"],
    );
    wrong("scale rest=1..", &["`1..` is not a range", "`rest=1..6`"]);
    // It is the supervisor who knows the listeners.
    let shut = stage.call("scale front=0..2");
    assert_eq!(shut.code(), 1);
    assert!(
        shut.err().contains("front serves the listener web"),
        "{}",
        shut.err()
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
    // Another run knows what there is now.
    let again = stage.call("run --topology split");
    let why = "front has 2 replicas, and had 1; rest has 1 replicas, and had 2";
    assert!(again.err().contains(why), "{}", again.err());
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
    assert!(err.contains("and it goes on"), "{err}");
    assert!(stage.call("status").out().contains("front-3 starts"));
}

#[test]
fn a_supervisor_that_is_killed_in_a_restart_leaves_nothing_to_mend() {
    let stage = Stage::new().orders("front-3=mute");
    let mut first = stage.run("--topology split");
    let before = processes(&stage);
    let mut restart = stage
        .command("restart front")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it has begun", || processes(&stage).contains_key("front-3"));
    let stand_in = processes(&stage)["front-3"] as u32;
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert_eq!(restart.wait().unwrap().code(), Some(1));
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
        std::fs::write(stage.temp.path().join("app").join("night.toml"), text).unwrap();
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
