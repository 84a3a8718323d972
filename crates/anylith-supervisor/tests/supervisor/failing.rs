//! What becomes of replicas that fail, and of what else goes wrong.

use std::{fs, io::Write, net::TcpListener, time::Duration};

use anylith_supervisor::{
    Notice, Progress, ReplicaState, Report, RunFolder, StartError, Status, Supervisor,
    SupervisorLost, Timing,
};

use crate::stage::{Stage, is_alive, kill, name, pids, signal, visit};

#[tokio::test]
async fn a_killed_replica_is_started_again_at_once() {
    let stage = Stage::micro();
    let mut supervisor = stage.start_ready().await;
    let mut reports = supervisor.take_reports();
    let before = pids(&supervisor)["Cart-1"];
    supervisor.kill_replica(name("Cart-1")).await;
    let status = supervisor.wait_for(|now| {
        let cart = now.replica("Cart-1").unwrap();
        cart.restarts == 1 && cart.state == ReplicaState::Ready
    });
    let status = status.await.unwrap();
    let mut waits = None;
    while let Ok(report) = reports.try_recv() {
        if let Report::Noticed {
            notice: Notice::Failed { retry_in, .. },
            ..
        } = report
        {
            waits = Some(retry_in);
        }
    }
    assert_eq!(waits, Some(Duration::ZERO));
    assert_ne!(status.replica("Cart-1").unwrap().pid, Some(before));
    assert_eq!(status.replica("Front-1").unwrap().restarts, 0);
    supervisor.stop().await.unwrap();
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
    supervisor.stop().await.unwrap();
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
    supervisor.stop().await.unwrap();
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
    // Of the last attempt alone: the ones before ended in the same words.
    let told = last_lines
        .iter()
        .filter(|line| *line == "ERROR there is no table `carts`");
    assert_eq!(told.count(), 1, "{last_lines:?}");
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
    supervisor.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_words_of_a_replica_are_read_although_it_listens_no_more() {
    let stage = Stage::monolith(1).orders("Cart=rant");
    let mut supervisor = stage.start().await;
    let mut reports = supervisor.take_reports();
    let Err(Progress::Failing(_)) = supervisor.wait_ready().await else {
        panic!("it started")
    };
    let mut failures = 0;
    while let Ok(report) = reports.try_recv() {
        if let Report::Noticed {
            notice: Notice::Failed { failure, .. } | Notice::CrashLoop { failure, .. },
            ..
        } = report
        {
            failures += 1;
            assert_eq!(failure.to_string(), "Cart failed: cannot read nope.txt");
        }
    }
    assert!(failures >= 3, "{failures}");
    supervisor.stop().await.unwrap();
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
    supervisor.stop().await.unwrap();
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
    supervisor.stop().await.unwrap();
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
    supervisor.stop().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_said_once_and_the_state_is_written_when_there_is_room() {
    let stage = Stage::micro();
    let folder = stage.folder();
    fs::create_dir_all(folder.path()).unwrap();
    // The new state goes where no byte fits.
    let new = folder.path().join("state.json.new");
    std::os::unix::fs::symlink("/dev/full", &new).unwrap();
    let mut supervisor = stage.start_ready().await;
    let mut reports = supervisor.take_reports();
    let mut said = Vec::new();
    while let Ok(report) = reports.try_recv() {
        said.push(report);
    }
    // Written it can be at once, as soon as nobody reaches for more than that.
    let full = |report: &&Report| {
        matches!(
            report,
            Report::StateUnkept { .. } | Report::StateCramped { .. }
        )
    };
    assert_eq!(said.iter().filter(full).count(), 1, "{said:?}");
    assert!(said.contains(&Report::StateKept), "{said:?}");
    assert!(folder.path().join("state.json").exists());
    supervisor.stop().await.unwrap();
}

#[tokio::test]
async fn a_replica_whose_log_cannot_be_written_is_started_all_the_same() {
    let stage = Stage::micro();
    let mut supervisor = stage.start_ready().await;
    let mut reports = supervisor.take_reports();
    let log = stage.folder().log_of(&name("Cart-1"));
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    kill(pids(&supervisor)["Cart-1"]);
    let back = |now: &Status| now.is_ready() && now.replica("Cart-1").unwrap().restarts == 1;
    supervisor.wait_for(back).await.unwrap();
    let mut said = Vec::new();
    while let Ok(report) = reports.try_recv() {
        said.push(report.to_string());
    }
    let wanted = "the log of Cart-1 cannot be written";
    assert!(said.iter().any(|line| line.contains(wanted)), "{said:?}");
    supervisor.stop().await.unwrap();
    fs::remove_dir(&log).unwrap();
}

#[tokio::test]
async fn a_run_folder_that_cannot_be_used_is_named() {
    let stage = Stage::micro();
    let mut launch = stage.launch();
    launch.folder = RunFolder::at("/dev/null/run");
    let error = launch.start().await.unwrap_err();
    assert!(matches!(error, StartError::Folder { .. }));
    assert_eq!(
        error.to_string(),
        "the run folder /dev/null/run cannot be used"
    );
}

#[tokio::test]
async fn two_applications_of_one_name_do_not_meet() {
    let (one, other) = (Stage::micro(), Stage::micro());
    let (first, second) = (one.start_ready().await, other.start_ready().await);
    let before = pids(&second);
    first.stop().await.unwrap();
    assert_eq!(visit(&second), "Front-1");
    assert_eq!(pids(&second), before);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_supervisor_that_fails_is_not_taken_for_one_that_was_stopped() {
    let stage = Stage::micro();
    let (launch, own) = (stage.launch(), tokio::runtime::Runtime::new().unwrap());
    let started = own.spawn(async move {
        let supervisor = launch.start().await.unwrap();
        supervisor.wait_ready().await.unwrap();
        supervisor
    });
    let mut supervisor = started.await.unwrap();
    // Its task ends in the middle of its work.
    own.shutdown_background();
    assert_eq!(supervisor.over().await, Err(SupervisorLost));
    assert_eq!(supervisor.wait_ready().await, Err(Progress::Lost));
}

/// The first report that says why a replica was cut off.
async fn disconnection(supervisor: &mut Supervisor) -> String {
    let mut reports = supervisor.take_reports();
    loop {
        if let report @ Report::Disconnected { .. } = reports.recv().await.unwrap() {
            return report.to_string();
        }
    }
}

#[tokio::test]
async fn a_replica_that_cannot_be_told_its_config_is_named_with_the_reason() {
    let stage = Stage::micro();
    let mut launch = stage.launch();
    let endless = serde_json::json!({"limit": "9".repeat(17 * 1024 * 1024)});
    launch.spec.config.insert(name("Stock"), endless);
    let mut supervisor = launch.start().await.unwrap();
    let said = disconnection(&mut supervisor).await;
    assert!(said.contains("Stock-1"), "{said}");
    assert!(
        said.contains("longer than the 16777216 that are allowed"),
        "{said}"
    );
    supervisor.ask_kill().await;
    supervisor.over().await.unwrap();
}

#[tokio::test]
async fn a_replica_that_is_not_understood_is_named_with_the_reason() {
    let stage = Stage::micro().orders("Stock-1=babble");
    let mut supervisor = stage.start().await;
    let said = disconnection(&mut supervisor).await;
    assert_eq!(
        said.split(" at line").next().unwrap(),
        "the connection of Stock-1 to the control plane was closed: a control message cannot be \
         understood: missing field `type`"
    );
    supervisor.stop().await.unwrap();
}
