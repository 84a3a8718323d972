//! The dashboard of an application of a hundred components, which nobody has written: a made-up supervisor tells of it.

use std::slice;

use anyhow::ensure;
use anylith_supervisor::{Look, Seen};
use e2e::Browser;
use serde_json::{Value, json};

use crate::stage::Stage;

const THINGS: [&str; 10] = [
    "Order", "Stock", "Price", "Cart", "Mail", "Search", "Review", "Refund", "Invoice", "Customer",
];

const KINDS: [&str; 10] = [
    "Pages", "Gate", "Rules", "Report", "Index", "Queue", "Cache", "Audit", "Archive", "Store",
];

/// A laptop's window, and a screen on a wall.
const LAPTOP: (u32, u32) = (1440, 900);
const WALL: (u32, u32) = (3840, 2160);

fn name(index: usize) -> String {
    format!("{}{}", THINGS[index % 10], KINDS[index / 10])
}

/// Each is dependent on the next of its own thing, and most on one of another.
fn dependencies(index: usize) -> Vec<String> {
    let next = (index + 10 < 100).then(|| name(index + 10));
    let other = (!index.is_multiple_of(3) && index + 20 < 100)
        .then(|| name((index / 10 + 2) * 10 + (index * 7 + 3) % 10));
    next.into_iter().chain(other).collect()
}

fn manifest() -> anylith_core::Manifest {
    let components = (0..100).map(|index| {
        json!({
            "name": name(index),
            "summary": "Does something.",
            "dependencies": dependencies(index),
            "listeners": if index == 0 { vec!["web"] } else { Vec::new() },
            "methods": [{"name": "ask", "idempotent": true, "shape": "unary"}],
            "fingerprint": "00000000000000ff",
        })
    });
    let components: Vec<Value> = components.collect();
    serde_json::from_value(json!({"app": "emporium", "components": components}))
        .expect("it is a manifest")
}

/// A group of `components` with so many replicas, most of which are well.
fn group(index: usize, group: &str, components: &[String], replicas: usize) -> Value {
    let replica = |ordinal: usize| {
        let (state, restarts) = match (index * 3 + ordinal) % 41 {
            7 => ("backoff", 6),
            19 => ("starting", 0),
            30 => ("draining", 0),
            _ => ("ready", u32::from(index % 29 == 11)),
        };
        json!({
            "id": format!("{group}-{ordinal}"), "pid": 41_000 + index * 10 + ordinal,
            "address": null, "state": state, "restarts": restarts,
        })
    };
    let replicas: Vec<Value> = (1..=replicas).map(replica).collect();
    json!({"name": group, "components": components, "replicas": replicas})
}

fn overview(topology: &str, groups: &[Value]) -> Value {
    json!({
        "status": {
            "app": "emporium", "topology": topology, "epoch": 7, "groups": groups,
            "listeners": {"web": "http://127.0.0.1:8080"},
        },
        "notes": [], "supervisor": 40_999, "troubles": [], "change": null, "underway": null,
    })
}

/// A process for each; some have two.
fn micro() -> Value {
    let groups = (0..100).map(|index| {
        let component = name(index);
        group(
            index,
            &component,
            slice::from_ref(&component),
            1 + usize::from(index % 17 == 4),
        )
    });
    overview("micro", &groups.collect::<Vec<_>>())
}

/// All that has to do with one thing in one process, twice.
fn by_thing() -> Value {
    let groups = THINGS.iter().enumerate().map(|(index, thing)| {
        let components: Vec<String> = (0..10).map(|kind| name(kind * 10 + index)).collect();
        group(index, thing, &components, 2)
    });
    overview("by-thing", &groups.collect::<Vec<_>>())
}

/// What goes along its edges: much along some, nothing along others, and of a few not all is well.
fn traffic(look: &Look) -> Seen {
    let flow = |number: usize| {
        let calls = match number % 9 {
            4 => 0.0,
            other => (other * other * other) as f64,
        };
        let failed = if number % 37 == 11 { calls * 0.04 } else { 0.0 };
        let p99 = if number % 41 == 5 { 740_000.0 } else { 900.0 };
        json!({
            "calls_per_second": calls, "remote_per_second": calls, "failed_per_second": failed,
            "failures": {"unknown": failed}, "in_flight": 0, "p50_us": 220.0, "p99_us": p99,
        })
    };
    let edges = (0..100).flat_map(|index| {
        let caller = name(index);
        dependencies(index)
            .into_iter()
            .enumerate()
            .map(move |(number, callee)| {
                let mut edge = flow(index * 3 + number);
                edge["caller"] = caller.clone().into();
                edge["callee"] = callee.into();
                edge
            })
    });
    let replicas = (0..100).map(|index| {
        let load = (index * 37 % 100) as f64 / 100.0;
        json!({"id": format!("{}-1", name(index)), "cores": load * load, "memory_bytes": (9 << 20) + index * 70_000})
    });
    let value = match look {
        Look::Now => json!({
            "look": "now", "at_ms": 1_767_322_800_000_u64, "seconds": 5.0, "metrics": "all", "calls_per_second": 2000.0,
            "edges": edges.collect::<Vec<_>>(), "replicas": replicas.collect::<Vec<_>>(),
        }),
        Look::Edge { .. } | Look::Past { .. } => json!({"look": "past", "step_ms": 1000}),
    };
    serde_json::from_value(value).expect("it is what a supervisor says")
}

