//! How an application ends.

#![expect(missing_docs, reason = "a test has no readers of its documentation")]

use std::{
    convert::Infallible,
    env,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, ExitCode, Stdio},
};

use anylith::CallError;
use rustix::process::{Pid, Signal, kill_process};

/// Loses what it should have written at the end.
#[derive(anylith::Component)]
#[component(stop)]
pub struct Ledger {}

impl Ledger {
    async fn stop(&self) {
        panic!("the disk is full");
    }
}

anylith::app! { pub Books = "books" { Ledger } }

#[tokio::test]
async fn a_stop_that_panics_is_a_failure() {
    let running = Books::start().await.unwrap();
    running.stop();
    let code = running.wait().await;
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
}

#[anylith::component]
pub trait Tent {
    async fn room(&self) -> Result<u32, CallError>;
}

/// Is there, and says when it is taken down.
#[derive(anylith::Component)]
#[component(interface = Tent, stop)]
pub struct Canvas {}

impl Canvas {
    async fn stop(&self) {
        eprintln!("the tent is taken down");
    }
}

impl Tent for Canvas {
    async fn room(&self) -> Result<u32, CallError> {
        Ok(300)
    }
}

/// Never finishes its start.
#[derive(anylith::Component)]
#[component(start)]
pub struct Lion {
    #[expect(dead_code, reason = "it is dependent on it, and that is all")]
    tent: TentClient,
}

impl Lion {
    async fn start(_: LionParts) -> Result<Self, Infallible> {
        eprintln!("the lion is sought");
        std::future::pending().await
    }
}

anylith::app! { pub Circus = "circus" { Canvas, Lion } }

/// Not a test: the process that the test below starts.
#[tokio::test]
#[ignore = "it is started by another"]
async fn circus() {
    eprintln!("it ended with {:?}", Circus::run().await);
}

#[test]
fn a_process_that_is_told_to_stop_while_it_starts_stops_what_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Command::new(env::current_exe().unwrap())
        .args(["circus", "--exact", "--ignored", "--nocapture"])
        .current_dir(&folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(process.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("the lion is sought") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
    }
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    process.wait().unwrap();
    assert!(rest.contains("the tent is taken down"), "{rest}");
    let code = format!("it ended with {:?}", ExitCode::SUCCESS);
    assert!(rest.contains(&code), "{rest}");
}
