//! The shop on several hosts without a control plane: rendered, run, cut apart, killed, and given new certificates.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::ensure;
use e2e::{HostedShop, Load, PRODUCT, Visitor, buy, buy_in_the_end};
use netns::Lan;
use rustix::process::Signal;

/// Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The shop on two hosts, ready; `None` where there can be no hosts, which is said.
fn shop() -> anyhow::Result<Option<HostedShop>> {
    let lan = match Lan::new(2) {
        Ok(lan) => lan,
        Err(error) => {
            privileged::skip(error);
            return Ok(None);
        }
    };
    let shop = HostedShop::start(lan)?;
    shop.ready()?;
    Ok(Some(shop))
}

/// Buys until it works.
async fn buys_in_the_end(visitor: &mut Visitor) -> anyhow::Result<()> {
    buy_in_the_end(visitor, PATIENCE).await
}

#[test]
fn an_order_goes_across_hosts_and_everything_stops_in_good_order() -> anyhow::Result<()> {
    let Some(mut shop) = shop()? else {
        return Ok(());
    };
    shop.visit(async |visitor| buy(visitor).await)?;
    shop.replicas[0].says("WATCHDOG=1")?;
    for replica in &shop.replicas {
        replica.signal(Signal::TERM)?;
    }
    for index in 0..shop.replicas.len() {
        shop.replicas[index].says("STOPPING=1")?;
        let good = shop.replicas[index].ended()?;
        ensure!(good, "{}", shop.log(&shop.replicas[index].name));
    }
    Ok(())
}

#[test]
fn a_host_that_was_cut_off_and_a_replica_that_died_are_found_again() -> anyhow::Result<()> {
    let Some(mut shop) = shop()? else {
        return Ok(());
    };
    shop.lan.host(1).cut()?;
    let failed = shop.visit(async |visitor| {
        let begun = Instant::now();
        let failed = buy(visitor).await.is_err();
        Ok((failed, begun.elapsed()))
    })?;
    ensure!(failed.0, "it was bought through a cable that is cut");
    ensure!(
        failed.1 < Duration::from_secs(25),
        "it hung for {:?}",
        failed.1
    );
    shop.lan.host(1).heal()?;
    shop.visit(buys_in_the_end)?;
    let orders = shop.index("orders-two-1");
    shop.replicas[orders].signal(Signal::KILL)?;
    ensure!(!shop.replicas[orders].ended()?, "it was killed");
    shop.begin(orders)?;
    shop.visit(buys_in_the_end)?;
    Ok(())
}

#[test]
fn new_certificates_are_taken_under_load_and_no_page_fails() -> anyhow::Result<()> {
    let Some(mut shop) = shop()? else {
        return Ok(());
    };
    let key = shop.folder().join("out/two/replicas/orders-two-1/key.pem");
    let before = fs::read(&key)?;
    let visits = |load: &Load| {
        shop.visit(async |visitor| {
            while load.is_wanted() {
                let page = visitor.get(&format!("/product/{PRODUCT}")).await?;
                ensure!(page.status == 200, "{page:?}");
                load.visited();
            }
            Ok(())
        })
    };
    Load::during(PATIENCE, visits, |wait| {
        wait(20);
        let rendered = shop.render().and_then(|_| {
            // Only now: until they are told, or look by themselves, replicas go on with what they have.
            shop.replicas
                .iter()
                .try_for_each(|replica| replica.signal(Signal::HUP))
        });
        wait(100);
        rendered
    })?;
    ensure!(fs::read(&key)? != before, "the key is the old one");
    // Whoever connects anew proves himself with the new certificate to those who run on.
    let orders = shop.index("orders-two-1");
    shop.replicas[orders].signal(Signal::KILL)?;
    shop.replicas[orders].ended()?;
    shop.begin(orders)?;
    shop.visit(buys_in_the_end)
}
