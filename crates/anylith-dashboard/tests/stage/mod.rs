//! A dashboard before a supervisor that says what a test wants.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    fs,
    sync::{Arc, Mutex},
};

use anylith_core::Manifest;
use anylith_dashboard::{Dashboard, Door, Looked, Premises};
use anylith_supervisor::{Answer, Look, Overview, Request, RunFolder, Seen};
use anylith_telemetry::Subject;
use anylith_topology::{Overrides, Settings, Unread};
use anylith_wire::control::{Decoder, Opening, encode};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

const TOML: &str = r#"
[edges."Web -> Cart"]
deadline = "100ms"

[components.Cart]
database = "postgres://shop:hunter2@db/carts"
api_token = "hunter3"

[topologies.pair]
groups.all = { components = ["*"], replicas = 2 }
"#;

/// A dashboard before a supervisor that says what a test wants.
pub(crate) struct Stage {
    temp: TempDir,
    pub(crate) folder: RunFolder,
    pub(crate) dashboard: Dashboard,
    pub(crate) supervisor: Arc<Supervisor>,
    client: Client,
    task: JoinHandle<()>,
}

/// What a supervisor says, and what it was asked.
pub(crate) struct Supervisor {
    overview: Mutex<Overview>,
    asked: Mutex<Vec<Request>>,
    /// What it answers to a change that is not a dry run.
    changed: Mutex<Answer>,
    /// What it answers to who looks; without it, it is one that knows no numbers.
    seen: Mutex<Option<Eye>>,
}

/// What is seen by who looks.
type Eye = fn(&Look) -> Seen;

/// An application of two components, of which the first is dependent on the second.
pub(crate) fn manifest() -> Manifest {
    let component = |name: &str, dependencies: &[&str], listeners: &[&str]| {
        json!({
            "name": name,
            "summary": "Does something.",
            "dependencies": dependencies,
            "listeners": listeners,
            "methods": [{"name": "add", "idempotent": true, "shape": "unary", "routed": "user"}],
            "fingerprint": "00000000000000ff",
        })
    };
    let components = [
        component("Web", &["Cart"], &["web"]),
        component("Cart", &[], &[]),
    ];
    serde_json::from_value(json!({"app": "shop", "components": components})).unwrap()
}

/// How an application is that has nothing to hide: every field that there can be is there.
pub(crate) fn overview() -> Value {
    let replica = |id: &str, state: &str| json!({"id": id, "pid": 4711, "address": "unix:/run/a.sock", "state": state, "restarts": 1});
    let mut ill = replica("Cart-1", "starting");
    ill["unhealthy"] = json!({"Cart": "<script>alert(1)</script>"});
    ill["silent"] = json!(true);
    ill["build"] = json!(2);
    ill["counters"] = json!({"denied": 3});
    json!({
        "status": {
            "app": "shop",
            "topology": "micro",
            "epoch": 3,
            "groups": [
                {"name": "Web", "components": ["Web"], "replicas": [replica("Web-1", "ready")]},
                {
                    "name": "Cart",
                    "components": ["Cart"],
                    "scaling": {"wanted": 1, "min": 1, "max": 3, "target": {"concurrency": 16}, "why": "it bears little"},
                    "replicas": [ill],
                },
            ],
            "listeners": {"web": "http://127.0.0.1:8080"},
        },
        "notes": [{"replica": "Cart-1", "text": "Cart is unhealthy"}],
        "supervisor": 7,
        "troubles": ["the state cannot be written"],
        "change": null,
        "underway": null,
    })
}

