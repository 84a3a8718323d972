//! What a supervisor promises, with real processes.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod adoption;
mod failing;
mod logs;
mod stage;
mod stopping;
mod strangers;

use std::fs;

use anylith_core::Manifest;
use anylith_supervisor::{Answer, Request, Upgrade, ask, living_replicas};
use stage::{Stage, is_alive, name, pids, visit};

#[tokio::test]
async fn an_application_becomes_ready_serves_and_stops() {
    let stage = Stage::micro();
    let supervisor = stage.start_ready().await;
    assert!(supervisor.status().is_ready());
    assert_eq!(visit(&supervisor), "Front-1");
    let pids = pids(&supervisor);
    supervisor.stop().await.unwrap();
    assert!(pids.values().all(|pid| !is_alive(*pid)));
    assert!(living_replicas(&stage.folder()).is_empty());
    assert_eq!(stage.sockets(), 0);
}

#[tokio::test]
async fn replicas_of_a_monolith_share_its_listener() {
    let stage = Stage::monolith(3);
    let supervisor = stage.start_ready().await;
    let url = supervisor.status().listeners["web"].clone();
    supervisor.kill_replica(name("monolith-2")).await;
    assert!(visit(&supervisor).starts_with("monolith-"));
    assert_eq!(supervisor.status().listeners["web"], url);
    supervisor.stop().await.unwrap();
}

#[tokio::test]
async fn the_command_asks_for_the_status_and_for_a_stop() {
    let stage = Stage::micro();
    let mut supervisor = stage.start_ready().await;
    let socket = stage.folder().control_socket();
    let Answer::Status(overview) = ask(&socket, Request::Status).await.unwrap() else {
        panic!()
    };
    assert_eq!(overview.status, supervisor.status());
    assert_eq!(
        ask(&socket, Request::Stop).await.unwrap(),
        Answer::Stopped { left: Vec::new() }
    );
    supervisor.over().await.unwrap();
    assert!(ask(&socket, Request::Status).await.is_err());
}

#[tokio::test]
async fn the_copy_of_a_build_that_is_refused_is_removed() {
    let stage = Stage::micro();
    let supervisor = stage.start_ready().await;
    let copy = stage.folder().path().join("builds/1-1/program");
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::write(&copy, "a program").unwrap();
    let upgrade = Request::Upgrade(Box::new(Upgrade {
        binary: copy.clone(),
        source: copy.clone(),
        manifest: Manifest {
            app: name("other"),
            summary: String::new(),
            components: Vec::new(),
        },
        canary: None,
        observe_ms: 0,
        dry_run: false,
    }));
    let socket = stage.folder().control_socket();
    let answer = ask(&socket, upgrade).await.unwrap();
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    assert!(!copy.exists());
    supervisor.stop().await.unwrap();
}
