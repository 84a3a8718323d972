//! What becomes of an application when the disk of its run folder is full, on a real small disk.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::Signal,
};
use stage::{Stage, eventually, is_alive, visit};

/// Two groups that call each other over TCP.
const OVER_TCP: &str = r#"
transport = "tcp"
[topologies.split]
groups.front = { components = ["Front"], replicas = 2 }
groups.rest = { components = ["*"] }
"#;

/// A small disk of its own below the run folders of a stage.
struct Disk(PathBuf);

impl Disk {
    /// `None` where it is not permitted.
    fn below(stage: &Stage) -> Option<Self> {
        let path = stage.temp.path().join("run");
        let mounted = mount(
            c"tmpfs",
            &path,
            c"tmpfs",
            MountFlags::empty(),
            c"size=1m,mode=700",
        );
        if let Err(error) = mounted {
            privileged::skip(format_args!("no disk can be mounted: {error}"));
            return None;
        }
        Some(Self(path))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Leaves no room for a single byte.
    fn fill(&self) {
        let mut ballast = File::options()
            .create(true)
            .append(true)
            .open(self.ballast())
            .unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
        assert!(fs::write(self.0.join("one"), "more").is_err());
        fs::remove_file(self.0.join("one")).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
        // The folder of the stage could not go while this was mounted in it.
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// A stage whose run folders are on a disk of their own; `None` where that is not permitted. Bound in this order, the disk is
/// dropped last, after what runs on it was stopped.
fn stage_on_a_disk() -> Option<(Disk, Stage)> {
    let stage = Stage::with(OVER_TCP);
    Some((Disk::below(&stage)?, stage))
}

/// Every file of the run folder that a supervisor must not harm, as it is.
fn kept(stage: &Stage) -> Vec<Vec<u8>> {
    ["state.json", "authority/authority.json", "components"]
        .map(|file| fs::read(stage.run_file(file)).unwrap())
        .into()
}

fn kill(mut run: stage::Foreground) {
    run.child.kill().unwrap();
    run.child.wait().unwrap();
}

fn supervisor_of(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.parse().ok()
}

#[test]
fn a_supervisor_that_dies_with_the_disk_full_is_replaced_by_one_that_adopts_everything() {
    let Some((disk, stage)) = stage_on_a_disk() else {
        return;
    };
    let run = stage.run("--topology split --listen web=127.0.0.1:0");
    let (before, url) = (stage.pids(), run.ready.clone());
    eventually("all is written", || {
        stage.status().get("troubles").is_none()
    });
    let files = kept(&stage);
    disk.fill();
    kill(run);
    // What the dead one gave back is taken, too.
    disk.fill();

    let next = stage.run("--topology split --listen web=127.0.0.1:0");
    assert_eq!(next.ready, url);
    assert_eq!(stage.pids(), before, "they run on");
    assert_eq!(&kept(&stage)[1..], &files[1..], "nothing was harmed");
    assert!(before.iter().all(|pid| is_alive(*pid)));
    let web = url.rsplit(' ').next().unwrap();
    assert!(visit(web).starts_with("front-"));
    // Its own state it writes into the place that it has.
    assert_eq!(stage.status().get("troubles"), None);
    let lock = stage.run_file("lock");
    assert!(supervisor_of(&lock).is_none_or(|pid| pid == next.child.id()));
    next.signal(Signal::TERM);
    assert_eq!(next.end().0, Some(0));
}

#[test]
fn what_was_changed_on_a_full_disk_is_what_the_next_supervisor_finds() {
    let Some((disk, stage)) = stage_on_a_disk() else {
        return;
    };
    let split = "--topology split --listen web=127.0.0.1:0";
    let mut run = stage.run(split);
    let (first, url) = (stage.pids(), run.ready.clone());
    let web = url.rsplit(' ').next().unwrap().to_owned();
    disk.fill();
    let is_over = Arc::new(AtomicBool::new(false));
    let visitor = {
        let (web, is_over) = (web.clone(), Arc::clone(&is_over));
        thread::spawn(move || {
            while !is_over.load(Ordering::Acquire) {
                assert!(!visit(&web).is_empty());
            }
        })
    };
    let mut before = first;
    for (change, topology, replicas) in [
        ("reshape micro", "micro", 3),
        ("scale Cart=3", "micro", 5),
        ("restart Stock", "micro", 5),
        ("reshape monolith", "monolith", 1),
        ("reshape split", "split", 3),
    ] {
        let call = stage.call(change);
        assert_eq!(call.code(), 0, "{change}: {}", call.err());
        disk.fill();
        let after = stage.pids();
        assert_ne!(after, before, "{change}");
        assert_eq!(after.len(), replicas, "{change}");
        kill(run);
        disk.fill();
        run = stage.run(split);
        assert_eq!(run.ready, url, "{change}");
        assert_eq!(stage.pids(), after, "they run on after {change}");
        assert_eq!(stage.status()["topology"], topology);
        before = after;
    }
    is_over.store(true, Ordering::Release);
    visitor.join().unwrap();
    kill(run);
    let call = stage.call("stop");
    assert_eq!((call.code(), call.out().trim()), (0, "stopped"));
    assert!(before.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn what_was_started_on_a_full_disk_is_adopted_without_a_record_and_is_not_changed() {
    let Some((disk, stage)) = stage_on_a_disk() else {
        return;
    };
    fs::create_dir_all(stage.temp.path().join("run/anylith")).unwrap();
    disk.fill();
    let listen = "--topology split --listen web=127.0.0.1:0";
    let run = stage.run(listen);
    assert!(!stage.run_file("state.json").exists());
    let (before, url) = (stage.pids(), run.ready.clone());
    for change in ["reshape micro", "scale rest=2", "restart", "upgrade"] {
        let call = stage.call(change);
        assert_eq!(call.code(), 1, "{change}: {}", call.err());
        for words in ["state.json", "No space left on device", "make room"] {
            assert!(call.err().contains(words), "{change}: {}", call.err());
        }
    }
    kill(run);
    disk.fill();
    let next = stage.run(listen);
    assert_eq!((stage.pids(), &next.ready), (before.clone(), &url));
    // With other settings it is another application.
    kill(next);
    disk.fill();
    let next = stage.run("--topology micro --listen web=127.0.0.1:0");
    assert!(before.iter().all(|pid| !is_alive(*pid)));
    let before = stage.pids();
    disk.free();
    eventually("the state is written", || {
        stage.status().get("troubles").is_none()
    });
    let log = || fs::read_to_string(stage.run_file("logs/anylith.log")).unwrap();
    for words in [
        "the state cannot be written",
        "the state can be written again",
    ] {
        eventually("it is in the log", || log().contains(words));
    }
    for line in log().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert_eq!(stage.call("scale Cart=2").code(), 0);
    kill(next);
    let call = stage.call("stop");
    assert_eq!((call.code(), call.out().trim()), (0, "stopped"));
    assert!(before.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn where_the_place_of_the_state_is_taken_away_no_change_is_begun() {
    let Some((disk, stage)) = stage_on_a_disk() else {
        return;
    };
    let run = stage.run("--topology split --listen web=127.0.0.1:0");
    let before = stage.pids();
    disk.fill();
    fs::remove_file(stage.run_file("state.spare")).unwrap();
    disk.fill();
    let call = stage.call("reshape monolith");
    assert_eq!(call.code(), 1, "{}", call.err());
    assert!(call.err().contains("nothing was changed; make room"));
    assert_eq!(stage.pids(), before);
    disk.free();
    let call = stage.call("reshape monolith");
    assert_eq!(call.code(), 0, "{}", call.err());
    let status = stage.status();
    assert_eq!(
        (&status["topology"], status.get("troubles")),
        (&"monolith".into(), None)
    );
    run.signal(Signal::TERM);
    assert_eq!(run.end().0, Some(0));
}

#[test]
fn a_supervisor_that_cannot_write_its_authority_serves_and_writes_it_when_there_is_room() {
    let Some((disk, stage)) = stage_on_a_disk() else {
        return;
    };
    let run = stage.run("--topology split --listen web=127.0.0.1:0");
    let before = stage.pids();
    fs::remove_dir_all(stage.run_file("authority")).unwrap();
    disk.fill();
    kill(run);
    disk.fill();
    let next = stage.run("--topology split --listen web=127.0.0.1:0");
    assert_eq!(stage.pids(), before);
    let troubles = || stage.status()["troubles"].to_string();
    eventually("it is said", || {
        troubles().contains("the certificates of this run cannot be kept")
    });
    assert!(!stage.run_file("authority/authority.json").exists());
    disk.free();
    eventually("it is written", || {
        stage.run_file("authority/authority.json").exists() && troubles() == "null"
    });
    next.signal(Signal::TERM);
    assert_eq!(next.end().0, Some(0));
}

#[test]
fn an_application_starts_on_a_full_disk_and_says_that_it_is_full() {
    let Some((disk, stage)) = stage_on_a_disk() else {
        return;
    };
    fs::create_dir_all(stage.temp.path().join("run/anylith")).unwrap();
    disk.fill();
    let started = stage
        .command("run --topology split --listen web=127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it is ready", || {
        stage
            .call("status")
            .out()
            .contains("all 3 replicas are ready")
    });
    let said = stage.call("status").out();
    for words in [
        "the state cannot be written",
        "the certificates of this run cannot be kept",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let _ = stage.call("stop");
    let output = started.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("No space left on device"), "{said}");
}
