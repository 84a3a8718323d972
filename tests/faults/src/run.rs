//! One run: the application is started, loaded, hurt and stopped, and its ledgers are judged.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::Signal;

use crate::{
    app::GO,
    clock::{in_ns, now_ns},
    defect::Defect,
    deployment::{Deployment, LOOK, check_interrupt},
    history::{Asked, History},
    ledger::{self, Answer, Event, How, Ledger},
    oracle::{Budget, Find, SCHEDULING, Terms, judge},
    plan::{Plan, Strike},
    process,
    proof::{Claim, Evidence, Proof},
    stage::{Healed, Remedy, Stage},
};

/// From the word to begin until the first call.
const LEAD: Duration = Duration::from_millis(30);

/// How long the callers may take to have their answers, besides what each call may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// What came of a run.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) plan: Plan,
    /// What was wrong with the application.
    pub(crate) defect: Option<Defect>,
    pub(crate) finds: Vec<Find>,
    /// What was seen of each strike.
    pub(crate) proofs: Vec<(Strike, Proof)>,
    /// Which replica each process was.
    pub(crate) names: BTreeMap<u32, String>,
    pub(crate) tally: Tally,
    /// When the load began, by the clock of the ledgers.
    pub(crate) begin_ns: u64,
}

impl Outcome {
    /// What the run cannot say anything of, since it did not happen.
    pub(crate) fn missed(&self) -> impl Iterator<Item = &(Strike, Proof)> {
        let proofs = self.proofs.iter();
        proofs.filter(|(_, proof)| matches!(proof, Proof::Missed(_)))
    }
}

/// What was counted in a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) calls: usize,
    pub(crate) right: usize,
    pub(crate) refused: usize,
    pub(crate) unknown: usize,
    pub(crate) late: usize,
    /// As the replicas count that were there at the end.
    pub(crate) retried: u64,
    /// Executions beyond the first of a call.
    pub(crate) repeated: usize,
    /// Calls and connections that replicas refused because of who was calling, counted as what is retried.
    pub(crate) denied: u64,
    /// From the first fault to the last call that failed.
    pub(crate) recovery: Option<Duration>,
}

/// What is the same for all runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// What is wrong with the application.
    pub(crate) defect: Option<Defect>,
    /// The folder of a run is kept where something was found.
    pub(crate) keep: bool,
    /// On a machine that may be anything, only what is very late counts.
    pub(crate) lenient: bool,
}

impl Setting {
    /// How much longer than its deadline a call may take.
    fn scheduling(self) -> Duration {
        match self.lenient {
            true => 5 * SCHEDULING,
            false => SCHEDULING,
        }
    }
}

/// Runs `plan` on the application.
pub(crate) fn run(plan: &Plan, setting: Setting) -> anyhow::Result<Outcome> {
    let defect = setting.defect;
    let deployment = Deployment::start(plan, defect)?;
    let begin_ns = now_ns() + in_ns(LEAD);
    let begin = Instant::now() + LEAD;
    let mut stage = Stage::new(deployment, plan, begin_ns);
    fs::write(stage.deployment.home.path().join(GO), begin_ns.to_string())?;
    let claims = play(&mut stage, plan, begin)?;
    until_answered(&mut stage, plan)?;
    let alive = stage.deployment.counted();
    stage.deployment.stop()?;
    let counted = alive.or_else(|| stage.deployment.counted_last());
    let entries = ledger::read(stage.deployment.home.path()).context("cannot read the ledgers")?;
    let evidence = Evidence {
        plan,
        entries: &entries,
        log: &stage.deployment.log(),
        counted,
    };
    let settle = |(strike, claim): (Strike, Claim)| {
        let excuse = plan.excuse(&strike);
        (strike, claim.settle(&evidence, excuse))
    };
    let proofs: Vec<_> = claims.into_iter().map(settle).collect();
    let names = ledger::names(stage.deployment.home.path())?;
    let history = History::of(entries);
    let terms = Terms {
        killed: stage.killed,
        gentle: plan.is_gentle(),
        scheduling: setting.scheduling(),
        budget: plan
            .is_only_overload()
            .then_some(())
            .and(counted)
            .map(|counted| Budget {
                refused: counted.overloaded,
                edges: plan.topology.edges(),
            }),
    };
    let counted = counted.unwrap_or_default();
    let finds = judge(&history, &terms);
    let outcome = Outcome {
        plan: plan.clone(),
        defect,
        finds,
        proofs,
        names,
        tally: Tally {
            retried: counted.retried,
            denied: counted.denied + counted.unauthenticated,
            ..Tally::of(&history, plan, begin_ns)
        },
        begin_ns,
    };
    if setting.keep && (!outcome.finds.is_empty() || outcome.missed().next().is_some()) {
        let home = &mut stage.deployment.home;
        home.keep();
        eprintln!("kept: {}", home.path().display());
    }
    Ok(outcome)
}

