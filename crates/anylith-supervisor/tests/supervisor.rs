//! What a supervisor promises, with real processes.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    time::{Duration, Instant},
};

use anylith_core::{Limits, Name};
use anylith_supervisor::{
    Answer, GroupSpec, Launch, LogReader, Notice, Program, Progress, ReplicaState, Report, Request,
    RunFolder, Spec, StartError, Status, Supervisor, Timing, ask, living_replicas, stop_orphans,
};
use anylith_topology::Transport;
use tempfile::TempDir;

/// An application of puppets: one, in a temporary folder.
struct Stage {
    temp: Ground,
    groups: Vec<(&'static str, Vec<&'static str>, u32)>,
    orders: &'static str,
    address: String,
    timing: Timing,
    kill_on_drop: bool,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// The example next to this test's own binary.
fn puppet() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/puppet");
    assert!(
        path.exists(),
        "build it first: cargo build -p anylith-supervisor --example puppet"
    );
    path
}

impl Stage {
    fn micro() -> Self {
        let groups = [("Front", 1), ("Cart", 1), ("Stock", 1)];
        Self {
            temp: Ground(tempfile::tempdir().unwrap()),
            groups: groups.map(|(of, replicas)| (of, vec![of], replicas)).into(),
            orders: "",
            address: "127.0.0.1:0".to_owned(),
            timing: Timing {
                reconnect: Duration::from_secs(5),
                ..Timing::default()
            },
            kill_on_drop: true,
        }
    }

    fn monolith(replicas: u32) -> Self {
        let groups = vec![("monolith", vec!["Stock", "Cart", "Front"], replicas)];
        Self {
            groups,
            ..Self::micro()
        }
    }

    fn orders(self, orders: &'static str) -> Self {
        Self { orders, ..self }
    }

    fn folder(&self) -> RunFolder {
        RunFolder::at(self.temp.0.path().join("run"))
    }

    fn journal(&self) -> Vec<String> {
        let text = fs::read_to_string(self.temp.0.path().join("journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn launch(&self) -> Launch {
        let group = |(of, components, replicas): &(&str, Vec<&str>, u32)| GroupSpec {
            name: name(of),
            components: components.iter().map(|of| name(of)).collect(),
            replicas: *replicas,
            external: false,
        };
        let spec = Spec {
            app: name("puppet"),
            topology: name("test"),
            groups: self.groups.iter().map(group).collect(),
            dependencies: BTreeMap::from([
                (name("Front"), vec![name("Cart"), name("Stock")]),
                (name("Cart"), vec![name("Stock")]),
                (name("Stock"), vec![]),
            ]),
            listeners: BTreeMap::from([(name("web"), name("Front"))]),
            config: BTreeMap::new(),
            edges: Vec::new(),
            limits: Limits::default(),
            transport: Transport::default(),
        };
        let journal = self
            .temp
            .0
            .path()
            .join("journal")
            .to_string_lossy()
            .into_owned();
        let env = [
            ("PUPPET".to_owned(), self.orders.to_owned()),
            ("PUPPET_JOURNAL".to_owned(), journal),
        ];
        Launch {
            spec,
            program: Program {
                env: env.into(),
                ..Program::new(puppet())
            },
            addresses: BTreeMap::from([(name("web"), self.address.clone())]),
            folder: self.folder(),
            timing: self.timing.clone(),
            kill_on_drop: self.kill_on_drop,
        }
    }

    async fn start(&self) -> Supervisor {
        self.launch().start().await.unwrap()
    }

    async fn start_ready(&self) -> Supervisor {
        let supervisor = self.start().await;
        supervisor.wait_ready().await.unwrap();
        supervisor
    }
}

/// A temporary folder. A failed test leaves no process in it either.
struct Ground(TempDir);

impl Drop for Ground {
    fn drop(&mut self) {
        let record = fs::read(self.0.path().join("run/state.json")).unwrap_or_default();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
        for (_, replica) in record["memory"]["replicas"]
            .as_object()
            .into_iter()
            .flatten()
        {
            if let Some(pid) = replica["pid"].as_u64() {
                kill(pid as u32);
            }
        }
    }
}

fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Who answers at the listener.
fn visit(supervisor: &Supervisor) -> String {
    let url = supervisor.status().listeners["web"].clone();
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().last().unwrap().to_owned()
}

fn pids(supervisor: &Supervisor) -> BTreeMap<String, u32> {
    let status = supervisor.status();
    status
        .replicas()
        .map(|one| (one.id.to_string(), one.pid.unwrap()))
        .collect()
}

#[tokio::test]
async fn an_application_becomes_ready_serves_and_stops() {
    let stage = Stage::micro();
    let supervisor = stage.start_ready().await;
    assert!(supervisor.status().is_ready());
    assert_eq!(visit(&supervisor), "Front-1");
    let pids = pids(&supervisor);
    supervisor.stop().await;
    assert!(pids.values().all(|pid| !is_alive(*pid)));
    assert_eq!(living_replicas(&stage.folder()), 0);
}

#[tokio::test]
async fn components_stop_after_those_that_call_them() {
    let stage = Stage {
        groups: vec![("one", vec!["Front", "Stock"], 2), ("two", vec!["Cart"], 2)],
        ..Stage::micro()
    };
    stage.start_ready().await.stop().await;
    let journal = stage.journal();
    let place = |word: &str| {
        let places = journal
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with(word));
        places.map(|(place, _)| place).collect::<Vec<_>>()
    };
    let (front, cart, stock) = (
        place("drain Front"),
        place("drain Cart"),
        place("drain Stock"),
    );
    assert_eq!(
        (front.len(), cart.len(), stock.len()),
        (2, 2, 2),
        "{journal:?}"
    );
    assert!(front.iter().max() < cart.iter().min(), "{journal:?}");
    assert!(cart.iter().max() < stock.iter().min(), "{journal:?}");
    assert_eq!(place("stop").len(), 4);
}

#[tokio::test]
async fn a_killed_replica_is_back_within_two_seconds() {
    let stage = Stage::micro();
    let supervisor = stage.start_ready().await;
    let before = pids(&supervisor)["Cart-1"];
    let since = Instant::now();
    supervisor.kill_replica(name("Cart-1")).await;
    let status = supervisor.wait_for(|now| {
        let cart = now.replica("Cart-1").unwrap();
        cart.restarts == 1 && cart.state == ReplicaState::Ready
    });
    let status = status.await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(2));
    assert_ne!(status.replica("Cart-1").unwrap().pid, Some(before));
    assert_eq!(status.replica("Front-1").unwrap().restarts, 0);
    supervisor.stop().await;
}

