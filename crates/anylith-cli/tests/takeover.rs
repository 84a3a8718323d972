//! What `run` makes of replicas that a supervisor has left which is gone, where another build lies at their program's path.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use rustix::process::{Signal, kill_process};
use stage::{Call, Stage, build, build_at, eventually, example, program_of, visit};

/// `Cart` has a config.
const TOML: &str = r#"
[components.Cart]
limit = 5

[topologies.split]
groups.front = { components = ["Front"], replicas = 2 }
groups.rest = { components = ["*"] }
"#;

/// Runs it, and loses its supervisor.
fn left_running(stage: &Stage, how: &str) -> Vec<u32> {
    let first = stage.run(how);
    let pids = stage.pids();
    first.kill();
    pids
}

fn run_again(stage: &Stage, how: &str) -> Call {
    let call = stage.call(&format!("run {how} --detach"));
    assert_eq!(call.code(), 0, "{}", call.err());
    call
}

fn another_lies_there(stage: &Stage) -> String {
    let path = stage.program().canonicalize().unwrap();
    let path = path.display();
    format!(
        "what runs is taken over as it is; another build lies at {path}: roll it in with `anylith upgrade`\n"
    )
}

#[test]
fn what_runs_is_taken_over_with_its_build_and_another_one_is_rolled_in_when_that_is_asked_for() {
    let stage = Stage::new().with_own_program();
    let before = left_running(&stage, "--topology split");
    build_at(&stage.program(), 1, "Stock=other");
    let call = run_again(&stage, "--topology split");
    assert!(
        call.err().starts_with(&another_lies_there(&stage)),
        "{}",
        call.err()
    );
    assert_eq!((stage.pids(), stage.builds()), (before, vec![0]));
    // What fails comes back with its own build, which is at no path any more.
    kill_process(stage.pid("rest-1"), Signal::KILL).unwrap();
    eventually("it is ready again", || {
        let replicas = stage.replicas();
        replicas
            .iter()
            .all(|it| it["state"] == "ready" && (it["id"] != "rest-1" || it["restarts"] == 1))
    });
    assert_eq!(stage.builds(), [0]);
    let rest = stage.pid("rest-1").as_raw_nonzero().get() as u32;
    let runs = program_of(rest);
    assert!(
        runs.starts_with(stage.run_file("builds")),
        "{}",
        runs.display()
    );
    let plan = stage.call("upgrade --dry-run");
    assert!(
        plan.out().starts_with("interfaces that change: Stock\n"),
        "{}",
        plan.out()
    );
    let upgrade = stage.call("upgrade --observe 0s");
    assert_eq!(upgrade.code(), 0, "{}", upgrade.err());
    assert_eq!(stage.builds(), [1]);
}

#[test]
fn the_only_replica_comes_back_with_its_own_build() {
    let stage = Stage::new().with_own_program();
    let before = left_running(&stage, "");
    build_at(&stage.program(), 1, "");
    run_again(&stage, "");
    assert_eq!(stage.pids(), before);
    // Nobody else runs it.
    kill_process(stage.pid("monolith-1"), Signal::KILL).unwrap();
    eventually("it is ready again", || {
        let only = &stage.replicas()[0];
        only["state"] == "ready" && only["restarts"] == 1
    });
    assert_eq!(stage.builds(), [0]);
}

#[test]
fn what_is_kept_in_memory_outlives_a_supervisor_and_a_build() {
    let stage = Stage::of("counter", "counter", "").with_own_program();
    let url = |ready: &str| ready.strip_prefix("ready: web ").unwrap().to_owned();
    let first = stage.run("--topology micro");
    assert_eq!(visit(&url(&first.ready)), "visit 1");
    first.kill();
    build(&example("counter"), &stage.program(), 1, "");
    let again = run_again(&stage, "--topology micro");
    assert!(again.err().contains(&another_lies_there(&stage)));
    assert_eq!(visit(&url(again.out().trim_end())), "visit 2");
    assert_eq!(stage.call("upgrade --observe 0s").code(), 0);
    assert_eq!(stage.builds(), [1]);
    assert_eq!(visit(&url(again.out().trim_end())), "visit 3");
}

#[test]
fn a_build_that_was_rolled_in_stays_when_its_supervisor_is_lost_and_the_program_is_built_anew() {
    let stage = Stage::new().with_own_program();
    let first = stage.run("--topology split");
    let new = stage.temp.path().join("new");
    build_at(&new, 1, "Stock=other");
    let upgrade = format!("upgrade --binary {} --observe 0s", new.display());
    assert_eq!(stage.call(&upgrade).code(), 0);
    let before = stage.pids();
    first.kill();
    build_at(&stage.program(), 2, "Cart=other");
    let call = run_again(&stage, "--topology split");
    assert!(call.err().contains(&another_lies_there(&stage)));
    assert_eq!((stage.pids(), stage.builds()), (before, vec![1]));
}

#[test]
fn a_build_that_asks_for_another_config_does_not_keep_what_runs_from_being_taken_over() {
    let stage = Stage::with(TOML).with_own_program();
    let before = left_running(&stage, "--topology split");
    build_at(&stage.program(), 1, "Cart=strict");
    let call = run_again(&stage, "--topology split");
    assert!(call.err().contains(&another_lies_there(&stage)));
    assert_eq!(stage.pids(), before);
    let upgrade = stage.call("upgrade");
    let why = "does not accept the config that runs";
    assert!(upgrade.err().contains(why), "{}", upgrade.err());
}

#[test]
fn what_is_asked_for_in_another_way_is_started_anew_and_every_reason_said() {
    let stage = Stage::with(TOML).with_own_program();
    let before = left_running(&stage, "--topology split");
    build_at(&stage.program(), 1, "Stock=other");
    let call = run_again(&stage, "--topology micro --set components.Cart.limit=6");
    let why = "stopping 3 replicas of topology split that an earlier run has left, to start anew: \
               the topology is micro, and was split; the config of Cart; the interface of Stock; \
               the binary was built anew\n";
    assert!(call.err().starts_with(why), "{}", call.err());
    assert!(stage.pids().iter().all(|pid| !before.contains(pid)));
}

#[test]
fn a_reshape_asks_the_build_that_runs_and_not_the_one_at_its_path() {
    let stage = Stage::new().with_own_program();
    stage.detached("split");
    std::fs::remove_file(stage.program()).unwrap();
    std::fs::write(stage.program(), "no program").unwrap();
    let call = stage.call("reshape micro");
    assert_eq!(call.code(), 0, "{}", call.err());
}
