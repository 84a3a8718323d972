//! The test kit itself: what it starts, shows and leaves behind.

#![allow(
    missing_docs,
    reason = "the components of a test are nobody's interface"
)]

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anylith::CallError;
use anylith_test::{Cluster, ClusterBuilder, ClusterError, Topology};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum PostError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Post {
    async fn send(&self, letter: &str) -> Result<u32, PostError>;
}

#[anylith::component]
pub trait Stamps {
    async fn price(&self) -> Result<u32, PostError>;
    async fn process(&self) -> Result<u32, PostError>;
}

#[derive(anylith::Component)]
#[component(interface = Post)]
pub struct Office {
    stamps: StampsClient,
}

impl Post for Office {
    async fn send(&self, letter: &str) -> Result<u32, PostError> {
        println!("sending {letter}");
        Ok(self.stamps.price().await? + std::process::id())
    }
}

#[derive(anylith::Component)]
#[component(interface = Stamps)]
pub struct Printed {
    #[init]
    price: u32,
}

impl Stamps for Printed {
    async fn price(&self) -> Result<u32, PostError> {
        Ok(self.price)
    }

    async fn process(&self) -> Result<u32, PostError> {
        Ok(std::process::id())
    }
}

#[derive(Default)]
struct Forged {
    asked: AtomicU32,
}

impl Stamps for Forged {
    async fn price(&self) -> Result<u32, PostError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    }

    async fn process(&self) -> Result<u32, PostError> {
        Ok(std::process::id())
    }
}

anylith::app! {
    /// Sends letters.
    pub Mail = "mail" { Office, Printed }
}

const TOGETHER: &str = "[topologies.together]\ngroups.all = { components = [\"*\"] }";

#[anylith::test(Mail, fakes(StampsClient = Forged::default()), topologies(direct, wire, processes, processes_tcp))]
async fn a_fake_is_in_the_tests_own_process(
    post: PostClient,
    stamps: StampsClient,
    forged: Arc<Forged>,
) -> Result<(), PostError> {
    post.send("one").await?;
    assert_eq!(forged.asked.load(Ordering::Relaxed), 1);
    assert_eq!(stamps.process().await?, std::process::id());
    Ok(())
}

#[anylith::test(Mail, with(Printed { price: 3 }))]
async fn a_component_made_by_hand_runs_where_the_topology_says(
    stamps: StampsClient,
    cluster: &Cluster<Mail>,
) -> Result<(), PostError> {
    assert_eq!(stamps.price().await?, 3);
    let elsewhere = stamps.process().await? != std::process::id();
    assert_eq!(elsewhere, cluster.topology().has_processes());
    Ok(())
}

#[anylith::test(Mail, with(Printed { price: 3 }), settings = TOGETHER, topologies(together))]
async fn a_topology_of_the_settings_is_run(
    cluster: &Cluster<Mail>,
    post: PostClient,
    stamps: StampsClient,
) -> Result<(), PostError> {
    assert_eq!(cluster.topology(), Topology::Named("together"));
    let together = stamps.process().await?;
    assert_eq!(post.send("x").await?, 3 + together);
    assert_ne!(together, std::process::id());
    Ok(())
}

#[anylith::test(Mail, with(Printed { price: 3 }), topologies(processes))]
async fn a_stop_leaves_nothing_running(cluster: &Cluster<Mail>) {
    let processes: Vec<u32> = cluster.replicas().iter().filter_map(|it| it.pid).collect();
    assert_eq!(processes.len(), 2);
    cluster.stop().await;
    for process in processes {
        assert!(!runs(process), "{process} still runs");
    }
}

#[anylith::test(Mail, with(Printed { price: 3 }), topologies(processes))]
async fn a_replica_lives_through_the_hangup_that_a_dying_supervisor_leaves_it(
    cluster: &Cluster<Mail>,
    post: PostClient,
    stamps: StampsClient,
) -> Result<(), PostError> {
    for replica in cluster.replicas() {
        let pid = replica.pid.and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
        let caught = status.lines().find_map(|it| it.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        assert_eq!(caught & 1, 1, "a hangup ends {}", replica.id);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }
    assert_eq!(stamps.price().await?, 3);
    post.send("x").await?;
    assert!(cluster.replicas().iter().all(|it| it.restarts == 0));
    Ok(())
}

/// Whether there is such a process, and more of it than an exit code that nobody has fetched.
fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[anylith::test(Mail, topologies(direct, wire, processes))]
async fn a_start_that_fails_leaves_nothing_running_and_says_why(builder: ClusterBuilder<Mail>) {
    let error = builder.start().await.expect_err("nobody gives the price");
    let said = error.to_string();
    assert!(
        said.contains("Stamps") && said.contains("`price`"),
        "{said}"
    );
}

#[anylith::test(Mail, fakes(StampsClient = Forged::default()))]
async fn wrong_settings_are_said_as_everywhere(builder: ClusterBuilder<Mail>) {
    let started = builder.settings("[edges.\"Post -> Stamp\"]\ndeadline = \"1s\"");
    let error = started.start().await.expect_err("there is no Stamp");
    assert!(matches!(error, ClusterError::Settings(_)));
    assert!(error.to_string().contains("Stamps"), "{error}");
}

#[tokio::test]
async fn processes_need_a_program() {
    let builder = Cluster::<Mail>::builder().topology(Topology::Processes);
    assert!(matches!(
        builder.start().await,
        Err(ClusterError::NoProgram)
    ));
}

/// Not a test of its own, but the one that [`a_body_that_panics_takes_its_processes_with_it`] watches.
#[anylith::test(Mail, with(Printed { price: 3 }), topologies(processes))]
#[ignore = "it fails, as another test wants it to"]
async fn a_body_that_panics(post: PostClient, cluster: &Cluster<Mail>) {
    post.send("the last letter").await.unwrap();
    let processes: Vec<u32> = cluster.replicas().iter().filter_map(|it| it.pid).collect();
    panic!("processes {processes:?}");
}

#[test]
fn a_body_that_panics_takes_its_processes_with_it() {
    let failed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_body_that_panics::processes", "--ignored"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&failed.stdout);
    assert!(!failed.status.success());
    assert!(
        said.contains("sending the last letter"),
        "it shows no log: {said}"
    );
    let (_, list) = said.split_once("processes [").expect("it names them");
    let (list, _) = list.split_once(']').expect("it names them");
    let processes: Vec<u32> = list.split(", ").map(|it| it.parse().unwrap()).collect();
    assert_eq!(processes.len(), 2);
    for process in processes {
        // It was sent a signal that it cannot survive, perhaps a moment ago.
        while runs(process) {
            std::thread::yield_now();
        }
    }
}
