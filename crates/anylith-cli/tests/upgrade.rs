//! What `upgrade` refuses, and how it says so. How builds are rolled in is in the tests from end to end.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::fs;

use stage::{Call, Stage, puppet};

/// `Cart` has a config.
const TOML: &str = "\n[components.Cart]\nlimit = 5\n";

/// A build that is another file, and asks `Cart` for another config.
fn upgrade_to_a_strict_build(stage: &Stage) -> Call {
    let build = stage.temp.path().join("new-build");
    fs::copy(puppet(), &build).unwrap();
    let mut command = stage.command("upgrade --binary");
    command.arg(build).env("PUPPET", "Cart=strict");
    Call(command.output().unwrap())
}

#[test]
fn a_build_that_needs_another_config_is_refused_at_its_line_before_anything_is_started() {
    let stage = Stage::with(TOML);
    assert_eq!(stage.call("run --topology micro --detach").code(), 0);
    let before = stage.status();
    let call = upgrade_to_a_strict_build(&stage);
    assert_eq!(call.code(), 1, "{}", call.err());
    for word in [
        "does not accept the config that runs",
        "anylith.toml:5:13: the config of Cart has no `reserve`",
        "[components.Cart]",
        "add `reserve = …` to [components.Cart]",
        "nothing was started",
        "`anylith stop`",
    ] {
        assert!(call.err().contains(word), "{word}:\n{}", call.err());
    }
    // What is added now does not run, and what runs is said without the line that it no longer has.
    let file = stage.temp.path().join("app/anylith.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "reserve = 2\n").unwrap();
    let call = upgrade_to_a_strict_build(&stage);
    let word = "[components.Cart] as it runs, and no longer stands in anylith.toml: missing field `reserve`";
    assert_eq!(call.code(), 1);
    assert!(call.err().contains(word), "{}", call.err());
    assert_eq!(stage.status(), before);
}

#[test]
fn where_hosts_are_written_down_it_is_said_that_they_are_upgraded_there() {
    let stage = Stage::new();
    let call = stage.call("upgrade");
    assert_eq!(call.code(), 1);
    assert!(
        call.err().contains("start it with `anylith run`"),
        "{}",
        call.err()
    );
    let hosts = "[hosts.one]\naddress = \"10.0.0.1\"\n";
    fs::write(stage.temp.path().join("app/hosts.toml"), hosts).unwrap();
    for command in ["upgrade", "upgrade --rollback", "upgrade --dry-run"] {
        let call = stage.call(command);
        assert_eq!(call.code(), 1);
        let words = "the replicas on the hosts of hosts.toml are upgraded there";
        assert!(call.err().contains(words), "{command}: {}", call.err());
        assert!(call.err().contains("`anylith render static`"));
    }
    // What runs here, beside them, is upgraded here.
    assert_eq!(stage.call("run --detach").code(), 0);
    let call = stage.call("upgrade --resume");
    assert!(
        call.err().contains("no upgrade is under way"),
        "{}",
        call.err()
    );
    assert_eq!(stage.call("stop").code(), 0);
    let call = stage.call("upgrade --rollback");
    assert!(call.err().contains("are upgraded there"), "{}", call.err());
}
