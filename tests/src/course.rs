//! A shop that is divided anew again and again while people buy, and what came of it for them.

use std::{
    process::{Child, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use boutique_load::{Exchange, Report};
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    task::block_in_place,
    time::{Instant, sleep},
};

use crate::{
    App, Groupings, Outage, Replica, Settlement, Shop, Shoppers, Visitors,
    claim::{fault, told},
    payments::Payments,
};

/// How long all may take to be ready again after somebody was killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to make a [`Course`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// What all is drawn from.
    pub seed: u64,
    /// How many random topologies there are beside `monolith` and `micro`.
    pub groupings: usize,
    /// How many tasks the load generator begins in a second, each of about one and a half requests.
    pub tasks_per_second: f64,
    /// How many browsers it has.
    pub users: usize,
    /// Whether somebody is killed during each reshape: a replica, or the supervisor.
    pub kills: bool,
    /// Whether replicas call each other over TCP, with certificates, and not over Unix sockets.
    pub tcp: bool,
}

/// A shop under load, and all that was done to it.
#[derive(Debug)]
pub struct Course {
    plan: Plan,
    rng: Rng,
    shop: Shop,
    /// All that it can be.
    topologies: Vec<String>,
    stands: String,
    shoppers: Shoppers,
    /// Where nobody is killed nobody is hung up on.
    visitors: Option<Visitors>,
    payments: Payments,
    steps: Vec<Step>,
    /// How long a reshape takes that nobody disturbs, as far as it is known: somebody is killed at some moment of it.
    undisturbed: Duration,
}

/// Somebody who was killed.
#[derive(Debug, Clone)]
pub struct Strike {
    /// A replica, or the supervisor.
    pub victim: String,
    /// When.
    pub at: Instant,
    /// Whether the reshape was not over by then.
    pub is_inside: bool,
}

/// One reshape.
#[derive(Debug, Clone)]
pub struct Step {
    /// The topology that stood.
    pub from: String,
    /// The one that was asked for.
    pub to: String,
    /// When it was asked for.
    pub begun: Instant,
    /// When the new one ran alone, or the old one again.
    pub ended: Instant,
    /// Who was killed on the way, and when.
    pub struck: Option<Strike>,
    /// Which of the two ran then.
    pub stands: String,
}

/// What came of a course.
#[derive(Debug)]
pub struct Outcome {
    /// Every reshape, in order.
    pub steps: Vec<Step>,
    /// What the load generator counted.
    pub report: Report,
    /// What failed that should not have, and pages that were wrong.
    pub faults: Vec<String>,
    /// How often somebody was told, as it was, that nobody knows whether what he asked for was done.
    pub unknown: usize,
    /// What was paid, and what people know of it.
    pub payments: Settlement,
    /// How many requests came on connections that were kept open from the beginning to the end; 0 where somebody was killed.
    pub kept: usize,
}

impl Course {
    /// Starts a shop, whole, and puts load on it.
    ///
    /// # Errors
    ///
    /// If the shop does not start.
    pub async fn begin(plan: Plan) -> anyhow::Result<Self> {
        let mut rng = Rng::with_seed(plan.seed);
        let groupings = Groupings::draw(&mut rng, plan.groupings);
        let app = App::copy()?;
        app.add_settings(groupings.settings())?;
        let mut start = Shop::with().topology("monolith");
        if plan.tcp {
            start = start.argument("--set").argument("app.transport=\"tcp\"");
        }
        let shop = block_in_place(|| start.start_in(app))?;
        eprintln!("{}", groupings.settings());
        let mut topologies = vec!["monolith".to_owned(), "micro".to_owned()];
        topologies.extend_from_slice(groupings.names());
        let Plan {
            tasks_per_second,
            users,
            seed,
            kills,
            ..
        } = plan;
        Ok(Self {
            shoppers: Shoppers::begin(&shop.url, tasks_per_second, users, seed, kills),
            visitors: (!kills).then(|| Visitors::begin(&shop.url)),
            stands: "monolith".to_owned(),
            payments: Payments::default(),
            steps: Vec::new(),
            plan,
            rng,
            shop,
            topologies,
            undisturbed: Duration::from_millis(300),
        })
    }