/// A browser that looks at `overview`.
async fn look(overview: Value, name: &str) -> anyhow::Result<(Stage, Browser)> {
    let stage = Stage::of(manifest(), overview).await;
    let browser = Browser::start(name).await?;
    browser.go_to(&stage.dashboard.invitation().link()).await?;
    browser
        .wait_until("document.querySelector('.connection.live')")
        .await?;
    Ok((stage, browser))
}

/// What is cut off, or stands out of the page: as a text, empty if nothing.
const CUT: &str = "const cut = [...document.querySelectorAll('.tile .name, h3, h4, .sign, .head *')] \
        .filter((it) => it.clientWidth > 0 && it.scrollWidth > it.clientWidth + 1).map((it) => it.textContent); \
    for (const it of document.querySelectorAll('.process')) { \
        if (it.getBoundingClientRect().right > innerWidth) cut.push(it.dataset.replica) } \
    if (document.documentElement.scrollWidth > innerWidth) cut.push('the page'); \
    return cut.join(', ')";

/// What of the graph stands out of its box, or cannot be scrolled to.
const LOST: &str = "const canvas = document.querySelector('.canvas'); canvas.scrollTo(0, 0); \
    const frame = canvas.getBoundingClientRect(); \
    const sees = (it) => { const { left, top, right, bottom } = it.getBoundingClientRect(); \
        return left >= frame.left && top >= frame.top \
            && right <= frame.left + canvas.scrollWidth && bottom <= frame.top + canvas.scrollHeight }; \
    const holds = (box, text) => { const [outer, inner] = [box.getBBox(), text.getBBox()]; \
        return inner.x >= outer.x && inner.x + inner.width <= outer.x + outer.width }; \
    return [...document.querySelectorAll('.node')] \
        .filter((it) => !sees(it) || ![...it.querySelectorAll('text')].every((text) => holds(it.querySelector('rect'), text))) \
        .map((it) => it.dataset.component).join(', ')";

#[tokio::test]
async fn a_hundred_components_can_be_looked_at() -> anyhow::Result<()> {
    for (topology, overview, processes) in [("micro", micro(), 106), ("by-thing", by_thing(), 20)] {
        let (stage, browser) = look(overview, &format!("hundred-{topology}")).await?;
        stage.supervisor.lets_see(traffic);
        for (screen, (width, height)) in [("laptop", LAPTOP), ("wall", WALL)] {
            browser.resize(width, height).await?;
            for theme in ["light", "dark"] {
                browser.prefer("prefers-color-scheme", theme).await?;
                browser.click("nav a[href='#/shape']").await?;
                browser
                    .wait_until(&format!(
                        "document.querySelectorAll('.process').length === {processes}"
                    ))
                    .await?;
                let cut = browser.run(CUT).await?;
                ensure!(cut == "", "{topology} on a {screen}: {cut}");
                browser
                    .screenshot(&format!("shape-{screen}-{theme}"))
                    .await?;
                browser.click("nav a[href='#/graph']").await?;
                browser
                    .wait_until("document.querySelectorAll('.node').length === 100")
                    .await?;
                browser
                    .wait_until("document.querySelectorAll('.line.failing .says').length > 2")
                    .await?;
                let lost = browser.run(LOST).await?;
                ensure!(lost == "", "{topology} on a {screen}: {lost}");
                browser
                    .screenshot(&format!("graph-{screen}-{theme}"))
                    .await?;
            }
        }
        browser.click("nav a[href='#/shape']").await?;
        let over = "return document.documentElement.scrollHeight - innerHeight";
        let over = browser.run(over).await?;
        ensure!(
            over == 0,
            "{topology} does not fit on a wall, where nobody scrolls: {over} pixels"
        );
        let complaints = browser.complaints().await?;
        ensure!(complaints.is_empty(), "{complaints:#?}");
        browser.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn one_of_a_hundred_that_changes_is_drawn_and_no_other() -> anyhow::Result<()> {
    let (stage, browser) = look(micro(), "hundred-changes").await?;
    browser
        .wait_until("document.querySelectorAll('.process').length === 106")
        .await?;
    browser
        .run(
            "window.drawn = new Set(); new MutationObserver((all) => { for (const { target } of all) { \
                 const it = target instanceof Element ? target : target.parentElement; \
                 drawn.add(it.closest('.process')?.dataset.replica) } \
             }).observe(document.querySelector('.host'), { subtree: true, childList: true, attributes: true, characterData: true })",
        )
        .await?;
    stage
        .supervisor
        .show(|now| now.status.groups[50].replicas[0].pid = Some(4711));
    browser
        .wait_until("document.querySelector('[data-replica=OrderQueue-1] footer').textContent.includes('4711')")
        .await?;
    let drawn = browser.run("return [...drawn]").await?;
    ensure!(drawn == json!(["OrderQueue-1"]), "{drawn}");
    browser.close().await
}
