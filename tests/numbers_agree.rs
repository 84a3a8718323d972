//! What is counted of calls agrees with what was done, in every topology and through every change.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use boutique_load::RequestKind;
use e2e::{Samples, Shop, Shoppers, VISIT, Visitor};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{task::block_in_place, time::sleep};

/// How long numbers may take to arrive: replicas report once a second. Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Caller and callee → calls.
type Calls = BTreeMap<[String; 2], u64>;

/// Asks for all pages of [`VISIT`], and adds what they cost to `expected`.
async fn visit(shop: &Shop, expected: &mut Calls) -> anyhow::Result<()> {
    let mut visitor = Visitor::new(&shop.url)?;
    for page in &VISIT {
        let answer = visitor.visit(page).await?;
        ensure!(answer.status < 400, "{}: {}", page.path, answer.body);
        for (caller, callee, calls) in page.calls {
            let edge = [caller, callee].map(ToString::to_string);
            *expected.entry(edge).or_default() += calls;
        }
    }
    Ok(())
}

const MADE: &str = "anylith_client_calls_total";
const SERVED: &str = "anylith_server_calls_total";
const EDGE: [&str; 2] = ["anylith_caller", "anylith_callee"];

fn samples(shop: &Shop) -> anyhow::Result<Samples> {
    block_in_place(|| Samples::of(shop))
}

