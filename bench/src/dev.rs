//! The shop while somebody works on it: how long after cargo has built an edit it is served.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use e2e::{Visitor, Workshop, cart_of};

use crate::{ratio::quantile, report::Report};

/// How often the page is edited.
const EDITS: usize = 7;

/// What may pass beyond cargo's own time, in milliseconds.
const MOST_MS: f64 = 500.0;

/// The page that is edited, and the words of it that change.
const PAGE: &str = "templates/home.html";
const WORDS: &str = "Hot Products";

/// Nobody waits longer for a build.
const PATIENCE: Duration = Duration::from_secs(600);

/// From the edit of a page until it is served: cargo's part, and all that is beyond; and whether carts stay full.
pub(crate) fn dev(report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for topology in ["monolith", "micro"] {
        runtime.block_on(edit_in(topology, report))?;
    }
    Ok(())
}

async fn edit_in(topology: &str, report: &mut Report) -> Result<()> {
    let name = format!("dev, {topology}");
    let workshop = Workshop::open(topology)?;
    let mut shopper = Visitor::new(&workshop.url)?;
    let form = [("product_id", "OLJCESPC7Z"), ("quantity", "3")];
    let answer = shopper.post("/cart", &form).await?;
    ensure!(answer.status == 302, "nothing could be put into the cart");
    let before = cart_of(&mut shopper).await?;
    let (mut builds, mut beyond) = (Vec::new(), Vec::new());
    let mut words = WORDS.to_owned();
    for number in 1..=EDITS {
        let next = format!("Hot Products {number}");
        let begun = Instant::now();
        workshop.edit(PAGE, &words, &next)?;
        until_served(&workshop, &next, begun).await?;
        let took = begun.elapsed();
        workshop
            .until_said("the new build serves, ", number)
            .await?;
        let built = workshop.builds()?;
        ensure!(built.len() == number + 1, "{} builds", built.len());
        let built = *built.last().context("nothing was built")?;
        report.note(&format!(
            "{name} {number}: served after {took:.0?}, of which cargo took {built:.0?}"
        ))?;
        builds.push(built.as_secs_f64());
        beyond.push(took.saturating_sub(built).as_secs_f64() * 1e3);
        words = next;
    }
    let after = cart_of(&mut shopper).await?;
    report.note(&format!(
        "{name}: in the cart before {before:?}, after {after:?}"
    ))?;
    report.figure(
        &format!("{name}: cargo builds, median"),
        quantile(&builds, 0.5),
        "s",
        None,
    )?;
    let median = quantile(&beyond, 0.5);
    report.figure(
        &format!("{name}: served beyond that, median"),
        median,
        "ms",
        Some(MOST_MS),
    )?;
    let longest = quantile(&beyond, 1.0);
    report.figure(
        &format!("{name}: served beyond that, longest"),
        longest,
        "ms",
        None,
    )?;
    let lost = f64::from(u8::from(before != after));
    report.figure(
        &format!("{name}: carts that lost something"),
        lost,
        "",
        Some(0.0),
    )?;
    ensure!(workshop.close()?, "the command failed");
    Ok(())
}

/// Visits the first page until it has `words`.
async fn until_served(workshop: &Workshop, words: &str, begun: Instant) -> Result<()> {
    let mut visitor = Visitor::new(&workshop.url)?;
    let heading = format!("{words}</h2>");
    loop {
        let page = visitor.get("/").await?;
        ensure!(page.status == 200, "{}: {}", page.status, page.body);
        if page.body.contains(&heading) {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "never: {words}\n{}",
            workshop.said()
        );
        sleep(Duration::from_millis(2));
    }
}
