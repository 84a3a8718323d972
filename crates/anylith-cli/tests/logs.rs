//! What `logs` promises.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use stage::Stage;

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
fn followed_logs_end_when_the_application_does() {
    let stage = Stage::new();
    stage.call("run --topology micro --detach");
    let mut follow = stage
        .command("logs -f")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    assert_eq!(stage.call("stop").code(), 0);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(
        rest.iter().any(|line| line.contains("Stock-1 ends")),
        "{rest:?}"
    );
    let end = follow.wait_with_output().unwrap();
    assert!(end.status.success());
    let err = String::from_utf8_lossy(&end.stderr);
    assert!(
        err.starts_with("puppet in /") && err.ends_with("/app does not run any more\n"),
        "{err}"
    );
}

#[test]
fn names_that_no_line_has_are_told_the_nearest() {
    let stage = Stage::new();
    stage.call("run --topology micro --detach");
    let wrong = |args: &str, words: &[&str]| stage.call(args).is_wrong(words);
    wrong("logs --component Crat", &["Crat", "did you mean `Cart`?"]);
    wrong(
        "logs --replica Cart-2",
        &["Cart-2", "did you mean `Cart-1`?"],
    );
    wrong("logs -f --replica Strock", &["did you mean `Stock`?"]);
    wrong(
        "logs --level wran",
        &["`wran` is not a level", "did you mean `warn`?"],
    );
    stage.call("stop");
    wrong("logs --component Crat", &["did you mean `Cart`?"]);
    assert_eq!(stage.call("logs --component Cart").code(), 0);
    // One that has said nothing is one all the same.
    fs::write(stage.run_file("logs/Cart-1.log"), "").unwrap();
    let call = stage.call("logs --component Cart");
    assert_eq!(
        (call.code(), call.out().as_str()),
        (0, ""),
        "{}",
        call.err()
    );
}

#[test]
fn text_without_a_time_stays_behind_what_its_replica_said_before() {
    let stage = Stage::new().orders("Stock=crash");
    stage.call("run --topology micro --detach");
    let logs = stage.call("logs --replica Stock-1").out();
    let lines: Vec<&str> = logs.lines().collect();
    let begins = lines
        .iter()
        .position(|it| it.contains("Stock-1 begins"))
        .unwrap();
    assert_eq!(
        lines[begins + 1],
        "             Stock-1 | thread 'main' panicked at src/stock.rs:7:9: the shelf is gone"
    );
}
