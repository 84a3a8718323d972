//! Decides what is run, runs it, and says what came of it.

use std::{
    collections::{BTreeSet, VecDeque},
    process::ExitCode,
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Parser;

use crate::{
    ability::obstacle,
    defect::{DEFECTS, Defect},
    deployment::INTERRUPTED,
    fault::Fault,
    home,
    oracle::Promise,
    plan::{Plan, Strike},
    proof::Proof,
    report::Report,
    run::{Outcome, Setting, run},
    table::Table,
    topology::Topology,
};

/// Shrinking a find costs a run for each fault that is left out. Some faults need luck, so each is tried so often.
const SHRINKING_TRIES: usize = 2;

/// How often a run is made in which a fault hits nothing.
const STRIKING_TRIES: usize = 3;

/// After so many runs that could not be made, no further one is tried.
const HOPELESS: usize = 5;

/// How many mixtures are drawn where nobody says how many.
const DRAWN: u64 = 10;

/// How many there are in the fixed part.
const FEW: u64 = 6;

/// How many runs a planted defect has to be found in. Most are found in the first; some need luck.
const BAITS: u64 = 12;

/// Tries faults on an application of real processes, and judges what its callers were told.
///
/// Without options: each fault alone in each topology, then some mixtures. Exit code 0 where nothing was found, 1 where
/// something was, 2 if the command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask faults", bin_name = "cargo xtask faults")]
pub struct Options {
    /// How many mixtures of faults are drawn; with this, no fault is tried alone.
    #[arg(long, value_name = "N")]
    runs: Option<u32>,
    /// What the first mixture is drawn from; the next one is drawn from the number that follows.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u32,
    /// Plant a defect, and see that it is found: then the exit code is 1.
    #[arg(long, value_name = "DEFECT")]
    plant: Option<String>,
    /// The fixed part that continuous integration has: each fault once, some mixtures, and each defect in turn.
    #[arg(long, conflicts_with_all = ["runs", "plant", "fault", "topology"])]
    smoke: bool,
    /// Say which defects can be planted.
    #[arg(long)]
    list_defects: bool,
    /// Only this fault.
    #[arg(long, value_name = "NAME")]
    fault: Option<String>,
    /// A fault at its time, in place of those that are drawn for one run, as a find says it: `kill-callee@400+300#1`.
    #[arg(long, value_name = "FAULT@MS+MS#N", requires = "runs")]
    strike: Vec<Strike>,
    /// Say which faults there are.
    #[arg(long)]
    list_faults: bool,
    /// Only this topology: monolith, split, replicas, tcp or static.
    #[arg(long, value_name = "NAME")]
    topology: Option<String>,
    /// Begin no run after so many minutes (`30m`) or seconds (`90s`).
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    time: Option<Duration>,
    /// Keep the folder of each run in which something was found, with its logs and ledgers, and shrink nothing. The
    /// next call of the suite removes it.
    #[arg(long)]
    keep: bool,
    /// How many runs at a time: 2, or 4 of those that are short.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time: write `30m` or `90s`");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: u64 = text[..text.len() - unit.len_utf8()]
        .parse()
        .map_err(|_| wrong())?;
    match unit {
        's' => Ok(Duration::from_secs(number)),
        'm' => Ok(Duration::from_secs(number * 60)),
        _ => Err(wrong()),
    }
}

impl Options {
    fn jobs(&self) -> usize {
        self.jobs.unwrap_or(if self.smoke { 4 } else { 2 }).max(1)
    }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let options = Options::parse();
    if options.list_defects {
        for defect in DEFECTS {
            println!("{:<20}{}", defect.name, defect.about);
        }
        return ExitCode::SUCCESS;
    }
    if options.list_faults {
        for fault in Fault::all() {
            println!("{fault}");
        }
        return ExitCode::SUCCESS;
    }
    let program = match Program::of(&options) {
        Ok(program) => program,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    match carry_out(program, &options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(program: Program, options: &Options) -> anyhow::Result<bool> {
    home::clear_leftovers().context("cannot look for what earlier runs left")?;
    watch_for_interrupts()?;
    let good = tell(&program.carry_out());
    Ok(match options.smoke {
        true => find_each_defect(options) && good,
        false => good,
    })
}

/// What is to be run.
#[derive(Debug)]
struct Program {
    plans: VecDeque<Plan>,
    /// What this machine does not permit.
    skipped: Vec<Skipped>,
    setting: Setting,
    /// The runs are there to find that this is broken: the first such find ends them.
    hunted: Option<Promise>,
    jobs: usize,
    end: Option<Instant>,
}

impl Program {
    fn of(options: &Options) -> anyhow::Result<Self> {
        let topologies = match &options.topology {
            None => Topology::ALL.to_vec(),
            Some(name) => {
                vec![Topology::named(name).with_context(|| {
                    format!("there is no topology `{name}`: monolith, split, replicas, tcp, static")
                })?]
            }
        };
        let faults = match &options.fault {
            None => Fault::all(),
            Some(name) => vec![Fault::named(name).with_context(|| {
                format!("there is no fault `{name}`: --list-faults says which there are")
            })?],
        };
        let defect = match &options.plant {
            None => None,
            Some(name) => Some(Defect::named(name).with_context(|| {
                format!("there is no defect `{name}`: --list-defects says which there are")
            })?),
        };
        let seed = u64::from(options.seed);
        let mut plans = VecDeque::new();
        if let Some(runs) = options.runs {
            let seeds = seed..seed + u64::from(runs);
            let drawn = seeds.map(|seed| Plan::drawn(seed, &topologies, &faults));
            plans.extend(drawn.map(|plan| match options.strike.as_slice() {
                [] => plan,
                strikes => plan.with_strikes(strikes),
            }));
        } else if let Some(defect) = defect {
            plans = baits(defect, seed);
        } else {
            match options.smoke {
                true => plans.extend(each_once(&faults, seed)),
                false => plans.extend(each_alone(&faults, &topologies, seed)),
            }
            if options.fault.is_none() {
                let seeds = seed..seed + if options.smoke { FEW } else { DRAWN };
                plans.extend(seeds.map(|seed| Plan::drawn(seed, &topologies, &faults)));
            }
        }
        let skipped = leave_out(&mut plans);
        if plans.is_empty() && skipped.is_empty() {
            bail!("nothing is left to run: the fault does not fit the topology");
        }
        Ok(Self {
            plans,
            skipped,
            setting: Setting {
                defect,
                keep: options.keep,
                lenient: options.smoke,
            },
            hunted: defect.filter(|_| options.runs.is_none()).map(|it| it.rule),
            jobs: options.jobs(),
            end: options.time.map(|time| Instant::now() + time),
        })
    }

    /// Runs everything, and says what came of it.
    fn carry_out(self) -> Done {
        let (all, jobs) = (self.plans.len(), self.jobs);
        let hall = Hall {
            waiting: Mutex::new(self.plans),
            done: Mutex::default(),
            setting: self.setting,
            hunted: self.hunted,
            end: self.end,
            all,
        };
        let begin = Instant::now();
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| hall.work());
            }
        });
        let mut done = hall
            .done
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        done.took = begin.elapsed();
        for Skipped {
            name,
            topology,
            reason,
        } in &self.skipped
        {
            done.table.skip(name.clone(), *topology, reason);
        }
        done.skipped = self.skipped;
        done
    }
}