/// Makes every fault happen at its time, or as soon as somebody is there whom it can hit, and puts it right at its time. Returns
/// what is known of each.
fn play(stage: &mut Stage, plan: &Plan, begin: Instant) -> anyhow::Result<Vec<(Strike, Claim)>> {
    let mut waiting = plan.strikes.clone();
    let mut remedies: Vec<(u64, Strike, Remedy)> = Vec::new();
    let mut claims = Vec::new();
    loop {
        stage.deployment.tend()?;
        let elapsed_ms = begin.elapsed().as_millis() as u64;
        let due: Vec<_> = waiting
            .extract_if(.., |it| it.at_ms <= elapsed_ms)
            .collect();
        for strike in due {
            match stage.strike(&strike)? {
                Some(remedy) => {
                    let begin_ms = begin.elapsed().as_millis() as u64;
                    let lasts_ms = remedy.lasts_ms(&strike);
                    remedies.push((begin_ms + lasts_ms, strike, remedy));
                }
                None if elapsed_ms < plan.load.load_ms => waiting.push(strike),
                None => {
                    let text = "nobody was there whom it could hit".to_owned();
                    claims.push((strike, Claim::Unseen(text)));
                }
            }
        }
        let due: Vec<_> = remedies
            .extract_if(.., |(at, ..)| *at <= elapsed_ms)
            .collect();
        for (at, strike, remedy) in due {
            match stage.heal(remedy)? {
                Healed::Later(remedy) => remedies.push((at, strike, remedy)),
                Healed::Done(claim) => claims.push((strike, claim)),
            }
        }
        if elapsed_ms >= plan.lasts_ms() && remedies.is_empty() && waiting.is_empty() {
            stage.deployment.until_ready()?;
            return Ok(claims);
        }
        check_interrupt()?;
        thread::sleep(LOOK);
    }
}

/// Waits until every caller that lives has its answers.
fn until_answered(stage: &mut Stage, plan: &Plan) -> anyhow::Result<()> {
    let begin = Instant::now();
    let patience = PATIENCE + Duration::from_millis(plan.load.deadline_ms);
    while begin.elapsed() < patience {
        check_interrupt()?;
        stage.deployment.tend()?;
        let callers = stage.deployment.replicas_with("Driver");
        // Whom a fault has left without a process is started again, or never will be.
        if callers
            .iter()
            .all(|it| has_finished(stage.deployment.home.path(), it))
        {
            break;
        }
        thread::sleep(2 * LOOK);
    }
    // What does not go on now never does.
    for process in stage.deployment.replicas() {
        process.signal(Signal::CONT);
    }
    Ok(())
}

fn has_finished(home: &Path, caller: &process::Process) -> bool {
    let replica = caller.replica.as_deref().unwrap_or_default();
    let path = home
        .join(Ledger::FOLDER)
        .join(format!("{replica}.{}.jsonl", caller.pid));
    let text = fs::read_to_string(path).unwrap_or_default();
    // The canary may have written since.
    let last = text.lines().rev().take(200);
    last.filter_map(|line| serde_json::from_str::<ledger::Entry>(line).ok())
        .any(|entry| entry.event == Event::Finished)
}

impl Tally {
    fn of(history: &History, plan: &Plan, begin_ns: u64) -> Self {
        let first = plan.strikes.first().map(|strike| strike.at_ms);
        let struck_ns = first.map(|ms| begin_ns + ms * 1_000_000);
        let mut tally = Self {
            repeated: history.repeated(),
            recovery: struck_ns.map(|_| Duration::ZERO),
            ..Self::default()
        };
        for asked in history.asked() {
            tally.add(&asked);
            if let (Some(struck_ns), true) = (struck_ns, asked.failed()) {
                let since = Duration::from_nanos(asked.at_ns.saturating_sub(struck_ns));
                tally.recovery = tally.recovery.max(Some(since));
            }
        }
        tally
    }

    fn add(&mut self, asked: &Asked<'_>) {
        self.calls += 1;
        match asked.told {
            Some((_, Answer::Right)) => self.right += 1,
            Some((_, Answer::Failed { how, .. })) => match how {
                How::Refused => self.refused += 1,
                How::Lost | How::Cancelled => self.unknown += 1,
                How::Late => self.late += 1,
                How::Panicked | How::Unreadable | How::Forbidden => {}
            },
            _ => {}
        }
    }

    /// Adds what another run of the same kind counted. Of the recoveries the longest stays.
    pub(crate) fn join(&mut self, other: &Self) {
        self.calls += other.calls;
        self.right += other.right;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.late += other.late;
        self.retried += other.retried;
        self.repeated += other.repeated;
        self.denied += other.denied;
        self.recovery = self.recovery.max(other.recovery);
    }
}
