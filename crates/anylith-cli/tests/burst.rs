//! What is promised where a component is called far more than before, in a monolith or alone, with a small application in
//! real processes.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use stage::Stage;

/// A mill in the same process as its page, and more mills alone when there is too much to grind.
const WHOLE: &str = r#"
[topologies.whole]
groups.all = { components = ["*"], burst = { Mill = { max = 2, target = { concurrency = 4 }, cooldown = "2s" } } }

[topologies.plain]
groups.all = { components = ["*"] }
"#;

/// Mills in processes of their own, as many as there is to do.
const APART: &str = r#"
[topologies.apart]
groups.mills = { components = ["Mill"], replicas = { min = 1, max = 2, target = { concurrency = 16 }, cooldown = "2s" } }
groups.page = { components = ["*"] }
"#;

/// How many sacks are there at a time while there is a burst: more than two mills are for that grind, and one that sifts.
const CROWD: usize = 24;

/// How long what other processes bring about may take. Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

fn started(stage: &Stage) -> (stage::Foreground, String) {
    started_as(stage, "whole")
}

fn started_as(stage: &Stage, topology: &str) -> (stage::Foreground, String) {
    let run = stage.run(&format!("--topology {topology}"));
    let url = run.ready.strip_prefix("ready: web ").unwrap().to_owned();
    (run, url)
}

/// Has a sack ground; returns by which process.
fn grind(url: &str, path: &str) -> u32 {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let page = answer.lines().last().unwrap_or_default();
    let mill = page.strip_prefix("ground by ");
    let mill = mill.and_then(|mill| mill.parse().ok());
    mill.unwrap_or_else(|| panic!("it was answered {answer:?}"))
}

/// Many at once who come again and again, each after the sack before was ground. A sack that is not ground is a panic.
struct Crowd {
    over: Arc<AtomicBool>,
    /// Process → how many sacks it has ground since this was last asked.
    ground: Arc<Mutex<BTreeMap<u32, u64>>>,
    farmers: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn begin(url: &str) -> Self {
        Self::at(url, "")
    }

    /// One of which all ask for what is at this path.
    fn at(url: &str, path: &'static str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ground = Arc::new(Mutex::new(BTreeMap::new()));
        let farmer = |_| {
            let (over, ground, url) = (Arc::clone(&over), Arc::clone(&ground), url.to_owned());
            thread::spawn(move || {
                while !over.load(Ordering::Acquire) {
                    let mill = grind(&url, path);
                    *ground.lock().unwrap().entry(mill).or_default() += 1;
                }
            })
        };
        Self {
            farmers: (0..CROWD).map(farmer).collect(),
            over,
            ground,
        }
    }

    /// The processes that have ground since this was last asked, each with how much.
    fn mills(&self) -> BTreeMap<u32, u64> {
        assert!(
            self.farmers.iter().all(|farmer| !farmer.is_finished()),
            "a sack was not ground"
        );
        std::mem::take(&mut *self.ground.lock().unwrap())
    }

    /// Waits until all of `mills` have ground since now, and nobody else.
    fn grinds_with(&self, mills: &BTreeSet<u32>) {
        eventually("all of these grind, and no other", || {
            self.mills();
            thread::sleep(Duration::from_millis(200));
            self.mills().into_keys().collect::<BTreeSet<u32>>() == *mills
        });
    }