    /// Reshapes the shop into a topology that is drawn among those that it is not in, and waits until that is over and
    /// everything is ready.
    ///
    /// # Errors
    ///
    /// If neither the old topology nor the new one runs then; if nobody was killed, if the new one does not.
    pub async fn step(&mut self) -> anyhow::Result<&Step> {
        let others = self.topologies.iter().filter(|one| **one != self.stands);
        let to = self
            .rng
            .choice(others.collect::<Vec<_>>())
            .context("there is one topology")?;
        let to = to.clone();
        let mut command = self.shop.app().command()?;
        command.args(["reshape", &to]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut reshape = command.spawn()?;
        let struck = match self.plan.kills {
            true => Some(self.strike(&mut reshape).await?),
            false => None,
        };
        let end = block_in_place(|| reshape.wait_with_output())?;
        if struck.is_some() {
            self.wait_until_ready().await?;
        }
        let ended = Instant::now();
        let stands = self.shop.topology()?;
        let step = Step {
            from: std::mem::replace(&mut self.stands, stands.clone()),
            to,
            begun,
            ended,
            struck,
            stands,
        };
        self.judge(&step, &end)?;
        self.payments.catch_up(&self.shop)?;
        self.steps.push(step);
        self.steps.last().context("it was just put there")
    }

    /// Kills a replica, or the supervisor, at some time on the way, and starts the latter again.
    async fn strike(&mut self, reshape: &mut Child) -> anyhow::Result<Strike> {
        // Every stage is met, and now and then the end, which tells how long it takes.
        let wait = self.undisturbed.mul_f64(1.2 * self.rng.f64());
        let begun = Instant::now();
        while begun.elapsed() < wait {
            if reshape.try_wait()?.is_some() {
                self.undisturbed = (self.undisturbed * 3 + begun.elapsed()) / 4;
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
        let victim = match self.rng.u32(..4) {
            0 => None,
            _ => Some(self.victim()?),
        };
        let (is_inside, at) = (reshape.try_wait()?.is_none(), Instant::now());
        let Some(replica) = victim else {
            block_in_place(|| self.shop.replace_supervisor())?;
            return Ok(Strike {
                victim: "the supervisor".to_owned(),
                at,
                is_inside,
            });
        };
        if let Some(pid) = replica.pid.and_then(Pid::from_raw) {
            // It may have left by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        Ok(Strike {
            victim: replica.id,
            at,
            is_inside,
        })
    }

    /// One of the replicas that run.
    fn victim(&mut self) -> anyhow::Result<Replica> {
        let mut replicas = block_in_place(|| self.shop.replicas())?;
        replicas.retain(|replica| replica.pid.is_some());
        self.rng.choice(replicas).context("no replica runs")
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let replicas = block_in_place(|| self.shop.replicas())?;
            if replicas.iter().all(|replica| replica.state == "ready") {
                return Ok(());
            }
            let output = || self.shop.output();
            ensure!(Instant::now() < end, "{replicas:?}\n{}", output());
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn judge(&self, step: &Step, end: &Output) -> anyhow::Result<()> {
        let told = String::from_utf8_lossy(&end.stderr);
        let output = || format!("{step:?}\n{told}\n{}", self.shop.output());
        let (is_old, is_new) = (step.stands == step.from, step.stands == step.to);
        ensure!(is_old || is_new, "neither of the two runs: {}", output());
        match (&step.struck, end.status.code()) {
            (_, Some(0)) => ensure!(is_new, "it was said to be done: {}", output()),
            (None, _) => ensure!(false, "it was not done: {}", output()),
            // Who loses the supervisor does not know what has become of it.
            (Some(_), Some(1)) => {}
            (Some(_), code) => ensure!(false, "{code:?} is no code for that: {}", output()),
        }
        Ok(())
    }

    /// Lets people shop on for a while.
    pub async fn rest(&mut self, length: Duration) {
        sleep(length).await;
    }

    /// Waits until so many more requests are answered on the connections that are kept open, if there are any.
    ///
    /// # Errors
    ///
    /// If nobody is answered any more.
    pub async fn have_seen(&mut self, more: usize) -> anyhow::Result<()> {
        match &mut self.visitors {
            Some(visitors) => visitors.have_seen(more).await,
            None => Ok(()),
        }
    }

    /// Sends everybody home, stops the shop, and looks at what came of it.
    ///
    /// # Errors
    ///
    /// If a connection was closed that somebody had kept, or the shop does not stop as it should.
    pub async fn end(mut self) -> anyhow::Result<Outcome> {
        let report = self.shoppers.end().await?;
        let kept = match self.visitors {
            Some(visitors) => visitors.end().await?,
            None => 0,
        };
        self.payments.catch_up(&self.shop)?;
        let struck = self.steps.iter();
        let struck = struck.filter_map(|step| Some((step.struck.as_ref()?.at, step.ended)));
        let outages: Vec<Outage> = struck.collect();
        let faults = report.history().iter();
        let faults: Vec<String> = faults.filter_map(|one| fault(one, &outages)).collect();
        let paying = report.history().iter();
        let paying = paying.filter_map(|one| Some((one.total?, told(one))));
        let payments = self.payments.settle(paying);
        if !faults.is_empty() {
            let logs = self
                .shop
                .command(&["logs", "--level", "warn", "-n", "200"])?;
            eprintln!("{}", String::from_utf8_lossy(&logs.stdout));
        }
        ensure!(
            block_in_place(|| self.shop.stop())?,
            "the command failed when it stopped"
        );
        Ok(Outcome {
            unknown: report.failed() as usize - faults.len().min(report.failed() as usize),
            steps: self.steps,
            faults,
            payments,
            kept,
            report,
        })
    }
}

impl Outcome {
    /// The times of the requests of which a moment was within a reshape, and of all others.
    pub fn inside_and_outside(&self) -> (Vec<Duration>, Vec<Duration>) {
        let inside = |one: &&Exchange| {
            let mut steps = self.steps.iter();
            steps.any(|step| one.meets(step.begun, step.ended))
        };
        let (inside, outside): (Vec<&Exchange>, Vec<&Exchange>) =
            self.report.history().iter().partition(inside);
        let times = |of: Vec<&Exchange>| of.iter().map(|one| one.took).collect();
        (times(inside), times(outside))
    }
}
