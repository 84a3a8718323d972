//! The library answers the same before it had components, between, and after, whole and split.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use reqwest::{Client, Method};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What is asked of every library, in this order, and so what it has lent out by then.
const VISIT: &[(Method, &str)] = &[
    (Method::GET, "/books"),
    (Method::GET, "/books/2"),
    (Method::GET, "/books/9"),
    (Method::GET, "/members/ada"),
    (Method::GET, "/members/bob"),
    (Method::PUT, "/members/grace/books/1"),
    (Method::PUT, "/members/grace/books/2"),
    (Method::PUT, "/members/ada/books/1"),
    (Method::PUT, "/members/bob/books/2"),
    (Method::DELETE, "/books/1"),
    (Method::PUT, "/members/ada/books/1"),
    (Method::DELETE, "/books/3"),
];

#[tokio::test]
async fn between_answers_as_before() {
    assert_eq!(visit(alone("adopt-between")).await, before().await);
}

#[tokio::test]
async fn between_answers_as_before_in_several_processes() {
    assert_eq!(visit(in_micro("between")).await, before().await);
}

#[tokio::test]
async fn after_answers_as_before() {
    assert_eq!(visit(alone("adopt-after")).await, before().await);
}

#[tokio::test]
async fn after_answers_as_before_in_several_processes() {
    assert_eq!(visit(in_micro("after")).await, before().await);
}

async fn before() -> Vec<String> {
    let answers = visit(alone("adopt-before")).await;
    assert!(answers[1].contains("200 OK"), "{answers:#?}");
    assert!(answers[2].contains("404 Not Found"), "{answers:#?}");
    assert!(answers[6].contains("409 Conflict"), "{answers:#?}");
    answers
}

/// A library that runs until it is dropped.
struct Library {
    process: Child,
    address: String,
    _home: TempDir,
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.process.id().cast_signed()) {
            let _ = kill_process(pid, Signal::INT);
        }
        let _ = self.process.wait();
    }
}

/// The program by itself.
fn alone(name: &str) -> Library {
    start(Command::new(program(name)))
}

/// The application in `folder`, with a process for each component.
fn in_micro(folder: &str) -> Library {
    let mut command = Command::new(program("anylith"));
    let folder = repository().join("examples/adopt").join(folder);
    command
        .args(["run", "--topology", "micro"])
        .args(["--listen", "web=127.0.0.1:0"])
        .arg(folder);
    start(command)
}

fn start(mut command: Command) -> Library {
    let home = TempDir::new().expect("a folder can be made");
    let mut process = command
        .current_dir(home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("NO_COLOR", "1")
        .env("LIBRARY_ADDRESS", "127.0.0.1:0")
        .env("ANYLITH__listeners__web__address", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built");
    let output = BufReader::new(process.stdout.take().expect("it is piped"));
    let mut library = Library {
        process,
        address: String::new(),
        _home: home,
    };
    let mut lines = output.lines().map_while(Result::ok);
    // `listening on ADDRESS` where it stands alone, `ready: web http://ADDRESS` under the command.
    let address = lines.find_map(|line| Some(line.rsplit_once("127.0.0.1:")?.1.to_owned()));
    let port = address.expect("it says where it listens");
    library.address = format!("http://127.0.0.1:{port}");
    // Nobody reads the rest, but it must have somewhere to go.
    std::thread::spawn(move || lines.for_each(drop));
    library
}

/// What the library answers to each request: status, type and body.
async fn visit(library: Library) -> Vec<String> {
    let client = Client::new();
    let mut answers = Vec::new();
    for (method, path) in VISIT {
        let url = format!("{}{path}", library.address);
        let request = client.request(method.clone(), url);
        let answer = request.send().await.expect("the library answers");
        let status = answer.status();
        let kind = answer.headers().get("content-type").cloned();
        let body = answer.text().await.expect("the answer is whole");
        answers.push(format!("{method} {path}: {status} {kind:?} {body}"));
    }
    answers
}

/// A program of this repository, which is built from its sources as they are.
fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let test = std::env::current_exe().expect("a running program has a path");
    // Cargo puts a test into TARGET/PROFILE/deps.
    let profile = test.ancestors().nth(2).expect("it lies in three folders");
    BUILT.get_or_init(|| {
        let target = profile.parent().expect("it lies in three folders");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--target-dir"])
            .arg(target)
            .args(["-p", "anylith-cli", "-p", "adopt-before"])
            .args(["-p", "adopt-between", "-p", "adopt-after"])
            .current_dir(repository())
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the programs under test do not build");
    });
    let path = profile.join(name);
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

fn repository() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder
        .ancestors()
        .nth(3)
        .expect("it lies in examples/adopt/after")
}
