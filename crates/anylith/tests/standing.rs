//! Replicas with standing orders: what they say while they wait, and of a certificate that is of no use.

#![expect(missing_docs, reason = "a test has no readers of its documentation")]
#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, SystemTime},
};

use anylith::CallError;
use anylith_core::Name;
use anylith_pki::{Authority, Identity, Lifetimes, Subject};
use serde_json::{Value, json};

/// Nothing takes as long as this, unless it never comes.
const LONG: Duration = Duration::from_secs(60);

#[anylith::component]
pub trait Kitchen {
    async fn soup(&self) -> Result<u32, CallError>;
    /// Is never done.
    async fn roast(&self) -> Result<u32, CallError>;
}

#[derive(anylith::Component)]
#[component(interface = Kitchen)]
pub struct Stove {}

impl Kitchen for Stove {
    async fn soup(&self) -> Result<u32, CallError> {
        Ok(1)
    }

    async fn roast(&self) -> Result<u32, CallError> {
        std::future::pending().await
    }
}

/// Cannot be without a kitchen.
#[derive(anylith::Component)]
pub struct Guest {
    #[expect(dead_code, reason = "it is dependent on it, and that is all")]
    kitchen: KitchenClient,
}

#[anylith::component]
pub trait Cellar {
    async fn wine(&self) -> Result<u32, CallError>;
}

#[derive(anylith::Component)]
#[component(interface = Cellar)]
pub struct Vault {}

impl Cellar for Vault {
    async fn wine(&self) -> Result<u32, CallError> {
        Ok(1)
    }
}

/// Cannot be without a cellar and a kitchen, in this order.
#[derive(anylith::Component)]
pub struct Diner {
    #[expect(dead_code, reason = "it is dependent on it, and that is all")]
    cellar: CellarClient,
    #[expect(dead_code, reason = "it is dependent on it, and that is all")]
    kitchen: KitchenClient,
}

/// Orders three roasts at once.
#[derive(anylith::Component)]
#[component(start)]
pub struct Feast {
    #[expect(dead_code, reason = "it was needed at the start")]
    kitchen: KitchenClient,
}

impl Feast {
    async fn start(parts: FeastParts) -> Result<Self, CallError> {
        let kitchen = &parts.kitchen;
        let _ = tokio::join!(kitchen.roast(), kitchen.roast(), kitchen.roast());
        Ok(Self {
            kitchen: parts.kitchen,
        })
    }
}

anylith::app! { pub Inn = "inn" { Stove, Vault, Guest, Diner, Feast } }

/// Not a test: the process that the tests below start.
#[tokio::test]
#[ignore = "it is started by others"]
async fn inn() {
    // Whoever started it holds the other end, also when it is killed.
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(3);
    });
    let refused = Inn::run().await == ExitCode::from(2);
    std::process::exit(if refused { 2 } else { 1 });
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A replica of the inn, killed when the test ends.
struct Replica {
    process: Child,
    /// Each line that it says; closed when it has ended.
    said: Receiver<String>,
    all: String,
}

impl Replica {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["inn", "--exact", "--ignored", "--nocapture"])
            .env("ANYLITH_BOOTSTRAP", folder.join("bootstrap.json"))
            .env_remove("ANYLITH_LOG")
            .env_remove("RUST_LOG")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody listens any more once the test is over.
                let _ = say.send(line + "\n");
            }
        });
        Self {
            process,
            said,
            all: String::new(),
        }
    }

    /// Reads on until it has said `words`, and returns the line.
    fn says(&mut self, words: &str) -> String {
        loop {
            let line = match self.said.recv_timeout(LONG) {
                Ok(line) => line,
                Err(error) => panic!("no `{words}` ({error}): {}", self.all),
            };
            self.all += &line;
            if line.contains(words) {
                return line;
            }
        }
    }

    /// All that it said until its end, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        loop {
            match self.said.recv_timeout(LONG) {
                Ok(line) => self.all += &line,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {}", self.all),
            }
        }
        let code = self.process.wait().unwrap().code();
        (std::mem::take(&mut self.all), code)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn authority() -> Authority {
    Authority::new(name("inn"), Lifetimes::default(), SystemTime::now()).unwrap()
}

