//! `anylith metrics` and `anylith top`, with a small application in real processes.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    env,
    fs::File,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use serde_json::Value;
use stage::{Stage, eventually, visit};

const TOML: &str = r#"
[topologies.apart]
groups.doors = { components = ["Web"], replicas = 2 }
groups.till = { components = ["Counter"] }
"#;

fn stage(toml: &str) -> Stage {
    Stage::of("counter", "counter", toml)
}

/// Starts it, and visits it so often.
fn visited(stage: &Stage, visits: usize) {
    let call = stage.call("run --topology apart --detach");
    assert_eq!(call.code(), 0, "{}", call.err());
    let out = call.out();
    let url = out.trim_end().strip_prefix("ready: web ").unwrap();
    for _ in 0..visits {
        assert!(visit(url).starts_with("visit "));
    }
}

/// The samples of a family, without its name.
fn samples<'a>(text: &'a str, family: &str) -> Vec<(&'a str, f64)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(family));
    let samples = lines.filter_map(|line| line.strip_prefix('{')?.split_once("} "));
    samples
        .map(|(labels, value)| (labels, value.parse().unwrap()))
        .collect()
}

#[test]
fn metrics_are_the_sums_over_all_replicas() {
    let stage = stage(TOML);
    visited(&stage, 7);
    let counted = |text: &str| {
        let of = samples(text, "anylith_client_calls_total");
        of.iter().map(|(_, calls)| calls).sum::<f64>()
    };
    eventually("the visits are counted", || {
        counted(&stage.call("metrics").out()) >= 7.0
    });
    let text = stage.call("metrics").out();
    assert_eq!(counted(&text), 7.0);
    let series = "anylith_client_calls_total{rpc_system_name=\"anylith\",rpc_method=\"Counter/visit\",\
                  anylith_caller=\"Web\",anylith_callee=\"Counter\",anylith_way=\"remote\",\
                  anylith_outcome=\"answered\"} 7\n";
    assert!(text.contains(series), "{text}");
    let ready = samples(&text, "anylith_replica_ready");
    assert_eq!(ready.len(), 3, "{text}");
    assert!(ready.iter().all(|(_, ready)| *ready == 1.0), "{text}");
    check_with_promtool(&text);
}

/// What Prometheus' own tool says of it is nothing. Where it is not there this is skipped, in words.
fn check_with_promtool(text: &str) {
    let required = env::var("ANYLITH_TEST_PROMTOOL").is_ok_and(|value| value == "required");
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            assert!(!required, "promtool cannot be run: {error}");
            eprintln!("skipped: promtool cannot be run: {error}");
            return;
        }
    };
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let said = promtool.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    assert!(said.status.success() && words.is_empty(), "{words}\n{text}");
}

#[test]
fn there_are_no_metrics_of_what_does_not_run() {
    let stage = stage(TOML);
    for command in [
        "metrics",
        "top",
        "top --json",
        "graph --live",
        "graph --live --json",
    ] {
        let call = stage.call(command);
        assert_eq!((call.code(), call.out().as_str()), (1, ""), "{command}");
        assert!(call.err().contains("is not running"), "{}", call.err());
    }
}

#[test]
fn an_application_that_counts_nothing_says_so_and_what_to_do() {
    let stage = stage(&format!("{TOML}[telemetry]\nmetrics = \"off\"\n"));
    visited(&stage, 1);
    for command in ["metrics", "top", "top --json", "graph --live"] {
        let call = stage.call(command);
        assert_eq!((call.code(), call.out().as_str()), (1, ""), "{command}");
        assert!(
            call.err().contains("`[telemetry] metrics` is \"off\""),
            "{}",
            call.err()
        );
    }
}

#[test]
fn a_word_that_metrics_do_not_know_is_an_error_at_its_line() {
    let stage = stage("[telemetry]\nmetrics = \"counter\"\n");
    stage
        .call("check")
        .is_wrong(&["anylith.toml:5", "`counter`", "did you mean `counters`?"]);
}

#[test]
fn top_in_json_is_one_look_at_everything() {
    let stage = stage(TOML);
    visited(&stage, 3);
    eventually("the visits are counted", || {
        let call = stage.call("metrics");
        samples(&call.out(), "anylith_client_calls_total")
            .iter()
            .any(|(_, calls)| *calls == 3.0)
    });
    let call = stage.call("top --json");
    assert_eq!(call.code(), 0, "{}", call.err());
    let top: Value = serde_json::from_str(&call.out()).unwrap();
    assert_eq!(
        (&top["app"], &top["topology"]),
        (&"counter".into(), &"apart".into())
    );
    let edges = top["edges"].as_array().unwrap();
    let [edge] = &edges[..] else {
        panic!("{top}");
    };
    assert_eq!(
        (&edge["caller"], &edge["callee"]),
        (&"Web".into(), &"Counter".into())
    );
    assert_eq!(
        (&edge["way"], &edge["calls"]),
        (&"remote".into(), &3.into())
    );
    let replicas = top["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 3, "{top}");
    for replica in replicas {
        assert_eq!(replica["state"], "ready");
        assert!(
            replica["memory_bytes"].as_u64().unwrap() > 1 << 20,
            "{replica}"
        );
    }
    let components = top["components"].as_array().unwrap();
    let names: Vec<_> = components
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"Counter"), "{top}");
}

