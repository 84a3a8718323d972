//! The dashboard, as people use it: in a browser, before a shop that runs.

#[path = "dashboard/hundred.rs"]
mod hundred;
#[path = "dashboard/numbers.rs"]
mod numbers;
#[path = "../crates/anylith-dashboard/tests/stage/mod.rs"]
mod stage;
#[path = "dashboard/traces.rs"]
mod traces;

use std::{collections::BTreeSet, fs::File, io::Write as _, ops::Deref};

use anyhow::{Context as _, ensure};
use e2e::{App, Browser, Shop, Start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Keys without letters, as the WebDriver standard writes them.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

const MIX: &str = r#"
[topologies.mix]
groups.pages = { components = ["Frontend", "Ad", "Recommendation"], replicas = 2 }
groups.money = { components = ["Checkout", "Payment", "Currency", "Email"] }
groups.goods = { components = ["*"] }
"#;

/// A browser that looks at the dashboard of a shop.
struct Visit {
    browser: Browser,
    shop: Shop,
    url: String,
}

impl Deref for Visit {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.browser
    }
}

impl Visit {
    async fn to(start: Start, name: &str) -> anyhow::Result<Self> {
        Self::with(start, "", name).await
    }

    /// Before a shop with further sections in its `anylith.toml`.
    async fn with(start: Start, sections: &str, name: &str) -> anyhow::Result<Self> {
        let app = App::copy()?;
        app.add_settings(MIX)?;
        app.add_settings(sections)?;
        let shop = start.start_in(app)?;
        let link = shop.command(&["dashboard"])?;
        ensure!(
            link.status.success(),
            "{}",
            String::from_utf8_lossy(&link.stderr)
        );
        let link = String::from_utf8(link.stdout)?.trim().to_owned();
        let (url, _) = link.split_once('#').context("no token in the link")?;
        let url = url.to_owned();
        let browser = Browser::start(name).await?;
        browser.go_to(&link).await?;
        let visit = Self { browser, shop, url };
        visit
            .wait_until("document.querySelector('.connection.live')")
            .await?;
        Ok(visit)
    }

    async fn view(&self, name: &str) -> anyhow::Result<()> {
        self.click(&format!("nav a[href='#/{name}']")).await
    }

    fn status(&self) -> anyhow::Result<Value> {
        let status = self.shop.command(&["status", "--json"])?;
        Ok(serde_json::from_slice(&status.stdout)?)
    }

    /// Waits until the page shows the processes, and in each the components, that `anylith status` says.
    async fn agree(&self) -> anyhow::Result<()> {
        let status = self.status()?;
        let mut told = Vec::new();
        for group in status["groups"].as_array().context("no groups")? {
            let mut components = strings(&group["components"]);
            components.sort();
            for replica in group["replicas"].as_array().context("no replicas")? {
                let text = |key: &str| replica[key].as_str().unwrap_or_default().to_owned();
                told.push(format!(
                    "{} {} {} {}",
                    text("id"),
                    text("state"),
                    replica["pid"],
                    components.join(" ")
                ));
            }
        }
        told.sort();
        let shown = "[...document.querySelectorAll('.process')].map((process) => [process.dataset.replica, \
             process.querySelector('.sign').lastChild.textContent, \
             process.querySelector('footer').textContent.replace(/[^0-9].*?([0-9]+).*/, '$1'), \
             ...[...process.querySelectorAll('.tile')].map((tile) => tile.dataset.component).sort()].join(' ')).sort()";
        let told = serde_json::to_string(&told)?;
        self.wait_until(&format!(
            "JSON.stringify({shown}) === JSON.stringify({told})"
        ))
        .await
    }

    /// What must hold whatever was looked at: nothing has gone wrong on the page, and it has asked nobody else.
    async fn end(self) -> anyhow::Result<()> {
        let complaints = self.complaints().await?;
        ensure!(complaints.is_empty(), "{complaints:#?}");
        let requests = self.requests().await?;
        ensure!(requests.len() > 3, "{requests:?}");
        // Pages of the browser's own are no requests to anybody.
        let is_own = |url: &&String| {
            url.starts_with(&self.url) || url.starts_with("data:") || url.starts_with("chrome")
        };
        let foreign: Vec<&String> = requests.iter().filter(|url| !is_own(url)).collect();
        ensure!(foreign.is_empty(), "requests to others: {foreign:?}");
        let with_token = requests.iter().any(|url| url.contains("token="));
        ensure!(
            !with_token,
            "the token is in the address of a request: {requests:?}"
        );
        self.browser.close().await
    }
}

