//! What the log of a replica has of a panic.

use std::{io, process::Stdio, sync::Arc};

use anylith::Stopping;
use anylith_core::Directory;
use anylith_wire::control::{ENV_CONTROL, ENV_INCARNATION, ENV_REPLICA};
use tokio::{io::AsyncReadExt as _, process::Command};

use crate::control::{Control, soon};

#[derive(anylith::Component)]
#[component(serve)]
pub(crate) struct Bomb {}

impl Bomb {
    async fn serve(self: Arc<Self>, _: Stopping) -> Result<(), io::Error> {
        panic!("it went off");
    }
}

anylith::app! {
    /// Does not last.
    pub(crate) Blast = "blast" { Bomb }
}

/// Not a test: the process that the test below starts.
#[tokio::test]
#[ignore = "it is started by another"]
async fn replica() {
    Blast::run().await;
}

#[tokio::test]
async fn a_panic_is_one_event_of_its_component_with_its_place() {
    let control = Control::new();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["panics::replica", "--exact", "--ignored", "--nocapture"])
        .env(ENV_CONTROL, control.socket())
        .env(ENV_REPLICA, "blast-1")
        .env(ENV_INCARNATION, "1")
        .env_remove("RUST_BACKTRACE")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = control.welcomed(&["Bomb"], Directory::default()).await;
    assert!(line.failure().await.contains("it went off"));
    let mut log = String::new();
    let mut stderr = process.stderr.take().unwrap();
    soon(stderr.read_to_string(&mut log)).await.unwrap();
    soon(process.wait()).await.unwrap();
    assert!(!log.contains("thread '"), "{log}");
    let is_event = |line: &&str| line.starts_with('{') && line.contains("panicked");
    let events = log.lines().filter(is_event);
    let events: Vec<&str> = events.collect();
    let [event] = events[..] else {
        panic!("{log}");
    };
    for part in [
        r#""component":"Bomb""#,
        r#""msg":"the component panicked: it went off""#,
        "panics.rs:",
    ] {
        assert!(event.contains(part), "{part} is missing in {event}");
    }
}
