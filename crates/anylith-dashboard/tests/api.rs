//! What the API answers, and what it asks the supervisor for it.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use anylith_supervisor::{Answer, Cause, Look, Request, Seen, ToldStatus, Underway};
use anylith_telemetry::{Moment, Past, Period, Subject};
use serde_json::{Value, json};
use stage::{Events, Stage, manifest, overview, seen};

#[tokio::test]
async fn the_status_is_what_the_command_prints() {
    let stage = Stage::new().await;
    let told: Value = stage.get("status").await.json().await.unwrap();
    let known = serde_json::from_value(overview()).unwrap();
    assert_eq!(
        told,
        serde_json::to_value(ToldStatus::from(&known)).unwrap()
    );
}

#[tokio::test]
async fn the_graph_is_what_the_command_prints() {
    let stage = Stage::new().await;
    let told = stage.get("graph").await.text().await.unwrap();
    let drawn = anylith_topology::draw::json(&manifest(), None);
    assert_eq!(told, drawn);
    let divided: Value = stage.get("graph?topology=pair").await.json().await.unwrap();
    assert_eq!(divided["groups"][0]["replicas"], 2);
}

#[tokio::test]
async fn the_config_of_a_component_has_no_secret_in_it() {
    let stage = Stage::new().await;
    let told = stage.get("components/Cart").await.text().await.unwrap();
    assert!(!told.contains("hunter"), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        told["config"]["database"],
        "postgres://shop:[secret]@db/carts"
    );
    assert_eq!(stage.get("components/Moon").await.status(), 404);
}