fn strings(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn the_picture_agrees_with_the_status_in_every_shape() -> anyhow::Result<()> {
    for (topology, replicas, kind) in [
        ("monolith", "1", "Monolith"),
        ("monolith", "3", "Replicated monolith"),
        ("micro", "1", "Microservices"),
        ("mix", "goods=2", "A mix"),
    ] {
        let start = Shop::with().topology(topology).replicas(replicas);
        let visit = Visit::to(
            start,
            &format!("dashboard-{topology}-{}", replicas.replace('=', "-")),
        )
        .await?;
        visit.wait_for_text("h1", kind).await?;
        visit.agree().await?;
        for theme in ["light", "dark"] {
            visit.prefer("prefers-color-scheme", theme).await?;
            for view in ["shape", "graph", "calls", "time", "problems", "logs"] {
                visit.view(view).await?;
                visit
                    .wait_until(&format!("document.querySelector('main.{view} h1')"))
                    .await?;
                match view {
                    "graph" => {
                        visit
                            .wait_until("document.querySelectorAll('.node').length === 10")
                            .await?;
                    }
                    "logs" => {
                        visit
                            .wait_until("document.querySelectorAll('.log li').length > 0")
                            .await?;
                    }
                    _ => {}
                }
                visit.screenshot(&format!("{view}-{theme}")).await?;
            }
        }
        visit.end().await?;
    }
    Ok(())
}

/// Within this the page shows that a process has ended.
const GONE_WITHIN_MS: u64 = 2_000;

#[tokio::test]
async fn a_replica_that_is_killed_is_seen_to_be_gone_and_to_come_back() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with().topology("micro"), "dashboard-killed").await?;
    visit.agree().await?;
    let mut pids = Vec::new();
    for id in ["Cart-1", "Ad-1", "Email-1", "Currency-1"] {
        let pid = visit.shop.replica(id)?.pid.and_then(Pid::from_raw);
        pids.push((id, pid.with_context(|| format!("{id} has no process"))?));
    }
    let mut after_ms = Vec::new();
    for (id, pid) in pids {
        after_ms.push(shown_after_its_end(&visit, id, pid).await?);
        let shown = format!("document.querySelector('[data-replica={id}]");
        visit
            .wait_until(&format!(
                "{shown} .restarts').textContent.includes('1 restart')"
            ))
            .await?;
        visit.wait_until(&format!("{shown}.is-ready')")).await?;
    }
    // A busy machine delays some of them, so the best counts. It is no luck: all but the first were killed when the page had
    // just shown something new, so one that looks every three seconds would be nearly three seconds late each time.
    let best = after_ms[1..].iter().min().context("nobody was killed")?;
    println!("gone from the page after {best} ms at best, of {after_ms:?}");
    ensure!(
        *best <= GONE_WITHIN_MS,
        "the page still shows processes {after_ms:?} ms after their end"
    );
    visit.agree().await?;
    visit.view("problems").await?;
    visit
        .wait_for_text(
            "[data-problem='Cart-1 restarts'] p",
            "it was started again once, and is ready now",
        )
        .await?;
    visit.end().await
}

/// Kills a replica; returns for how many milliseconds the page still shows its process, by the page's own clock.
async fn shown_after_its_end(visit: &Visit, id: &str, pid: Pid) -> anyhow::Result<u64> {
    visit
        .run(&format!(
            "const shown = () => document.querySelector('[data-replica={id}] footer').textContent.includes('{}'); \
             window.gone = undefined; \
             new MutationObserver((_, observer) => {{ \
                 if (!shown()) {{ window.gone = performance.now(); observer.disconnect() }} \
             }}).observe(document.querySelector('.host'), {{ subtree: true, childList: true, characterData: true }}); \
             window.began = performance.now()",
            pid.as_raw_nonzero()
        ))
        .await?;
    kill_process(pid, Signal::KILL)?;
    visit.wait_until("window.gone !== undefined").await?;
    let ms = visit.run("return Math.round(gone - began)").await?;
    ms.as_u64().with_context(|| format!("no time: {ms}"))
}

