//! `anylith image --push`, to a registry that looks at everything it gets.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, head, post, put},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use stage::Stage;
use tokio::{net::TcpListener, runtime::Runtime};

/// `somebody:secret`, as a header has it.
const SOMEBODY: &str = "Basic c29tZWJvZHk6c2VjcmV0";
/// What tools for images note of that.
const NOTED: &str = "c29tZWJvZHk6c2VjcmV0";

/// What a registry has.
#[derive(Debug, Default)]
struct Kept {
    blobs: BTreeMap<String, Bytes>,
    /// Tag → the manifest and its type.
    manifests: BTreeMap<String, (Bytes, String)>,
    /// How many blobs were sent, those that it had before among them.
    uploads: usize,
    /// Whether somebody has to say who he is.
    closed: bool,
}

type Shelf = Arc<Mutex<Kept>>;

/// A registry for the repository `apps/puppet`, as the OCI distribution specification has it.
struct Registry {
    kept: Shelf,
    address: String,
    _runtime: Runtime,
}

impl Registry {
    fn open(closed: bool) -> Self {
        let kept = Shelf::new(Mutex::new(Kept {
            closed,
            ..Kept::default()
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let of = "/v2/apps/puppet";
        let router = Router::new()
            .route("/v2/", get(async || StatusCode::OK))
            .route(&format!("{of}/blobs/{{digest}}"), head(has))
            .route(&format!("{of}/blobs/uploads/"), post(begin))
            .route(&format!("{of}/blobs/uploads/1"), put(upload))
            .route(&format!("{of}/manifests/{{tag}}"), put(publish))
            .layer(from_fn_with_state(Arc::clone(&kept), known))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&kept));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            kept,
            address,
            _runtime: runtime,
        }
    }

    fn tag(&self, tag: &str) -> String {
        format!("{}/apps/puppet:{tag}", self.address)
    }
}

async fn known(State(kept): State<Shelf>, request: Request, next: Next) -> Response {
    let said = request.headers().get(header::AUTHORIZATION);
    let welcome = !kept.lock().unwrap().closed || said.is_some_and(|said| said == SOMEBODY);
    match welcome {
        true => next.run(request).await,
        false => {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"apps\"")];
            (StatusCode::UNAUTHORIZED, challenge).into_response()
        }
    }
}

async fn has(State(kept): State<Shelf>, Path(digest): Path<String>) -> StatusCode {
    match kept.lock().unwrap().blobs.contains_key(&digest) {
        true => StatusCode::OK,
        false => StatusCode::NOT_FOUND,
    }
}

async fn begin() -> impl IntoResponse {
    let location = [(header::LOCATION, "/v2/apps/puppet/blobs/uploads/1")];
    (StatusCode::ACCEPTED, location)
}

async fn upload(
    State(kept): State<Shelf>,
    Query(query): Query<BTreeMap<String, String>>,
    bytes: Bytes,
) -> impl IntoResponse {
    let digest = &query["digest"];
    let right = *digest == of(&bytes);
    let mut kept = kept.lock().unwrap();
    kept.uploads += 1;
    kept.blobs.insert(digest.clone(), bytes);
    let location = [(header::LOCATION, format!("/v2/apps/puppet/blobs/{digest}"))];
    match right {
        true => (StatusCode::CREATED, location),
        false => (StatusCode::BAD_REQUEST, location),
    }
}

async fn publish(
    State(kept): State<Shelf>,
    Path(tag): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> impl IntoResponse {
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let mut kept = kept.lock().unwrap();
    let there = parts(&manifest)
        .iter()
        .all(|digest| kept.blobs.contains_key(digest));
    let kind = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let location = [(
        header::LOCATION,
        format!("/v2/apps/puppet/manifests/{}", of(&bytes)),
    )];
    match there {
        true => {
            kept.manifests.insert(tag, (bytes, kind));
            (StatusCode::CREATED, location)
        }
        false => (StatusCode::NOT_FOUND, location),
    }
}

/// What a manifest leads to.
fn parts(manifest: &Value) -> Vec<String> {
    let layers = manifest["layers"].as_array().unwrap().iter();
    let parts = layers.chain([&manifest["config"]]);
    parts
        .map(|part| part["digest"].as_str().unwrap().to_owned())
        .collect()
}

fn of(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[test]
fn what_is_pushed_is_the_image_that_is_written_and_nothing_is_sent_twice() {
    let registry = Registry::open(false);
    let stage = Stage::with("");
    let app = stage.temp.path().join("app");
    let tag = registry.tag("1");
    let call = stage.call(&format!("image --push -t {tag} -o image.tar"));
    assert_eq!(call.code(), 0, "{}", call.err());
    assert!(app.join("image.tar").exists());
    {
        let kept = registry.kept.lock().unwrap();
        let (manifest, kind) = &kept.manifests["1"];
        assert_eq!(kind, "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(call.out(), format!("{tag}@{}\n", of(manifest)));
        let parts = parts(&serde_json::from_slice(manifest).unwrap());
        assert_eq!(kept.uploads, parts.len());
    }
    // The same under another name: nothing but the manifest goes there, and no file is written.
    let call = stage.call(&format!("image --push -t {}", registry.tag("2")));
    assert_eq!(call.code(), 0, "{}", call.err());
    let kept = registry.kept.lock().unwrap();
    assert_eq!(kept.manifests["1"], kept.manifests["2"]);
    assert_eq!(kept.uploads, 3);
    assert!(!app.join("puppet.oci.tar").exists());
}

#[test]
fn a_registry_that_asks_is_told_who_it_is_and_who_is_nobody_is_told_to_log_in() {
    let registry = Registry::open(true);
    let stage = Stage::with("");
    let tag = registry.tag("1");
    let call = stage.call(&format!("image --push -t {tag}"));
    assert_eq!(call.code(), 1, "{}", call.err());
    let words = format!("podman login {}", registry.address);
    assert!(call.err().contains(&words), "{}", call.err());
    assert!(registry.kept.lock().unwrap().manifests.is_empty());
    let noted = stage.temp.path().join("auth.json");
    let text = serde_json::json!({ "auths": { &registry.address: { "auth": NOTED } } });
    fs::write(&noted, text.to_string()).unwrap();
    let mut command = stage.command(&format!("image --push -t {tag}"));
    let output = command.env("REGISTRY_AUTH_FILE", &noted).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("secret"), "{said}");
    assert!(registry.kept.lock().unwrap().manifests.contains_key("1"));
}

#[test]
fn where_nothing_can_be_pushed_to_is_said_before_anything_is_built() {
    let stage = Stage::with("");
    for (flags, words) in [
        ("--push", "--push needs to know where to"),
        ("--push -t puppet:1", "names no registry"),
        ("--push -t registry.example.com/Puppet", "has capitals"),
    ] {
        let call = stage.call(&format!("image {flags}"));
        assert_eq!(call.code(), 2, "{flags}: {}", call.err());
        assert!(call.err().contains(words), "{flags}: {}", call.err());
    }
    // Nobody listens there any more.
    let address = Registry::open(false).address;
    let call = stage.call(&format!("image --push -t {address}/apps/puppet:1"));
    assert_eq!(call.code(), 1, "{}", call.err());
    assert!(call.err().contains("can it be reached"), "{}", call.err());
}
