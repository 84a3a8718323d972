//! Everything that must pass, in the order in which a mistake is cheapest to find.

use std::{
    env,
    io::{self, IsTerminal as _},
    iter,
    path::PathBuf,
    time::{Duration, Instant},
};

use cargo_metadata::{MetadataCommand, TargetKind};

use crate::{
    faults, fuzz, machine, manifests, page,
    step::{Cargo, Seconds, Stop, timed},
    tidy,
    transcript::{self, Transcript},
};

/// Where it is set to `required`, tests that need root fail where they cannot run: see `tests/privileged`.
const ENV_PRIVILEGED: &str = "ANYLITH_TEST_PRIVILEGED";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only tests whose name contains this, and nothing else.
    name: Option<String>,
    /// Leave out the tests in a real browser, and do not install one.
    #[arg(long)]
    skip_browser: bool,
    /// Leave out the fuzz targets.
    #[arg(long)]
    skip_fuzz: bool,
    /// Print the steps, and run none.
    #[arg(long)]
    list: bool,
}

/// One of the things that must pass.
struct Step {
    name: &'static str,
    /// What it shows when it passes.
    about: &'static str,
    /// Whether a name filter makes sense for it.
    has_tests: bool,
    work: fn(&Options) -> Result<(), Stop>,
}

const STEPS: &[Step] = &[
    Step {
        name: "machine",
        about: "what the tests need is there",
        has_tests: true,
        work: machine,
    },
    Step {
        name: "format",
        about: "rustfmt would change nothing",
        has_tests: false,
        work: format,
    },
    Step {
        name: "tidy",
        about: "this repository's own rules hold",
        has_tests: false,
        work: tidy,
    },
    Step {
        name: "licences",
        about: "what is linked may be, by deny.toml",
        has_tests: false,
        work: licences,
    },
    Step {
        name: "page",
        about: "the dashboard's page is what its sources build, and its tests pass",
        has_tests: false,
        work: page,
    },
    Step {
        name: "manifests",
        about: "what is rendered for a cluster fits the schemas of Kubernetes",
        has_tests: false,
        work: manifests,
    },
    Step {
        name: "lints",
        about: "clippy has nothing to say",
        has_tests: false,
        work: lints,
    },
    Step {
        name: "tests",
        about: "of each crate, alone",
        has_tests: true,
        work: tests,
    },
    Step {
        name: "docs",
        about: "the examples in the documentation run",
        has_tests: true,
        work: docs,
    },
    Step {
        name: "end to end",
        about: "the command and the shop, as real processes and in a real browser",
        has_tests: true,
        work: end_to_end,
    },
    Step {
        name: "faults",
        about: "callers are told the truth while processes die, and each planted defect is found",
        has_tests: false,
        work: faults,
    },
    Step {
        name: "fuzz",
        about: "no decoder falls over in some seconds",
        has_tests: false,
        work: fuzz,
    },
];

/// Runs every step, even after one has failed, and says at the end how each of them went.
pub(crate) fn run(options: &Options) -> Result<(), Stop> {
    if options.list {
        for step in STEPS {
            println!("{:<12}{}", step.name, step.about);
        }
        return Ok(());
    }
    let begin = Instant::now();
    let mut went = Vec::new();
    let mut exit_code = None;
    let steps: Vec<&Step> = STEPS
        .iter()
        .filter(|step| step.has_tests || options.name.is_none())
        .collect();
    for (number, step) in iter::zip(1.., &steps) {
        let heading = format!("{number}/{} {}: {}", steps.len(), step.name, step.about);
        let (done, took) = timed(&heading, step.name, || (step.work)(options));
        let transcript = transcript::take();
        let failure = done.is_err().then_some(transcript);
        went.push(Went {
            name: step.name,
            failure,
            took,
        });
        match done {
            Ok(()) => {}
            Err(stop @ Stop::Unable(_)) => return Err(stop),
            Err(stop) => {
                if let Some(message) = stop.message() {
                    eprintln!("error: {message}");
                }
                exit_code.get_or_insert(stop.exit_code());
            }
        }
    }
    summarise(&went, begin.elapsed());
    exit_code.map_or(Ok(()), |exit_code| Err(Stop::Failed { exit_code }))
}