/// Short times, so that a test need not wait for long.
fn impatient() -> Timing {
    Timing {
        ask_every: Duration::from_millis(50),
        silent: Duration::from_millis(250),
        hung: Duration::from_secs(2),
        ..Timing::default()
    }
}

#[tokio::test]
async fn a_replica_that_is_stopped_gets_no_calls_until_it_goes_on() {
    let stage = Stage {
        timing: impatient(),
        ..Stage::micro()
    };
    let mut supervisor = stage.start_ready().await;
    let mut reports = supervisor.take_reports();
    let pid = pids(&supervisor)["Cart-1"];
    signal(pid, rustix::process::Signal::STOP);
    let state = |now: &Status| now.replica("Cart-1").unwrap().state;
    let silent = supervisor.wait_for(|now| state(now) != ReplicaState::Ready);
    let silent = silent.await.unwrap();
    assert_eq!(state(&silent), ReplicaState::Starting);
    let notes = supervisor.overview().notes;
    assert!(notes[0].text.contains("no sign of life"), "{notes:?}");
    signal(pid, rustix::process::Signal::CONT);
    let back = supervisor.wait_for(Status::is_ready).await.unwrap();
    assert_eq!(back.replica("Cart-1").unwrap().pid, Some(pid));
    assert_eq!(back.replica("Cart-1").unwrap().restarts, 0);
    supervisor.stop().await;
    let mut said = Vec::new();
    while let Ok(report) = reports.try_recv() {
        said.push(report.to_string());
    }
    for word in [
        "Cart-1 has given no sign of life",
        "Cart-1 gives signs of life again",
    ] {
        assert!(said.iter().any(|line| line.contains(word)), "{said:?}");
    }
}

#[tokio::test]
async fn a_replica_that_hangs_is_replaced() {
    let timing = Timing {
        hung: Duration::from_millis(500),
        ..impatient()
    };
    let stage = Stage {
        timing,
        ..Stage::micro()
    };
    let supervisor = stage.start_ready().await;
    let pid = pids(&supervisor)["Cart-1"];
    signal(pid, rustix::process::Signal::STOP);
    let replaced = supervisor
        .wait_for(|now| now.is_ready() && now.replica("Cart-1").unwrap().pid != Some(pid))
        .await
        .unwrap();
    assert_eq!(replaced.replica("Cart-1").unwrap().restarts, 1);
    assert!(!is_alive(pid));
    supervisor.stop().await;
}

#[tokio::test]
async fn replicas_of_a_monolith_share_its_listener() {
    let stage = Stage::monolith(3);
    let supervisor = stage.start_ready().await;
    let url = supervisor.status().listeners["web"].clone();
    supervisor.kill_replica(name("monolith-2")).await;
    assert!(visit(&supervisor).starts_with("monolith-"));
    assert_eq!(supervisor.status().listeners["web"], url);
    supervisor.stop().await;
}