fn issue(authority: &Authority, replica: &str, component: &str, at: SystemTime) -> Identity {
    let subject = Subject {
        app: name("inn"),
        replica: name(replica),
        group: name("group"),
        components: vec![name(component)],
    };
    authority.issue(&subject, at).unwrap()
}

/// Writes the orders of a replica into `folder`. The kitchen is at `port`.
fn write(folder: &Path, replica: &str, component: &str, port: u16, identity: &Identity) {
    let kitchen = format!("tcp:127.0.0.1:{port}");
    let (endpoints, directory): (Vec<&str>, Value) = match component {
        "Kitchen" => (vec![&kitchen], json!({})),
        _ => (
            vec![],
            json!({"Kitchen": {"answers": [{"replica": "kitchen-two-1", "endpoint": kitchen}]}}),
        ),
    };
    let orders = json!({
        "replica": replica,
        "bootstrap": {
            "app": "inn",
            "group": "group",
            "components": [component],
            "endpoints": endpoints,
            "directory": { "epoch": 1, "components": directory },
            "callers": { "Kitchen": ["Guest", "Diner", "Feast"] },
        },
        "identity": { "certificates": "certificates.pem", "key": "key.pem", "roots": "roots.pem" },
        "grace_ms": 10_000,
    });
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("bootstrap.json"), orders.to_string()).unwrap();
    for (file, text) in [
        ("certificates.pem", &identity.certificates),
        ("key.pem", &identity.key),
        ("roots.pem", &identity.roots),
    ] {
        fs::write(folder.join(file), text).unwrap();
    }
}

/// A port at which nobody listens.
fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

#[test]
fn a_replica_that_waits_says_for_what_and_why_and_when_it_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let (authority, port, now) = (authority(), free_port(), SystemTime::now());
    let (guest, kitchen) = (temp.path().join("guest"), temp.path().join("kitchen"));
    let identity = issue(&authority, "guest-one-1", "Guest", now);
    write(&guest, "guest-one-1", "Guest", port, &identity);
    let mut guest = Replica::start(&guest);
    let line = guest.says("Guest has waited for 3 s");
    for words in [
        "Kitchen",
        "kitchen-two-1",
        &format!("127.0.0.1:{port}"),
        "refused",
    ] {
        assert!(line.contains(words), "{line}");
    }
    let identity = issue(&authority, "kitchen-two-1", "Kitchen", now);
    write(&kitchen, "kitchen-two-1", "Kitchen", port, &identity);
    let _kitchen = Replica::start(&kitchen);
    guest.says("Guest goes on: Kitchen is there");
}

#[test]
fn a_replica_that_is_not_believed_says_so_while_it_waits() {
    let temp = tempfile::tempdir().unwrap();
    let (port, now) = (free_port(), SystemTime::now());
    let (guest, kitchen) = (temp.path().join("guest"), temp.path().join("kitchen"));
    let identity = issue(&authority(), "kitchen-two-1", "Kitchen", now);
    write(&kitchen, "kitchen-two-1", "Kitchen", port, &identity);
    let mut kitchen = Replica::start(&kitchen);
    let identity = issue(&authority(), "guest-one-1", "Guest", now);
    write(&guest, "guest-one-1", "Guest", port, &identity);
    let mut guest = Replica::start(&guest);
    let line = guest.says("did not prove that it belongs to the application");
    let place = format!("kitchen-two-1 at tcp:127.0.0.1:{port}");
    assert!(line.contains(&place), "{line}");
    let line = kitchen.says("does not take the certificate of this replica");
    assert!(
        line.contains("somebody who connected from 127.0.0.1:"),
        "{line}"
    );
    let line = guest.says("Guest has waited for");
    assert!(line.contains("authority"), "{line}");
}

#[test]
fn a_replica_whose_port_is_taken_names_it_and_what_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let identity = issue(&authority(), "kitchen-two-1", "Kitchen", SystemTime::now());
    write(folder.path(), "kitchen-two-1", "Kitchen", port, &identity);
    let (said, _) = Replica::start(folder.path()).end();
    for words in [
        &format!("tcp:127.0.0.1:{port}: Address already in use"),
        "running already",
        "`port`",
        "hosts.toml",
    ] {
        assert!(said.contains(words), "`{words}` is not in {said}");
    }
}