#[tokio::test]
async fn a_reshape_from_the_page_is_planned_and_then_seen_to_happen() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with(), "dashboard-reshape").await?;
    visit.wait_for_text("h1", "Monolith").await?;
    visit.click(".heading button.main").await?;
    visit.click("dialog input[value=micro]").await?;
    visit
        .wait_until("document.querySelectorAll('dialog .plan .starts').length === 10")
        .await?;
    visit
        .wait_until("document.querySelectorAll('dialog .plan .leaves').length === 1")
        .await?;
    ensure!(
        visit
            .text("dialog .cost")
            .await?
            .contains("1 process now, 11 at the peak, 10 after")
    );
    ensure!(
        visit.shop.topology()? == "monolith",
        "the plan alone has changed something"
    );
    visit.screenshot("plan-light").await?;
    visit
        .run(
            "window.moved = new Set(); window.said = new Set(); new MutationObserver(() => { \
                 for (const tile of document.querySelectorAll('.tile.moving')) moved.add(tile.dataset.component); \
                 for (const line of document.querySelectorAll('.under-way')) said.add(line.textContent); \
             }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true })",
        )
        .await?;
    visit.click("dialog button.act").await?;
    visit
        .wait_until("document.querySelector('.tile.moving')")
        .await?;
    visit.screenshot("moving").await?;
    visit.wait_for_text("h1", "Microservices").await?;
    visit
        .wait_until(
            "document.querySelector('.progress .done').textContent.includes('Reshaped to micro')",
        )
        .await?;
    let moved = visit.run("return [...moved].sort()").await?;
    ensure!(
        strings(&moved).len() == 10,
        "not every component was seen to move: {moved}"
    );
    let said = visit.run("return [...said]").await?;
    ensure!(
        strings(&said)
            .iter()
            .any(|line| line.contains("reshaping monolith to micro")),
        "{said}"
    );
    ensure!(visit.shop.topology()? == "micro");
    visit
        .wait_until("document.querySelectorAll('.process').length === 10")
        .await?;
    visit.agree().await?;
    visit.screenshot("reshaped").await?;
    visit.end().await
}

#[tokio::test]
async fn who_wants_no_motion_sees_none() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with(), "dashboard-calm").await?;
    visit.prefer("prefers-reduced-motion", "reduce").await?;
    visit
        .run(
            "window.moved = 0; new MutationObserver(() => { moved += document.querySelectorAll('.moving').length }) \
             .observe(document.body, { subtree: true, childList: true, attributes: true })",
        )
        .await?;
    let reshaped = visit.shop.command(&["reshape", "micro"])?;
    ensure!(
        reshaped.status.success(),
        "{}",
        String::from_utf8_lossy(&reshaped.stderr)
    );
    visit.wait_for_text("h1", "Microservices").await?;
    visit.agree().await?;
    ensure!(visit.run("return moved").await? == 0);
    visit.end().await
}

#[tokio::test]
async fn a_group_is_scaled_from_the_page_and_what_is_wrong_is_said_there() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with().topology("micro"), "dashboard-scale").await?;
    visit.click("[data-group=Catalog] header button").await?;
    visit.fill("dialog input[name=size]", "many").await?;
    visit.wait_until("document.querySelector('dialog .wrong').textContent.includes('is not a number of replicas')").await?;
    ensure!(
        visit
            .run("return document.querySelector('dialog button.act').disabled")
            .await?
            == true
    );
    visit.fill("dialog input[name=size]", "3").await?;
    visit.wait_until("document.querySelector('dialog .plan .changes').textContent.includes('3 replicas instead of 1')").await?;
    visit.click("dialog button.act").await?;
    visit
        .wait_until(
            "document.querySelectorAll('[data-group=Catalog] .process.is-ready').length === 3",
        )
        .await?;
    visit
        .wait_until(
            "document.querySelector('.progress .done').textContent.includes('Scaled Catalog to 3')",
        )
        .await?;
    visit.agree().await?;
    visit.end().await
}