#[tokio::test]
async fn a_crash_loop_names_the_component_the_error_and_the_last_lines() {
    let stage = Stage::micro().orders("Cart=fail");
    let supervisor = stage.start().await;
    let Err(Progress::Failing(report)) = supervisor.wait_ready().await else {
        panic!("it started")
    };
    let Report::Noticed {
        notice: Notice::CrashLoop { failure, .. },
        last_lines,
    } = &*report
    else {
        panic!("{report}")
    };
    assert_eq!(failure.component, Some(name("Cart")));
    assert!(
        report
            .to_string()
            .contains("Cart failed: no such table: carts"),
        "{report}"
    );
    assert!(
        last_lines
            .iter()
            .any(|line| line == "ERROR there is no table `carts`"),
        "{last_lines:?}"
    );
    let overview = supervisor.overview();
    let note = |of: &str| {
        overview
            .notes
            .iter()
            .find(|note| note.replica == of)
            .unwrap()
            .text
            .clone()
    };
    assert_eq!(note("Front-1"), "Front waits for Cart");
    supervisor.stop().await;
}

#[tokio::test]
async fn a_crash_without_words_is_told_by_its_code_and_its_output() {
    let stage = Stage::micro().orders("Stock=crash");
    let supervisor = stage.start().await;
    let Err(Progress::Failing(report)) = supervisor.wait_ready().await else {
        panic!("it started")
    };
    let Report::Noticed { last_lines, .. } = &*report else {
        panic!("{report}")
    };
    assert!(
        report.to_string().ends_with("exited with code 101"),
        "{report}"
    );
    assert!(
        last_lines
            .iter()
            .any(|line| line.contains("the shelf is gone")),
        "{last_lines:?}"
    );
    supervisor.stop().await;
}

#[tokio::test]
async fn a_replica_that_never_connects_is_killed_and_called_by_name() {
    let timing = Timing {
        connect: Duration::from_millis(100),
        ..Timing::default()
    };
    let stage = Stage {
        timing,
        ..Stage::micro()
    }
    .orders("Stock-1=mute");
    let supervisor = stage.start().await;
    let Err(Progress::Failing(report)) = supervisor.wait_ready().await else {
        panic!("it started")
    };
    assert!(report.to_string().contains("Stock-1"), "{report}");
    assert!(
        report
            .to_string()
            .contains("did not connect to the control plane"),
        "{report}"
    );
    supervisor.stop().await;
}

#[tokio::test]
async fn a_replica_that_does_not_drain_is_killed_after_its_grace() {
    let timing = Timing {
        grace: Duration::from_millis(100),
        ..Timing::default()
    };
    let stage = Stage {
        timing,
        ..Stage::micro()
    }
    .orders("Cart=stuck");
    let supervisor = stage.start_ready().await;
    let pids = pids(&supervisor);
    supervisor.stop().await;
    assert!(pids.values().all(|pid| !is_alive(*pid)));
    assert!(
        stage
            .journal()
            .contains(&"drain Stock of Stock-1".to_owned())
    );
}

#[tokio::test]
async fn a_replica_that_exits_while_it_drains_is_not_started_again() {
    let stage = Stage::micro().orders("Cart=quit");
    let supervisor = stage.start_ready().await;
    supervisor.stop().await;
    assert_eq!(
        stage
            .journal()
            .iter()
            .filter(|line| line.starts_with("drain Cart"))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_second_supervisor_is_refused() {
    let stage = Stage::micro();
    let first = stage.start_ready().await;
    let second = stage.launch().start().await;
    assert!(
        matches!(second, Err(StartError::AlreadyRunning { pid, .. }) if pid == std::process::id())
    );
    first.stop().await;
    stage.start_ready().await.stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_said_with_its_mend() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let stage = Stage {
        address: taken.local_addr().unwrap().to_string(),
        ..Stage::micro()
    };
    let error = stage.launch().start().await.unwrap_err().to_string();
    assert!(
        error.contains("`web`") && error.contains(&stage.address),
        "{error}"
    );
    assert!(error.contains("--listen web=127.0.0.1:0"), "{error}");
}

/// Ends a supervisor's task in the middle, as kill -9 ends its process, and everything that it held.
async fn lose(stage: &Stage) -> (BTreeMap<String, u32>, u64, String) {
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let launch = stage.launch();
    let runtime = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let found = runtime.block_on(async {
            let supervisor = launch.start().await.unwrap();
            supervisor.wait_ready().await.unwrap();
            let status = supervisor.status();
            (
                pids(&supervisor),
                status.epoch,
                status.listeners["web"].clone(),
            )
        });
        drop(runtime);
        let _ = ready.send(found);
    });
    let found = is_ready.await.unwrap();
    runtime.join().unwrap();
    found
}

