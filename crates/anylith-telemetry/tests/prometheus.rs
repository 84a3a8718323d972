//! The text for Prometheus, compared with the file in `expected/`. `UPDATE=1 cargo test -p anylith-telemetry` rewrites it.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anylith_core::{Metrics, Name};
use anylith_telemetry::{
    Calls, Numbers, Outcome, ProcessNumbers, Recorder, ReplicaNumbers, SpanCounts, Survey, Way,
    prometheus,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn counted(recorder: &Recorder, outcome: Outcome, micros: &[u64]) -> Calls {
    let lane = recorder.lane(0).unwrap();
    for micros in micros {
        lane.ended(outcome, Duration::from_micros(*micros));
    }
    lane.sent(30 * micros.len());
    lane.received(20 * micros.len());
    recorder.read(0)
}

/// A shop of which something of every kind was counted.
fn shop(metrics: Metrics) -> Survey {
    let (web, cart, ads) = (name("Web"), name("Cart"), name("Ads"));
    let numbers = match metrics {
        Metrics::Off => Numbers::default(),
        Metrics::Counters | Metrics::All => numbers(&web, &cart, &ads, metrics),
    };
    let replica = |id: &str, since_ms: Option<u64>| ReplicaNumbers {
        id: name(id),
        group: name("all"),
        state: if since_ms.is_some() {
            "ready"
        } else {
            "backoff"
        }
        .to_owned(),
        restarts: 2,
        since_ms,
        process: ProcessNumbers {
            cpu_us: 2_500_000,
            memory_bytes: 20 << 20,
        },
    };
    Survey {
        app: name("shop"),
        topology: name("micro"),
        metrics,
        numbers,
        restarts: BTreeMap::from([(cart, 4), (web, 4), (ads, 4)]),
        replicas: vec![replica("all-1", Some(1)), replica("all-2", None)],
        spans: Some(SpanCounts {
            kept: 40,
            dropped_by_replicas: 3,
            exported: 38,
            dropped_by_export: 2,
            ..SpanCounts::default()
        }),
    }
}

fn numbers(web: &Name, cart: &Name, ads: &Name, metrics: Metrics) -> Numbers {
    let mut numbers = Numbers::default();
    let recorder = Recorder::new(1, metrics);
    counted(&recorder, Outcome::Answered, &[80, 120, 4000]);
    let lane = recorder.lane(0).unwrap();
    lane.enter();
    lane.retried();
    lane.hedged();
    let calls = counted(&recorder, Outcome::Unknown, &[3_000_000]);
    *numbers.edge(web, cart, &name("add"), Way::Remote) = calls;
    let calls = counted(&Recorder::new(1, metrics), Outcome::Answered, &[0, 1]);
    *numbers.edge(web, ads, &name("show"), Way::Local) = calls;
    let calls = counted(&Recorder::new(1, metrics), Outcome::Erred, &[60]);
    *numbers.served(cart, &name("add")) = calls;
    let queued = &mut numbers.component(cart).queued;
    queued.record(Duration::from_micros(7), 3);
    numbers.component(cart).busy_us = 1_234_567;
    numbers.component(web).busy_us = 10;
    numbers
}

#[test]
fn a_survey_reads_as_it_is_expected() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected/shop.prom");
    let text = prometheus::render(&shop(Metrics::All));
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        text, expected,
        "`UPDATE=1 cargo test -p anylith-telemetry` rewrites it"
    );
}

#[test]
fn no_series_is_told_twice_and_each_belongs_to_a_family_that_was_introduced() {
    let text = prometheus::render(&shop(Metrics::All));
    let (mut seen, mut family) = (BTreeSet::new(), String::new());
    for line in text.lines() {
        if let Some(introduced) = line.strip_prefix("# TYPE ") {
            family = introduced.split(' ').next().unwrap().to_owned();
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(
                series.starts_with(&family),
                "{series} is told with {family}"
            );
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            assert!(seen.insert(series), "{series} is told twice");
        }
    }
    assert!(seen.len() > 100, "only {} series", seen.len());
}

#[test]
fn without_times_there_are_counters_and_no_histogram_of_calls() {
    let text = prometheus::render(&shop(Metrics::Counters));
    assert!(
        !text.contains("rpc_client_call_duration_seconds_bucket"),
        "{text}"
    );
    let counter = "anylith_client_calls_total{rpc_system_name=\"anylith\",rpc_method=\"Cart/add\",\
                   anylith_caller=\"Web\",anylith_callee=\"Cart\",anylith_way=\"remote\",\
                   anylith_outcome=\"unknown\"} 1\n";
    assert!(text.contains(counter), "{text}");
}

#[test]
fn what_prometheus_finds_wrong_is_nothing() {
    let required = env::var("ANYLITH_TEST_PROMTOOL").is_ok_and(|value| value == "required");
    for metrics in [Metrics::All, Metrics::Counters, Metrics::Off] {
        let promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut promtool = match promtool {
            Ok(promtool) => promtool,
            Err(error) if required => panic!("promtool cannot be run: {error}"),
            Err(error) => {
                eprintln!("skipped: promtool cannot be run: {error}");
                return;
            }
        };
        let text = prometheus::render(&shop(metrics));
        let mut stdin = promtool.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let said = promtool.wait_with_output().unwrap();
        let words = [said.stdout, said.stderr].concat();
        let words = String::from_utf8_lossy(&words);
        assert!(said.status.success() && words.is_empty(), "{words}\n{text}");
    }
}
