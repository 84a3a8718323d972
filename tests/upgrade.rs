//! Builds that are rolled into each other while people ask, and nobody notices.

use std::{
    collections::BTreeSet,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use e2e::{Answers, Askers, Parcels};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{task::block_in_place, time::sleep};

/// How long new builds are watched here.
const OBSERVE: &str = "1s";

fn upgraded(parcels: &Parcels, arguments: &[&str]) -> anyhow::Result<Output> {
    let begun = Instant::now();
    let done = block_in_place(|| parcels.upgrade(arguments))?;
    println!(
        "{arguments:?} after {:.1?}: {}{}",
        begun.elapsed(),
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(done)
}

/// Makes sure that nobody was answered wrongly, or not at all.
fn none_is_wrong(told: &Answers, parcels: &Parcels) -> anyhow::Result<()> {
    println!("{} answered, {} not", told.answered, told.wrong.len());
    ensure!(
        told.wrong.is_empty(),
        "{:?}\n{}",
        told.wrong,
        parcels.said()
    );
    Ok(())
}

fn says(output: &Output, what: &str) -> bool {
    let (out, err) = (&output.stdout, &output.stderr);
    [out, err]
        .iter()
        .any(|it| String::from_utf8_lossy(it).contains(what))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_with_another_interface_is_rolled_in_under_load_and_back_and_no_request_fails()
-> anyhow::Result<()> {
    for topology in ["micro", "pair", "monolith"] {
        let replicas = ["--topology", topology, "--replicas", "2"];
        let parcels = Parcels::start(&replicas)?;
        let askers = Askers::begin(&parcels.url);
        askers.have_seen(100).await?;
        for (number, build) in [(1, "second"), (2, "first")] {
            let binary = Parcels::binary(build)?;
            let done = upgraded(&parcels, &["--binary", &binary, "--observe", OBSERVE])?;
            ensure!(done.status.success(), "{topology}: {}", parcels.said());
            ensure!(parcels.builds()? == BTreeSet::from([number]));
            askers.have_seen(100).await?;
        }
        let told = askers.end().await;
        println!(
            "{topology}: {} requests answered, {} not or wrongly, by the builds {:?}",
            told.answered,
            told.wrong.len(),
            told.builds
        );
        ensure!(
            told.wrong.is_empty(),
            "{topology}: {:?}\n{}",
            told.wrong,
            parcels.said()
        );
        ensure!(told.builds.len() == 2);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_build_is_rolled_back_by_itself() -> anyhow::Result<()> {
    let parcels = Parcels::start(&["--topology", "micro", "--replicas", "2"])?;
    let before = parcels.replicas()?;
    let askers = Askers::begin(&parcels.url);
    askers.have_seen(100).await?;

    // One that does not start takes nothing away.
    let done = upgraded(&parcels, &["--binary", &Parcels::binary("crashing")?])?;
    ensure!(done.status.code() == Some(1) && says(&done, "the shelves are gone"));
    ensure!(parcels.replicas()? == before);
    askers.have_seen(100).await?;
    none_is_wrong(&askers.told(), &parcels)?;

    // One that fails in its calls is found by that, and is gone when the command comes back.
    let done = upgraded(&parcels, &["--binary", &Parcels::binary("panicking")?])?;
    // Desk and Web fail with it, and are not to blame.
    ensure!(done.status.code() == Some(1) && says(&done, "Depot fails "));
    ensure!(says(&done, "calls with the new build"));
    ensure!(parcels.replicas()? == before);
    let told = askers.told();
    println!(
        "panicking: {} answered, {} not",
        told.answered,
        told.wrong.len()
    );
    ensure!(
        told.wrong.iter().all(|wrong| wrong.contains("panicked")),
        "{:?}",
        told.wrong
    );
    askers.have_seen(100).await?;
    let told = askers.end().await;
    ensure!(told.builds == BTreeSet::from(["first".to_owned()]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_waits_and_goes_on_or_back() -> anyhow::Result<()> {
    let mut parcels = Parcels::start(&["--topology", "pair", "--replicas", "3"])?;
    let askers = Askers::begin(&parcels.url);
    askers.have_seen(100).await?;
    let binary = Parcels::binary("second")?;
    let canary = ["--binary", &binary, "--canary", "50%", "--observe", OBSERVE];
    for (number, steer, left) in [(1, "--rollback", 0), (2, "--resume", 2)] {
        let done = upgraded(&parcels, &canary)?;
        ensure!(
            done.status.success() && says(&done, "--resume"),
            "{}",
            parcels.said()
        );
        let new = parcels
            .replicas()?
            .into_iter()
            .filter(|one| one.build == number);
        ensure!(
            new.count() == 4,
            "two of three in each group: {:?}",
            parcels.replicas()?
        );
        let busy = parcels.command()?.args(["scale", "front=1"]).output()?;
        ensure!(says(
            &busy,
            "another change is under way: the upgrade is paused"
        ));
        // Who takes over meanwhile is told that all is ready, as it is, and not only once somebody has gone on.
        block_in_place(|| parcels.replace_supervisor())?;
        askers.have_seen(100).await?;
        let done = upgraded(&parcels, &[steer])?;
        ensure!(done.status.success(), "{}", parcels.said());
        ensure!(
            parcels.builds()? == BTreeSet::from([left]),
            "{:?}",
            parcels.replicas()?
        );
    }
    none_is_wrong(&askers.end().await, &parcels)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_an_upgrade_one_build_is_left_and_each_replica_keeps_its_own()
-> anyhow::Result<()> {
    let mut parcels = Parcels::start(&["--topology", "micro", "--replicas", "2"])?;
    let askers = Askers::begin(&parcels.url);
    askers.have_seen(100).await?;
    for (step, build) in ["second", "first", "second"].iter().enumerate() {
        // In the place of the one that runs, as cargo builds it.
        parcels.is_built_as(build)?;
        let mut upgrade = parcels.command()?;
        upgrade.args(["upgrade", "--observe", OBSERVE]);
        upgrade.stdout(Stdio::null()).stderr(Stdio::null());
        let mut upgrade = upgrade.spawn()?;
        let has_begun = || -> anyhow::Result<bool> {
            Ok(parcels.replicas()?.iter().any(|one| one.id.ends_with("-3")))
        };
        while !has_begun()? {
            ensure!(upgrade.try_wait()?.is_none(), "{}", parcels.said());
            sleep(Duration::from_millis(20)).await;
        }
        // Each time somewhere else between its beginning and its end.
        sleep(Duration::from_millis(700 * step as u64)).await;
        let replicas = parcels.replicas()?;
        let victim = replicas.iter().find(|one| one.id == "Depot-2");
        if let Some(pid) = victim.and_then(|one| Pid::from_raw(one.pid?)) {
            kill_process(pid, Signal::KILL)?;
        }
        block_in_place(|| parcels.replace_supervisor())?;
        block_in_place(|| upgrade.wait())?;
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let replicas = parcels.replicas()?;
            let builds: BTreeSet<u32> = replicas.iter().map(|one| one.build).collect();
            if replicas.len() == 6 && builds.len() == 1 {
                println!("{build}, and the supervisor and Depot-2 were killed: {builds:?}");
                break;
            }
            if Instant::now() > end {
                bail!("{replicas:?}\n{}", parcels.said());
            }
            sleep(Duration::from_millis(50)).await;
        }
        askers.have_seen(100).await?;
    }
    let told = askers.end().await;
    println!("{} answered, {} not", told.answered, told.wrong.len());
    // A replica was killed: calls that may have run are not sent again, and their callers are told so.
    let is_truthful = |wrong: &String| wrong.contains("lost the answer");
    ensure!(told.wrong.iter().all(is_truthful), "{:?}", told.wrong);
    Ok(())
}

/// Waits until nothing runs but `left`.
async fn falls_asleep(parcels: &Parcels, left: &[&str]) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let replicas = parcels.replicas()?;
        let there: BTreeSet<&str> = replicas.iter().map(|one| one.id.as_str()).collect();
        if there.iter().eq(left.iter()) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{there:?}\n{}", parcels.said());
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sleeps_wakes_in_the_new_build_and_whoever_calls_it_meanwhile_is_answered()
-> anyhow::Result<()> {
    for (topology, awake) in [
        ("drowsy", &["web-1"][..]),
        ("nodding", &["front-1", "front-2"]),
    ] {
        let parcels = Parcels::start(&["--topology", topology])?;
        let mut builds = ["first", "second"].iter().cycle().skip(1);
        for calls_meanwhile in [false, true, false] {
            falls_asleep(&parcels, awake).await?;
            let build = builds.next().expect("there is always another one");
            let binary = Parcels::binary(build)?;
            let new = ["--binary", &binary, "--observe", "0s"];
            if calls_meanwhile {
                // Both builds serve, and what both call sleeps until it is called.
                let done = upgraded(&parcels, &[&new[..], &["--canary", "50%"]].concat())?;
                ensure!(done.status.success() && says(&done, "--resume"));
                let askers = Askers::begin(&parcels.url);
                askers.have_seen(200).await?;
                let done = upgraded(&parcels, &["--resume"])?;
                ensure!(done.status.success(), "{}", parcels.said());
                none_is_wrong(&askers.end().await, &parcels)?;
            } else {
                let done = upgraded(&parcels, &new)?;
                ensure!(done.status.success(), "{topology}: {}", parcels.said());
            }
            falls_asleep(&parcels, awake).await?;
            let askers = Askers::begin(&parcels.url);
            askers.have_seen(1).await?;
            let told = askers.end().await;
            none_is_wrong(&told, &parcels)?;
            ensure!(told.builds == BTreeSet::from([(*build).to_owned()]));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_to_a_build_that_does_not_start_ends_and_says_where_it_stands()
-> anyhow::Result<()> {
    let parcels = Parcels::start(&["--topology", "pair", "--replicas", "2"])?;
    let askers = Askers::begin(&parcels.url);
    let binary = Parcels::binary("second")?;
    let canary = ["--binary", &binary, "--canary", "100%", "--observe", "0s"];
    let is_stuck = |steer| -> anyhow::Result<()> {
        let done = upgraded(&parcels, &[steer])?;
        ensure!(done.status.code() == Some(1), "{}", parcels.said());
        for words in [
            "the rollback is stuck: ",
            " does not run with the old build any more: ",
            " new replicas beside ",
            "`anylith upgrade --rollback` tries it again",
            "`anylith upgrade --resume`",
        ] {
            ensure!(says(&done, words), "{words}: {done:?}");
        }
        let status = parcels.command()?.arg("status").output()?;
        ensure!(says(&status, "the rollback is stuck"), "{status:?}");
        Ok(())
    };
    let done = upgraded(&parcels, &canary)?;
    ensure!(done.status.success(), "{}", parcels.said());
    parcels.first_is_kept(false)?;
    is_stuck("--rollback")?;
    askers.have_seen(100).await?;
    is_stuck("--rollback")?;
    parcels.first_is_kept(true)?;
    let done = upgraded(&parcels, &["--rollback"])?;
    ensure!(done.status.success() && says(&done, "rolled back"));
    ensure!(parcels.builds()? == BTreeSet::from([0]));
    // And forward, where nobody mends it.
    let done = upgraded(&parcels, &canary)?;
    ensure!(done.status.success(), "{}", parcels.said());
    parcels.first_is_kept(false)?;
    is_stuck("--rollback")?;
    let done = upgraded(&parcels, &["--resume"])?;
    ensure!(
        done.status.success() && says(&done, "upgraded"),
        "{}",
        parcels.said()
    );
    ensure!(parcels.builds()? == BTreeSet::from([2]));
    none_is_wrong(&askers.end().await, &parcels)?;
    Ok(())
}

/// The builds that answer now.
async fn answering(parcels: &Parcels) -> anyhow::Result<BTreeSet<String>> {
    let askers = Askers::begin(&parcels.url);
    askers.have_seen(50).await?;
    Ok(askers.end().await.builds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_leads_to_the_build_before_whatever_failed_since_and_no_further()
-> anyhow::Result<()> {
    let parcels = Parcels::start(&["--topology", "micro"])?;
    let roll_in = |build: &str| {
        let binary = Parcels::binary(build)?;
        upgraded(&parcels, &["--binary", &binary, "--observe", "0s"])
    };
    ensure!(roll_in("second")?.status.success(), "{}", parcels.said());
    ensure!(!roll_in("crashing")?.status.success());
    ensure!(answering(&parcels).await? == BTreeSet::from(["second".to_owned()]));
    let done = upgraded(&parcels, &["--rollback"])?;
    ensure!(done.status.success() && says(&done, "rolled back"));
    ensure!(answering(&parcels).await? == BTreeSet::from(["first".to_owned()]));
    // Whoever asks twice does not get back what he has fled from.
    let again = upgraded(&parcels, &["--rollback"])?;
    ensure!(again.status.code() == Some(1) && says(&again, "there is no build to go back to"));
    ensure!(answering(&parcels).await? == BTreeSet::from(["first".to_owned()]));
    ensure!(roll_in("second")?.status.success(), "{}", parcels.said());
    let done = upgraded(&parcels, &["--rollback"])?;
    ensure!(done.status.success() && says(&done, "rolled back"));
    ensure!(answering(&parcels).await? == BTreeSet::from(["first".to_owned()]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_over_in_the_background_stops_nobody_who_serves() -> anyhow::Result<()> {
    let mut parcels = Parcels::start(&["--topology", "pair", "--replicas", "2"])?;
    let askers = Askers::begin(&parcels.url);
    askers.have_seen(100).await?;
    let binary = Parcels::binary("second")?;
    let canary = ["--binary", &binary, "--canary", "100%", "--observe", "0s"];
    ensure!(upgraded(&parcels, &canary)?.status.success());
    // The replicas of the old build do not come back.
    parcels.first_is_kept(false)?;
    let done = upgraded(&parcels, &["--rollback"])?;
    ensure!(says(&done, "the rollback is stuck"), "{done:?}");
    let taken = block_in_place(|| parcels.replace_supervisor_in_background())?;
    ensure!(taken.status.success(), "{taken:?}");
    ensure!(
        says(&taken, "serves on, but not all of it runs"),
        "{taken:?}"
    );
    askers.have_seen(200).await?;
    none_is_wrong(&askers.end().await, &parcels)
}

#[test]
fn what_cannot_be_rolled_in_is_refused_before_anything_is_started() -> anyhow::Result<()> {
    let parcels = Parcels::start(&["--topology", "micro"])?;
    let before = parcels.replicas()?;
    let refused = |arguments: &[&str], words: &[&str]| -> anyhow::Result<()> {
        let done = parcels.upgrade(arguments)?;
        ensure!(
            !done.status.success() && words.iter().all(|it| says(&done, it)),
            "{done:?}"
        );
        Ok(())
    };
    let larger = Parcels::binary("larger")?;
    refused(
        &["--binary", &larger],
        &["a component more, Cellar", "`anylith stop`"],
    )?;
    refused(&["--binary", "nowhere"], &["there is no file nowhere"])?;
    refused(&["--binary", "anylith.toml"], &["anylith.toml"])?;
    refused(&["--resume"], &["no upgrade is under way"])?;
    refused(&["--canary", "0%"], &["from 1% to 100%"])?;
    let same = parcels.upgrade(&[])?;
    ensure!(same.status.success() && says(&same, "that build runs already"));
    let second = Parcels::binary("second")?;
    let plan = parcels.upgrade(&["--binary", &second, "--dry-run", "--json"])?;
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout)?;
    ensure!(plan["changed"] == serde_json::json!(["Depot"]), "{plan}");
    ensure!(plan["processes"]["peak"] == 6, "{plan}");
    ensure!(parcels.replicas()? == before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_after_another_build_was_written_over_it_is_started_from_its_own()
-> anyhow::Result<()> {
    let parcels = Parcels::start(&["--topology", "monolith"])?;
    parcels.is_built_as("second")?;
    let before = parcels.replicas()?;
    let pid = before.iter().find_map(|one| Pid::from_raw(one.pid?));
    kill_process(pid.expect("it runs"), Signal::KILL)?;
    let end = Instant::now() + Duration::from_secs(60);
    while parcels.replicas()? == before || parcels.replicas()?.iter().any(|one| one.pid.is_none()) {
        ensure!(Instant::now() < end, "{}", parcels.said());
        sleep(Duration::from_millis(20)).await;
    }
    let askers = Askers::begin(&parcels.url);
    askers.have_seen(20).await?;
    ensure!(askers.end().await.builds == BTreeSet::from(["first".to_owned()]));
    // And what is there now can still be rolled in.
    for (arguments, build) in [
        (&["--observe", "0s"][..], "second"),
        (&["--rollback"], "first"),
    ] {
        let done = upgraded(&parcels, arguments)?;
        ensure!(done.status.success(), "{}", parcels.said());
        let askers = Askers::begin(&parcels.url);
        askers.have_seen(20).await?;
        ensure!(askers.end().await.builds == BTreeSet::from([build.to_owned()]));
    }
    Ok(())
}