/// What there is to be seen of it: every field that there can be is there.
pub(crate) fn seen(look: &Look) -> Seen {
    let flow = json!({
        "calls_per_second": 12.5, "remote_per_second": 12.5, "failed_per_second": 0.5, "in_flight": 2,
        "failures": {"erred": 0.125, "not_executed": 0.125, "unknown": 0.125, "executed": 0.0625, "cancelled": 0.0625},
        "p50_us": 200.0, "p99_us": 900.0,
    });
    let need = json!({"cores": 0.25, "memory_bytes": 4096, "ready": 1, "total": 2});
    let mark =
        json!({"at_ms": 7000, "kind": "failure", "text": "Cart-1 has failed", "about": "Cart-1"});
    let value = match look {
        Look::Now => with(
            json!({
                "look": "now", "at_ms": 9000, "seconds": 5.0, "metrics": "all",
                "components": [with(json!({"name": "Cart"}), &[&flow, &need])],
                "edges": [with(json!({"caller": "Web", "callee": "Cart"}), &[&flow])],
                "replicas": [{"id": "Cart-1", "cores": 0.25, "memory_bytes": 4096}, {"id": "Web-1"}],
                "marks": [mark],
            }),
            &[&flow, &need],
        ),
        Look::Edge { caller, callee } => json!({
            "look": "edge", "caller": caller, "callee": callee, "at_ms": 9000, "seconds": 5.0,
            "methods": [with(
                json!({
                    "method": "add", "p90_us": 500.0, "retries_per_second": 0.5, "hedges_per_second": 0.0,
                    "sent_bytes_per_second": 100.0, "received_bytes_per_second": 200.0, "calls": 70,
                }),
                &[&flow],
            )],
        }),
        Look::Past { subject, .. } => json!({
            "look": "past", "at_ms": [8000, 9000], "step_ms": 1000, "calls_per_second": [12.0, 12.5],
            "remote_per_second": [12.0, 12.5], "failed_per_second": [0.0, 0.5],
            "p50_us": [null, 200.0], "p99_us": [null, 900.0], "marks": [mark],
            "need": match subject {
                Subject::Edge { .. } => Value::Null,
                _ => json!({"cores": [0.0, 0.25], "memory_bytes": [0, 4096], "ready": [0, 1], "total": [1, 2]}),
            },
        }),
    };
    serde_json::from_value(value).unwrap()
}