/// A run that this machine does not permit.
#[derive(Debug)]
struct Skipped {
    name: String,
    topology: Topology,
    reason: &'static str,
}

/// Takes out the runs with a fault that this machine does not permit, and returns them.
fn leave_out(plans: &mut VecDeque<Plan>) -> Vec<Skipped> {
    let mut skipped = Vec::new();
    plans.retain(|plan| {
        let faults = plan.strikes.iter().map(|strike| Some(strike.fault));
        // The topology may have one, too.
        let reason = faults
            .chain([None])
            .find_map(|fault| obstacle(fault, plan.topology));
        skipped.extend(reason.map(|reason| Skipped {
            name: plan.name.clone(),
            topology: plan.topology,
            reason,
        }));
        reason.is_none()
    });
    skipped
}

/// Whether what this machine does not permit has to be had: where continuous integration runs as a user who may everything.
fn must_have_all() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    is_root && std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Each fault in each topology that it fits, and the one run in which nothing goes wrong.
fn each_alone(faults: &[Fault], topologies: &[Topology], seed: u64) -> Vec<Plan> {
    let mut plans = Vec::new();
    for topology in topologies {
        let fitting = faults.iter().filter(|fault| fault.fits(*topology));
        plans.extend(fitting.map(|fault| Plan::alone(Some(*fault), *topology, seed)));
    }
    plans
}

/// Each fault in one topology, and not for long.
fn each_once(faults: &[Fault], seed: u64) -> impl Iterator<Item = Plan> {
    let places = [Topology::Replicas, Topology::Static, Topology::Tcp];
    faults.iter().filter_map(move |fault| {
        let place = places.into_iter().find(|place| fault.fits(*place))?;
        Some(Plan::alone(Some(*fault), place, seed).shortened())
    })
}

