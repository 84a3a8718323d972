//! The numbers in the page, of a shop under load.

use anyhow::ensure;
use e2e::{Samples, Shop, Shoppers};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::block_in_place;

use crate::{ENTER, ESCAPE, Visit, strings};

const LEFT: &str = "\u{e012}";

/// The catalogue as a slow one, and nothing else.
const SLOW_CATALOG: &str = "\n[components.Catalog]\nextra_latency_ms = 700\n";

/// How many tasks are begun in a second, each of one or two pages, and by how many visitors at most.
const TASKS: f64 = 4.0;
const USERS: usize = 24;

fn shoppers(visit: &Visit) -> Shoppers {
    Shoppers::begin(&visit.shop.url, TASKS, USERS, 7, true)
}

/// The edges of the graph that have this tone, in words `Caller Callee`.
async fn edges_of(visit: &Visit, tone: &str) -> anyhow::Result<Vec<String>> {
    let script = format!(
        "return [...document.querySelectorAll('[data-tone={tone}]')].map((edge) => edge.dataset.edge).sort()"
    );
    Ok(strings(&visit.run(&script).await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_that_is_slow_is_the_one_that_is_coloured() -> anyhow::Result<()> {
    let visit = Visit::with(Shop::with().topology("micro"), SLOW_CATALOG, "numbers-slow").await?;
    let load = shoppers(&visit);
    visit.view("graph").await?;
    // Whoever calls the catalogue is slow, and so is who calls these; but that is not where to look.
    let slow_one = "const slow = [...document.querySelectorAll('[data-tone=slow]')].map((edge) => edge.dataset.edge)";
    let alone = format!(
        "(() => {{ {slow_one}; return slow.includes('Frontend Catalog') && slow.includes('Recommendation Catalog') \
             && slow.every((edge) => edge.endsWith(' Catalog')) \
             && document.querySelector('[data-edge=\"Frontend Recommendation\"] title').textContent.includes('most of it') }})()"
    );
    visit.wait_long(&alone).await?;
    // The colour is not the only sign, and others do not have it.
    let says = visit.text("[data-edge='Frontend Catalog'] .says").await?;
    ensure!(says.starts_with("◷ p"), "{says}");
    let stroke = |edge: &str| {
        format!("getComputedStyle(document.querySelector('[data-edge=\"{edge}\"] .edge')).stroke")
    };
    let differ = format!(
        "return {} !== {}",
        stroke("Frontend Catalog"),
        stroke("Frontend Currency")
    );
    ensure!(visit.run(&differ).await? == true);
    // What goes along more often is drawn wider: a page asks for ten prices, and for one cart.
    let width = |edge: &str| {
        format!(
            "parseFloat(getComputedStyle(document.querySelector('[data-edge=\"{edge}\"] .edge')).strokeWidth)"
        )
    };
    visit
        .wait_until(&format!(
            "{} > {}",
            width("Frontend Currency"),
            width("Frontend Cart")
        ))
        .await?;
    visit.screenshots("graph").await?;
    visit.view("problems").await?;
    visit
        .wait_until("document.querySelector('[data-problem=\"Frontend Catalog slow\"]')")
        .await?;
    a_slow_trace_is_found(&visit).await?;
    load.end().await?;
    // Where nobody calls, nothing is slow.
    visit.view("graph").await?;
    visit
        .wait_long("document.querySelectorAll('[data-tone=idle]').length === document.querySelectorAll('[data-edge]').length")
        .await?;
    ensure!(edges_of(&visit, "slow").await?.is_empty());
    visit.end().await
}

/// From the page of the edge that is slow to one of the requests that were, and to where its time has gone.
async fn a_slow_trace_is_found(visit: &Visit) -> anyhow::Result<()> {
    visit
        .click("[data-problem='Frontend Catalog slow'] button")
        .await?;
    visit
        .wait_for_text("dialog h2", "Frontend → Catalog")
        .await?;
    let links = "[...document.querySelectorAll('dialog .links a')]";
    visit
        .run(&format!(
            "{links}.find((it) => it.textContent === 'Slow traces').click()"
        ))
        .await?;
    visit
        .wait_long("document.querySelectorAll('main.calls [data-trace]').length > 0")
        .await?;
    visit.screenshots("calls").await?;
    visit.click("main.calls [data-trace] button.link").await?;
    let waits = "[...document.querySelectorAll('.waterfall li.client')] \
        .some((it) => it.textContent.includes('Catalog/') && it.querySelector('.bar').getBoundingClientRect().width > 20)";
    visit.wait_until(waits).await?;
    visit.screenshots("trace").await?;
    visit.press(ESCAPE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_tells_its_methods_and_how_it_went() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with().topology("micro"), "numbers-edge").await?;
    let load = shoppers(&visit);
    visit.view("graph").await?;
    visit
        .wait_long(
            "document.querySelector('[data-edge=\"Frontend Cart\"]').dataset.tone !== 'idle'",
        )
        .await?;
    // With the keyboard, as an edge is thin.
    visit
        .run("document.querySelector('[data-edge=\"Frontend Cart\"]').focus()")
        .await?;
    visit.press(ENTER).await?;
    visit.wait_for_text("dialog h2", "Frontend → Cart").await?;
    visit
        .wait_until("document.querySelectorAll('dialog [data-method]').length >= 2")
        .await?;
    visit
        .wait_until("document.querySelectorAll('dialog .chart').length === 3")
        .await?;
    // All of it goes to another process.
    visit
        .wait_until("[...document.querySelectorAll('dialog .figures div')].some((it) => it.textContent === 'To other processes100 %')")
        .await?;
    visit
        .wait_until("document.querySelector('dialog [data-chart=Calls] .plot .series').getAttribute('d').split('L').length > 8")
        .await?;
    visit.screenshots("edge").await?;
    load.end().await?;
    // Now that nobody calls any more, all that were counted are told, by method.
    let counted = block_in_place(|| Samples::of(&visit.shop))?;
    let edge = [("anylith_caller", "Frontend"), ("anylith_callee", "Cart")];
    let by_method = counted.sum_by("anylith_client_calls_total", &edge, ["rpc_method"]);
    ensure!(by_method.len() >= 2, "{by_method:?}");
    for ([method], calls) in by_method {
        let method = method.trim_start_matches("Cart/");
        visit
            .wait_until(&format!(
                "document.querySelector('dialog [data-method={method}] td:last-child').textContent.replaceAll(',', '') === '{calls}'"
            ))
            .await?;
    }
    // From the edge to its component, and from there to all of its logs.
    visit.click("dialog button.inline:nth-of-type(2)").await?;
    visit.wait_for_text("dialog h2", "Cart").await?;
    visit
        .wait_until("[...document.querySelectorAll('dialog table td')].some((it) => it.textContent.includes('MiB'))")
        .await?;
    visit
        .click("dialog a[href='#/logs?component=Cart']")
        .await?;
    visit
        .wait_until("document.querySelector('main.logs select[name=component]').value === 'Cart'")
        .await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_marked_on_the_axis_of_time() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with().topology("micro"), "numbers-time").await?;
    let load = shoppers(&visit);
    visit.view("time").await?;
    visit.click(".choice button:first-child").await?;
    visit
        .wait_until("document.querySelectorAll('main.time .chart').length === 6")
        .await?;
    let pid = visit.shop.replica("Cart-1")?.pid.and_then(Pid::from_raw);
    kill_process(pid.expect("Cart-1 runs"), Signal::KILL)?;
    let happened = |kind: &str, word: &str| {
        format!(
            "document.querySelector('.timeline .mark.{kind}') && document.querySelector('.plot .when.{kind}') \
             && [...document.querySelectorAll('.happened .{kind} .text')].some((it) => it.textContent.includes('{word}'))"
        )
    };
    visit.wait_until(&happened("failure", "Cart-1")).await?;
    visit
        .wait_until(&happened("recovery", "ready again"))
        .await?;
    for (command, kind, word) in [
        (
            &["scale", "Catalog=2"][..],
            "scale",
            "Catalog has 2 replicas",
        ),
        (&["reshape", "mix"], "reshape", "mix runs"),
        (&["restart", "goods"], "restart", "restarted 1 replica"),
    ] {
        let made = block_in_place(|| visit.shop.command(command))?;
        ensure!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        visit.wait_until(&happened(kind, word)).await?;
    }
    // Five of the six have numbers by now; nothing has failed, or it is in the sixth.
    for chart in ["Calls", "Latency", "CPU", "Memory", "Replicas"] {
        visit
            .wait_until(&format!(
                "document.querySelector('[data-chart={chart}] .plot .series').getAttribute('d').split('L').length > 5"
            ))
            .await?;
    }
    // The picture agrees with the status.
    let status = visit.status()?;
    let groups = status["groups"].as_array().into_iter().flatten();
    let replicas = groups.flat_map(|group| group["replicas"].as_array().into_iter().flatten());
    let replicas = replicas.filter(|it| it["state"] == "ready").count();
    visit
        .wait_until(&format!(
            "document.querySelector('[data-chart=Replicas] .value b').textContent === '{replicas}'"
        ))
        .await?;
    visit.screenshots("minutes").await?;
    // The arrow keys go back, and say what was then.
    visit
        .run("document.querySelector('.timeline').focus(); window.before = document.querySelector('.timeline').getAttribute('aria-valuetext')")
        .await?;
    visit.press(&LEFT.repeat(3)).await?;
    visit
        .wait_until(
            "document.querySelector('.plot .cursor') && document.querySelector('.timeline output')",
        )
        .await?;
    visit
        .wait_until("/^[0-9:]{8}, Calls all .*, Replicas all /.test(document.querySelector('.timeline').getAttribute('aria-valuetext')) && document.querySelector('.timeline').getAttribute('aria-valuetext') !== before")
        .await?;
    visit.press(ESCAPE).await?;
    visit
        .wait_until("document.querySelector('.plot .cursor') === null")
        .await?;
    // The same as a table.
    visit.click(".as-table summary").await?;
    visit
        .wait_until("document.querySelectorAll('.as-table tbody tr').length > 5 && document.querySelectorAll('.as-table thead th').length === 10")
        .await?;
    visit.click(".as-table summary").await?;
    // Of one component, and of one edge.
    visit.choose_text("select[name=subject]", "Cart").await?;
    visit
        .wait_for_text("main.time .heading p", "calls of Cart, and what it needs")
        .await?;
    visit
        .choose_text("select[name=subject]", "Frontend → Cart")
        .await?;
    visit
        .wait_until("document.querySelectorAll('main.time .chart').length === 3")
        .await?;
    visit
        .choose_text("select[name=subject]", "the application")
        .await?;
    visit.click(".choice button:last-child").await?;
    visit
        .wait_long("document.querySelector('[data-chart=Calls] .plot .series').getAttribute('d').split(/[ML]/).length > 2")
        .await?;
    visit.screenshots("hour").await?;
    load.end().await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_of_each_process_is_seen_in_the_shape() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with().topology("mix"), "numbers-shape").await?;
    let load = shoppers(&visit);
    visit
        .wait_long("[...document.querySelectorAll('.process')].every((it) => / [0-9.]+ cores · [0-9.]+ MiB/.test(it.querySelector('footer').textContent))")
        .await?;
    visit
        .wait_until("[...document.querySelectorAll('.process .load')].some((it) => parseFloat(it.style.height) > 0)")
        .await?;
    visit.agree().await?;
    // What the page says of memory is what the command says.
    let top = block_in_place(|| visit.shop.command(&["top", "--json"]))?;
    let top: Value = serde_json::from_slice(&top.stdout)?;
    let replicas = top["replicas"].as_array().into_iter().flatten();
    for replica in replicas {
        let (id, bytes) = (&replica["id"], replica["memory_bytes"].as_f64());
        let mebibytes = bytes.unwrap_or_default() / f64::from(1 << 20);
        // It may have grown a little meanwhile.
        visit
            .wait_until(&format!(
                "Math.abs(parseFloat(document.querySelector('[data-replica={id}] .need').textContent.split('·')[2]) - {mebibytes}) < 8"
            ))
            .await?;
    }
    visit.screenshots("load").await?;
    load.end().await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_counted_the_page_says_so() -> anyhow::Result<()> {
    let off = "\n[telemetry]\nmetrics = \"off\"\n";
    let visit = Visit::with(Shop::with(), off, "numbers-off").await?;
    visit.view("time").await?;
    visit
        .wait_until(
            "document.querySelector('main.time').textContent.includes('Nothing is counted')",
        )
        .await?;
    visit.view("graph").await?;
    visit
        .wait_until("document.querySelectorAll('.line').length > 5")
        .await?;
    // Nobody is said not to call.
    ensure!(edges_of(&visit, "idle").await?.is_empty());
    visit.end().await
}

impl Visit {
    /// Waits longer than for what only has to be drawn: what goes on is told of the last five seconds.
    async fn wait_long(&self, condition: &str) -> anyhow::Result<()> {
        for _ in 0..2 {
            if self.wait_until(condition).await.is_ok() {
                return Ok(());
            }
        }
        self.wait_until(condition).await
    }
}