    fn ends(self) {
        self.over.store(true, Ordering::Release);
        for farmer in self.farmers {
            farmer.join().unwrap();
        }
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The processes of the ready replicas whose names begin so.
fn ready(stage: &Stage, of: &str) -> BTreeSet<u32> {
    let status = stage.status();
    let groups = status["groups"].as_array().unwrap();
    let replicas = groups
        .iter()
        .flat_map(|group| group["replicas"].as_array().unwrap());
    let ready = replicas
        .filter(|one| one["state"] == "ready" && one["id"].as_str().unwrap().starts_with(of));
    let pids = ready.map(|one| u32::try_from(one["pid"].as_u64().unwrap()).unwrap());
    pids.collect()
}

/// The home, and the mills alone, once there are so many of those.
fn mills(stage: &Stage, alone: usize) -> (u32, BTreeSet<u32>) {
    eventually("there are so many mills alone", || {
        ready(stage, "Mill-burst-").len() == alone
    });
    let home = ready(stage, "all-");
    (*home.first().unwrap(), ready(stage, "Mill-burst-"))
}

fn with(home: u32, alone: &BTreeSet<u32>) -> BTreeSet<u32> {
    alone.iter().copied().chain([home]).collect()
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn a_burst_brings_mills_that_share_the_work_and_leave_when_it_is_over_and_no_sack_is_lost() {
    let stage = Stage::of("mill", "mill", WHOLE);
    let (run, url) = started(&stage);
    // Without a burst there is one process, and it grinds.
    let (home, none) = mills(&stage, 0);
    assert!(none.is_empty());
    assert_eq!(grind(&url, ""), home);
    let crowd = Crowd::begin(&url);
    let (_, alone) = mills(&stage, 2);
    crowd.grinds_with(&with(home, &alone));
    let text = stage.call("status").out();
    assert!(
        text.contains("Mill-burst: 2 replicas wanted, of 0 to 2"),
        "{text}"
    );
    // Who wants all of his sacks ground by one is not given away.
    for _ in 0..20 {
        assert_eq!(grind(&url, "7"), home);
    }
    // One that dies loses no sack that may be ground twice, and comes again.
    kill(*alone.first().unwrap());
    eventually("another one has come", || {
        let now = ready(&stage, "Mill-burst-");
        now.len() == 2 && now != alone
    });
    let (_, alone) = mills(&stage, 2);
    crowd.grinds_with(&with(home, &alone));
    crowd.ends();
    let (after, _) = mills(&stage, 0);
    assert_eq!((after, grind(&url, "")), (home, home));
    run.signal(Signal::INT);
    let (code, _, err) = run.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("Mill-burst"), "{err}");
}

#[test]
fn a_burst_outlives_the_supervisor_and_folds_under_the_next() {
    let stage = Stage::of("mill", "mill", WHOLE);
    let (mut first, url) = started(&stage);
    let crowd = Crowd::begin(&url);
    let (home, alone) = mills(&stage, 2);
    crowd.grinds_with(&with(home, &alone));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    // Nobody supervises, and all grind on.
    crowd.grinds_with(&with(home, &alone));
    let (second, again) = started(&stage);
    assert_eq!(again, url);
    assert_eq!(mills(&stage, 2), (home, alone.clone()));
    crowd.grinds_with(&with(home, &alone));
    crowd.ends();
    mills(&stage, 0);
    second.signal(Signal::INT);
    assert_eq!(second.end().0, Some(0));
}

#[test]
fn a_restart_and_reshapes_in_the_midst_of_a_burst_lose_no_sack() {
    let stage = Stage::of("mill", "mill", WHOLE);
    let (run, url) = started(&stage);
    let crowd = Crowd::begin(&url);
    let (home, alone) = mills(&stage, 2);
    crowd.grinds_with(&with(home, &alone));
    let change = |change: &str| {
        let call = stage.call(change);
        assert_eq!(call.code(), 0, "{change}: {}", call.err());
    };
    // All of them begin anew, with the burst.
    change("restart");
    let (home, alone) = mills(&stage, 2);
    crowd.grinds_with(&with(home, &alone));
    // Where none is asked for the home grinds alone.
    change("reshape plain");
    assert_eq!(mills(&stage, 0), (home, BTreeSet::new()));
    crowd.grinds_with(&BTreeSet::from([home]));
    change("reshape whole");
    let (_, alone) = mills(&stage, 2);
    crowd.grinds_with(&with(home, &alone));
    change("reshape micro");
    assert!(ready(&stage, "Mill-burst-").is_empty());
    crowd.grinds_with(&ready(&stage, "Mill-"));
    crowd.ends();
    run.signal(Signal::INT);
    assert_eq!(run.end().0, Some(0));
}

#[test]
fn calls_that_compute_on_the_threads_that_read_them_bring_another_mill() {
    let stage = Stage::of("mill", "mill", APART);
    let (run, url) = started_as(&stage, "apart");
    let crowd = Crowd::at(&url, "fine");
    eventually("there is another mill", || {
        crowd.mills();
        ready(&stage, "mills-").len() == 2
    });
    crowd.grinds_with(&ready(&stage, "mills-"));
    crowd.ends();
    eventually("one is enough for nobody", || {
        ready(&stage, "mills-").len() == 1
    });
    run.signal(Signal::INT);
    let (code, _, err) = run.end();
    assert_eq!(code, Some(0), "{err}");
}