#[tokio::test]
async fn the_graph_tells_remote_edges_from_local_ones_and_a_component_tells_all()
-> anyhow::Result<()> {
    let visit = Visit::to(Shop::with().topology("mix"), "dashboard-graph").await?;
    visit.view("graph").await?;
    visit
        .wait_until("document.querySelectorAll('.node').length === 10")
        .await?;
    let graph = visit.shop.command(&["graph", "--format", "json"])?;
    let graph: Value = serde_json::from_slice(&graph.stdout)?;
    let status = visit.status()?;
    let group_of = |component: &str| {
        let groups = status["groups"].as_array().into_iter().flatten();
        let mut groups = groups.filter(|group| {
            strings(&group["components"])
                .iter()
                .any(|name| name == component)
        });
        groups.next().map(|group| group["name"].clone())
    };
    let mut wanted = BTreeSet::new();
    for component in graph["components"].as_array().context("no components")? {
        let from = component["name"].as_str().context("no name")?;
        for to in strings(&component["dependencies"]) {
            let reach = if group_of(from) == group_of(&to) {
                "local"
            } else {
                "remote"
            };
            wanted.insert(format!("{from} {to} {reach}"));
        }
    }
    let shown = visit
        .run("return [...document.querySelectorAll('[data-edge]')].map((line) => `${line.dataset.edge} ${line.dataset.reach}`)")
        .await?;
    let shown: BTreeSet<String> = strings(&shown).into_iter().collect();
    ensure!(shown == wanted, "{shown:?}\nand not\n{wanted:?}");
    ensure!(visit.text(".legend").await?.contains("→ Dependent on"));
    // Whatever the colour, a remote edge is dashed, and a local one is not.
    let dashes = |reach: &str| {
        format!("getComputedStyle(document.querySelector('.line .edge.{reach}')).strokeDasharray")
    };
    visit
        .wait_until(&format!(
            "{} === 'none' && {} !== 'none'",
            dashes("local"),
            dashes("remote")
        ))
        .await?;

    visit.click(".node[data-component=Cart]").await?;
    visit.wait_for_text("dialog h2", "Cart").await?;
    visit
        .wait_until("document.querySelector('dialog table').textContent.includes('goods-1')")
        .await?;
    visit
        .wait_until("document.querySelector('dialog pre').textContent.includes('sqlite:')")
        .await?;
    let logs = visit.shop.logs()?;
    let log = logs.iter().find(|log| log.ends_with("goods-1.log"));
    let mut file = File::options().append(true).open(log.context("no log")?)?;
    for (component, said) in [("Cart", "a cart was emptied"), ("Catalog", "no product")] {
        let time = "2026-01-02T03:04:05.000006Z";
        let line =
            serde_json::json!({"ts": time, "level": "INFO", "component": component, "msg": said});
        writeln!(file, "{line}")?;
    }
    visit
        .wait_until(
            "document.querySelector('dialog .log').textContent.includes('a cart was emptied')",
        )
        .await?;
    ensure!(!visit.text("dialog .log").await?.contains("no product"));
    visit.screenshots("component").await?;
    visit.press(ESCAPE).await?;
    visit
        .wait_until("document.querySelector('dialog') === null")
        .await?;
    visit
        .wait_until("document.activeElement.dataset.component === 'Cart'")
        .await?;
    visit.end().await
}

#[tokio::test]
async fn everything_can_be_reached_and_done_with_keys_alone() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with().topology("mix"), "dashboard-keys").await?;
    for view in ["shape", "graph", "calls", "time", "problems", "logs"] {
        visit.view(view).await?;
        visit
            .wait_until(&format!("document.querySelector('main.{view} h1')"))
            .await?;
        if view == "graph" {
            visit
                .wait_until("document.querySelectorAll('.node').length === 10")
                .await?;
        }
        // Everything that a click does something to.
        let all = "[...document.querySelectorAll('a[href], button, select, input, summary, [role=button], [role=slider]')]";
        visit
            .run(&format!(
                "window.all = new Set({all}); document.activeElement.blur(); window.faint = []"
            ))
            .await?;
        let many = visit
            .run("return all.size")
            .await?
            .as_u64()
            .unwrap_or_default();
        ensure!(many > 5, "{many} in {view}");
        for _ in 0..=2 * many {
            visit.press(TAB).await?;
            visit
                .run(
                    "const it = document.activeElement; all.delete(it); \
                     const shape = it.matches('.node') ? it.querySelector('rect') : it.matches('.line') ? it.querySelector('.reachable') : it; \
                     const style = getComputedStyle(shape); \
                     const seen = it === document.body || style.outlineStyle !== 'none' || style.strokeWidth === '3.5px' \
                         || (it.matches('.line') && !style.stroke.endsWith(', 0)')); \
                     if (!seen) faint.push(it.outerHTML.slice(0, 80))",
                )
                .await?;
            if visit.run("return all.size").await? == 0 {
                break;
            }
        }
        let left = visit
            .run("return [...all].map((it) => it.outerHTML.slice(0, 80))")
            .await?;
        ensure!(
            left == Value::Array(Vec::new()),
            "not reached in {view}: {left}"
        );
        let faint = visit.run("return faint").await?;
        ensure!(
            faint == Value::Array(Vec::new()),
            "no visible focus in {view}: {faint}"
        );
    }
    visit.view("shape").await?;
    visit
        .run("document.querySelector('.heading button.main').focus()")
        .await?;
    visit.press(ENTER).await?;
    visit
        .wait_until("document.querySelectorAll('dialog input[type=radio]').length > 3")
        .await?;
    for _ in 0..12 {
        visit.press(TAB).await?;
        let inside = "const it = document.activeElement; return it === document.body || it.closest('dialog') !== null";
        ensure!(
            visit.run(inside).await? == true,
            "the focus has left the dialog"
        );
    }
    visit
        .run("document.querySelector('dialog input[type=text]').focus()")
        .await?;
    visit.press(ESCAPE).await?;
    visit
        .wait_until("document.querySelector('dialog') === null")
        .await?;
    visit
        .wait_until("document.activeElement.matches('.heading button.main')")
        .await?;
    visit.end().await
}

