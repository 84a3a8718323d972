//! Groups whose numbers follow what their replicas bear, as real processes: nobody who shops notices.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use e2e::{App, Crowd, Shop};
use tokio::{task::block_in_place, time::sleep};

/// How long a number may take to become what it should. Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tasks that begin in a second, whatever the shop does.
const RATE: f64 = 20.0;

/// Nothing of the currencies runs while nobody looks at a price; and the pages have more replicas when they are busy.
const TOPOLOGY: &str = r#"
[topologies.breathing]
groups.pages = { components = ["Frontend"], replicas = { min = 1, max = 3, target = { cpu = 0.05 }, cooldown = "3s" } }
groups.money = { components = ["Currency"], replicas = { min = 0, max = 2, cooldown = "2s" } }
groups.rest = { components = ["*"] }

[topologies.helped]
groups.all = { components = ["*"], burst = { Currency = { max = 2, cooldown = "2s" } } }
"#;

fn shop(topology: &str) -> anyhow::Result<Shop> {
    let app = App::copy()?;
    let file = app.folder().join("anylith.toml");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text + TOPOLOGY)?;
    Shop::with().topology(topology).start_in(app)
}

/// Kills the replica called `id`.
fn kill(shop: &Shop, id: &str) -> anyhow::Result<()> {
    let replicas = block_in_place(|| shop.replicas())?;
    let one = replicas.iter().find(|one| one.id == id);
    let pid = one.and_then(|one| one.pid).context("it does not run")?;
    let pid = rustix::process::Pid::from_raw(pid).context("no process")?;
    Ok(rustix::process::kill_process(
        pid,
        rustix::process::Signal::KILL,
    )?)
}

/// How many replicas `group` has that are ready.
fn ready(shop: &Shop, group: &str) -> anyhow::Result<usize> {
    let replicas = block_in_place(|| shop.replicas())?;
    let own = replicas.iter().filter(|one| {
        let is_own = one.id.rsplit_once('-').is_some_and(|(of, _)| of == group);
        is_own && one.state == "ready"
    });
    Ok(own.count())
}

/// Waits until `group` has a number of ready replicas that is `enough`; returns that number.
async fn until(shop: &Shop, group: &str, enough: impl Fn(usize) -> bool) -> anyhow::Result<usize> {
    let end = Instant::now() + PATIENCE;
    loop {
        let ready = ready(shop, group)?;
        if enough(ready) {
            return Ok(ready);
        }
        ensure!(
            Instant::now() < end,
            "{group} has {ready}:\n{}",
            shop.output()
        );
        sleep(Duration::from_millis(50)).await;
    }
}

/// Asks for the first page, for which currencies are needed; returns how long that took.
async fn visit(shop: &Shop) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let page = reqwest::get(&shop.url).await?;
    ensure!(
        page.status().is_success(),
        "{}:\n{}",
        page.status(),
        shop.output()
    );
    let text = page.text().await?;
    ensure!(text.contains('$'), "a page without prices: {text}");
    Ok(begun.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_runs_of_what_nobody_calls_and_the_first_call_is_answered() -> anyhow::Result<()> {
    let mut shop = shop("breathing")?;
    let said = |shop: &Shop| -> anyhow::Result<String> {
        let status = block_in_place(|| shop.command(&["status"]))?;
        Ok(String::from_utf8_lossy(&status.stdout).into_owned())
    };
    for _ in 0..3 {
        until(&shop, "money", |ready| ready == 0).await?;
        println!(
            "the first page after nothing ran took {:.1?}",
            visit(&shop).await?
        );
        ensure!(ready(&shop, "money")? == 1, "{}", shop.output());
    }
    until(&shop, "money", |ready| ready == 0).await?;
    let text = said(&shop)?;
    ensure!(
        text.contains("money: 0 replicas wanted, of 0 to 2"),
        "{text}"
    );
    // Whoever takes over lets it sleep, and wakes it.
    block_in_place(|| shop.replace_supervisor())?;
    ensure!(ready(&shop, "money")? == 0, "{}", shop.output());
    visit(&shop).await?;
    // And a supervisor that is not there cannot; the call waits for the next one.
    until(&shop, "money", |ready| ready == 0).await?;
    let (url, pages) = (shop.url.clone(), 4);
    let calls: Vec<_> = (0..pages)
        .map(|_| tokio::spawn(reqwest::get(url.clone())))
        .collect();
    block_in_place(|| shop.replace_supervisor())?;
    for call in calls {
        let page = call.await??;
        ensure!(page.status().is_success(), "{}", page.status());
    }
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_brings_replicas_that_leave_when_it_has_gone_and_no_request_fails()
-> anyhow::Result<()> {
    let mut shop = shop("breathing")?;
    let mut crowd = Crowd::begin(&shop, RATE, 4);
    crowd.visitors.have_seen(120).await?;
    let many = until(&shop, "pages", |ready| ready > 1).await?;
    println!("{many} replicas for the crowd");
    // Whoever takes over goes on with as many.
    block_in_place(|| shop.replace_supervisor())?;
    let after = ready(&shop, "pages")?;
    ensure!(after >= many, "{after} of {many}:\n{}", shop.output());
    crowd.visitors.have_seen(120).await?;
    // They may be killed, too.
    kill(&shop, "money-1")?;
    crowd.visitors.have_seen(120).await?;
    crowd.end(&shop).await?;
    until(&shop, "pages", |ready| ready == 1).await?;
    until(&shop, "money", |ready| ready == 0).await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_component_of_a_monolith_gets_help_through_all_that_changes_and_no_request_fails()
-> anyhow::Result<()> {
    let mut shop = shop("helped")?;
    let does = |shop: &Shop, words: &[&str]| -> anyhow::Result<()> {
        let done = block_in_place(|| shop.command(words))?;
        let told = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "{words:?}: {told}");
        Ok(())
    };
    let mut crowd = Crowd::begin(&shop, RATE, 5);
    crowd.visitors.have_seen(60).await?;
    // Held at two, so that it does not end in the midst of this.
    does(&shop, &["scale", "Currency-burst=2"])?;
    until(&shop, "Currency-burst", |ready| ready == 2).await?;
    crowd.visitors.have_seen(120).await?;
    kill(&shop, "Currency-burst-1")?;
    crowd.visitors.have_seen(120).await?;
    block_in_place(|| shop.replace_supervisor())?;
    until(&shop, "Currency-burst", |ready| ready == 2).await?;
    does(&shop, &["restart"])?;
    crowd.visitors.have_seen(120).await?;
    ensure!(ready(&shop, "Currency-burst")? == 2, "{}", shop.output());
    // It has no place among microservices, and begins anew with the monolith.
    does(&shop, &["reshape", "micro"])?;
    ensure!(ready(&shop, "Currency-burst")? == 0, "{}", shop.output());
    does(&shop, &["reshape", "helped"])?;
    does(&shop, &["scale", "Currency-burst=1"])?;
    crowd.visitors.have_seen(120).await?;
    does(&shop, &["scale", "Currency-burst=0..2"])?;
    until(&shop, "Currency-burst", |ready| ready == 0).await?;
    crowd.end(&shop).await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}
