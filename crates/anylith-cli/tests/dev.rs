//! What `anylith dev` promises, with a small application that cargo builds.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use stage::{Stage, build, is_alive, program_of, visit};

const SOURCE: &str = include_str!("../examples/counter.rs");

/// A package whose application is worked on.
struct Workshop {
    stage: Stage,
    dev: Child,
    url: String,
}

impl Workshop {
    /// Writes the package called `name`, and works on it.
    fn open(name: &str) -> Self {
        let stage = Stage::of("counter", "counter", "");
        let folder = stage.temp.path().join("app");
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [profile.dev]\ndebug = \"line-tables-only\"\n\n[dependencies]\nanylith = {{ path = {:?} }}\n\
             serde = {{ version = \"1\", features = [\"derive\"] }}\nthiserror = \"2\"\n\
             tokio = {{ version = \"1\", default-features = false, features = [\"io-util\", \"macros\", \"net\", \
             \"rt-multi-thread\"] }}\n",
            own.join("../anylith")
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        // The versions that are here already.
        fs::copy(own.join("../../Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let settings = format!("[app]\nname = \"counter\"\npackage = \"{name}\"\n");
        fs::write(folder.join("anylith.toml"), settings).unwrap();
        fs::create_dir(folder.join("src")).unwrap();
        fs::write(folder.join("src/main.rs"), SOURCE).unwrap();
        let said = fs::File::create(stage.temp.path().join("said")).unwrap();
        let mut dev = stage
            .command("dev")
            .env("CARGO_TARGET_DIR", target())
            .env("CARGO_NET_OFFLINE", "true")
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
        let ready = lines.next();
        let mut workshop = Self {
            stage,
            dev,
            url: String::new(),
        };
        let ready = ready.unwrap_or_else(|| panic!("it did not start:\n{}", workshop.said()));
        let ready = ready.unwrap();
        workshop.url = ready.strip_prefix("ready: web ").unwrap().to_owned();
        thread::spawn(move || lines.for_each(drop));
        workshop
    }

    /// Writes the source with some of its words exchanged.
    fn edit(&self, before: &str, after: &str) {
        assert!(SOURCE.contains(before));
        let file = self.stage.temp.path().join("app/src/main.rs");
        fs::write(file, SOURCE.replace(before, after)).unwrap();
    }

    /// What it has said to people.
    fn said(&self) -> String {
        fs::read_to_string(self.stage.temp.path().join("said")).unwrap()
    }

    /// Waits for what takes a build.
    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(300);
        while !is_so() {
            assert!(Instant::now() < until, "never: {what}\n{}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Drains it; returns its exit code.
    fn close(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.dev), Signal::INT).unwrap();
        self.dev.wait().unwrap().code()
    }
}

/// The folder that cargo has built this test into.
fn target() -> PathBuf {
    let own = env::current_exe().unwrap();
    own.ancestors().nth(3).unwrap().to_owned()
}

/// Visits the page, which is to go on counting from `last`; returns its greeting.
fn greeting(url: &str, last: &mut u64) -> String {
    let page = visit(url);
    let (greeting, number) = page.rsplit_once(' ').unwrap();
    *last += 1;
    assert_eq!(number.parse(), Ok(*last), "{page}");
    greeting.to_owned()
}

#[test]
fn an_edit_is_served_and_a_build_that_fails_disturbs_nobody() {
    let workshop = Workshop::open("counter-edited");
    let (url, mut last) = (workshop.url.clone(), 0);
    assert_eq!(greeting(&url, &mut last), "visit");
    workshop.edit("\"visit\"", "\"call\"");
    // No visit fails meanwhile, and none is forgotten.
    workshop.until("the edit is served", || greeting(&url, &mut last) == "call");
    workshop.until("it says so", || {
        workshop.said().contains("the new build serves, ")
    });
    workshop.edit(
        "const GREETING: &str = \"visit\"",
        "const GREETING: &str = 7",
    );
    workshop.until("it says that the build has failed", || {
        workshop.said().contains("the build before it serves on")
    });
    assert!(
        workshop.said().contains("mismatched types"),
        "{}",
        workshop.said()
    );
    assert_eq!(greeting(&url, &mut last), "call");
    workshop.edit("\"visit\"", "\"hello\"");
    workshop.until("it is mended", || greeting(&url, &mut last) == "hello");
    workshop.until("nothing is under way", || {
        workshop.said().matches("the new build serves, ").count() == 2
    });
    let pids = workshop.stage.pids();
    let said = workshop.said();
    for line in said
        .lines()
        .filter(|line| line.contains("ms after it was built"))
    {
        println!("{line}");
    }
    assert_eq!(workshop.close(), Some(0));
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn an_edit_that_another_change_is_in_the_way_of_is_served_when_that_is_over() {
    let workshop = Workshop::open("counter-waiting");
    let folder = workshop.stage.temp.path();
    // Another build, of which a part waits to be told how to go on.
    let other = folder.join("other");
    build(&program_of(workshop.stage.pids()[0]), &other, 1, "");
    let upgrade = format!(
        "upgrade --canary 50% --observe 0s --binary {}",
        other.display()
    );
    let call = workshop.stage.call(&upgrade);
    assert_eq!(call.code(), 0, "{}", call.err());
    assert!(call.out().contains("paused"), "{}", call.out());
    workshop.edit("\"visit\"", "\"call\"");
    workshop.until("it waits", || {
        workshop.said().contains("put in place when that is over")
    });
    assert!(visit(&workshop.url).starts_with("visit"));
    assert_eq!(workshop.stage.call("upgrade --rollback").code(), 0);
    workshop.until("it is served", || visit(&workshop.url).starts_with("call"));
    assert_eq!(workshop.close(), Some(0));
}

#[test]
fn other_components_are_started_anew() {
    let workshop = Workshop::open("counter-renewed");
    let (url, mut last) = (workshop.url.clone(), 0);
    assert_eq!(greeting(&url, &mut last), "visit");
    workshop.edit(
        "App = \"counter\" { InMemory, Web }",
        "App = \"counter\" { InMemory, Web, More }\n}\n\n/// Does nothing.\n#[derive(anylith::Component)]\nstruct More {",
    );
    workshop.until("it is started anew", || {
        let status = workshop.stage.call("status --json");
        status.code() == 0 && status.out().contains("\"More\"")
    });
    assert!(
        workshop.said().contains("starting it anew"),
        "{}",
        workshop.said()
    );
    assert_eq!(workshop.close(), Some(0));
}
