//! Who is let in, and what becomes of those who are not.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{fs, os::unix::fs::PermissionsExt as _};

use reqwest::header;
use serde_json::{Value, json};
use stage::{Events, Stage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Every route that there is, with what fits it.
const ROUTES: [(&str, &str); 14] = [
    ("GET", "/api/v1/status"),
    ("GET", "/api/v1/graph"),
    ("GET", "/api/v1/picture"),
    ("GET", "/api/v1/topologies"),
    ("GET", "/api/v1/components/Cart"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/logs"),
    ("GET", "/api/v1/logs/follow"),
    ("GET", "/api/v1/traces"),
    ("GET", "/api/v1/traces/0af7651916cd43dd8448eb211c80319c"),
    ("GET", "/api/v1/openapi.json"),
    ("POST", "/api/v1/reshape"),
    ("POST", "/api/v1/scale"),
    ("POST", "/api/v1/restart"),
];

fn body(path: &str) -> Value {
    match path {
        "/api/v1/reshape" => json!({"topology": "pair"}),
        "/api/v1/scale" => json!({"groups": {"Web": "2"}}),
        _ => json!({}),
    }
}

/// Sends a request as it stands there, and returns the answer's first line and all of it.
async fn raw(stage: &Stage, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(stage.address()).await.unwrap();
    // Where it is refused before all of it was sent, the rest cannot be.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn without_a_token_nothing_is_answered_and_nothing_is_done() {
    let stage = Stage::new().await;
    for (method, path) in ROUTES {
        let answer = stage
            .bare(method, path)
            .json(&body(path))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 401, "{method} {path}");
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
    assert_eq!(
        stage
            .bare("GET", "/api/v1/moon")
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    assert_eq!(stage.supervisor.asked(), []);
}

#[tokio::test]
async fn a_wrong_token_is_none() {
    let stage = Stage::new().await;
    let token = stage.token().to_owned();
    let flipped = |digit: char| if digit == '0' { '1' } else { '0' };
    let last = token.chars().next_back().map(flipped).unwrap();
    for wrong in [
        format!("Bearer {}{last}", &token[..63]),
        format!("Bearer {}", &token[..63]),
        format!("Bearer {token}0"),
        format!("Bearer {}", "0".repeat(64)),
        "Bearer ".to_owned(),
        token.clone(),
        format!("Basic {token}"),
    ] {
        for (method, path) in ROUTES {
            let request = stage.bare(method, path).json(&body(path));
            let request = request.header(header::AUTHORIZATION, &wrong);
            assert_eq!(
                request.send().await.unwrap().status(),
                401,
                "{method} {path}"
            );
        }
    }
    // In the address it would be in logs, and in a cookie it would go to every port of this host.
    let in_address = stage.bare("GET", &format!("/api/v1/status?token={token}"));
    assert_eq!(in_address.send().await.unwrap().status(), 401);
    let in_cookie = stage
        .bare("GET", "/api/v1/status")
        .header(header::COOKIE, format!("token={token}"));
    assert_eq!(in_cookie.send().await.unwrap().status(), 401);
    assert_eq!(stage.supervisor.asked(), []);
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_whatever_it_has() {
    let stage = Stage::new().await;
    let port = stage.address().rsplit(':').next().unwrap().to_owned();
    for origin in [
        "http://evil.example".to_owned(),
        "null".to_owned(),
        "http://127.0.0.1:8080".to_owned(),
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
    ] {
        for (method, path) in ROUTES {
            let request = stage.bare(method, path).bearer_auth(stage.token());
            let request = request.json(&body(path)).header(header::ORIGIN, &origin);
            assert_eq!(
                request.send().await.unwrap().status(),
                403,
                "{origin}: {method} {path}"
            );
        }
    }
    for site in ["cross-site", "same-site"] {
        let request = stage
            .bare("GET", "/api/v1/status")
            .bearer_auth(stage.token());
        let answer = request.header("sec-fetch-site", site).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{site}");
    }
    assert_eq!(stage.supervisor.asked(), []);
}

#[tokio::test]
async fn the_page_itself_may_ask() {
    let stage = Stage::new().await;
    let request = stage
        .bare("POST", "/api/v1/restart")
        .bearer_auth(stage.token());
    let request = request
        .header(header::ORIGIN, stage.url(""))
        .header("sec-fetch-site", "same-origin");
    assert_eq!(request.json(&json!({})).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_name_that_somebody_has_led_here_is_refused() {
    let stage = Stage::new().await;
    let port = stage.address().rsplit(':').next().unwrap().to_owned();
    let token = stage.token().to_owned();
    for (host, answered) in [
        ("evil.example".to_owned(), "421"),
        (format!("evil.example:{port}"), "421"),
        (format!("127.0.0.1.evil.example:{port}"), "421"),
        (format!("localhost:{port}"), "200"),
        (format!("127.0.0.1:{port}"), "200"),
    ] {
        for path in ["/", "/api/v1/status"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
            );
            assert_eq!(
                status(&raw(&stage, request.as_bytes()).await),
                answered,
                "{host} {path}"
            );
        }
    }
    let address = stage.address();
    for request in [
        format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET http://evil.example/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        ),
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        assert_eq!(
            status(&raw(&stage, request.as_bytes()).await),
            "421",
            "{request}"
        );
    }
}

#[tokio::test]
async fn there_is_no_way_out_of_the_table_of_assets() {
    let stage = Stage::new().await;
    let address = stage.address();
    for path in [
        "/../Cargo.toml",
        "/assets/../../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/assets/",
        "/dashboard.json",
        "/index.html%00",
        "/src/main.tsx",
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = raw(&stage, request.as_bytes()).await;
        assert_eq!(status(&answer), "404", "{path}: {answer}");
    }
    let token = stage.token().to_owned();
    for path in [
        "/api/v1/components/..%2f..%2fdashboard.json",
        "/api/v1/logs/../../../etc/passwd",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            status(&raw(&stage, request.as_bytes()).await),
            "404",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_log_is_not_asked_for_by_its_path() {
    let stage = Stage::new().await;
    fs::write(stage.folder.path().join("secret.log"), "hunter2\n").unwrap();
    let told: Value = stage
        .get("logs?replica=../secret")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(told, json!([]));
}

#[tokio::test]
async fn what_a_component_says_is_text_to_every_browser() {
    let stage = Stage::new().await;
    let answer = stage.get("status").await;
    let headers = answer.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("<script>alert(1)</script>")
    );
}

#[tokio::test]
async fn every_answer_forbids_what_no_answer_needs() {
    let stage = Stage::new().await;
    for path in ["/", "/nothing", "/api/v1/status", "/api/v1/nothing"] {
        let answer = stage
            .bare("GET", path)
            .bearer_auth(stage.token())
            .send()
            .await
            .unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(!answer.headers().contains_key(header::SET_COOKIE));
        assert!(
            !answer
                .headers()
                .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
        );
    }
}

#[tokio::test]
async fn the_page_has_no_script_of_its_own_and_names_no_other_host() {
    let stage = Stage::new().await;
    let page = stage
        .bare("GET", "/")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let scripts: Vec<&str> = page.split("<script").skip(1).collect();
    assert!(!scripts.is_empty());
    for script in scripts {
        let (tag, rest) = script.split_once('>').unwrap();
        assert!(
            tag.contains("src=\"/assets/") && rest.starts_with("</script>"),
            "{script}"
        );
    }
    assert!(
        !page.contains("http:") && !page.contains("https:") && !page.contains("<style"),
        "{page}"
    );
    // What it loads is there, and is kept: its name changes with its content.
    let named = page.split('"').filter(|text| text.starts_with("/assets/"));
    let mut kinds: Vec<String> = Vec::new();
    for path in named {
        let answer = stage.bare("GET", path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(
            answer.headers()[header::CACHE_CONTROL]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
        kinds.push(kind.split(';').next().unwrap().to_owned());
    }
    kinds.sort();
    assert_eq!(kinds, ["image/svg+xml", "text/css", "text/javascript"]);
}

#[tokio::test]
async fn huge_heads_and_bodies_are_refused() {
    let stage = Stage::new().await;
    let (address, token) = (stage.address(), stage.token().to_owned());
    let long = "x".repeat(200_000);
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nX-Long: {long}\r\n\r\n");
    assert_eq!(status(&raw(&stage, request.as_bytes()).await), "431");
    let request = format!("GET /{long} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    assert!(["414", "431"].contains(&status(&raw(&stage, request.as_bytes()).await)));
    let many: String = (0..1000)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect();
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n{many}\r\n");
    assert_eq!(status(&raw(&stage, request.as_bytes()).await), "431");
    // By what it says of its length, and by what it is.
    let head = format!(
        "POST /api/v1/reshape HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    );
    let request = format!("{head}Content-Length: 99999999999\r\n\r\n{{}}");
    assert_eq!(status(&raw(&stage, request.as_bytes()).await), "413");
    let body = json!({"topology": long}).to_string();
    let request = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(status(&raw(&stage, request.as_bytes()).await), "413");
    assert_eq!(stage.supervisor.asked(), []);
    assert_eq!(stage.get("status").await.status(), 200);
}

#[tokio::test]
async fn a_form_that_another_site_sends_is_no_request() {
    let stage = Stage::new().await;
    let request = stage
        .bare("POST", "/api/v1/restart")
        .bearer_auth(stage.token());
    let request = request
        .header(header::CONTENT_TYPE, "text/plain")
        .body("{}");
    assert_eq!(request.send().await.unwrap().status(), 415);
    assert_eq!(stage.supervisor.asked(), []);
}

#[tokio::test]
async fn the_token_is_written_for_its_owner_alone_and_goes_with_the_run() {
    let stage = Stage::new().await;
    let path = stage.folder.dashboard();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = Stage::new().await;
    assert_ne!(stage.token(), other.token());
    let address = stage.address();
    drop(stage);
    assert!(!path.exists());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn who_looks_and_does_not_read_is_hung_up_on_and_nobody_waits_for_him() {
    let stage = Stage::new().await;
    let mut lazy = TcpStream::connect(stage.address()).await.unwrap();
    let (address, token) = (stage.address(), stage.token());
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    lazy.write_all(request.as_bytes()).await.unwrap();
    lazy.readable().await.unwrap();
    let mut other = Events::of(stage.get("events").await);
    other.next().await.unwrap();
    // More than the system and the server together keep for somebody: each change is a megabyte.
    let (long, mut sent) = ("x".repeat(1 << 20), 0);
    loop {
        sent += 1;
        assert!(sent < 500, "a reader who does not read is kept");
        stage
            .supervisor
            .show(|now| now.change = Some(format!("{sent}{long}")));
        let (_, change) = other.next().await.unwrap();
        assert!(
            change["change"]
                .as_str()
                .unwrap()
                .starts_with(&sent.to_string())
        );
        // Once he was hung up on, writing to him fails.
        if lazy
            .try_write(b"\r\n")
            .is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
        {
            break;
        }
    }
}