/// How a step went.
struct Went {
    name: &'static str,
    /// What it printed, if it failed.
    failure: Option<Transcript>,
    took: Duration,
}

fn summarise(went: &[Went], all: Duration) {
    // On a terminal one scrolls back to it; a log is read from its end.
    if !io::stdout().is_terminal() {
        for (step, failure) in went
            .iter()
            .filter_map(|it| Some((it, it.failure.as_ref()?)))
        {
            println!("\n── once more, why `{}` failed ──", step.name);
            failure.why().for_each(|line| println!("{line}"));
        }
    }
    if went.iter().any(|step| step.failure.is_some()) {
        println!("\n{}", machine::facts());
    }
    println!();
    for step in went {
        let word = if step.failure.is_none() {
            "passed"
        } else {
            "FAILED"
        };
        let name = step.name;
        println!("{name:<12}{word:<8}{:>12}", Seconds(step.took).to_string());
    }
    let failed = went.iter().filter(|it| it.failure.is_some()).count();
    match failed {
        0 => println!("all {} steps passed in {}", went.len(), Seconds(all)),
        _ => println!(
            "{failed} of {} steps FAILED, after {}: what each says is above, below its heading",
            went.len(),
            Seconds(all)
        ),
    }
}

fn machine(options: &Options) -> Result<(), Stop> {
    println!("{}", machine::facts());
    let browser = machine::BROWSER.iter().filter(|_| !options.skip_browser);
    // Without these, and for everybody else, some faults are skipped, which is said.
    let root = machine::ROOT.iter().filter(|_| machine::am_root());
    machine::provide(
        &machine::COMPILER
            .iter()
            .chain(machine::ALWAYS)
            .chain(browser)
            .chain(root)
            .collect::<Vec<_>>(),
    )?;
    if !machine::am_root() {
        println!("left out: the image in containers, which needs root");
        return Ok(());
    }
    // Not every system has these, and not every machine lets containers run: the tests say it where they cannot.
    let provided = machine::provide(&machine::CONTAINERS.iter().collect::<Vec<_>>());
    if let Err(stop) = provided {
        let why = stop.message();
        let why = why.as_deref().unwrap_or("it cannot be installed");
        println!("left out: the image in containers ({why})");
    }
    Ok(())
}

fn format(_: &Options) -> Result<(), Stop> {
    Cargo::new(["fmt", "--all", "--check"]).run()
}

fn tidy(_: &Options) -> Result<(), Stop> {
    tidy::run()
}

