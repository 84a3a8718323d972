//! Traces in the page, of an application whose spans a test has written down.

use anyhow::ensure;
use e2e::Browser;
use serde_json::{Value, json};

use crate::{
    ENTER, ESCAPE,
    stage::{Stage, manifest, overview, seen},
};

/// A span of a trace that began so many seconds after the first one.
fn span(trace: u64, id: u64, parent: u64, more: Value) -> String {
    let begun_ns = 1_767_322_800_000_000_000 + trace * 1_000_000_000 + id * 1_000_000;
    let mut span = json!({
        "trace": format!("{trace:032x}"), "id": format!("{id:016x}"), "replica": "Web-1", "begun_ns": begun_ns,
        "outcome": "answered", "kept": "sampled",
    });
    if parent != 0 {
        span["parent"] = format!("{parent:016x}").into();
    }
    let fields = span.as_object_mut().expect("it is an object");
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    span.to_string()
}

/// A request for a page, and its call of the cart, here and there.
fn visit(trace: u64, took_ms: u64, outcome: &str, error: Option<&str>) -> Vec<String> {
    let took_ns = took_ms * 1_000_000;
    let status = if outcome == "answered" { 200 } else { 500 };
    let mut call = json!({
        "kind": "client", "caller": "Web", "component": "Cart", "method": "add", "took_ns": took_ns - 4_000_000,
        "outcome": outcome,
    });
    if let Some(error) = error {
        call["error"] = error.into();
    }
    let served = json!({
        "kind": "server", "component": "Cart", "method": "add", "took_ns": took_ns - 6_000_000, "replica": "Cart-1",
        "outcome": outcome,
    });
    let request = json!({
        "kind": "request", "component": "Web", "method": "GET", "path": "/cart", "took_ns": took_ns, "status": status,
    });
    vec![
        span(trace, 1, 0, request),
        span(trace, 2, 1, call),
        span(trace, 3, 2, served),
    ]
}

#[tokio::test]
async fn a_trace_is_found_from_the_page_of_its_edge() -> anyhow::Result<()> {
    let stage = Stage::of(manifest(), overview()).await;
    stage.supervisor.lets_see(seen);
    let hostile = "<img src=x onerror=document.title=1>";
    let mut spans = Vec::new();
    for trace in 1..=12 {
        spans.extend(match trace {
            5 => visit(trace, 30, "unknown", Some(hostile)),
            9 => visit(trace, 400, "answered", None),
            other => visit(other, 8 + other, "answered", None),
        });
    }
    let spans: Vec<&str> = spans.iter().map(String::as_str).collect();
    stage.spans(&spans);
    let browser = Browser::start("traces").await?;
    browser.go_to(&stage.dashboard.invitation().link()).await?;
    browser.click("nav a[href='#/calls']").await?;
    browser
        .wait_until("document.querySelectorAll('[data-trace]').length === 12")
        .await?;
    browser.screenshots("calls").await?;
    browser.click("nav a[href='#/graph']").await?;
    browser
        .wait_until("document.querySelector('[data-edge=\"Web Cart\"]')")
        .await?;
    let open = "document.querySelector('[data-edge=\"Web Cart\"]').focus()";
    browser.run(open).await?;
    browser.press(ENTER).await?;
    browser
        .click("dialog a[href='#/calls?edge=Web-%3ECart&failed=true']")
        .await?;
    let only = |trace: u64| {
        format!(
            "[...document.querySelectorAll('[data-trace]')].map((it) => it.dataset.trace).join() === '{trace:032x}'"
        )
    };
    browser.wait_until(&only(5)).await?;
    ensure!(
        browser
            .run("return document.querySelector('select[name=edge]').value")
            .await?
            == "Web->Cart"
    );
    browser.click("[data-trace] button.link").await?;
    browser
        .wait_until("document.querySelectorAll('.waterfall li').length === 3")
        .await?;
    // What was caused stands below what has caused it, and begins later.
    browser
        .wait_until("(() => { const [page, call, served] = [...document.querySelectorAll('.waterfall .bar')].map((bar) => bar.getBoundingClientRect()); \
             return page.left < call.left && call.left < served.left && page.width > call.width && call.width > served.width })()")
        .await?;
    browser.click(".waterfall li:nth-child(2) button").await?;
    browser
        .wait_until("document.querySelector('.waterfall .facts').textContent.includes('<img src=x onerror=')")
        .await?;
    browser.screenshots("trace").await?;
    ensure!(
        browser
            .run("return document.querySelectorAll('dialog img').length")
            .await?
            == 0
    );
    browser.press(ESCAPE).await?;
    // By length and by text.
    browser.click("input[name=failed]").await?;
    browser.choose_text("select[name=min]", "100ms").await?;
    browser.wait_until(&only(9)).await?;
    browser
        .choose_text("select[name=min]", "any length")
        .await?;
    browser.fill("input[name=text]", "onerror").await?;
    browser.wait_until(&only(5)).await?;
    let complaints = browser.complaints().await?;
    ensure!(complaints.is_empty(), "{complaints:#?}");
    browser.close().await
}
