//! Processes that are replaced while people shop, and nobody notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use boutique_load::{Load, Pace};
use e2e::{Shop, Visitors};
use tokio::{task::block_in_place, time::sleep};

/// Tasks that begin in a second, whatever the shop does.
const RATE: f64 = 25.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_and_a_scale_down_under_load_fail_no_request() -> anyhow::Result<()> {
    let shop = Shop::with()
        .topology("micro")
        .replicas("Frontend=2,Cart=2")
        .start()?;
    let visitors = Visitors::begin(&shop.url);
    let load = Load {
        shop: shop.url.clone(),
        pace: Pace::Rate {
            tasks_per_second: RATE,
            users: 40,
        },
        length: Duration::from_secs(600),
        warm_up: Duration::ZERO,
        seed: 1,
        reads_pages: true,
    };
    let over = Arc::new(AtomicBool::new(false));
    let loaded = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let stop = async {
                while !over.load(Ordering::Acquire) {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            load.run(stop, |_| {}).await
        }
    });
    visitors.have_seen(100).await?;
    let before = shop.replicas()?;
    for arguments in [
        &["scale", "Frontend=3", "Cart=3"][..],
        &["restart"],
        &["scale", "Frontend=1", "Cart=1"],
    ] {
        let done = block_in_place(|| shop.command(arguments))?;
        ensure!(
            done.status.success(),
            "{arguments:?}: {}\n{}",
            String::from_utf8_lossy(&done.stderr),
            shop.output()
        );
        visitors.have_seen(50).await?;
    }
    let after = shop.replicas()?;
    ensure!(after.len() == before.len() - 2, "{after:?}");
    for replica in &after {
        let old = before.iter().find(|one| one.id == replica.id);
        let old = old.context("a replica that was not there")?;
        ensure!(old.pid != replica.pid, "{} was not renewed", replica.id);
    }
    over.store(true, Ordering::Release);
    let report = loaded.await??;
    let seen = visitors.end().await?;
    println!("{seen} requests on connections that were kept, and\n{report}");
    ensure!(report.failed() == 0, "{report}");
    ensure!(report.requests() > 100, "{report}");
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_outlive_a_supervisor_and_then_all_of_its_replicas() -> anyhow::Result<()> {
    let start = Shop::with().topology("micro").replicas("Frontend=2");
    let mut shop = start.start()?;
    let visitors = Visitors::begin(&shop.url);
    visitors.have_seen(100).await?;
    let before = shop.replicas()?;
    block_in_place(|| shop.replace_supervisor())?;
    let after = shop.replicas()?;
    ensure!(before == after, "they were not taken over: {after:?}");
    for arguments in [&["restart"][..], &["scale", "Frontend=1"]] {
        let done = block_in_place(|| shop.command(arguments))?;
        ensure!(done.status.success(), "{arguments:?}: {}", shop.output());
        visitors.have_seen(50).await?;
    }
    for replica in &shop.replicas()? {
        let old = before.iter().find(|one| one.id == replica.id);
        let old = old.context("a replica that was not there")?;
        ensure!(old.pid != replica.pid, "{} was not renewed", replica.id);
    }
    visitors.end().await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}
