//! An application that is divided anew while people shop, and nobody notices.

use std::time::Duration;

use anyhow::ensure;
use e2e::{Course, Outcome, Plan};

/// Tasks that begin in a second, whatever the shop does.
const RATE: f64 = 20.0;

/// How many reshapes there are in a course, unless `RESHAPES` has another number.
const STEPS: u64 = 12;

/// A number that the environment has: to look for what this course does not find.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// How long people shop on undisturbed between two kills.
const REST: Duration = Duration::from_millis(600);

/// Six random topologies under a small load, between replicas that nobody kills.
const PLAN: Plan = Plan {
    seed: 1,
    groupings: 6,
    tasks_per_second: RATE,
    users: 40,
    kills: false,
    tcp: false,
};

/// Follows `plan`, or what `RESHAPE_SEED` makes of it.
async fn course(mut plan: Plan) -> anyhow::Result<Outcome> {
    plan.seed = number("RESHAPE_SEED").unwrap_or(plan.seed);
    let mut course = Course::begin(plan).await?;
    for _ in 0..number("RESHAPES").unwrap_or(STEPS) {
        course.have_seen(30).await?;
        if plan.kills {
            // Nobody counts there while it goes on, and people have to come between one kill and the next.
            course.rest(REST).await;
        }
        let step = course.step().await?;
        println!("{step:?}");
    }
    let outcome = course.end().await?;
    println!("{}{:?}", outcome.report, outcome.payments);
    ensure!(outcome.faults.is_empty(), "{:#?}", outcome.faults);
    let paid = outcome.payments;
    ensure!(paid.lost == 0 && paid.doubled == 0, "{paid:?}");
    ensure!(paid.confirmed > 0, "nobody has bought anything");
    ensure!(outcome.report.requests() > 100, "hardly anybody came");
    Ok(outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dozen_reshapes_under_load_fail_no_request() -> anyhow::Result<()> {
    let outcome = course(PLAN).await?;
    ensure!(outcome.kept > 100, "{outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_killed_in_a_reshape_takes_nothing_along_but_what_nobody_may_repeat()
-> anyhow::Result<()> {
    let plan = Plan {
        seed: 2,
        kills: true,
        ..PLAN
    };
    course(plan).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_prove_themselves_over_tcp_can_be_reshaped_too() -> anyhow::Result<()> {
    let plan = Plan {
        seed: 3,
        tcp: true,
        ..PLAN
    };
    let outcome = course(plan).await?;
    ensure!(outcome.kept > 100, "{outcome:?}");
    Ok(())
}