#[tokio::test]
async fn what_a_reshape_would_do_is_asked_for_and_nothing_else() {
    let stage = Stage::new().await;
    let body = json!({"topology": "pair", "dry_run": true});
    let told: Value = stage.post("reshape", body).await.json().await.unwrap();
    assert_eq!(
        (&told["from"], &told["to"]),
        (&"micro".into(), &"pair".into())
    );
    assert_eq!(told["outcome"], "planned");
    assert_eq!(told["groups"][0]["after"], 2);
    let asked = stage.supervisor.asked();
    assert!(
        matches!(asked[..], [Request::Reshape { dry_run: true, .. }]),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_reshape_is_planned_and_then_made() {
    let stage = Stage::new().await;
    let left = vec!["Cart-1 did not stop in time".to_owned()];
    stage.supervisor.answers_changes(Answer::Changed { left });
    let body = json!({"topology": "pair", "replicas": "3"});
    let told: Value = stage.post("reshape", body).await.json().await.unwrap();
    assert_eq!(told["outcome"], "done");
    assert_eq!(told["left"], json!(["Cart-1 did not stop in time"]));
    match &stage.supervisor.asked()[..] {
        [
            Request::Reshape { dry_run: true, .. },
            Request::Reshape {
                groups,
                dry_run: false,
                ..
            },
        ] => {
            assert_eq!(groups[0].replicas, 3);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_change_that_is_given_up_says_why() {
    let stage = Stage::new().await;
    stage.supervisor.answers_changes(Answer::GivenUp {
        cause: Cause::Obstacle,
        why: "Cart-1 was not ready".to_owned(),
        replica: None,
    });
    let told: Value = stage
        .post("reshape", json!({"topology": "pair"}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&told["outcome"], &told["why"]),
        (&"failed".into(), &"Cart-1 was not ready".into())
    );
    let told: Value = stage.post("restart", json!({})).await.json().await.unwrap();
    assert_eq!(
        (&told["outcome"], &told["why"]),
        (&"failed".into(), &"Cart-1 was not ready".into())
    );
}

#[tokio::test]
async fn a_change_that_a_stop_ends_is_none_that_has_failed() {
    let stage = Stage::new().await;
    stage.supervisor.answers_changes(Answer::GivenUp {
        cause: Cause::Stop,
        why: "the application is being stopped".to_owned(),
        replica: None,
    });
    for (path, body) in [
        ("reshape", json!({"topology": "pair"})),
        ("scale", json!({"groups": {"Web": "2"}})),
        ("restart", json!({})),
    ] {
        let answer = stage.post(path, body).await;
        assert_eq!(answer.status(), 409, "{path}");
        let told: Value = answer.json().await.unwrap();
        assert_eq!(told["what"], "the application is being stopped");
    }
}

#[tokio::test]
async fn a_change_that_is_refused_says_why() {
    let stage = Stage::new().await;
    let refused = |mend: Option<&str>| Answer::Refused {
        why: "another change is under way".to_owned(),
        group: None,
        known: Vec::new(),
        mend: mend.map(str::to_owned),
        is_wrong: false,
        is_busy: true,
    };
    for (mend, told) in [
        (Some("wait for it"), "wait for it"),
        (None, "see how things are, and ask again"),
    ] {
        stage.supervisor.answers_changes(refused(mend));
        let answer = stage.post("restart", json!({})).await;
        assert_eq!(answer.status(), 409);
        assert_eq!(
            answer.json::<Value>().await.unwrap(),
            json!({"what": "another change is under way", "mend": told})
        );
    }
}

#[tokio::test]
async fn who_names_a_group_that_is_not_there_is_told_the_nearest_one() {
    let stage = Stage::new().await;
    stage.supervisor.answers_changes(Answer::Refused {
        why: "there is no group Crat".to_owned(),
        group: Some("Crat".parse().unwrap()),
        known: vec!["Cart".parse().unwrap(), "Web".parse().unwrap()],
        mend: None,
        is_wrong: true,
        is_busy: false,
    });
    let answer = stage.post("restart", json!({"group": "Crat"})).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({"what": "there is no group Crat", "mend": "did you mean `Cart`?"})
    );
}

#[tokio::test]
async fn what_a_scale_would_do_is_what_a_reshape_into_the_same_topology_would() {
    let stage = Stage::new().await;
    let body = json!({"groups": {"Web": "3"}, "dry_run": true});
    let told: Value = stage.post("scale", body).await.json().await.unwrap();
    assert_eq!(told["outcome"], "planned");
    match &stage.supervisor.asked()[..] {
        [
            Request::Reshape {
                topology,
                groups,
                dry_run: true,
            },
        ] => {
            let sizes: Vec<_> = groups
                .iter()
                .map(|group| (group.name.as_str(), group.replicas))
                .collect();
            assert_eq!(
                (topology.as_str(), sizes),
                ("micro", vec![("Web", 3), ("Cart", 1)])
            );
            // Whoever follows the load goes on doing so.
            assert_eq!(groups[1].scaling.map(|it| (it.min, it.max)), Some((1, 3)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_scale_is_asked_for_as_the_command_asks() {
    let stage = Stage::new().await;
    let body = json!({"groups": {"Web": "2..4"}});
    let told: Value = stage.post("scale", body).await.json().await.unwrap();
    assert_eq!(told["outcome"], "done");
    match &stage.supervisor.asked()[..] {
        [
            Request::Reshape { dry_run: true, .. },
            Request::Scale {
                groups,
                dry_run: false,
            },
        ] => {
            let web = groups.iter().map(|(group, size)| format!("{group}={size}"));
            assert_eq!(web.collect::<Vec<_>>(), ["Web=2..4"]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_so_already_is_not_done_again() {
    let stage = Stage::new().await;
    let told: Value = stage
        .post("reshape", json!({"topology": "micro"}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        told,
        json!({
            "from": "micro", "to": "micro", "groups": [], "outcome": "done",
            "processes": {"before": 2, "peak": 2, "after": 2},
        })
    );
    assert_eq!(stage.supervisor.asked().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_is_refused_before_the_supervisor_is_asked() {
    let stage = Stage::new().await;
    for (path, body, status) in [
        ("reshape", json!({"topology": "moon"}), 400),
        ("reshape", json!({"topology": "pair", "replicas": "x"}), 400),
        ("reshape", json!({"topology": "pair", "dry-run": true}), 422),
        ("reshape", json!({}), 422),
        ("scale", json!({"groups": {}}), 400),
        ("scale", json!({"groups": {"Web": "-1"}}), 400),
        ("scale", json!({"groups": {"Moon": "2"}}), 400),
        ("restart", json!({"group": "no name"}), 422),
    ] {
        let answer = stage.post(path, body.clone()).await;
        assert_eq!(answer.status(), status, "{path} {body}");
        let told: Value = answer.json().await.unwrap();
        assert!(
            told["what"].as_str().is_some_and(|what| !what.is_empty()),
            "{told}"
        );
    }
    assert_eq!(stage.supervisor.asked(), []);
    for path in [
        "logs?level=loud",
        "logs?since=yesterday",
        "logs?moon=1",
        "graph?topology=moon",
        "graph?x=1",
        "traces?edge=Cart",
        "traces?min=long",
        "traces?since=yesterday",
        "traces?moon=1",
        "traces/1",
    ] {
        assert_eq!(stage.get(path).await.status(), 400, "{path}");
    }
}

fn line(second: u32, level: &str, text: &str) -> String {
    json!({"ts": format!("2026-01-02T03:04:{second:02}.000000Z"), "level": level, "msg": text})
        .to_string()
}

fn texts(lines: &Value) -> Vec<String> {
    let lines = lines.as_array().unwrap().iter();
    lines
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_last_lines_of_all_logs_are_told_in_time_order() {
    let stage = Stage::new().await;
    stage.log(
        "Cart-1",
        &[
            &line(1, "INFO", "one"),
            &line(3, "WARN", "three"),
            &line(5, "INFO", "five"),
        ],
    );
    stage.log(
        "Web-1",
        &[&line(2, "INFO", "two"), &line(4, "ERROR", "four")],
    );
    let all: Value = stage.get("logs").await.json().await.unwrap();
    assert_eq!(texts(&all), ["one", "two", "three", "four", "five"]);
    assert_eq!(
        all[1],
        json!({"source": "Web-1", "at": "2026-01-02T03:04:02.000000Z", "level": "INFO", "text": "two"})
    );
    let last: Value = stage.get("logs?lines=2").await.json().await.unwrap();
    assert_eq!(texts(&last), ["four", "five"]);
    for (query, fits) in [
        ("level=warn", &["three", "four"][..]),
        ("replica=Web", &["two", "four"]),
        ("replica=Web-1,Cart-1&level=error", &["four"]),
        ("component=Cart&text=F", &["five"]),
        ("text=t%20w", &["two"]),
        ("since=1h", &[]),
    ] {
        let told: Value = stage
            .get(&format!("logs?{query}"))
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(texts(&told), fits, "{query}");
    }
}

#[tokio::test]
async fn lines_that_come_are_told_as_they_come() {
    let stage = Stage::new().await;
    stage.log(
        "Cart-1",
        &[&line(1, "INFO", "old"), &line(2, "INFO", "last")],
    );
    let mut events = Events::of(stage.get("logs/follow?lines=1&replica=Cart").await);
    let (name, first) = events.next().await.unwrap();
    assert_eq!(
        (name.as_str(), texts(&first)),
        ("lines", vec!["last".to_owned()])
    );
    stage.log("Web-1", &[&line(3, "INFO", "not wanted")]);
    stage.log("Cart-1", &["plain text", &line(4, "INFO", "new")]);
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some("new") {
        seen.extend(texts(&events.next().await.unwrap().1));
    }
    assert_eq!(seen, ["plain text", "new"]);
}

#[tokio::test]
async fn who_looks_is_told_all_and_then_what_changes() {
    let stage = Stage::new().await;
    let mut events = Events::of(stage.get("events").await);
    assert_eq!(
        events.next().await.unwrap(),
        ("state".to_owned(), overview())
    );
    stage.supervisor.show(|now| {
        now.change = Some("reshaping micro to pair".to_owned());
        let to = "pair".parse().unwrap();
        now.underway = Some(Underway::Reshape { to });
    });
    let change = json!({
        "change": "reshaping micro to pair",
        "underway": {"kind": "reshape", "to": "pair"},
    });
    assert_eq!(
        events.next().await.unwrap(),
        ("change".to_owned(), change.clone())
    );
    // Who comes later, or again, is told all, and nobody else is told anything by it.
    let mut later = Events::of(stage.get("events").await);
    let (name, state) = later.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &state["change"]),
        ("state", &change["change"])
    );
    stage
        .supervisor
        .show(|now| (now.change, now.underway) = (None, None));
    let end = json!({"change": null, "underway": null});
    let end = ("change".to_owned(), end);
    assert_eq!(events.next().await.unwrap(), end);
    assert_eq!(later.next().await.unwrap(), end);
}

#[tokio::test]
async fn who_looks_is_told_that_the_supervisor_does_not_answer_and_when_it_does_again() {
    let stage = Stage::new().await;
    let mut events = Events::of(stage.get("events").await);
    events.next().await.unwrap();
    let socket = stage.folder.control_socket();
    let aside = socket.with_extension("aside");
    std::fs::rename(&socket, &aside).unwrap();
    assert_eq!(events.next().await.unwrap().0, "lost");
    assert_eq!(stage.get("status").await.status(), 502);
    std::fs::rename(&aside, &socket).unwrap();
    assert_eq!(events.next().await.unwrap().0, "state");
}

#[tokio::test]
async fn what_goes_on_now_is_what_the_supervisor_sees() {
    let stage = Stage::new().await;
    assert_eq!(
        stage.get("now").await.status(),
        502,
        "a supervisor without numbers"
    );
    stage.supervisor.lets_see(seen);
    let told: Value = stage.get("now").await.json().await.unwrap();
    assert_eq!(
        (&told["calls_per_second"], &told["replicas"][0]["id"]),
        (&json!(12.5), &json!("Cart-1"))
    );
    assert!(
        told["host_cores"].as_u64().is_some_and(|cores| cores > 0),
        "{told}"
    );
}

#[tokio::test]
async fn an_edge_is_told_with_what_is_set_for_it() {
    let stage = Stage::new().await;
    stage.supervisor.lets_see(seen);
    let told: Value = stage.get("edges/Web/Cart").await.json().await.unwrap();
    assert_eq!(
        (&told["caller"], &told["methods"][0]["method"]),
        (&json!("Web"), &json!("add"))
    );
    assert_eq!(told["settings"][0]["timeout_ms"], 100);
    let other: Value = stage.get("edges/Cart/Web").await.json().await.unwrap();
    assert_eq!(other["settings"], json!([]));
    assert_eq!(stage.get("edges/Web/no%20name").await.status(), 404);
}

#[tokio::test]
async fn the_history_is_that_of_whom_it_is_asked_for() {
    fn told(look: &Look) -> Seen {
        let Look::Past { subject, period } = look else {
            panic!("{look:?}");
        };
        let step_ms = match (subject, period) {
            (Subject::Application, Period::Hour) => 1,
            (Subject::Component { component }, Period::Hour) if component == "Cart" => 2,
            (Subject::Edge { caller, callee }, Period::Minutes)
                if caller == "Web" && callee == "Cart" =>
            {
                3
            }
            other => panic!("{other:?}"),
        };
        Seen::Past(Past {
            step_ms,
            ..Past::default()
        })
    }
    let stage = Stage::new().await;
    stage.supervisor.lets_see(told);
    for (query, step) in [
        ("", 1),
        ("?component=Cart", 2),
        ("?caller=Web&callee=Cart&period=minutes", 3),
    ] {
        let past: Value = stage
            .get(&format!("history{query}"))
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(past["step_ms"], step, "{query}");
    }
    for query in [
        "caller=Web",
        "component=Cart&callee=Web",
        "period=year",
        "moon=1",
        "component=no%20name",
    ] {
        assert_eq!(
            stage.get(&format!("history?{query}")).await.status(),
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn who_looks_is_told_each_moment_once() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static AT: AtomicU64 = AtomicU64::new(1);
    fn told(_: &Look) -> Seen {
        Seen::Now(Moment {
            at_ms: AT.load(Ordering::SeqCst),
            ..Moment::default()
        })
    }
    let stage = Stage::new().await;
    stage.supervisor.lets_see(told);
    let mut events = Events::of(stage.get("events").await);
    assert_eq!(events.next().await.unwrap().0, "state");
    let moment = |(name, now): (String, Value)| {
        assert_eq!(name, "now");
        now["at_ms"].as_u64().unwrap()
    };
    assert_eq!(moment(events.next().await.unwrap()), 1);
    // Who comes later is told the same moment, and nobody else is told it again.
    let mut later = Events::of(stage.get("events").await);
    assert_eq!(later.next().await.unwrap().0, "state");
    assert_eq!(moment(later.next().await.unwrap()), 1);
    AT.store(2, Ordering::SeqCst);
    assert_eq!(moment(events.next().await.unwrap()), 2);
    assert_eq!(moment(later.next().await.unwrap()), 2);
}

fn span(trace: u32, id: u32, edge: [&str; 2], took_ms: u64, outcome: &str) -> String {
    let begun_ns = 1_767_322_800_000_000_000_u64 + u64::from(trace) * 1_000_000_000;
    json!({
        "trace": format!("{trace:032x}"), "id": format!("{id:016x}"), "kind": "client", "caller": edge[0],
        "component": edge[1], "method": "get", "begun_ns": begun_ns, "took_ns": took_ms * 1_000_000,
        "outcome": outcome, "kept": "sampled", "replica": "Web-1"
    })
    .to_string()
}

#[tokio::test]
async fn a_trace_is_found_by_what_one_of_its_spans_is() {
    let stage = Stage::new().await;
    stage.spans(&[
        &span(1, 1, ["Web", "Cart"], 10, "answered"),
        &span(1, 2, ["Cart", "Store"], 90, "erred"),
        "torn",
        &span(2, 1, ["Web", "Cart"], 30, "answered"),
        &span(3, 1, ["Web", "Ads"], 5, "unknown"),
    ]);
    for (query, fits) in [
        ("", &[3, 2, 1][..]),
        ("limit=1", &[3]),
        ("edge=Web-%3ECart", &[2, 1]),
        ("edge=Web-%3ECart&min=20ms", &[2]),
        ("edge=-%3EStore", &[1]),
        ("failed=true", &[3, 1]),
        ("failed=true&component=Store", &[1]),
        ("text=ads%20web-1", &[3]),
        ("since=1h", &[]),
        ("until=1h", &[3, 2, 1]),
    ] {
        let answer = stage.get(&format!("traces?{query}")).await;
        let told: Value = answer.json().await.unwrap();
        let traces = told["traces"].as_array().unwrap().iter();
        let ids: Vec<&str> = traces.map(|it| it["id"].as_str().unwrap()).collect();
        let fits: Vec<String> = fits.iter().map(|id: &u32| format!("{id:032x}")).collect();
        assert_eq!(ids, fits, "{query}");
        assert_eq!(told["more"], json!(query == "limit=1"));
    }
    let one: Value = stage
        .get(&format!("traces/{:032x}", 1))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(one["span_count"], 2);
    assert_eq!(one["spans"][1]["name"], "Store/get");
}
