//! What is promised of a component of which there is one at a time, with a small application in real processes.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::process::{Signal, kill_process};
use stage::{Stage, build, eventually, example, visit};

const TOML: &str = r#"
[topologies.split]
groups.doors = { components = ["Web"], replicas = 2 }
groups.rest = { components = ["Counter"] }

[topologies.apart]
groups.shop = { components = ["Web"] }
groups.till = { components = ["Counter"] }

[topologies.lazy]
groups.doors = { components = ["Web"] }
groups.till = { components = ["Counter"], replicas = { min = 0, max = 1, cooldown = "1s" } }

[topologies.together]
groups.shop = { components = ["Counter", "Web"] }
"#;

fn stage(topologies: &str) -> Stage {
    Stage::of("counter", "counter", topologies)
}

/// The number of a visit.
fn number(url: &str) -> u64 {
    let page = visit(url);
    let number = page.strip_prefix("visit ").and_then(|it| it.parse().ok());
    number.unwrap_or_else(|| panic!("it was answered {page:?}"))
}

/// Visits one after the other while `changes` are made, and fails unless each gets the number after the one before it.
fn counts_on(url: &str, from: u64, changes: impl FnOnce()) -> u64 {
    let over = Arc::new(AtomicBool::new(false));
    let visitor = thread::spawn({
        let (over, url) = (Arc::clone(&over), url.to_owned());
        move || {
            let mut last = from;
            while !over.load(Ordering::Acquire) {
                let next = number(&url);
                assert_eq!(next, last + 1);
                last = next;
            }
            last
        }
    });
    changes();
    over.store(true, Ordering::Release);
    visitor.join().unwrap()
}

#[test]
fn it_counts_on_over_reshapes_in_both_directions_and_over_restarts() {
    let stage = stage(TOML);
    let url = stage.detached("monolith");
    assert_eq!(number(&url), 1);
    let changes = || {
        // From one process to another, into one that runs, out of it again, and to where it was.
        for change in [
            "reshape split",
            "restart",
            "reshape apart",
            "reshape together",
            "restart shop",
            "reshape apart",
            "restart till",
            "reshape monolith",
            "restart",
            "reshape micro",
            "reshape monolith",
        ] {
            let call = stage.call(change);
            assert_eq!(call.code(), 0, "{change}: {}", call.err());
        }
    };
    let last = counts_on(&url, 1, changes);
    assert_eq!(number(&url), last + 1);
}

#[test]
fn one_that_was_killed_is_followed_by_one_that_begins_anew_and_that_is_said() {
    let stage = stage(TOML);
    let run = stage.run("--topology split");
    let url = run.ready.strip_prefix("ready: web ").unwrap().to_owned();
    assert_eq!((number(&url), number(&url)), (1, 2));
    kill_process(stage.pid("rest-1"), Signal::KILL).unwrap();
    // The visits that it had may have been counted, and are told that nobody knows.
    eventually("it counts anew", || {
        let page = visit(&url);
        page == "visit 1" || page == "visit 2"
    });
    run.signal(Signal::INT);
    let (code, _, err) = run.end();
    assert_eq!(code, Some(0));
    let said = "Counter begins in rest-1 without the state of the one before it: rest-1 has ended";
    assert!(err.contains(said), "{err}");
}

#[test]
fn a_supervisor_that_is_killed_knows_afterwards_who_counts() {
    let stage = stage(TOML);
    let mut first = stage.run("--topology split");
    let url = first.ready.strip_prefix("ready: web ").unwrap().to_owned();
    assert_eq!((number(&url), number(&url)), (1, 2));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert_eq!(number(&url), 3);
    assert_eq!(stage.detached("split"), url);
    let last = counts_on(&url, 3, || {
        for change in ["reshape monolith", "reshape split", "restart"] {
            let call = stage.call(change);
            assert_eq!(call.code(), 0, "{change}: {}", call.err());
        }
    });
    assert_eq!(number(&url), last + 1);
}

/// Waits until nothing runs of the group that sleeps when nobody calls it.
fn falls_asleep(stage: &Stage) {
    eventually("nobody calls it, and it sleeps", || {
        let status = stage.status();
        let groups = status["groups"].as_array().unwrap();
        let till = groups.iter().find(|group| group["name"] == "till").unwrap();
        till["replicas"].as_array().unwrap().is_empty()
    });
}

#[test]
fn one_that_sleeps_counts_on_when_it_is_called_whatever_came_meanwhile() {
    let stage = stage(TOML);
    let mut first = stage.run("--topology lazy");
    let url = first.ready.strip_prefix("ready: web ").unwrap().to_owned();
    assert_eq!((number(&url), number(&url)), (1, 2));
    for woken in [3, 4] {
        falls_asleep(&stage);
        assert_eq!(number(&url), woken);
    }
    // What it has handed over outlives the supervisor that keeps it.
    falls_asleep(&stage);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert_eq!(stage.detached("lazy"), url);
    assert_eq!(number(&url), 5);
    for (next, change, sleeps) in [
        (6, "restart", true),
        // Out of its sleep into a process that runs, and back.
        (7, "reshape together", false),
        (8, "reshape lazy", true),
        (9, "scale till=1", false),
        (10, "scale till=0..1", true),
    ] {
        let call = stage.call(change);
        assert_eq!(call.code(), 0, "{change}: {}", call.err());
        if sleeps {
            falls_asleep(&stage);
        }
        assert_eq!(number(&url), next, "after {change}");
    }
}