/// The runs that bring a defect to light, one of them at least.
fn baits(defect: Defect, seed: u64) -> VecDeque<Plan> {
    let seeds = seed..seed + BAITS;
    seeds
        .map(|seed| Plan::alone(defect.bait, defect.topology, seed))
        .collect()
}

/// Where runs are made, several at a time.
struct Hall {
    waiting: Mutex<VecDeque<Plan>>,
    done: Mutex<Done>,
    setting: Setting,
    hunted: Option<Promise>,
    end: Option<Instant>,
    all: usize,
}

/// What came of all runs.
#[derive(Default)]
struct Done {
    runs: usize,
    table: Table,
    reports: Vec<String>,
    /// What was found to be broken.
    broken: BTreeSet<Promise>,
    /// How many strikes have struck.
    struck: usize,
    /// Those that hit nothing, and why that need not matter.
    idle: Vec<String>,
    /// Those that hit nothing, though they should have.
    missed: Vec<String>,
    skipped: Vec<Skipped>,
    took: Duration,
    /// Of runs that could not be made.
    errors: Vec<anyhow::Error>,
}

impl Hall {
    /// Makes a run. One in which a fault hit nothing by chance says nothing of it, and is made again.
    fn make(&self, plan: &Plan) -> anyhow::Result<Outcome> {
        let mut tries = 1;
        loop {
            let outcome = run(plan, self.setting)?;
            let has_missed = outcome.missed().next().is_some();
            if !has_missed || !outcome.finds.is_empty() || tries == STRIKING_TRIES {
                return Ok(outcome);
            }
            tries += 1;
            eprintln!("made again, since a fault hit nothing: {plan}");
        }
    }

    /// Makes one run after the other, until there is none, or one could not be made.
    fn work(&self) {
        while let Some(plan) = self.next() {
            let outcome = self.make(&plan).with_context(|| format!("in {plan}"));
            match outcome {
                Ok(outcome) => self.note(&outcome),
                Err(_) if INTERRUPTED.load(Relaxed) => return,
                Err(error) => {
                    eprintln!("error: {error:#}");
                    self.done().errors.push(error);
                }
            }
        }
    }

