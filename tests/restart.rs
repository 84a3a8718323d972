//! Processes that are replaced while people shop, and nobody notices.

use anyhow::{Context as _, ensure};
use e2e::{Crowd, Replica, Shop, Visitors};
use tokio::task::block_in_place;

/// Tasks that begin in a second, whatever the shop does.
const RATE: f64 = 25.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_and_a_scale_down_under_load_fail_no_request() -> anyhow::Result<()> {
    let shop = Shop::with()
        .topology("micro")
        .replicas("Frontend=2,Cart=2")
        .start()?;
    let mut crowd = Crowd::begin(&shop, RATE, 1);
    crowd.visitors.have_seen(100).await?;
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
        crowd.visitors.have_seen(50).await?;
    }
    let after = shop.replicas()?;
    ensure!(after.len() == before.len() - 2, "{after:?}");
    all_renewed(&before, &after)?;
    crowd.end(&shop).await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_outlive_a_supervisor_and_then_all_of_its_replicas() -> anyhow::Result<()> {
    let start = Shop::with().topology("micro").replicas("Frontend=2");
    let mut shop = start.start()?;
    let mut visitors = Visitors::begin(&shop.url);
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
    all_renewed(&before, &shop.replicas()?)?;
    visitors.end().await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

/// Whether each replica of `after` was there before, as another process.
fn all_renewed(before: &[Replica], after: &[Replica]) -> anyhow::Result<()> {
    for replica in after {
        let old = before.iter().find(|one| one.id == replica.id);
        let old = old.context("a replica that was not there")?;
        ensure!(old.pid != replica.pid, "{} was not renewed", replica.id);
    }
    Ok(())
}