/// Asks cargo-deny, where there is one: building it takes longer than all other steps.
fn licences(_: &Options) -> Result<(), Stop> {
    if !machine::has("cargo-deny") {
        println!("left out: `cargo install --locked cargo-deny` gets what this needs");
        return Ok(());
    }
    let mut cargo = Cargo::new(["deny", "--workspace", "--offline", "--log-level", "error"]);
    cargo = cargo.then_all([
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    cargo.run()
}

fn page(_: &Options) -> Result<(), Stop> {
    page::hold()
}

fn manifests(_: &Options) -> Result<(), Stop> {
    manifests::judge()
}

fn lints(_: &Options) -> Result<(), Stop> {
    Cargo::new([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ])
    .run()
}

/// All test programs but the end-to-end ones.
fn tests(options: &Options) -> Result<(), Stop> {
    // Some tests run programs and examples of other packages, which cargo does not build for them.
    build_programs()?;
    let programs = TestPrograms::read()?;
    named(programs.select(of_each_crate(), &programs.others), options).run()
}

/// The tests of each crate. Those that need PostgreSQL, or Prometheus' tool, fail where it is not: the first step has made
/// sure of it.
fn of_each_crate() -> Cargo {
    let cargo = Cargo::new(["test", "--workspace", "--no-fail-fast", "--lib", "--bins"])
        .with("ANYLITH_TEST_POSTGRES", "required")
        .with("ANYLITH_TEST_PROMTOOL", "required");
    privileged(cargo)
}

/// Tests that need root fail where they cannot run, if it is root who asks for them. Where even root may not, as in some
/// containers, he sets the variable to something else.
fn privileged(cargo: Cargo) -> Cargo {
    match env::var_os(ENV_PRIVILEGED) {
        None if machine::am_root() => cargo.with(ENV_PRIVILEGED, "required"),
        _ => cargo,
    }
}

/// Builds every program of the workspace: all packages together, so that nothing is built twice in two ways.
fn build_programs() -> Result<(), Stop> {
    Cargo::new(["build", "--workspace", "--bins", "--examples"]).run()
}

fn docs(options: &Options) -> Result<(), Stop> {
    named(
        Cargo::new(["test", "--workspace", "--no-fail-fast", "--doc"]),
        options,
    )
    .run()
}

fn end_to_end(options: &Options) -> Result<(), Stop> {
    build_programs()?;
    let mut programs = TestPrograms::read()?;
    if options.skip_browser {
        let in_browser = ["browser", "dashboard"];
        programs
            .end_to_end
            .retain(|name| !in_browser.contains(&name.as_str()));
    }
    let collector = machine::collector(&programs.target)?;
    let cargo = Cargo::new(["test", "--workspace", "--no-fail-fast"])
        .with("E2E_BUILT", 1)
        .with("ANYLITH_TEST_OTLP_RECEIVER", collector.display());
    let cargo = privileged(cargo);
    named(programs.select(cargo, &programs.end_to_end), options).run()
}

/// Adds the filter for names, if there is one.
fn named(cargo: Cargo, options: &Options) -> Cargo {
    match &options.name {
        Some(name) => cargo.then("--").then(name),
        None => cargo,
    }
}

/// The names of the workspace's test programs.
///
/// Steps name theirs instead of a package. Cargo unites the features of the packages that it is asked for, so
/// asking for fewer would build the dependencies once more.
struct TestPrograms {
    end_to_end: Vec<String>,
    others: Vec<String>,
    /// The folder in which they are built.
    target: PathBuf,
}

impl TestPrograms {
    fn read() -> Result<Self, Stop> {
        let metadata = MetadataCommand::new().no_deps().exec()?;
        let mut programs = Self {
            end_to_end: Vec::new(),
            others: Vec::new(),
            target: metadata.target_directory.clone().into(),
        };
        for package in metadata.workspace_packages() {
            let list = match package.name.as_str() {
                "e2e" => &mut programs.end_to_end,
                _ => &mut programs.others,
            };
            let tests = package
                .targets
                .iter()
                .filter(|target| target.kind.contains(&TargetKind::Test));
            list.extend(tests.map(|target| target.name.clone()));
        }
        let both = programs
            .end_to_end
            .iter()
            .find(|name| programs.others.contains(name));
        match both {
            None => Ok(programs),
            Some(name) => Err(Stop::Because(anyhow::anyhow!(
                "two test programs are called `{name}`: rename the one in tests/"
            ))),
        }
    }

    fn select(&self, cargo: Cargo, programs: &[String]) -> Cargo {
        programs
            .iter()
            .fold(cargo, |cargo, name| cargo.then("--test").then(name))
    }
}

/// Runs a fixed part of the fault suite.
fn faults(_: &Options) -> Result<(), Stop> {
    build_programs()?;
    faults::smoke()
}

/// Runs each fuzz target for some seconds on its corpus.
fn fuzz(options: &Options) -> Result<(), Stop> {
    if options.skip_fuzz {
        println!("left out");
        return Ok(());
    }
    fuzz::smoke()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_test_is_skipped_for_want_of_a_program_that_was_provided() {
        let command = of_each_crate().command();
        for needed in ["ANYLITH_TEST_POSTGRES", "ANYLITH_TEST_PROMTOOL"] {
            let required = command.get_envs().any(|(name, value)| {
                name == needed && value.is_some_and(|value| value == "required")
            });
            assert!(required, "{needed}: {command:?}");
        }
    }

    #[test]
    fn no_test_is_skipped_for_want_of_root_by_root() {
        let command = of_each_crate().command();
        let mut set = command.get_envs();
        let required = set.any(|(name, _)| name == ENV_PRIVILEGED);
        let chosen = env::var_os(ENV_PRIVILEGED).is_some();
        assert_eq!(required, machine::am_root() && !chosen, "{command:?}");
    }

    #[test]
    fn what_a_step_needs_is_provided_before_it() {
        assert_eq!(STEPS[0].name, "machine");
        assert!(
            STEPS[0].has_tests,
            "also where only some tests are asked for"
        );
    }
}
