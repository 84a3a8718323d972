//! What the history of an application of a hundred components takes. It is alone in its process, whose memory is looked at.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anylith_core::{Metrics, Name};
use anylith_telemetry::{
    Ended, Histogram, History, Makeup, Numbers, Outcome, Period, ProcessNumbers, ReplicaNumbers,
    Subject, Survey, Way,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// What an application of a hundred components has counted, of which each calls three others.
fn emporium() -> (Survey, BTreeMap<Name, Vec<Name>>) {
    let component = |index: u64| name(&format!("Component{}", index % 100));
    let mut survey = Survey {
        app: name("emporium"),
        topology: name("micro"),
        metrics: Metrics::All,
        numbers: Numbers::default(),
        restarts: BTreeMap::new(),
        replicas: Vec::new(),
        spans: None,
    };
    let mut took = Histogram::new();
    for step in 0..30 {
        took.record(
            Duration::from_micros(20 << (step % 10)) + Duration::from_nanos(step * 97),
            1,
        );
    }
    for index in 0..100 {
        for other in 1..=3 {
            let (caller, callee) = (component(index), component(index + other));
            let calls = survey
                .numbers
                .edge(&caller, &callee, &name("ask"), Way::Remote);
            let ended = Ended {
                calls: took.count(),
                took: took.clone(),
            };
            calls.ended.insert(Outcome::Answered, ended);
        }
        survey.replicas.push(ReplicaNumbers {
            id: name(&format!("Component{index}-1")),
            group: component(index),
            state: "ready".to_owned(),
            restarts: 0,
            since_ms: Some(7),
            process: ProcessNumbers {
                cpu_us: 0,
                memory_bytes: 10 << 20,
            },
        });
    }
    let groups = (0..100).map(|index| (component(index), vec![component(index)]));
    (survey, groups.collect())
}

/// A hundred calls more along each edge.
fn go_on(survey: &mut Survey) {
    for edge in &mut survey.numbers.edges {
        for ended in edge.calls.ended.values_mut() {
            ended.calls += 100;
            ended.took.record(Duration::from_micros(20), 100);
        }
    }
}

/// What this process has in memory, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024
}

#[test]
fn an_hour_of_a_hundred_components_is_bounded() {
    let (mut history, begin) = (History::default(), Instant::now());
    let (mut survey, groups) = emporium();
    let makeup = Makeup {
        groups,
        dependencies: &BTreeMap::new(),
    };
    let before = resident();
    let mut note = |second: u64| {
        go_on(&mut survey);
        let now = begin + Duration::from_secs(second);
        history.note(survey.clone(), &makeup, now, second * 1000);
    };
    // Ten seconds apart, so that each look is a point of both kinds, and all are there after an hour.
    (0..360).for_each(|ten| note(ten * 10));
    let full = resident();
    assert!(full - before < 16 << 20, "{} KiB", (full - before) / 1024);
    (360..540).for_each(|ten| note(ten * 10));
    let later = resident();
    assert!(
        later.saturating_sub(full) < 1 << 20,
        "{} KiB more",
        (later - full) / 1024
    );
    let past = history.past(&Subject::Application, Period::Hour);
    assert_eq!(past.at_ms.len(), 360);
    assert_eq!(past.calls_per_second, vec![3000.0; 360]);
}
