//! An application that is divided anew while people shop, and nobody notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use boutique_load::{Load, Pace};
use e2e::{Shop, Visitors};
use tokio::{task::block_in_place, time::sleep};

/// Tasks that begin in a second, whatever the shop does.
const RATE: f64 = 20.0;

/// From topology to topology, each pair of neighbours another one. `window` and `vault` are those of the shop's own
/// `anylith.toml`.
const WAY: [&str; 12] = [
    "micro", "monolith", "window", "micro", "vault", "monolith", "vault", "window", "monolith",
    "micro", "window", "vault",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dozen_reshapes_under_load_fail_no_request() -> anyhow::Result<()> {
    let shop = Shop::with().topology("monolith").start()?;
    let visitors = Visitors::begin(&shop.url);
    let load = Load {
        shop: shop.url.clone(),
        pace: Pace::Rate {
            tasks_per_second: RATE,
            users: 40,
        },
        length: Duration::from_secs(600),
        warm_up: Duration::ZERO,
        seed: 4,
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
    visitors.have_seen(50).await?;
    for topology in WAY {
        let done = block_in_place(|| shop.command(&["reshape", topology]))?;
        ensure!(
            done.status.success(),
            "{topology}: {}\n{}",
            String::from_utf8_lossy(&done.stderr),
            shop.output()
        );
        ensure!(shop.topology()? == topology, "{}", shop.output());
        visitors.have_seen(30).await?;
    }
    over.store(true, Ordering::Release);
    let report = loaded.await??;
    let seen = visitors.end().await?;
    println!("{seen} requests on kept connections, and\n{report}");
    ensure!(report.failed() == 0, "{report}\n{:#?}", report.failures());
    ensure!(report.requests() > 100, "{report}");
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}
