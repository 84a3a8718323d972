//! What wrong input is told, and what `check` and `graph` make of what is right.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{fs, net::TcpListener};

use serde_json::Value;
use stage::{Call, Stage};

#[test]
fn an_address_in_use_is_said_with_listener_address_and_mend() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let stage = Stage::new();
    let call = stage.call(&format!("run --listen web={address}"));
    assert_eq!(call.code(), 1);
    for word in [
        "`web`",
        &address,
        "another process uses this address",
        "--listen web=127.0.0.1:0",
    ] {
        assert!(call.err().contains(word), "{}", call.err());
    }
}

#[test]
fn the_graph_is_drawn_in_every_format() {
    let stage = Stage::new();
    for format in ["text", "svg", "mermaid", "dot", "json"] {
        let call = stage.call(&format!("graph --format {format} --topology split"));
        assert_eq!(call.code(), 0, "{}", call.err());
        assert!(call.out().contains("Front"), "{format}");
    }
    let graph: Value = serde_json::from_str(&stage.call("graph --format json").out()).unwrap();
    assert_eq!(
        graph["components"][0]["dependencies"],
        serde_json::json!(["Cart", "Stock"])
    );
    stage
        .call("graph --format png")
        .is_wrong(&["png", "mermaid"]);
}

#[test]
fn check_reports_all_problems_at_once() {
    let toml = "
[components.Cart]
limit = \"many\"

[components.Karte]
limit = 3

[topologies.split]
groups.front = { components = [\"Front\", \"Kart\"] }
groups.rest = { components = [\"*\"], replica = 2 }
";
    let call = Stage::with(toml).call("check");
    call.is_wrong(&[
        "`limit` in the config of Cart",
        "Karte",
        "Kart",
        "`replica`",
        "did you mean",
    ]);
    // Each at its line, in the order of the file.
    let places = [
        "anylith.toml:6:",
        "anylith.toml:8:",
        "anylith.toml:12:",
        "anylith.toml:13:",
    ];
    let found: Vec<usize> = places
        .iter()
        .map(|place| call.err().find(place).unwrap())
        .collect();
    assert!(found.is_sorted(), "{}", call.err());
}

#[test]
fn check_says_that_nothing_is_wrong() {
    let call = Stage::new().call("check");
    assert_eq!(call.code(), 0, "{}", call.err());
    assert_eq!(
        call.out(),
        "ok: puppet with 3 components, in 3 topologies: monolith, micro, split\n"
    );
}

#[test]
fn wrong_input_is_told_from_failure() {
    let stage = Stage::new();
    stage
        .call("run --topology splat")
        .is_wrong(&["`splat`", "split"]);
    stage
        .call("run --replicas none")
        .is_wrong(&["--replicas none", "GROUP=NUMBER"]);
    stage.call("run --replicas Stok=2").is_wrong(&["Stok"]);
    stage
        .call("run --replicas -1")
        .is_wrong(&["--replicas -1", "GROUP=NUMBER"]);
    stage.call("logs -n -1").is_wrong(&["--lines", "invalid"]);
    stage
        .call("run --listen web=127.0.0.1:0 --listen web=127.0.0.1:1")
        .is_wrong(&["--listen web=127.0.0.1:1", "one address"]);
    stage
        .call("run --listen wob=127.0.0.1:0")
        .is_wrong(&["wob", "web"]);
    stage
        .call("run --set components.Cart.limit=many")
        .is_wrong(&["limit", "expected a number"]);
    stage.call("run nowhere").is_wrong(&["there is no nowhere"]);
    stage.call("run --bogus").is_wrong(&["--bogus"]);
    stage.call("").is_wrong(&["Usage"]);
    assert_eq!(stage.call("stop").code(), 1);
    assert_eq!(stage.call("status").code(), 1);
    assert_eq!(stage.call("logs").code(), 1);
    fs::remove_file(stage.temp.path().join("app/anylith.toml")).unwrap();
    stage
        .call("check")
        .is_wrong(&["has no anylith.toml", "[app]"]);
}

#[test]
fn a_program_that_is_no_application_is_told_what_to_call() {
    let stage = Stage::new();
    let toml = stage.temp.path().join("app/anylith.toml");
    for program in ["/bin/true", "/bin/false"] {
        fs::write(
            &toml,
            format!("[app]\nname = \"puppet\"\nbinary = \"{program}\"\n"),
        )
        .unwrap();
        let call = stage.call("graph");
        assert_eq!(call.code(), 1);
        assert!(call.err().contains(program), "{}", call.err());
        assert!(
            call.err()
                .contains("its `main` must call `App::run().await`"),
            "{}",
            call.err()
        );
    }
    fs::write(&toml, "[app]\nname = \"puppet\"\nbinary = \"gone\"\n").unwrap();
    stage
        .call("graph")
        .is_wrong(&["anylith.toml:3:10: ", "gone does not exist"]);
}

#[test]
fn an_application_can_be_named_by_its_folder_or_its_file() {
    let stage = Stage::new();
    let folder = stage.temp.path().join("app");
    let elsewhere = |args: &str| {
        let mut command = stage.command(args);
        Call(command.current_dir(stage.temp.path()).output().unwrap())
    };
    let run = elsewhere("run app --detach");
    assert!(
        run.err().contains("`anylith stop app` stops it"),
        "{}",
        run.err()
    );
    for way in [
        "status app",
        "status app/anylith.toml",
        "status --app app",
        "logs --app app",
        "logs app",
        "logs app/anylith.toml ready",
    ] {
        assert_eq!(elsewhere(way).code(), 0, "{way}");
    }
    assert_eq!(elsewhere(&format!("stop {}", folder.display())).code(), 0);
}

/// An application of which many things are wrong.
const MISTAKES: &str = "
[listeners.wbe]
address = \"8080\"

[components.Cart]
limit = \"many\"
lmit = 3
key = { env = \"NOT_SET_ANYWHERE\" }

[topologies.split]
groups.front = { components = [\"Front\", \"Kart\"] }
groups.rest = { components = [\"*\"], replica = 2 }
";

#[test]
fn every_command_reports_the_same_mistakes() {
    let stage = Stage::with(MISTAKES);
    let check = stage.call("check");
    check.is_wrong(&[
        "no component has a listener `wbe`",
        "`8080` is not an address",
        "`limit` in the config of Cart",
        "unknown key `lmit` in the config of Cart",
        "NOT_SET_ANYWHERE",
        "Kart",
        "`replica`",
        "7 problems",
    ]);
    for other in ["run", "run --detach", "graph", "graph --topology monolith"] {
        let call = stage.call(other);
        assert_eq!((call.code(), call.err()), (2, check.err()), "{other}");
    }
}

#[test]
fn what_is_wrong_with_flags_is_reported_with_what_is_wrong_with_the_file() {
    let stage = Stage::with("[components.Cart]\nlimit = \"many\"\n");
    let words = [
        "`limit` in the config of Cart",
        "`none` is not a number",
        "2 problems",
    ];
    for command in ["run --replicas none", "check --replicas none"] {
        stage.call(command).is_wrong(&words);
    }
    stage
        .call("run --topology splat")
        .is_wrong(&["`limit` in the config of Cart", "`splat`"]);
}

#[test]
fn a_secret_that_is_not_set_is_one_problem() {
    let stage = Stage::with("[components.Cart]\nlimit = { env = \"NOT_SET_ANYWHERE\" }\n");
    let call = stage.call("check");
    call.is_wrong(&["anylith.toml:5:9: the environment variable `NOT_SET_ANYWHERE` is not set"]);
    assert!(call.err().ends_with("\n1 problem\n"), "{}", call.err());
}

#[test]
fn a_syntax_error_is_one_problem() {
    let stage = Stage::new();
    let toml = stage.temp.path().join("app/anylith.toml");
    for (text, line) in [
        ("[app]\nname = puppet\n", 2),
        ("[app\nbinary = \"x\"\n", 1),
        ("[app]\nbinry = \"x\"\n", 2),
        ("[ap]\nbinary = \"x\"\n", 1),
    ] {
        fs::write(&toml, text).unwrap();
        let call = stage.call("check");
        call.is_wrong(&[&format!("anylith.toml:{line}:")]);
        assert!(call.err().ends_with("\n1 problem\n"), "{}", call.err());
    }
}

#[test]
fn a_binary_that_is_not_there_is_reported_at_its_line_with_everything_else() {
    let stage = Stage::new();
    let toml = stage.temp.path().join("app/anylith.toml");
    fs::write(&toml, "[app]\nbinary = \"/nope\"\n[limits]\nmessage = 3\n").unwrap();
    stage.call("check").is_wrong(&[
        "anylith.toml:2:10: /nope does not exist",
        "anylith.toml:4:11: ",
        "2 problems",
    ]);
    fs::write(&toml, "[app]\nbinary = \".\"\n").unwrap();
    stage.call("run").is_wrong(&["is a folder, not a program"]);
    fs::write(&toml, "[app]\nname = \"puppet\"\n").unwrap();
    stage
        .call("run")
        .is_wrong(&["anylith.toml:1:2: [app] does not say how its binary comes about"]);
    stage
        .call("run --set app.binary=/nope")
        .is_wrong(&["--set app.binary: /nope does not exist"]);
}

#[test]
fn a_graph_without_a_topology_is_drawn_even_if_something_is_wrong() {
    let call = Stage::with("[limits]\nmessage = 3\n").call("graph");
    call.is_wrong(&["`message` of [limits]"]);
    assert!(call.out().contains("Front"), "{}", call.out());
}

#[test]
fn a_file_that_is_not_text_is_told_the_line() {
    let stage = Stage::new();
    let toml = stage.temp.path().join("app/anylith.toml");
    fs::write(&toml, b"[app]\nname = \"caf\xe9\"\n").unwrap();
    stage
        .call("check")
        .is_wrong(&["anylith.toml:2: this line is not text in UTF-8"]);
    fs::remove_file(&toml).unwrap();
    fs::create_dir(&toml).unwrap();
    stage.call("check").is_wrong(&["anylith.toml"]);
}