#[tokio::test]
async fn replicas_outlive_their_supervisor_and_the_next_one_adopts_them() {
    let stage = Stage {
        kill_on_drop: false,
        ..Stage::micro()
    };
    let (before, epoch, url) = lose(&stage).await;
    assert!(before.values().all(|pid| is_alive(*pid)));
    assert_eq!(living_replicas(&stage.folder()), 3);
    let mut next = stage.start().await;
    let mut reports = next.take_reports();
    next.wait_ready().await.unwrap();
    let first = reports.recv().await.unwrap();
    assert_eq!(first.to_string(), "adopted 3 replicas");
    assert_eq!(pids(&next), before);
    assert_eq!(
        next.wait_for(|now| now.listeners.contains_key("web"))
            .await
            .unwrap()
            .listeners["web"],
        url
    );
    assert!(next.status().epoch > epoch, "epochs went back");
    assert_eq!(visit(&next), "Front-1");
    // It is as good a supervisor as the first: what dies comes back, with the same listener.
    next.kill_replica(name("Front-1")).await;
    next.wait_for(|now| now.replica("Front-1").unwrap().restarts == 1 && now.is_ready())
        .await
        .unwrap();
    assert_eq!(visit(&next), "Front-1");
    assert_eq!(next.status().listeners["web"], url);
    next.stop().await;
    assert!(before.values().all(|pid| !is_alive(*pid)));
}

#[tokio::test]
async fn what_died_without_a_supervisor_is_started_by_the_next_one() {
    let stage = Stage {
        kill_on_drop: false,
        ..Stage::micro()
    };
    let (before, _, _) = lose(&stage).await;
    kill(before["Front-1"]);
    while is_alive(before["Front-1"]) {
        tokio::task::yield_now().await;
    }
    let next = stage.start_ready().await;
    assert_eq!(pids(&next)["Cart-1"], before["Cart-1"]);
    assert_ne!(pids(&next)["Front-1"], before["Front-1"]);
    assert_eq!(visit(&next), "Front-1");
    next.stop().await;
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_stopped_before_the_new_starts() {
    let mut stage = Stage {
        kill_on_drop: false,
        ..Stage::micro()
    };
    let (before, _, _) = lose(&stage).await;
    stage.groups = Stage::monolith(1).groups.clone();
    let mut next = stage.start().await;
    let first = next.take_reports().recv().await.unwrap();
    assert_eq!(
        first,
        Report::Replaced {
            topology: name("test"),
            replicas: 3
        }
    );
    assert!(before.values().all(|pid| !is_alive(*pid)));
    assert!(
        stage
            .journal()
            .contains(&"drain Front of Front-1".to_owned())
    );
    next.wait_ready().await.unwrap();
    next.stop().await;
}

#[tokio::test]
async fn orphans_can_be_stopped_in_good_order() {
    let stage = Stage {
        kill_on_drop: false,
        ..Stage::micro()
    };
    let (before, _, _) = lose(&stage).await;
    assert_eq!(
        stop_orphans(&stage.folder(), Timing::default())
            .await
            .unwrap(),
        3
    );
    assert!(before.values().all(|pid| !is_alive(*pid)));
    assert_eq!(
        stage
            .journal()
            .iter()
            .filter(|line| line.starts_with("drain"))
            .count(),
        3
    );
    assert_eq!(
        stop_orphans(&stage.folder(), Timing::default())
            .await
            .unwrap(),
        0
    );
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
    assert_eq!(ask(&socket, Request::Stop).await.unwrap(), Answer::Stopped);
    supervisor.over().await;
    assert!(ask(&socket, Request::Status).await.is_err());
}

#[tokio::test]
async fn logs_of_all_replicas_come_in_time_order_and_stay_after_the_stop() {
    let stage = Stage::micro();
    stage.start_ready().await.stop().await;
    let lines = LogReader::from_start(&stage.folder()).finish().unwrap();
    let times: Vec<&String> = lines.iter().filter_map(|line| line.time.as_ref()).collect();
    assert!(times.is_sorted());
    let ready: Vec<&str> = lines
        .iter()
        .filter(|line| line.text == "ready")
        .filter_map(|line| line.component.as_deref())
        .collect();
    assert_eq!(ready, ["Stock", "Cart", "Front"]);
    assert!(lines.iter().any(|line| &*line.source == "anylith"));
}

#[tokio::test]
async fn strangers_and_noise_at_the_control_socket_disturb_nobody() {
    let stage = Stage::micro();
    let supervisor = stage.start_ready().await;
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 64],
        &[0, 0, 0, 2, b'{', b'}'],
        b"",
    ] {
        let mut stream =
            std::os::unix::net::UnixStream::connect(stage.folder().control_socket()).unwrap();
        stream.write_all(noise).unwrap();
    }
    assert_eq!(visit(&supervisor), "Front-1");
    assert!(supervisor.status().is_ready());
    supervisor.stop().await;
}