/// `value` with the fields of others.
fn with(mut value: Value, others: &[&Value]) -> Value {
    let fields = value.as_object_mut().unwrap();
    for other in others {
        fields.extend(other.as_object().unwrap().clone());
    }
    value
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::of(manifest(), overview()).await
    }

    /// A dashboard of an application that says `manifest` of itself, and is as `overview` says.
    pub(crate) async fn of(manifest: Manifest, overview: Value) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(temp.path());
        fs::create_dir(folder.logs()).unwrap();
        let supervisor = Arc::new(Supervisor {
            overview: Mutex::new(serde_json::from_value(overview).unwrap()),
            asked: Mutex::default(),
            changed: Mutex::new(Answer::Changed { left: Vec::new() }),
            seen: Mutex::default(),
        });
        let task = tokio::spawn(listen(
            UnixListener::bind(folder.control_socket()).unwrap(),
            Arc::clone(&supervisor),
        ));
        let settings =
            || Settings::parse("anylith.toml", TOML, &Overrides::default(), &Unread).unwrap();
        let premises = Premises {
            settings: settings(),
            look: Box::new(move || {
                let looked = Looked {
                    manifest: manifest.clone(),
                    settings: settings(),
                    problems: Vec::new(),
                };
                Box::pin(async move { Ok(looked) })
            }),
        };
        let door = Door::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let dashboard = door.open(&folder, premises).unwrap();
        Self {
            temp,
            folder,
            dashboard,
            supervisor,
            client: Client::builder().no_proxy().build().unwrap(),
            task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.dashboard.invitation().url)
    }

    /// `127.0.0.1:9000`
    pub(crate) fn address(&self) -> String {
        self.url("").replace("http://", "")
    }

    pub(crate) fn token(&self) -> &str {
        self.dashboard.invitation().token.as_str()
    }

    /// A request without anything that it needs.
    pub(crate) fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        let request = self.bare("GET", &format!("/api/v1/{path}"));
        request.bearer_auth(self.token()).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        let request = self.bare("POST", &format!("/api/v1/{path}"));
        let request = request.bearer_auth(self.token()).json(&body);
        request.send().await.unwrap()
    }

    /// Writes lines to the log of a replica.
    pub(crate) fn log(&self, replica: &str, lines: &[&str]) {
        use std::io::Write as _;
        let path = self.folder.logs().join(format!("{replica}.log"));
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
    }

    /// Keeps these spans, as the supervisor does.
    pub(crate) fn spans(&self, spans: &[&str]) {
        let folder = self.folder.traces();
        fs::create_dir_all(&folder).unwrap();
        let lines: String = spans.iter().map(|span| format!("{span}\n")).collect();
        fs::write(folder.join("000000000000.spans"), lines).unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Supervisor {
    /// What it has been asked but for how things are and go.
    pub(crate) fn asked(&self) -> Vec<Request> {
        let asked = self.asked.lock().unwrap().clone();
        let changes = asked
            .into_iter()
            .filter(|request| !matches!(request, Request::Status | Request::Look(_)));
        changes.collect()
    }

    pub(crate) fn show(&self, change: impl FnOnce(&mut Overview)) {
        change(&mut self.overview.lock().unwrap());
    }

    pub(crate) fn answers_changes(&self, answer: Answer) {
        *self.changed.lock().unwrap() = answer;
    }

    pub(crate) fn lets_see(&self, seen: fn(&Look) -> Seen) {
        *self.seen.lock().unwrap() = Some(seen);
    }

    fn answer(&self, request: Request) -> Answer {
        self.asked.lock().unwrap().push(request.clone());
        let runs = self.overview.lock().unwrap().clone();
        match request {
            Request::Reshape {
                topology,
                groups,
                dry_run: true,
            } => {
                if topology == runs.status.topology
                    && groups.iter().all(|group| group.replicas == 1)
                {
                    return Answer::Changed { left: Vec::new() };
                }
                let change = |group: &anylith_supervisor::Group| {
                    json!({
                        "name": group.name, "becomes": "new", "components": group.components,
                        "comes": [], "goes": [], "before": 0, "after": group.replicas,
                    })
                };
                let plan = json!({
                    "from": runs.status.topology, "to": topology,
                    "groups": groups.iter().map(change).collect::<Vec<_>>(),
                    "processes": {"before": 2, "peak": 4, "after": 2},
                    "memory": {"before_bytes": 1, "peak_bytes": 2},
                });
                Answer::Plan(serde_json::from_value(plan).unwrap())
            }
            Request::Look(look) => match *self.seen.lock().unwrap() {
                Some(seen) => Answer::Seen(Box::new(seen(&look))),
                None => Answer::Status(runs),
            },
            Request::Status | Request::Unknown => Answer::Status(runs),
            _ => self.changed.lock().unwrap().clone(),
        }
    }
}

async fn listen(listener: UnixListener, supervisor: Arc<Supervisor>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(stream, Arc::clone(&supervisor)));
    }
}

async fn serve(mut stream: UnixStream, supervisor: Arc<Supervisor>) {
    let mut decoder = Decoder::default();
    let mut bytes = Vec::new();
    let request = loop {
        if let Some(opening) = decoder.next().unwrap() {
            match opening {
                Opening::Ask(request) => break request,
                other => panic!("the dashboard says {other:?}"),
            }
        }
        bytes.clear();
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        decoder.feed(&bytes);
    };
    let answer = encode(&supervisor.answer(request)).unwrap();
    // Who asked may not wait for it.
    let _ = stream.write_all(&answer).await;
}

/// The events of a stream, as they come: name and data.
pub(crate) struct Events {
    response: Response,
    text: String,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        let kind = &response.headers()["content-type"];
        assert_eq!(kind, "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                let found = (field("event: "), field("data: "));
                self.text = rest.to_owned();
                if let (Some(name), Some(data)) = found {
                    return Some((name, serde_json::from_str(&data).unwrap()));
                }
            }
            let more = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&more).unwrap());
        }
    }
}