#[test]
fn more_than_one_is_refused_wherever_it_is_asked_for() {
    let words = ["Counter is a singleton", "groups.Counter"];
    let crowded =
        stage("\n[topologies.two]\ngroups.all = { components = [\"*\"], replicas = 2 }\n");
    crowded
        .call("check")
        .is_wrong(&[&words[..], &["anylith.toml:"]].concat());
    let plain = stage("");
    plain
        .call("run --topology monolith --replicas 2")
        .is_wrong(&[&words[..], &["--replicas"]].concat());
    plain
        .call("run --topology micro --replicas 2")
        .is_wrong(&["Counter is a singleton", "add Counter=1 to it"]);
    let _url = plain.detached("micro");
    let call = plain.call("scale Counter=2");
    assert_eq!(call.code(), 2, "{}", call.err());
    assert!(
        call.err().contains("Counter is a singleton"),
        "{}",
        call.err()
    );
    plain
        .call("reshape micro --replicas 2")
        .is_wrong(&["Counter is a singleton"]);
    let call = plain.call("scale Web=2");
    assert_eq!(call.code(), 0, "{}", call.err());
    // Who names the component is told why it is about its group.
    assert_eq!(plain.call("reshape monolith").code(), 0);
    let call = plain.call("scale Counter=2");
    let words = "so monolith, the group of Counter, cannot have 2 replicas";
    assert!(call.err().contains(words), "{}", call.err());
}

/// What the command says of a change that cannot be made, while visits are counted on.
fn is_refused(stage: &Stage, url: &str, change: &str, why: &str) {
    let before = number(url);
    let last = counts_on(url, before, || {
        let call = stage.call(change);
        assert_eq!(call.code(), 1, "{change}: {}", call.out());
        assert!(call.err().contains(why), "{change}: {}", call.err());
    });
    assert_eq!(number(url), last + 1, "after {change}");
}

#[test]
fn where_it_does_not_start_in_its_new_place_the_reshape_is_taken_back_and_it_counts_on() {
    let stage = stage(TOML).orders("Counter-1,shop-1");
    let url = stage.detached("apart");
    for (change, why) in [
        // Into a process of its own, and into one that runs.
        (
            "reshape micro",
            "Counter-1 does not start: Counter failed: the book of visits is not to be found",
        ),
        (
            "reshape together",
            "Counter does not start in shop-1: the book of visits is not to be found",
        ),
    ] {
        let before = stage.pid("till-1");
        is_refused(&stage, &url, change, why);
        assert_eq!(stage.status()["topology"], "apart");
        assert_eq!(stage.pid("till-1"), before);
        assert_eq!(stage.replicas().len(), 2);
    }
}

#[test]
fn a_build_in_which_it_does_not_start_goes_away_by_itself_and_the_old_one_counts_on() {
    let stage = stage(TOML);
    let url = stage.detached("split");
    let new = stage.temp.path().join("new");
    build(&example("counter"), &new, 1, "fail");
    let upgrade = format!("upgrade --binary {} --observe 0s", new.display());
    let why =
        "does not run with the new build: Counter failed: the book of visits is not to be found";
    is_refused(&stage, &url, &upgrade, why);
    assert_eq!(stage.builds(), [0]);
}

#[test]
fn a_canary_leaves_it_where_it_is_and_the_status_shows_who_stands_by() {
    let stage = stage(TOML);
    let url = stage.detached("split");
    assert_eq!(number(&url), 1);
    let new = stage.temp.path().join("new");
    build(&example("counter"), &new, 1, "");
    let canary = format!(
        "upgrade --binary {} --observe 0s --canary 10%",
        new.display()
    );
    let call = stage.call(&canary);
    assert_eq!(call.code(), 0, "{}", call.err());
    let row = |replica: &str| {
        let status = stage.call("status").out();
        let mut rows = status.lines().filter(|line| line.starts_with(replica));
        let row = rows.next().unwrap().split_whitespace();
        row.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        (row("rest-1")[1].as_str(), row("rest-2")[1].as_str()),
        ("ready", "standby")
    );
    let replicas = stage.replicas();
    let rest = replicas.iter().find(|one| one["id"] == "rest-2").unwrap();
    assert_eq!(rest["standby"], serde_json::json!(["Counter"]));
    assert_eq!(number(&url), 2);
    assert_eq!(stage.call("upgrade --rollback").code(), 0);
    // Where others are with it, only it stands by.
    assert_eq!(stage.call("reshape monolith").code(), 0);
    let call = stage.call(&canary);
    assert_eq!(call.code(), 0, "{}", call.err());
    let second = row("monolith-2");
    assert_eq!(second[1], "ready");
    assert_eq!(second[5..].join(" "), "Counter (standby), Web");
    assert_eq!(number(&url), 3);
    assert_eq!(stage.call("upgrade --resume").code(), 0);
    assert_eq!(number(&url), 4);
}
