//! The image of the shop, run in real containers as its manifests say.
//!
//! Podman is no cluster: it knows no probes, no autoscaler, no network policies and no Service with an address of its own. What
//! it is told, what is done by hand, and what is left out is listed in `src/contained.rs`.

use std::{
    env,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use anyhow::ensure;
use anylith_wire::Hello;
use bytes::BytesMut;
use e2e::{ContainedPod, ContainedShop, Load, Node, buy, until};

/// Generous: a container takes its time, and other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where it is set to `required`, a test fails where no container can run.
const ENV_CONTAINERS: &str = "ANYLITH_TEST_CONTAINERS";

/// The shop in a process for each component, in containers, and ready; `None` where no container can run, which is said.
fn start(replicas: &str) -> anyhow::Result<Option<ContainedShop>> {
    let node = match Node::new() {
        Ok(node) => node,
        Err(error) => {
            let required = env::var_os(ENV_CONTAINERS).is_some_and(|value| value == "required");
            ensure!(!required, "{error}, and `{ENV_CONTAINERS}` is `required`");
            // What is printed is shown of tests that fail; this is to be seen by whoever runs them.
            writeln!(std::io::stderr(), "skipped: {error}")?;
            return Ok(None);
        }
    };
    let shop = ContainedShop::start(node, "micro", replicas)?;
    shop.ready()?;
    Ok(Some(shop))
}

const MADE: &str = "anylith_client_calls_total";
const SERVED: &str = "anylith_server_calls_total";

/// How many calls `pod` has answered. Waits until it says so: it may have come to the network this moment.
fn served(shop: &ContainedShop, pod: &ContainedPod) -> anyhow::Result<f64> {
    let mut served = 0.0;
    until(PATIENCE, || {
        Ok(match shop.samples(pod) {
            Ok(samples) => {
                served = samples.sum(SERVED, &[]);
                Ok(())
            }
            Err(error) => Err(format!("{}: {error:#}\n{}", pod.name, shop.log(pod))),
        })
    })?;
    Ok(served)
}

/// Waits until `pod` has answered more calls than `before`.
fn is_called(shop: &ContainedShop, pod: &ContainedPod, before: f64) -> anyhow::Result<()> {
    until(PATIENCE, || {
        let served = served(shop, pod)?;
        Ok(match served > before {
            true => Ok(()),
            false => Err(format!(
                "{} is not called, {served} times as before:\n{}",
                pod.name,
                shop.log(pod)
            )),
        })
    })
}

/// Speaks the protocol to `pod` without proving anything, and returns what comes back.
fn what_a_stranger_hears(shop: &ContainedShop, pod: &ContainedPod) -> anyhow::Result<BytesMut> {
    let hello = Hello {
        message_bytes: 1 << 20,
        calls: 1,
        window_bytes: 1 << 16,
        replica: "stranger".parse()?,
        components: Vec::new(),
    };
    let at = shop.calls_address(pod)?;
    let mut stream = shop
        .node
        .host()
        .enter(|| TcpStream::connect_timeout(&at, PATIENCE))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&hello.encode())?;
    let mut heard = Vec::new();
    // Whether it ends or breaks, what counts is what came before.
    let _ = stream.read_to_end(&mut heard);
    Ok(BytesMut::from(&heard[..]))
}

#[test]
fn every_component_in_a_container_of_its_own_sells_together_and_talks_to_no_stranger()
-> anyhow::Result<()> {
    let Some(shop) = start("")? else {
        return Ok(());
    };
    shop.visit(async |visitor| buy(visitor).await)?;
    let pages = shop.pages()?;
    for pod in &shop.pods {
        let samples = shop.samples(pod)?;
        let local = samples.sum(MADE, &[("anylith_way", "local")]);
        ensure!(local == 0.0, "{} called itself", pod.name);
        // Whoever serves the pages is called by nobody; all others have had a part in the purchase.
        if pages.contains(&format!("//{}:", pod.address)) {
            ensure!(samples.sum(MADE, &[("anylith_way", "remote")]) > 0.0);
            continue;
        }
        ensure!(samples.sum(SERVED, &[]) > 0.0, "{} had no part", pod.name);
        let mut heard = what_a_stranger_hears(&shop, pod)?;
        let understood = Hello::take(&mut heard);
        ensure!(
            !matches!(understood, Ok(Some(_))),
            "{} greeted a stranger: {understood:?}",
            pod.name
        );
    }
    Ok(())
}

#[test]
fn a_container_killed_under_load_is_replaced_and_one_off_the_network_is_left_alone_until_it_is_back()
-> anyhow::Result<()> {
    let Some(mut shop) = start("Catalog=2")? else {
        return Ok(());
    };
    let pages = shop.pages()?;
    let catalogs = shop.of_group("catalog");
    let [killed, cut] = &catalogs[..] else {
        anyhow::bail!("there are two: {catalogs:?}");
    };
    let node = Arc::clone(&shop.node);
    Load::of_purchases((node.host(), &pages), PATIENCE, |wait| {
        wait(3);
        let new = shop.replace(killed)?;
        shop.ready()?;
        // It got there by its name alone: nobody has heard of its address before.
        is_called(&shop, &new, 0.0)?;
        shop.disconnect(cut)?;
        wait(10);
        shop.connect(cut)?;
        is_called(&shop, cut, served(&shop, cut)?)?;
        wait(3);
        Ok(())
    })?;
    Ok(())
}
