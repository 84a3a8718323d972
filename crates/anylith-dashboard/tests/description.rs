//! Answers are as `openapi.json` describes them, field by field.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use anylith_supervisor::{Underway, UpgradeStage};
use jsonschema::Validator;
use serde_json::{Value, json};
use stage::{Events, Stage};

/// Two spans of a trace, as they are kept.
const REQUEST: &str = r#"{"trace":"0af7651916cd43dd8448eb211c80319c","id":"00000000000000a1","parent":"b7ad6b7169203331","kind":"request","component":"Web","method":"GET","path":"/cart","replica":"Web-1","begun_ns":1767322800000001000,"took_ns":9000000,"outcome":"executed","status":500,"kept":"failed"}"#;
const CALL: &str = r#"{"trace":"0af7651916cd43dd8448eb211c80319c","id":"00000000000000a2","parent":"00000000000000a1","kind":"client","caller":"Web","component":"Cart","method":"add","replica":"Web-1","begun_ns":1767322800001000000,"took_ns":7000000,"outcome":"erred","error":"Full","repeats":1,"kept":"related"}"#;

/// The schemas of the description.
struct Description(Value);

impl Description {
    async fn of(stage: &Stage) -> Self {
        Self(stage.get("openapi.json").await.json().await.unwrap())
    }

    /// A schema with all others within its reach.
    fn validator(&self, schema: &Value) -> Validator {
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        jsonschema::draft202012::new(&schema).unwrap()
    }

    /// Holds `answer` against the schema of what `method path` answers with `status`.
    fn check(&self, method: &str, path: &str, status: u16, answer: &Value) {
        let responses = &self.0["paths"][path][method]["responses"];
        let schema = &responses[status.to_string()]["content"]["application/json"]["schema"];
        assert!(
            schema.is_object(),
            "{method} {path} says nothing of {status}"
        );
        self.hold(schema, answer, &format!("{method} {path}, {status}"));
    }

    fn check_named(&self, name: &str, value: &Value) {
        self.hold(
            &json!({"$ref": format!("#/components/schemas/{name}")}),
            value,
            name,
        );
    }

    fn hold(&self, schema: &Value, value: &Value, what: &str) {
        let validator = self.validator(schema);
        let wrong: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{what}: {wrong:#?}\n{value:#}");
    }
}

#[tokio::test]
async fn answers_fit_their_schemas() {
    let stage = Stage::new().await;
    stage.log("Cart-1", &["plain", r#"{"ts":"2026-01-02T03:04:05.000000Z","level":"WARN","component":"Cart","msg":"slow"}"#]);
    stage.spans(&[REQUEST, CALL]);
    let description = Description::of(&stage).await;
    for (path, asked) in [
        ("/api/v1/status", "status"),
        ("/api/v1/graph", "graph?topology=pair"),
        ("/api/v1/picture", "picture"),
        ("/api/v1/topologies", "topologies"),
        ("/api/v1/components/{component}", "components/Cart"),
        ("/api/v1/components/{component}", "components/Web"),
        ("/api/v1/components/{component}", "components/Moon"),
        ("/api/v1/logs", "logs"),
        ("/api/v1/logs", "logs?level=loud"),
        ("/api/v1/graph", "graph?topology=moon"),
        ("/api/v1/traces", "traces"),
        ("/api/v1/traces", "traces?edge=Cart"),
        (
            "/api/v1/traces/{id}",
            "traces/0af7651916cd43dd8448eb211c80319c",
        ),
        (
            "/api/v1/traces/{id}",
            "traces/0af7651916cd43dd8448eb211c80319d",
        ),
        ("/api/v1/traces/{id}", "traces/0"),
        ("/api/v1/openapi.json", "openapi.json"),
    ] {
        let answer = stage.get(asked).await;
        let status = answer.status().as_u16();
        description.check("get", path, status, &answer.json().await.unwrap());
    }
    for (path, body) in [
        ("reshape", json!({"topology": "pair", "dry_run": true})),
        ("reshape", json!({"topology": "pair"})),
        ("reshape", json!({"topology": "micro"})),
        ("reshape", json!({"topology": "moon"})),
        ("reshape", json!({"moon": 1})),
        ("scale", json!({"groups": {"Web": "2"}})),
        ("scale", json!({"groups": {"Web": "x"}})),
        ("restart", json!({"group": "Cart"})),
    ] {
        let answer = stage.post(path, body.clone()).await;
        let status = answer.status().as_u16();
        let path = format!("/api/v1/{path}");
        description.check("post", &path, status, &answer.json().await.unwrap());
    }
}

#[tokio::test]
async fn events_fit_their_schemas() {
    let stage = Stage::new().await;
    let description = Description::of(&stage).await;
    let mut events = Events::of(stage.get("events").await);
    let (name, state) = events.next().await.unwrap();
    assert_eq!(name, "state");
    description.check_named("State", &state);
    stage.supervisor.show(|now| {
        now.status.groups.swap(0, 1);
        now.status.groups[0].replicas[0].restarts += 1;
        now.status.epoch += 1;
        now.status.listeners.clear();
        now.notes.clear();
        now.troubles.clear();
        now.change = Some("rolling".to_owned());
        let stage = UpgradeStage::Paused;
        now.underway = Some(Underway::Upgrade { stage });
    });
    let (name, change) = events.next().await.unwrap();
    assert_eq!(name, "change");
    description.check_named("Difference", &change);
    assert_eq!(change.as_object().unwrap().len(), 8, "{change}");
}

#[tokio::test]
async fn requests_that_are_described_are_taken() {
    let stage = Stage::new().await;
    let description = Description::of(&stage).await;
    for (path, body) in [
        (
            "reshape",
            json!({"topology": "pair", "replicas": "2", "dry_run": true}),
        ),
        ("scale", json!({"groups": {"Web": "2"}, "dry_run": true})),
        ("restart", json!({"group": null})),
    ] {
        let schema = &description.0["paths"][format!("/api/v1/{path}")]["post"]["requestBody"]["content"]
            ["application/json"]["schema"];
        description.hold(schema, &body, path);
        let named: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let sent: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(named, sent, "{path}: every field is tried");
        assert_eq!(stage.post(path, body).await.status(), 200, "{path}");
    }
}
