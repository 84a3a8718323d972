//! The shop as a cluster would run it: what is rendered, pods that find each other by name, and what happens to them.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use anyhow::ensure;
use e2e::{App, Cluster, IMAGE, Load, Visitor, buy, buy_in_the_end, repository};
use netns::Lan;
use rustix::process::Signal;

/// Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(90);

/// So much later than a pod comes or goes the DNS says so.
const LAG: Duration = Duration::from_secs(5);

/// So many hosts, or `None` where there can be none, which is said.
fn hosts(number: u8) -> Option<Lan> {
    match Lan::new(number) {
        Ok(lan) => Some(lan),
        Err(error) => {
            privileged::skip(error);
            None
        }
    }
}

/// Visits `cluster` without a pause while `work` goes on, which waits for more requests by its second argument. No request may
/// fail. Returns how many visits there were.
fn under_load(
    cluster: &mut Cluster,
    work: impl FnOnce(&mut Cluster, &dyn Fn(usize)) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let (url, lan) = (cluster.pages()?, Arc::clone(&cluster.lan));
    Load::of_purchases((lan.host(0), &url), PATIENCE, |wait| {
        wait(3);
        work(cluster, wait)
    })
}

fn start(topology: (&str, &str), lag: Duration, spare: u8) -> anyhow::Result<Option<Cluster>> {
    let Some(mut cluster) = Cluster::start(hosts, topology, lag, spare)? else {
        return Ok(None);
    };
    cluster.ready()?;
    Ok(Some(cluster))
}

#[test]
fn the_shop_is_rendered_as_it_was_looked_at() -> anyhow::Result<()> {
    // As its users have it: no path of a test is in it.
    let shop = repository().join("examples/boutique");
    let app = App::copy()?;
    let toml = fs::read_to_string(shop.join("anylith.toml"))?;
    let program = format!("binary = {:?}", app.program()?);
    fs::write(
        app.folder().join("anylith.toml"),
        toml.replace("package = \"boutique\"", &program),
    )?;
    for (topology, replicas, golden) in [
        ("monolith", "1", "boutique-monolith"),
        ("monolith", "3", "boutique-replicated"),
        ("micro", "1", "boutique-micro"),
        ("vault", "pages=3", "boutique-vault"),
    ] {
        let out = app.folder().join(golden);
        let mut command = app.command()?;
        command.args([
            "render",
            "kubernetes",
            "--topology",
            topology,
            "--replicas",
            replicas,
        ]);
        command.args(["--image", IMAGE, "-o"]);
        let output = command.arg(&out).output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let golden = repository()
            .join("crates/anylith-kube/tests/rendered")
            .join(golden);
        for folder in ["", "groups"] {
            for entry in fs::read_dir(golden.join(folder))? {
                let name = entry?.file_name();
                let (kept, made) = (
                    golden.join(folder).join(&name),
                    out.join(folder).join(&name),
                );
                if kept.is_file() {
                    let (kept, made) = (fs::read_to_string(kept)?, fs::read_to_string(&made)?);
                    let difference = similar::TextDiff::from_lines(&kept, &made);
                    let said = difference.unified_diff().to_string();
                    ensure!(kept == made, "{} is another:\n{said}", name.display());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn pods_find_each_other_by_name_and_what_is_in_one_pod_calls_in_process() -> anyhow::Result<()> {
    let Some(cluster) = start(("window", "window=1,rest=2"), Duration::ZERO, 0)? else {
        return Ok(());
    };
    cluster.visit(async |visitor| buy(visitor).await)?;
    let window = cluster.first("window")?;
    let (status, metrics) = cluster.ask(window, "/metrics")?;
    ensure!(status == 200, "{metrics}");
    let own = ["Frontend", "Catalog", "Currency", "Recommendation"];
    let mut ways = BTreeSet::new();
    for line in metrics
        .lines()
        .filter(|line| line.starts_with("anylith_client_calls_total{"))
    {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            rest.split('"').next()
        };
        let count = line.rsplit(' ').next().unwrap_or_default();
        if let (Some(callee), Some(way)) = (label("anylith_callee"), label("anylith_way"))
            && count != "0"
        {
            let wanted = if own.contains(&callee) {
                "local"
            } else {
                "remote"
            };
            ensure!(way == wanted, "{line}");
            ways.insert(way.to_owned());
        }
    }
    ensure!(ways.len() == 2, "calls went {ways:?} only: {metrics}");
    let (status, said) = cluster.ask(window, "/livez")?;
    ensure!(status == 200, "{said}");
    Ok(())
}

#[test]
fn a_pod_that_is_told_to_stop_costs_no_request_though_its_name_lags_behind() -> anyhow::Result<()> {
    let Some(mut cluster) = start(("window", "window=1,rest=3"), LAG, 1)? else {
        return Ok(());
    };
    let visits = under_load(&mut cluster, |cluster, wait| {
        // A rollout: the next pod is there before one goes, and nobody has heard of either yet.
        let rest = cluster.first("rest")?;
        cluster.begin("rest")?;
        cluster.stop(rest)?;
        wait(10);
        let rest = cluster.first("rest")?;
        cluster.stop(rest)?;
        wait(10);
        Ok(())
    })?;
    ensure!(visits > 20, "only {visits} visits");
    Ok(())
}

#[test]
fn a_pod_that_dies_is_replaced_at_another_address_and_one_that_is_cut_off_comes_back()
-> anyhow::Result<()> {
    let Some(mut cluster) = start(("window", "window=1,rest=2"), Duration::from_secs(1), 1)? else {
        return Ok(());
    };
    let rest = cluster.first("rest")?;
    let new = cluster.replace(rest)?;
    cluster.ready()?;
    cluster.visit(buys_in_the_end)?;
    // All that are left but the new one are cut off: it is found, though nobody knew its address before.
    let others = (0..cluster.pods.len())
        .filter(|index| *index != new && cluster.pods[*index].group == "rest");
    let others: Vec<usize> = others.map(|index| cluster.pods[index].host).collect();
    for host in &others {
        cluster.lan.host(*host).cut()?;
    }
    cluster.visit(buys_in_the_end)?;
    for host in &others {
        cluster.lan.host(*host).heal()?;
    }
    cluster.pods[new].signal(Signal::KILL)?;
    cluster.visit(buys_in_the_end)
}

/// Buys until it works.
async fn buys_in_the_end(visitor: &mut Visitor) -> anyhow::Result<()> {
    buy_in_the_end(visitor, PATIENCE).await
}

#[test]
fn a_renewed_certificate_is_taken_under_load_and_no_request_fails() -> anyhow::Result<()> {
    let Some(mut cluster) = start(("window", "window=1,rest=2"), Duration::ZERO, 1)? else {
        return Ok(());
    };
    under_load(&mut cluster, |cluster, wait| {
        cluster.renew_certificates()?;
        wait(5);
        // It has the new certificate from its first moment on; the others know it by a name that they already have.
        cluster.begin("rest")?;
        cluster.ready()?;
        let old = cluster.first("rest")?;
        cluster.stop(old)?;
        wait(5);
        Ok(())
    })?;
    Ok(())
}