#[tokio::test]
async fn lines_of_logs_come_as_they_are_written_and_are_text_whatever_is_in_them()
-> anyhow::Result<()> {
    let visit = Visit::to(Shop::with(), "dashboard-logs").await?;
    visit.view("logs").await?;
    visit
        .wait_until("document.querySelectorAll('.log li').length > 0")
        .await?;
    let logs = visit.shop.logs()?;
    let log = logs
        .iter()
        .find(|log| log.ends_with("monolith-1.log"))
        .context("no log")?;
    let hostile =
        "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";
    let mut file = File::options().append(true).open(log)?;
    writeln!(file, "{hostile}")?;
    visit.wait_until("[...document.querySelectorAll('.log .text')].some((line) => line.textContent.includes('<img src=x'))").await?;
    visit.fill("input[name=text]", "onerror").await?;
    visit
        .wait_until("document.querySelectorAll('.log li').length === 1")
        .await?;
    visit.choose_text("select[name=level]", "error").await?;
    visit
        .wait_until("document.querySelectorAll('.log li').length === 0")
        .await?;
    ensure!(
        visit
            .run("return document.querySelectorAll('main img, main script').length")
            .await?
            == 0
    );
    ensure!(visit.run("return document.title").await? == "boutique · Logs");
    visit.end().await
}

#[tokio::test]
async fn an_error_with_a_script_in_it_is_shown_and_does_nothing() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with().topology("micro"), "dashboard-script").await?;
    let hostile = "<img src=x onerror=document.title=1><script>document.title=1</script>";
    visit.view("problems").await?;
    let logs = visit.shop.logs()?;
    let log = logs
        .iter()
        .find(|log| log.ends_with("Cart-1.log"))
        .context("no log")?;
    let pid = || -> anyhow::Result<Option<Pid>> {
        Ok(visit.shop.replica("Cart-1")?.pid.and_then(Pid::from_raw))
    };
    // A replica that is killed again and again is one that keeps failing; its last words are these.
    let (mut killed, mut last) = (0, None);
    while visit
        .run("return document.querySelector('.card.failing .log') !== null")
        .await?
        == false
    {
        ensure!(
            killed < 60,
            "a replica that keeps failing is no problem to the page"
        );
        // Until the supervisor has seen its end, the status has the process that was killed already.
        if let Some(pid) = pid()?.filter(|pid| Some(*pid) != last) {
            writeln!(File::options().append(true).open(log)?, "{hostile}")?;
            kill_process(pid, Signal::KILL)?;
            (killed, last) = (killed + 1, Some(pid));
        }
    }
    visit.wait_until("document.querySelector('.card .log').textContent.includes('<script>document.title=1</script>')").await?;
    visit.screenshot("failing-light").await?;
    ensure!(
        visit
            .run("return document.querySelectorAll('main img, main script').length")
            .await?
            == 0
    );
    ensure!(visit.run("return document.title").await? == "boutique · Problems");
    visit.end().await
}

#[tokio::test]
async fn without_a_dashboard_the_command_says_so() -> anyhow::Result<()> {
    let shop = Shop::with()
        .argument("--dashboard")
        .argument("off")
        .start()?;
    let said = shop.command(&["dashboard"])?;
    let said = (said.status.code(), String::from_utf8(said.stderr)?);
    ensure!(
        said.0 == Some(1) && said.1.contains("runs without a dashboard"),
        "{said:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_theme_is_the_systems_until_another_is_chosen() -> anyhow::Result<()> {
    let visit = Visit::to(Shop::with(), "dashboard-theme").await?;
    let ground = "getComputedStyle(document.body).backgroundColor";
    visit.prefer("prefers-color-scheme", "light").await?;
    let light = visit.run(&format!("return {ground}")).await?;
    visit.prefer("prefers-color-scheme", "dark").await?;
    let dark = visit.run(&format!("return {ground}")).await?;
    ensure!(light != dark, "{light}");
    visit.choose_text(".theme select", "light").await?;
    visit.wait_until(&format!("{ground} === {light}")).await?;
    // It is remembered, and so is the token.
    visit.run("location.reload()").await?;
    visit
        .wait_until("document.querySelector('.connection.live')")
        .await?;
    visit.wait_until(&format!("{ground} === {light}")).await?;
    visit.end().await
}