/// Waits until at least `expected` calls were counted, and until `also` is so, and returns what was counted then.
async fn arrived(
    shop: &Shop,
    expected: &Calls,
    also: impl Fn(&Samples) -> bool,
) -> anyhow::Result<Samples> {
    let end = Instant::now() + PATIENCE;
    loop {
        let now = samples(shop)?;
        let made = now.sum_by(MADE, &[], EDGE);
        let there = |(edge, calls): (&[String; 2], &u64)| made.get(edge) >= Some(calls);
        if expected.iter().all(there) && also(&now) {
            return Ok(now);
        }
        ensure!(
            Instant::now() < end,
            "{made:?} was counted, and not {expected:?}:\n{}",
            shop.output()
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// Component → the group that it runs in.
fn groups(shop: &Shop) -> anyhow::Result<BTreeMap<String, String>> {
    let status = block_in_place(|| shop.command(&["status", "--json"]))?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    let groups = status["groups"].as_array().context("there are groups")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut found = BTreeMap::new();
    for group in groups {
        for component in group["components"].as_array().context("a list")? {
            let pair = text(component).zip(text(&group["name"]));
            found.extend(pair);
        }
    }
    Ok(found)
}

/// In `topology` each page costs what it costs, and those calls leave their process whose edge the topology cuts.
async fn agree_in(topology: &str, replicas: Option<&str>) -> anyhow::Result<()> {
    let start = Shop::with().topology(topology);
    let start = match replicas {
        Some(replicas) => start.replicas(replicas),
        None => start,
    };
    let shop = start.start()?;
    let mut expected = Calls::new();
    // Each visitor has a connection of its own for each page, so that all replicas are met.
    for _ in 0..5 {
        visit(&shop, &mut expected).await?;
    }
    let groups = groups(&shop)?;
    let cut = expected
        .iter()
        .filter(|([caller, callee], _)| groups[caller] != groups[callee]);
    let cut: Calls = cut.map(|(edge, calls)| (edge.clone(), *calls)).collect();
    let mut served = BTreeMap::<[String; 1], u64>::new();
    for ([_, callee], calls) in &cut {
        *served.entry([callee.clone()]).or_default() += calls;
    }
    let by = |now: &Samples| now.sum_by(SERVED, &[], ["anylith_component"]);
    let there = |now: &Samples| by(now).values().sum::<u64>() >= served.values().sum();
    let now = arrived(&shop, &expected, there).await?;
    let what = format!("{topology} {replicas:?}");
    assert_eq!(now.sum_by(MADE, &[], EDGE), expected, "{what}");
    let remote = [("anylith_way", "remote")];
    assert_eq!(now.sum_by(MADE, &remote, EDGE), cut, "{what}");
    assert_eq!(by(&now), served, "{what}");
    // Every call has its time, on either side.
    for (counter, times) in [
        (MADE, "rpc_client_call_duration_seconds_count"),
        (SERVED, "rpc_server_call_duration_seconds_count"),
    ] {
        assert_eq!(now.sum(times, &[]), now.sum(counter, &[]), "{what}");
    }
    let answered = [("anylith_outcome", "answered")];
    assert_eq!(now.sum(MADE, &answered), now.sum(MADE, &[]), "{what}");
    let bytes = now.sum("anylith_client_sent_bytes_total", &[]);
    assert_eq!(bytes > 0.0, !cut.is_empty(), "{what}");
    assert_eq!(
        now.sum("anylith_client_calls_in_flight", &[]),
        0.0,
        "{what}"
    );
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_costs_the_same_calls_in_every_topology_and_those_are_remote_that_it_cuts()
-> anyhow::Result<()> {
    agree_in("monolith", None).await?;
    agree_in("monolith", Some("2")).await?;
    agree_in("micro", None).await?;
    agree_in("window", None).await?;
    agree_in("vault", None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sums_over_replicas_are_what_the_load_generator_sent() -> anyhow::Result<()> {
    let shop = Shop::with().topology("micro").replicas("2").start()?;
    let shoppers = Shoppers::begin(&shop.url, 30.0, 20, 11, false);
    sleep(Duration::from_secs(5)).await;
    let report = shoppers.end().await?;
    ensure!(report.failed() == 0, "{report}");
    let sent = |kinds: &[RequestKind]| {
        let history = report.history().iter();
        history.filter(|one| kinds.contains(&one.kind)).count() as u64
    };
    use RequestKind::{Add, Cart, Checkout, Home, Product};
    // Of each callee that is called as often whatever is in a cart.
    let expected = [
        (["Frontend", "Ad"], sent(&[Home, Product])),
        (["Frontend", "Cart"], sent(&[Home, Product, Cart, Add])),
        (["Frontend", "Shipping"], sent(&[Cart])),
        (["Frontend", "Checkout"], sent(&[Checkout])),
        (["Checkout", "Payment"], sent(&[Checkout])),
    ];
    let expected: Calls = expected
        .map(|(edge, calls)| (edge.map(str::to_owned), calls))
        .into();
    ensure!(expected.values().all(|calls| *calls > 0), "{report}");
    let now = arrived(&shop, &expected, |_| true).await?;
    let made = now.sum_by(MADE, &[], EDGE);
    for (edge, calls) in &expected {
        assert_eq!(made.get(edge), Some(calls), "{edge:?}");
    }
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_counted_survives_scale_restart_reshape_and_a_kill() -> anyhow::Result<()> {
    let shop = Shop::with()
        .topology("micro")
        .replicas("Catalog=2")
        .start()?;
    let mut expected = Calls::new();
    visit(&shop, &mut expected).await?;
    // Whoever leaves in good order says what it has counted since it last did.
    for arguments in [
        &["scale", "Catalog=1"][..],
        &["restart"],
        &["reshape", "monolith"],
        &["reshape", "micro"],
    ] {
        visit(&shop, &mut expected).await?;
        let done = block_in_place(|| shop.command(arguments))?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.success(),
            "{arguments:?}: {said}\n{}",
            shop.output()
        );
    }
    visit(&shop, &mut expected).await?;
    let now = arrived(&shop, &expected, |_| true).await?;
    assert_eq!(now.sum_by(MADE, &[], EDGE), expected);

    // Who is killed cannot say anything any more: what it had said stays.
    let catalog = shop.replica("Catalog-1")?;
    let pid = catalog.pid.and_then(Pid::from_raw).context("a process")?;
    kill_process(pid, Signal::KILL)?;
    let restarts = |now: &Samples| {
        let of = [("anylith_component", "Catalog")];
        now.sum("anylith_component_restarts_total", &of)
    };
    let now = arrived(&shop, &expected, |now| restarts(now) > 0.0).await?;
    assert_eq!(now.sum_by(MADE, &[], EDGE), expected);
    assert_eq!(restarts(&now), 1.0);
    let frontend = [("anylith_component", "Frontend")];
    assert_eq!(now.sum("anylith_component_restarts_total", &frontend), 0.0);
    let served = |now: &Samples| now.sum(SERVED, &[("anylith_component", "Catalog")]);
    let before = served(&now);
    visit(&shop, &mut expected).await?;
    let now = arrived(&shop, &expected, |now| served(now) > before).await?;
    assert_eq!(now.sum_by(MADE, &[], EDGE), expected);
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_supervisor_hears_of_all_that_the_replicas_have_counted() -> anyhow::Result<()> {
    let mut shop = Shop::with().topology("window").start()?;
    let mut expected = Calls::new();
    visit(&shop, &mut expected).await?;
    arrived(&shop, &expected, |_| true).await?;
    block_in_place(|| shop.replace_supervisor())?;
    visit(&shop, &mut expected).await?;
    let now = arrived(&shop, &expected, |_| true).await?;
    assert_eq!(now.sum_by(MADE, &[], EDGE), expected);
    let replicas = block_in_place(|| shop.replicas())?.len() as f64;
    assert_eq!(now.sum("anylith_replica_ready", &[]), replicas);
    ensure!(now.sum("process_memory_usage_bytes", &[]) > 1e6 * replicas);
    ensure!(now.sum("process_cpu_time_seconds_total", &[]) > 0.0);
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}
