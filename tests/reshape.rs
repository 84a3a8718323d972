//! An application that is divided anew while people shop, and nobody notices.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::ensure;
use e2e::{App, Crowd, Shop};
use tokio::{task::block_in_place, time::sleep};

/// Tasks that begin in a second, whatever the shop does.
const RATE: f64 = 20.0;

/// From topology to topology. `window` and `vault` are those of the shop's own `anylith.toml`.
const WAY: [&str; 12] = [
    "micro", "window", "shelf", "window", "monolith", "vault", "shelf", "micro", "monolith",
    "window", "shelf", "vault",
];

/// Its groups are called as those of `window`, and change in place.
const SHELF: &str = r#"
[topologies.shelf]
groups.window = { components = ["Frontend", "Catalog"] }
groups.rest = { components = ["*"] }
"#;

fn shop() -> anyhow::Result<Shop> {
    let app = App::copy()?;
    let file = app.folder().join("anylith.toml");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text + SHELF)?;
    Shop::with().topology("monolith").start_in(app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dozen_reshapes_under_load_fail_no_request() -> anyhow::Result<()> {
    let shop = shop()?;
    let crowd = Crowd::begin(&shop, RATE, 4);
    crowd.visitors.have_seen(50).await?;
    for topology in WAY {
        let begun = Instant::now();
        let done = block_in_place(|| shop.command(&["reshape", topology]))?;
        println!("{topology} after {:.1?}", begun.elapsed());
        ensure!(
            done.status.success(),
            "{topology}: {}\n{}",
            String::from_utf8_lossy(&done.stderr),
            shop.output()
        );
        ensure!(shop.topology()? == topology, "{}", shop.output());
        crowd.visitors.have_seen(30).await?;
    }
    crowd.end(&shop).await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_is_killed_in_a_reshape_leaves_one_of_both_topologies()
-> anyhow::Result<()> {
    let mut shop = shop()?;
    let crowd = Crowd::begin(&shop, RATE, 4);
    crowd.visitors.have_seen(50).await?;
    let mut stands = "monolith".to_owned();
    for (step, topology) in ["micro", "window", "monolith", "vault"].iter().enumerate() {
        let mut command = shop.app().command()?;
        command.args(["reshape", topology]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut reshape = command.spawn()?;
        // Each time somewhere else between its beginning and its end.
        sleep(Duration::from_millis(150 * step as u64 + 50)).await;
        block_in_place(|| shop.replace_supervisor())?;
        block_in_place(|| reshape.wait())?;
        let now = shop.topology()?;
        println!("{stands} to {topology}, and the supervisor was killed: {now}");
        ensure!(now == stands || now == *topology, "{now} runs now");
        crowd.visitors.have_seen(30).await?;
        let all_ready = || -> anyhow::Result<bool> {
            let replicas = shop.replicas()?;
            Ok(replicas.iter().all(|replica| replica.state == "ready"))
        };
        let end = Instant::now() + Duration::from_secs(60);
        while !all_ready()? {
            ensure!(Instant::now() < end, "{:?}", shop.replicas()?);
            sleep(Duration::from_millis(50)).await;
        }
        stands = now;
    }
    crowd.end(&shop).await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}