#[test]
fn what_is_ready_is_not_said_to_be_missing() {
    let temp = tempfile::tempdir().unwrap();
    let (authority, now) = (authority(), SystemTime::now());
    let (cellar, kitchen) = (free_port(), free_port());
    let (diner, stove) = (temp.path().join("diner"), temp.path().join("kitchen"));
    let identity = issue(&authority, "kitchen-two-1", "Kitchen", now);
    write(&stove, "kitchen-two-1", "Kitchen", kitchen, &identity);
    let mut stove = Replica::start(&stove);
    let line = stove.says("ready: Kitchen");
    assert!(
        line.contains(&format!("at tcp:127.0.0.1:{kitchen}")),
        "{line}"
    );
    let identity = issue(&authority, "diner-one-1", "Diner", now);
    write(&diner, "diner-one-1", "Diner", kitchen, &identity);
    change(&diner, |orders| {
        let place =
            json!({"replica": "cellar-two-1", "endpoint": format!("tcp:127.0.0.1:{cellar}")});
        orders["bootstrap"]["directory"]["components"]["Cellar"] = json!({"answers": [place]});
    });
    let line = Replica::start(&diner).says("Diner has waited for 3 s");
    assert!(
        line.contains("Cellar") && !line.contains("Kitchen"),
        "{line}"
    );
}

#[test]
fn an_overload_is_in_the_log_of_both_ends_with_the_setting() {
    let temp = tempfile::tempdir().unwrap();
    let (authority, port, now) = (authority(), free_port(), SystemTime::now());
    let (feast, kitchen) = (temp.path().join("feast"), temp.path().join("kitchen"));
    let identity = issue(&authority, "kitchen-two-1", "Kitchen", now);
    write(&kitchen, "kitchen-two-1", "Kitchen", port, &identity);
    change(&kitchen, |orders| {
        let own = json!({"Kitchen": {"concurrency": {"at_most": 1}}});
        orders["bootstrap"]["limits"]["components"] = own;
    });
    let mut kitchen = Replica::start(&kitchen);
    let identity = issue(&authority, "feast-one-1", "Feast", now);
    write(&feast, "feast-one-1", "Feast", port, &identity);
    let mut feast = Replica::start(&feast);
    let line = kitchen.says("overloaded");
    for words in [
        "Kitchen of kitchen-two-1",
        "`[limits.components.Kitchen] concurrency = 1`",
    ] {
        assert!(line.contains(words), "{line}");
    }
    let line = feast.says("overloaded");
    assert!(line.contains("Feast -> Kitchen"), "{line}");
}

#[test]
fn a_limit_of_an_edge_is_in_the_log_of_its_caller_with_the_setting() {
    let temp = tempfile::tempdir().unwrap();
    let (authority, port, now) = (authority(), free_port(), SystemTime::now());
    let (feast, kitchen) = (temp.path().join("feast"), temp.path().join("kitchen"));
    let identity = issue(&authority, "kitchen-two-1", "Kitchen", now);
    write(&kitchen, "kitchen-two-1", "Kitchen", port, &identity);
    let _kitchen = Replica::start(&kitchen);
    let identity = issue(&authority, "feast-one-1", "Feast", now);
    write(&feast, "feast-one-1", "Feast", port, &identity);
    change(&feast, |orders| {
        let edge = json!({"caller": "Feast", "callee": "Kitchen", "concurrency": 1});
        orders["bootstrap"]["edges"] = json!([edge]);
    });
    let line = Replica::start(&feast).says("overloaded");
    // In JSON a quotation mark is marked.
    let setting = r#"`[edges.\"Feast -> Kitchen\"] concurrency = 1`"#;
    assert!(line.contains(setting), "{line}");
}

/// Changes the orders in `folder`.
fn change(folder: &Path, change: impl FnOnce(&mut Value)) {
    let file = folder.join("bootstrap.json");
    let mut orders = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut orders);
    fs::write(file, orders.to_string()).unwrap();
}

