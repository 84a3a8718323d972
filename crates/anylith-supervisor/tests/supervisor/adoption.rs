//! What a supervisor makes of what an earlier one has left running.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use anylith_supervisor::{
    Notice, Report, Retiring, StartError, Status, Supervisor, Timing, living_replicas, stop_orphans,
};

use crate::stage::{Stage, eventually, is_alive, kill, name, pids, visit};

#[tokio::test]
async fn a_second_supervisor_is_refused() {
    let stage = Stage::micro();
    let first = stage.start_ready().await;
    let second = stage.launch().start().await;
    assert!(
        matches!(second, Err(StartError::AlreadyRunning { pid, .. }) if pid == std::process::id())
    );
    first.stop().await.unwrap();
    stage.start_ready().await.stop().await.unwrap();
}

/// Ends a supervisor's task in the middle, as kill -9 ends its process, and everything that it held.
pub(crate) async fn lose(stage: &Stage) -> (BTreeMap<String, u32>, u64, String) {
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
    assert_eq!(living_replicas(&stage.folder()).len(), 3);
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
    next.stop().await.unwrap();
    assert!(before.values().all(|pid| !is_alive(*pid)));
}

/// The socket, the relay's end to give into, and that to take from, as the kernel tells them from all others.
fn inherited(supervisor: &Supervisor, replica: &str) -> Vec<PathBuf> {
    let pid = pids(supervisor)[replica];
    let held = (3..6).map(|number| fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap());
    held.collect()
}