#[test]
fn top_prints_one_table_where_nobody_watches() {
    let stage = stage(TOML);
    visited(&stage, 1);
    let call = stage.call("top");
    assert_eq!(call.code(), 0, "{}", call.err());
    let text = call.out();
    for word in ["COMPONENT", "EDGE", "REPLICA", "doors-2", "till-1", "ready"] {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn the_live_graph_has_every_edge_and_what_goes_along_it() {
    let stage = stage(TOML);
    visited(&stage, 1);
    let url = stage.status()["listeners"]["web"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut last = Value::Null;
    eventually("a visit is seen on its edge", || {
        assert!(visit(&url).starts_with("visit "));
        let call = stage.call("graph --live --json");
        assert_eq!(call.code(), 0, "{}", call.err());
        last = serde_json::from_str(&call.out()).unwrap();
        last["edges"][0]["calls_per_second"].as_f64().unwrap() > 0.0
    });
    let edges = last["edges"].as_array().unwrap();
    let [edge] = &edges[..] else {
        panic!("{last}");
    };
    assert_eq!(
        (&edge["caller"], &edge["callee"]),
        (&"Web".into(), &"Counter".into())
    );
    assert_eq!(edge["remote_per_second"], edge["calls_per_second"]);
    assert_eq!(last["calls_per_second"], edge["calls_per_second"]);
    assert!(edge["p99_us"].as_f64().unwrap() > 0.0, "{edge}");
    assert_eq!((&last["ready"], &last["total"]), (&3.into(), &3.into()));
    let call = stage.call("graph --live");
    let text = call.out();
    assert!(
        text.contains("→ Counter") && text.contains("remote"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn top_on_a_terminal_is_drawn_until_q_is_pressed_and_leaves_it_as_it_was() {
    let stage = stage(TOML);
    visited(&stage, 1);
    // There is nothing to compare the first look with.
    watched(&stage, "top", &["COMPONENT", "from now on", "till-1"]);
}

#[test]
fn the_live_graph_on_a_terminal_is_drawn_until_q_is_pressed_and_leaves_it_as_it_was() {
    let stage = stage(TOML);
    visited(&stage, 1);
    watched(&stage, "graph --live", &["DEPENDENT ON", "→ Counter"]);
}

/// Runs `command` on a terminal, where it is to show all of `words`, the last of them last, until q is pressed.
fn watched(stage: &Stage, command: &str, words: &[&str]) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap();
    let slave = || {
        let path = path.to_str().unwrap();
        File::options().read(true).write(true).open(path).unwrap()
    };
    let held = slave();
    tcsetwinsize(
        &held,
        Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
    .unwrap();
    let before = tcgetattr(&held).unwrap();
    assert!(before.local_modes.contains(LocalModes::ICANON));
    let mut watcher = stage
        .command(command)
        .stdin(slave())
        .stdout(slave())
        .stderr(slave())
        .spawn()
        .unwrap();
    let mut terminal = File::from(master);
    let mut screen = terminal.try_clone().unwrap();
    let (shown, seen) = mpsc::channel();
    // It ends when no slave is open any more.
    let reader = thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut bytes) {
            let _ = shown.send(String::from_utf8_lossy(&bytes[..count]).into_owned());
        }
    });
    let mut all = String::new();
    let mut until = |what: &str| {
        while !all.contains(what) {
            let more = seen.recv_timeout(Duration::from_secs(20));
            all += &more.unwrap_or_else(|_| panic!("`{what}` is not in {all:?}"));
        }
        std::mem::take(&mut all)
    };
    let last = words.last().unwrap();
    let drawn = until("\x1b[?1049h") + &until(last);
    for word in words {
        assert!(drawn.contains(word), "`{word}` is not in {drawn:?}");
    }
    // It is drawn anew, in the same place.
    let again = until("\x1b[H");
    until("over the last");
    assert!(!again.contains("\x1b[?1049h"), "{again:?}");
    let raw = tcgetattr(&held).unwrap();
    assert!(!raw.local_modes.contains(LocalModes::ICANON));
    // Another key is nothing.
    terminal.write_all(b"x").unwrap();
    until(last);
    terminal.write_all(b"q").unwrap();
    until("\x1b[?25h\x1b[?1049l");
    assert!(watcher.wait().unwrap().success());
    let after = tcgetattr(&held).unwrap();
    assert_eq!(after.local_modes, before.local_modes);
    drop(held);
    reader.join().unwrap();
}
