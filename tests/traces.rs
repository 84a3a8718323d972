//! What is told of a request agrees with what it did, in every topology.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, File},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use e2e::{Answer, App, ORDER, Shop, VISIT, Visitor};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{task::block_in_place, time::sleep};

/// How long spans may take to arrive: they are gathered for a fraction of a second. Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Caller and callee → calls.
type Calls = BTreeMap<[String; 2], u64>;

/// A shop of which such a share of all traces is kept.
fn shop(topology: &str, share: &str) -> anyhow::Result<Shop> {
    shop_with(topology, share, "")
}

/// The same with `more` settings of telemetry.
fn shop_with(topology: &str, share: &str, more: &str) -> anyhow::Result<Shop> {
    let app = App::copy()?;
    // Nothing is slow, however busy the machine is.
    app.add_settings(&format!(
        "[telemetry]\ntraces = \"{share}\"\nslow = \"1h\"\n{more}"
    ))?;
    Shop::with().topology(topology).start_in(app)
}

/// What `anylith trace` says as JSON.
fn trace(shop: &Shop, arguments: &[&str]) -> anyhow::Result<Option<Value>> {
    let all = [&["trace", "--json"], arguments].concat();
    let said = block_in_place(|| shop.command(&all))?;
    if !said.status.success() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&said.stdout)?))
}