#[tokio::test]
async fn replicas_of_two_supervisors_pass_connections_on_to_each_other() {
    let stage = Stage {
        groups: vec![("monolith", vec!["Stock", "Cart", "Front"], 2)],
        kill_on_drop: false,
        ..Stage::micro()
    };
    lose(&stage).await;
    let next = stage.start_ready().await;
    let before = inherited(&next, "monolith-1");
    assert_eq!(inherited(&next, "monolith-2"), before);
    assert!(before[0] != before[1] && before[1] != before[2]);
    next.kill_replica(name("monolith-2")).await;
    next.wait_for(|now| now.replica("monolith-2").unwrap().restarts == 1 && now.is_ready())
        .await
        .unwrap();
    assert_eq!(inherited(&next, "monolith-2"), before);
    next.stop().await.unwrap();
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
    next.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_stopped_before_the_new_starts() {
    let mut stage = Stage {
        kill_on_drop: false,
        ..Stage::micro()
    };
    let (before, _, _) = lose(&stage).await;
    stage.groups = Stage::monolith(1).groups.clone();
    let mut told = Vec::new();
    let next = stage.launch().start_telling(|what| told.push(what));
    let mut next = next.await.unwrap();
    let differences = [
        "the components of group Cart",
        "the components of group Front",
        "the components of group Stock",
        "the components of group monolith",
    ];
    let differences: Vec<String> = differences.map(str::to_owned).into();
    // Why is said before it is done, and written down after.
    let (topology, replicas) = (name("test"), 3);
    let why = Retiring::Because {
        topology: topology.clone(),
        replicas,
        differences: differences.clone(),
    };
    assert_eq!(told[0], why);
    assert_eq!(
        next.take_reports().recv().await.unwrap(),
        Report::Replaced {
            topology,
            replicas,
            differences
        }
    );
    assert!(before.values().all(|pid| !is_alive(*pid)));
    assert!(
        stage
            .journal()
            .contains(&"drain Front of Front-1".to_owned())
    );
    next.wait_ready().await.unwrap();
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_replica_that_dies_while_it_is_taken_over_does_not_keep_the_stop_from_its_end() {
    let mut stage = Stage {
        kill_on_drop: false,
        ..Stage::micro()
    };
    let (before, _, _) = lose(&stage).await;
    stage.groups = Stage::monolith(1).groups.clone();
    let next = stage.launch().start_telling(|what| {
        // It was found alive; now it is gone, to its last trace.
        if let Retiring::Because { .. } = what {
            kill(before["Cart-1"]);
            let cart = rustix::process::Pid::from_raw(before["Cart-1"] as i32);
            rustix::process::waitpid(cart, rustix::process::WaitOptions::empty()).unwrap();
        }
    });
    let next = tokio::time::timeout(Duration::from_secs(20), next).await;
    let next = next.unwrap().unwrap();
    assert!(before.values().all(|pid| !is_alive(*pid)));
    next.wait_ready().await.unwrap();
    next.stop().await.unwrap();
}

#[tokio::test]
async fn orphans_can_be_stopped_in_good_order() {
    let stage = Stage {
        kill_on_drop: false,
        ..Stage::micro()
    };
    let (before, _, _) = lose(&stage).await;
    assert_eq!(
        stop_orphans(&stage.folder(), Timing::default(), |_| {})
            .await
            .unwrap(),
        3
    );
    assert!(before.values().all(|pid| !is_alive(*pid)));
    assert_eq!(stage.sockets(), 0);
    assert_eq!(
        stage
            .journal()
            .iter()
            .filter(|line| line.starts_with("drain"))
            .count(),
        3
    );
    assert_eq!(
        stop_orphans(&stage.folder(), Timing::default(), |_| {})
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn each_difference_that_forbids_adoption_is_named() {
    let stage = Stage {
        kill_on_drop: false,
        ..Stage::micro()
    };
    let (_, _, _) = lose(&stage).await;
    let mut launch = stage.launch();
    launch.spec.groups[1].replicas = 2;
    launch
        .spec
        .config
        .insert(name("Cart"), serde_json::json!({"limit": 3}));
    launch
        .program
        .env
        .insert("TOKEN".to_owned(), "secret".to_owned());
    launch
        .addresses
        .insert(name("web"), "localhost:0".to_owned());
    let mut why = Vec::new();
    let next = launch.start_telling(|what| {
        if let Retiring::Because { differences, .. } = what {
            why = differences;
        }
    });
    let next = next.await.unwrap();
    assert_eq!(
        why,
        [
            "Cart has 2 replicas, and had 1",
            "the config of Cart",
            "the environment variable TOKEN",
            "listener web is at localhost:0, and was at 127.0.0.1:0",
        ]
    );
    next.stop().await.unwrap();
}

#[tokio::test]
async fn what_already_runs_in_another_way_is_left_alone_and_the_difference_said() {
    let stage = Stage::micro();
    let first = stage.start_ready().await;
    let before = pids(&first);
    let mut launch = stage.launch();
    launch.spec.topology = name("other");
    let error = launch.start().await.unwrap_err().to_string();
    assert!(
        error.ends_with("and not as it was to be started: the topology is other, and was test"),
        "{error}"
    );
    assert_eq!(pids(&first), before);
    first.stop().await.unwrap();
}

#[tokio::test]
async fn of_two_that_start_at_once_one_runs_it_and_the_other_is_told() {
    let stage = Stage::micro();
    let (one, other) = tokio::join!(stage.launch().start(), stage.launch().start());
    let (runs, refused) = match (one, other) {
        (Ok(runs), Err(refused)) | (Err(refused), Ok(runs)) => (runs, refused),
        both => panic!("{both:?}"),
    };
    assert!(matches!(refused, StartError::AlreadyRunning { .. }));
    runs.wait_ready().await.unwrap();
    assert_eq!(visit(&runs), "Front-1");
    runs.stop().await.unwrap();
}

#[tokio::test]
async fn leftovers_of_an_older_build_are_ended_even_if_nothing_is_remembered_of_them() {
    let mut stage = Stage {
        kill_on_drop: false,
        ..Stage::micro()
    };
    let built = stage.program.clone();
    stage.program = stage.folder().path().with_extension("app");
    fs::copy(&built, &stage.program).unwrap();
    let (before, _, _) = lose(&stage).await;
    fs::remove_file(stage.folder().path().join("state.json")).unwrap();
    // Built anew: another file under the same name.
    fs::remove_file(&stage.program).unwrap();
    fs::copy(&built, &stage.program).unwrap();
    let next = stage.start_ready().await;
    assert!(
        pids(&next)
            .values()
            .all(|pid| !before.values().any(|old| old == pid))
    );
    eventually("the leftovers are gone", || {
        before.values().all(|pid| !is_alive(*pid))
    })
    .await;
    next.wait_for(Status::is_ready).await.unwrap();
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_replica_that_is_stopped_does_not_keep_the_next_supervisor_from_taking_over() {
    let stage = Stage {
        kill_on_drop: false,
        timing: Timing {
            reconnect: Duration::from_millis(300),
            ..Timing::default()
        },
        ..Stage::micro()
    };
    let (before, _, _) = lose(&stage).await;
    crate::stage::signal(before["Cart-1"], rustix::process::Signal::STOP);
    let mut next = stage.start().await;
    let mut reports = next.take_reports();
    next.wait_ready().await.unwrap();
    assert_eq!(pids(&next)["Front-1"], before["Front-1"]);
    assert_ne!(pids(&next)["Cart-1"], before["Cart-1"]);
    let adopted = reports.try_recv().unwrap();
    let overdue = matches!(
        adopted,
        Report::Noticed {
            notice: Notice::Overdue { .. },
            ..
        }
    );
    assert!(overdue, "{adopted}");
    next.stop().await.unwrap();
}