    fn next(&self) -> Option<Plan> {
        let late = self.end.is_some_and(|end| Instant::now() >= end);
        let done = self.done();
        let found = self.hunted.is_some_and(|it| done.broken.contains(&it));
        // What fails so often fails always.
        let hopeless = done.errors.len() >= HOPELESS;
        if late || found || hopeless || INTERRUPTED.load(Relaxed) {
            return None;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }

    fn note(&self, outcome: &Outcome) {
        let found = outcome.finds.len();
        let report = match found {
            0 => None,
            _ => Some(Report(&self.shrink(outcome)).to_string()),
        };
        let mut done = self.done();
        done.runs += 1;
        done.table.add(outcome);
        done.broken
            .extend(outcome.finds.iter().map(|find| find.promise));
        for (strike, proof) in &outcome.proofs {
            let plan = &outcome.plan;
            let text = |text| {
                format!(
                    "{} of {} in {}, seed {}: {text}",
                    strike, plan.name, plan.topology, plan.seed
                )
            };
            match proof {
                Proof::Struck(_) => done.struck += 1,
                Proof::Idle(why) => done.idle.push(text(why)),
                Proof::Missed(why) => done.missed.push(text(why)),
            }
        }
        let word = match (found, outcome.missed().count()) {
            (0, 0) => "nothing".to_owned(),
            (0, _) => "nothing, but a fault MISSED".to_owned(),
            (found, _) => format!("{found} FINDS"),
        };
        eprintln!("{}/{} {}: {word}", done.runs, self.all, outcome.plan);
        done.reports.extend(report);
    }

    /// The same find with fewer faults, if it is there with fewer.
    fn shrink(&self, found: &Outcome) -> Outcome {
        // The same has to be broken: another find would be another history.
        let Some(broken) = found.finds.first().map(|find| find.promise) else {
            return found.clone();
        };
        let has_it = |outcome: &Outcome| outcome.finds.iter().any(|it| it.promise == broken);
        let mut smallest = found.clone();
        let mut strike = 0;
        while self.hunted.is_none()
            && !self.setting.keep
            && smallest.plan.strikes.len() > 1
            && strike < smallest.plan.strikes.len()
        {
            let fewer = smallest.plan.without(strike);
            let again = (0..SHRINKING_TRIES)
                .filter_map(|_| run(&fewer, self.setting).ok())
                .find(&has_it);
            match again {
                Some(outcome) => smallest = outcome,
                None => strike += 1,
            }
        }
        smallest
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what came of all runs. Returns whether nothing was found.
fn tell(done: &Done) -> bool {
    print!("{}", done.table);
    for report in &done.reports {
        println!("\n{report}");
    }
    println!();
    for text in &done.idle {
        println!("idle: {text}");
    }
    for text in &done.missed {
        println!("MISSED: {text}");
    }
    println!(
        "{} runs in {} s: the oracle found {}; {} faults struck, {} were idle beside others, {} missed; {} runs were skipped",
        done.runs,
        done.took.as_secs(),
        match done.reports.len() {
            0 => "nothing".to_owned(),
            runs => format!("something in {runs}"),
        },
        done.struck,
        done.idle.len(),
        done.missed.len(),
        done.skipped.len()
    );
    let reasons: BTreeSet<_> = done.skipped.iter().map(|it| it.reason).collect();
    for reason in reasons {
        let runs = done.skipped.iter().filter(|it| it.reason == reason).count();
        println!("skipped {runs}: {reason}");
    }
    for error in &done.errors {
        println!("a run could not be made: {error:#}");
    }
    let skipped = !done.skipped.is_empty() && must_have_all();
    if skipped {
        println!("nothing may be skipped here: this is continuous integration, and root");
    }
    let whole = done.errors.is_empty() && !INTERRUPTED.load(Relaxed) && !skipped;
    whole && done.reports.is_empty() && done.missed.is_empty()
}

/// Plants each defect, several at a time. Returns whether each was found, by the rule that is there for it.
fn find_each_defect(options: &Options) -> bool {
    let mut all = true;
    for some in DEFECTS.chunks(options.jobs().div_ceil(2)) {
        all &= thread::scope(|scope| {
            let hunts: Vec<_> = some
                .iter()
                .map(|defect| scope.spawn(|| find(*defect, options)))
                .collect();
            // All of them are awaited, whatever the first has found.
            let found = hunts.into_iter().map(|hunt| hunt.join().unwrap_or(false));
            found.fold(true, |all, found| all & found)
        });
    }
    all
}

/// Plants a defect. Returns whether it was found.
fn find(defect: Defect, options: &Options) -> bool {
    let program = Program {
        plans: baits(defect, options.seed.into()),
        skipped: Vec::new(),
        setting: Setting {
            defect: Some(defect),
            keep: false,
            lenient: true,
        },
        hunted: Some(defect.rule),
        jobs: 2,
        end: None,
    };
    let done = program.carry_out();
    let found = done.broken.contains(&defect.rule);
    let word = match (found, done.broken.first()) {
        (true, _) => format!("found: broken is that {}", defect.rule),
        (false, Some(other)) => format!("NOT FOUND by its rule, but it broke that {other}"),
        (false, None) => "NOT FOUND".to_owned(),
    };
    println!("planted {:<18}{word}", defect.name);
    found
}

/// Makes an interrupt end the suite in good order: whatever waits gives up, and everything that was started is removed.
fn watch_for_interrupts() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let mut term =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                done = tokio::signal::ctrl_c() => done?,
                _ = term.recv() => {}
            }
            INTERRUPTED.store(true, Relaxed);
            eprintln!("interrupted: what was started is removed");
            std::io::Result::Ok(())
        })
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Options as clap::CommandFactory>::command().debug_assert();
        assert_eq!(parse_time("30m"), Ok(Duration::from_secs(1800)));
        assert!(parse_time("30").is_err());
    }

    #[test]
    fn every_fault_is_tried_in_every_topology_that_it_fits() {
        let options = Options::parse_from(["faults", "--fault", "kill-callee"]);
        let program = Program::of(&options).unwrap();
        let topologies: Vec<_> = program.plans.iter().map(|plan| plan.topology).collect();
        assert_eq!(
            topologies,
            [
                Topology::Split,
                Topology::Replicas,
                Topology::Tcp,
                Topology::Static
            ]
        );
    }

    #[test]
    fn the_same_seed_is_the_same_program() {
        let plans = |seed| {
            let options = Options::parse_from(["faults", "--runs", "5", "--seed", seed]);
            Program::of(&options).unwrap().plans
        };
        assert_eq!(plans("7"), plans("7"));
        assert_eq!(plans("7")[1], plans("8")[0]);
    }
}