/// What is done to the files of a replica, the file that is named, and what is said of it.
type Case = (&'static str, fn(&Path), &'static str, &'static str);

const DAY: Duration = Duration::from_secs(24 * 3600);

fn put(folder: &Path, identity: &Identity, files: &[&str]) {
    for (file, text) in [
        ("certificates.pem", &identity.certificates),
        ("key.pem", &identity.key),
        ("roots.pem", &identity.roots),
    ] {
        if files.contains(&file) {
            fs::write(folder.join(file), text).unwrap();
        }
    }
}

fn cut(folder: &Path, file: &str) {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    fs::write(folder.join(file), &text[..text.len() / 2]).unwrap();
}

const CASES: &[Case] = &[
    (
        "swapped",
        |folder| {
            let (certificates, key) = (folder.join("certificates.pem"), folder.join("key.pem"));
            let text = fs::read(&key).unwrap();
            fs::rename(&certificates, &key).unwrap();
            fs::write(certificates, text).unwrap();
        },
        "certificates.pem",
        "it has no certificate",
    ),
    (
        "the key of another",
        |folder| {
            let other = issue(&authority(), "guest-one-1", "Guest", SystemTime::now());
            put(folder, &other, &["key.pem"]);
        },
        "key.pem",
        "its key does not belong to its certificate",
    ),
    (
        "the roots of another authority",
        |folder| {
            let other = issue(&authority(), "guest-one-1", "Guest", SystemTime::now());
            put(folder, &other, &["roots.pem"]);
        },
        "roots.pem",
        "its certificate was not issued by any of its roots",
    ),
    (
        "all of another replica",
        |folder| {
            let other = issue(&authority(), "guest-two-1", "Guest", SystemTime::now());
            put(
                folder,
                &other,
                &["certificates.pem", "key.pem", "roots.pem"],
            );
        },
        "certificates.pem",
        "guest-two-1",
    ),
    (
        "a certificate cut off",
        |folder| cut(folder, "certificates.pem"),
        "certificates.pem",
        "cannot be read",
    ),
    (
        "a key cut off",
        |folder| cut(folder, "key.pem"),
        "key.pem",
        "cannot be read",
    ),
    (
        "roots cut off",
        |folder| cut(folder, "roots.pem"),
        "roots.pem",
        "cannot be read",
    ),
    (
        "an empty key",
        |folder| fs::write(folder.join("key.pem"), "").unwrap(),
        "key.pem",
        "cannot be read",
    ),
    (
        "no roots",
        |folder| fs::remove_file(folder.join("roots.pem")).unwrap(),
        "roots.pem",
        "No such file",
    ),
];

#[test]
fn an_identity_that_can_never_be_of_use_is_refused_with_its_file_and_the_mend() {
    for (what, spoil, file, words) in CASES {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        let identity = issue(&authority(), "guest-one-1", "Guest", SystemTime::now());
        write(folder, "guest-one-1", "Guest", free_port(), &identity);
        spoil(folder);
        let (said, code) = Replica::start(folder).end();
        assert_eq!(code, Some(2), "{what}: {said}");
        let file = folder.join(file).display().to_string();
        let is_read = !said.contains("cannot read");
        for words in [&file, *words] {
            assert!(said.contains(words), "{what}: `{words}` is not in {said}");
        }
        assert!(
            !is_read || said.contains("`anylith render static`"),
            "{what}: {said}"
        );
        assert!(!said.contains("panicked"), "{what}: {said}");
    }
}

#[test]
fn a_certificate_out_of_its_time_is_named_with_both_dates_and_the_replica_stays() {
    for (at, words) in [
        (SystemTime::now() - 3 * DAY, "was valid until"),
        (SystemTime::now() + 3 * DAY, "is valid from"),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        let identity = issue(&authority(), "guest-one-1", "Guest", at);
        write(folder, "guest-one-1", "Guest", free_port(), &identity);
        let mut replica = Replica::start(folder);
        let line = replica.says("is of no use now");
        for words in [
            words,
            "certificates.pem",
            "by the clock of this host it is",
            "render static",
        ] {
            assert!(line.contains(words), "{line}");
        }
        replica.says("Guest has waited for");
    }
}