/// Waits for the trace with this name, until it has so many spans at least.
async fn arrived(shop: &Shop, id: &str, spans: usize) -> anyhow::Result<Value> {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = trace(shop, &[id])?;
        let count = |trace: &Value| trace["span_count"].as_u64().unwrap_or(0);
        match found {
            Some(trace) if count(&trace) >= spans as u64 => return Ok(trace),
            found => ensure!(
                Instant::now() < end,
                "{spans} spans of {id} were to come, and there is {found:#?}\n{}",
                shop.output()
            ),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("")
}

/// Component → the group that it runs in.
fn groups(shop: &Shop) -> anyhow::Result<BTreeMap<String, String>> {
    let status = block_in_place(|| shop.command(&["status", "--json"]))?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    let mut found = BTreeMap::new();
    for group in status["groups"].as_array().context("there are groups")? {
        for component in group["components"].as_array().context("a list")? {
            let component = component.as_str().context("a name")?;
            found.insert(component.to_owned(), text(group, "name").to_owned());
        }
    }
    Ok(found)
}

/// From when to when a span went on, in nanoseconds since its trace began.
fn interval(span: &Value) -> anyhow::Result<(u64, u64)> {
    let number = |key: &str| span[key].as_u64().with_context(|| format!("no {key}"));
    let (from, took) = (number("offset_ns")?, number("duration_ns")?);
    Ok((from, from + took))
}

/// Checks that each span of `trace` was caused by the one that it names, and returns the calls in it.
fn calls(trace: &Value, groups: &BTreeMap<String, String>) -> anyhow::Result<Calls> {
    let spans = trace["spans"].as_array().context("it has spans")?;
    let by_id: BTreeMap<&str, &Value> = spans.iter().map(|span| (text(span, "id"), span)).collect();
    ensure!(by_id.len() == spans.len(), "each has a name of its own");
    let mut calls = Calls::new();
    for (at, span) in spans.iter().enumerate() {
        let (kind, component) = (text(span, "kind"), text(span, "component"));
        ensure!(text(span, "outcome") == "answered", "{span:#}");
        if at == 0 {
            ensure!(kind == "request" && span["depth"] == 0, "{span:#}");
            continue;
        }
        let parent = by_id.get(text(span, "parent")).copied();
        let parent = parent.with_context(|| format!("nothing has caused {span:#}"))?;
        // All processes look at one clock, within a millisecond.
        let (from, to) = interval(span)?;
        let (earliest, latest) = interval(parent)?;
        ensure!(
            from + 1_000_000 >= earliest && to <= latest + 1_000_000,
            "{span:#}\nin {parent:#}"
        );
        let group = |component: &str| groups.get(component).map(String::as_str);
        match kind {
            "client" | "local" => {
                let caller = text(span, "caller");
                ensure!(
                    text(parent, "component") == caller && text(parent, "kind") != "client",
                    "{span:#}\nin {parent:#}"
                );
                let is_cut = group(caller) != group(component);
                ensure!(is_cut == (kind == "client"), "{span:#}");
                *calls
                    .entry([caller, component].map(str::to_owned))
                    .or_default() += 1;
            }
            "server" => {
                ensure!(
                    text(parent, "kind") == "client"
                        && text(parent, "name") == text(span, "name")
                        && text(parent, "replica") != text(span, "replica"),
                    "{span:#}\nin {parent:#}"
                );
            }
            other => anyhow::bail!("a {other} within a request: {span:#}"),
        }
        ensure!(
            text(span, "replica").starts_with(
                group(match kind {
                    "server" | "local" => component,
                    _ => text(span, "caller"),
                })
                .context("a component")?
            ),
            "{span:#}"
        );
    }
    Ok(calls)
}

/// Each page is one trace, which has the calls that the page costs; it is the trace that the visitor has named.
async fn pages_are_traces(topology: &str) -> anyhow::Result<()> {
    let shop = shop(topology, "100%")?;
    let groups = groups(&shop)?;
    let mut visitor = Visitor::new(&shop.url)?;
    for (number, page) in (1..).zip(VISIT) {
        let id = format!("{:032x}", 0xabc0 + number);
        let method = match page.form {
            None => Method::GET,
            Some(_) => Method::POST,
        };
        let request = visitor.request(method, page.path);
        let request = request.header("traceparent", format!("00-{id}-b7ad6b7169203331-01"));
        let request = match page.form {
            None => request,
            Some(form) => request.form(form),
        };
        let answer = visitor.send(request).await?;
        ensure!(answer.status < 400, "{}: {}", page.path, answer.body);
        let expected: Calls = page
            .calls
            .iter()
            .map(|(caller, callee, calls)| ([caller, callee].map(ToString::to_string), *calls))
            .collect();
        // A call to another process is two spans.
        let spans = expected.iter().map(|([caller, callee], calls)| {
            let is_cut = groups.get(caller) != groups.get(callee);
            calls * if is_cut { 2 } else { 1 }
        });
        let spans = 1 + spans.sum::<u64>() as usize;
        let trace = arrived(&shop, &id, spans).await?;
        let what = format!("{topology} {}", page.path);
        assert_eq!(
            calls(&trace, &groups).context(what.clone())?,
            expected,
            "{what}"
        );
        assert_eq!(trace["span_count"], spans, "{what}");
        assert_eq!(trace["kept"], "sampled", "{what}");
        let spans = trace["spans"].as_array().context("it has spans")?;
        assert!(text(&spans[0], "name").ends_with(page.path), "{what}");
    }
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_one_trace_with_the_calls_that_it_costs_in_every_topology() -> anyhow::Result<()>
{
    pages_are_traces("monolith").await?;
    pages_are_traces("micro").await?;
    pages_are_traces("window").await
}

/// Sends the form by which a cart is bought, as a part of the trace that `traceparent` names.
async fn checkout(
    visitor: &mut Visitor,
    form: &[(&str, &str)],
    traceparent: &str,
) -> anyhow::Result<Answer> {
    let request = visitor.request(Method::POST, "/cart/checkout").form(form);
    let request = request.header("traceparent", traceparent);
    Ok(visitor.send(request).await?)
}

/// Buys with a card that has expired.
async fn fail_to_buy(shop: &Shop, traceparent: &str) -> anyhow::Result<()> {
    let mut visitor = Visitor::new(&shop.url)?;
    let answer = visitor.visit(&VISIT[3]).await?;
    ensure!(answer.status < 400, "{}", answer.body);
    let form: Vec<(&str, &str)> = ORDER
        .iter()
        .map(|(name, value)| match *name {
            "credit_card_expiration_year" => (*name, "2000"),
            _ => (*name, *value),
        })
        .collect();
    let answer = checkout(&mut visitor, &form, traceparent).await?;
    ensure!(answer.status >= 400, "{}", answer.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_kept_with_all_that_belongs_to_it_in_every_process() -> anyhow::Result<()> {
    for topology in ["monolith", "micro"] {
        let shop = shop(topology, "0%")?;
        let id = format!("{:032x}", 0xfa11);
        fail_to_buy(&shop, &format!("00-{id}-b7ad6b7169203331-00")).await?;
        // In micro of each call that has to do with it, however it ended, by either side: what the other replicas know
        // of it comes when they are asked for it.
        let least = if topology == "micro" { 12 } else { 3 };
        let trace = arrived(&shop, &id, least).await?;
        let spans = trace["spans"].as_array().context("it has spans")?;
        assert_eq!(trace["kept"], "failed", "{topology}");
        let failed: BTreeSet<(&str, &str)> = spans
            .iter()
            .filter(|span| span["failed"] == true && text(span, "kind") != "server")
            .map(|span| (text(span, "caller"), text(span, "component")))
            .collect();
        let expected = [("Checkout", "Payment"), ("Frontend", "Checkout")];
        assert_eq!(failed, BTreeSet::from(expected), "{topology}: {trace:#}");
        assert_eq!(text(&spans[0], "kind"), "request", "{topology}: {trace:#}");
        for span in &spans[1..] {
            assert!(span["orphan"] != true, "{topology}: {span:#}");
        }
        let charge = spans
            .iter()
            .find(|span| text(span, "component") == "Payment");
        let charge = charge.context("a charge")?;
        assert!(!text(charge, "error").is_empty(), "{charge:#}");
        if topology == "micro" {
            let replicas: BTreeSet<&str> = spans.iter().map(|span| text(span, "replica")).collect();
            for replica in ["Frontend-1", "Checkout-1", "Payment-1", "Cart-1"] {
                assert!(replicas.contains(replica), "{replica} of {replicas:?}");
            }
        }
        // The visit before it went well, and was not sampled.
        let all = trace_list(&shop)?;
        assert_eq!(all, [id], "{topology}");
        ensure!(shop.stop()?, "the command failed");
    }
    Ok(())
}

/// The names of all traces that are kept.
fn trace_list(shop: &Shop) -> anyhow::Result<Vec<String>> {
    let found = trace(shop, &["-n", "1000"])?.unwrap_or_default();
    let traces = found["traces"].as_array().cloned().unwrap_or_default();
    Ok(traces
        .iter()
        .map(|one| text(one, "id").to_owned())
        .collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_the_log_says_for_which_trace_it_was_written_and_is_found_by_it()
-> anyhow::Result<()> {
    let shop = shop("micro", "0%")?;
    let mut visitor = Visitor::new(&shop.url)?;
    visitor.visit(&VISIT[3]).await?;
    let id = format!("{:032x}", 0x109);
    let traceparent = format!("00-{id}-b7ad6b7169203331-00");
    let answer = checkout(&mut visitor, &ORDER, &traceparent).await?;
    ensure!(answer.status < 400, "{}", answer.body);
    let lines = |id: &str| -> anyhow::Result<String> {
        let said = block_in_place(|| shop.command(&["logs", "--trace", id]))?;
        ensure!(
            said.status.success(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
        Ok(String::from_utf8(said.stdout)?)
    };
    let end = Instant::now() + PATIENCE;
    loop {
        let said = lines(&id)?;
        if said.contains("Checkout-1") && said.contains("Email-1") {
            break;
        }
        ensure!(Instant::now() < end, "{said}\n{}", shop.output());
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(lines(&format!("{:032x}", 0x110))?, "");
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

/// Where it is set, the path of `rotel-agent`, a collector that others have written. `cargo xtask test` gets it.
const ENV_RECEIVER: &str = "ANYLITH_TEST_OTLP_RECEIVER";

/// A collector that prints what it is sent.
struct Receiver {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Receiver {
    fn start(program: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = || anyhow::Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let (http, grpc) = (port()?, port()?);
        let output = File::create(folder.path().join("output"))?;
        let file = |name: &str| folder.path().join(name);
        let process = Command::new(program)
            .args(["start", "--exporter", "blackhole"])
            .args(["--debug-log", "traces", "--debug-log", "metrics"])
            .args(["--debug-log-verbosity", "detailed"])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .arg("--pid-file")
            .arg(file("pid"))
            .arg("--log-file")
            .arg(file("log"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{program} cannot be run"))?;
        Ok(Self {
            process,
            folder,
            port: http,
        })
    }

    fn output(&self) -> anyhow::Result<String> {
        let bytes = fs::read(self.folder.path().join("output"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Span → parent, kind and service, of all that it has printed of this trace.
    fn spans(&self, trace: &str) -> anyhow::Result<BTreeMap<String, [String; 3]>> {
        let (mut found, mut service) = (BTreeMap::new(), String::new());
        for part in self.output()?.split("\nSpan #") {
            let field = |name: &str| {
                let mut lines = part.lines();
                let value = lines.find_map(|line| line.trim().strip_prefix(name))?;
                Some(value.trim_start_matches([' ', ':']).to_owned())
            };
            if field("Trace ID").as_deref() == Some(trace) {
                let id = field("ID").context("a span has a name")?;
                let kind = field("Kind").unwrap_or_default();
                let parent = field("Parent ID").unwrap_or_default();
                found.insert(id, [parent, kind, service.clone()]);
            }
            // What stands behind the last span of a resource is the next resource.
            let mut lines = part.lines().rev();
            if let Some(name) =
                lines.find_map(|line| line.trim().strip_prefix("-> service.name: Str("))
            {
                service = name.trim_end_matches(')').to_owned();
            }
        }
        Ok(found)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_others_have_written_gets_every_span_with_its_parent_and_all_numbers()
-> anyhow::Result<()> {
    let Ok(program) = env::var(ENV_RECEIVER) else {
        eprintln!("left out: {ENV_RECEIVER} does not say where `rotel-agent` is");
        return Ok(());
    };
    let receiver = Receiver::start(&program)?;
    let otlp = format!("otlp = \"http://127.0.0.1:{}\"\n", receiver.port);
    let shop = shop_with("micro", "100%", &otlp)?;
    let mut visitor = Visitor::new(&shop.url)?;
    visitor.visit(&VISIT[3]).await?;
    let id = format!("{:032x}", 0x0771);
    let traceparent = format!("00-{id}-b7ad6b7169203331-01");
    let answer = checkout(&mut visitor, &ORDER, &traceparent).await?;
    ensure!(answer.status < 400, "{}", answer.body);
    let calls: u64 = VISIT[6].calls.iter().map(|(.., calls)| calls).sum();
    // Of one line less in the cart than in the visit.
    let least = calls as usize;
    let trace = arrived(&shop, &id, least).await?;
    // At its end it sends the last of all, and what was counted.
    ensure!(shop.stop()?, "the command failed");
    let spans = trace["spans"].as_array().context("it has spans")?;
    let expected: BTreeMap<String, [String; 3]> = spans
        .iter()
        .map(|span| {
            let (kind, service) = match text(span, "kind") {
                "client" => ("SPAN_KIND_CLIENT", text(span, "caller")),
                "local" => ("SPAN_KIND_INTERNAL", text(span, "component")),
                _ => ("SPAN_KIND_SERVER", text(span, "component")),
            };
            // The request itself was caused by somebody else.
            let parent = match text(span, "parent") {
                "" => "b7ad6b7169203331",
                parent => parent,
            };
            let told = [parent, kind, service].map(str::to_owned);
            (text(span, "id").to_owned(), told)
        })
        .collect();
    let end = Instant::now() + PATIENCE;
    loop {
        let found = receiver.spans(&id)?;
        if expected
            .iter()
            .all(|(id, told)| found.get(id) == Some(told))
        {
            break;
        }
        ensure!(
            Instant::now() < end,
            "{expected:#?} was to come, and there is {found:#?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
    let output = receiver.output()?;
    // Of processes nothing is known once they are gone.
    for name in [
        "rpc.client.call.duration",
        "rpc.server.call.duration",
        "anylith.client.calls",
        "anylith.spans",
    ] {
        ensure!(output.contains(name), "{name} is not in {output}");
    }
    Ok(())
}
