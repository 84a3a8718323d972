//! The graph in every format, compared with `drawings/`, which `UPDATE=1 cargo test -p anylith-topology`
//! rewrites. Look at the pictures before you commit them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod golden;
mod shop;

use std::path::PathBuf;

use anylith_core::Manifest;
use anylith_topology::{
    Overrides, Plan, ReplicaChange, Settings, Unread,
    draw::{Format, LEGEND, draw},
};
use shop::{application, shop};

const MIX: &str = r#"
[topologies.mix]
groups.web = { components = ["Frontend", "Ad", "Recommendation"], replicas = 3 }
groups.money = { components = ["Checkout", "Payment", "Currency", "Email"] }
groups.goods = { components = ["*"], replicas = 2 }
"#;

fn plan(topology: &str) -> Plan {
    let settings = Settings::parse("anylith.toml", MIX, &Overrides::default(), &Unread).unwrap();
    settings
        .plan(&shop(), topology, &ReplicaChange::NONE)
        .unwrap()
}

fn compare(name: &str, manifest: &Manifest, plan: Option<&Plan>) {
    for (extension, format) in Format::ALL {
        let file = format!("tests/drawings/{name}.{extension}");
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
        golden::compare(&path, &draw(format, manifest, plan));
    }
}

#[test]
fn the_shop_is_drawn() {
    compare("shop", &shop(), None);
}

#[test]
fn a_plan_is_drawn_with_its_groups() {
    compare("shop-mix", &shop(), Some(&plan("mix")));
    compare("shop-micro", &shop(), Some(&plan("micro")));
}

#[test]
fn a_cycle_is_drawn_too() {
    let cycle = application(
        "cycle",
        &[
            ("A", &["B"], &[]),
            ("B", &["C", "B"], &[]),
            ("C", &["A"], &[]),
            ("Lonely", &[], &[]),
        ],
    );
    compare("cycle", &cycle, None);
}

#[test]
fn an_application_without_components_is_drawn_as_nothing() {
    let empty = application("empty", &[]);
    for (_, format) in Format::ALL {
        assert!(draw(format, &empty, None).contains("empty") || format == Format::Mermaid);
    }
}

#[test]
fn the_drawn_forms_say_what_an_arrow_means() {
    for (name, format) in Format::ALL {
        let drawn = draw(format, &shop(), None);
        assert_eq!(drawn.contains(LEGEND), format != Format::Json, "{name}");
    }
}

#[test]
fn what_people_wrote_cannot_break_out_of_a_drawing() {
    let mut manifest = application("app", &[("end", &["A"], &["web"]), ("A", &[], &[])]);
    manifest.summary = "</title><script>\u{1b}[2J\"\\".to_owned();
    manifest.components[0].summary = "\"];</g><script>alert(1)</script>\u{0}&amp;".to_owned();
    for (name, format) in Format::ALL {
        let drawn = draw(format, &manifest, None);
        assert!(
            !drawn.contains('\x1b') && !drawn.contains('\0'),
            "{name}: {drawn}"
        );
        if format != Format::Json && format != Format::Text {
            assert!(!drawn.contains("<script"), "{name}: {drawn}");
        }
    }
    assert!(draw(Format::Svg, &manifest, None).contains("&lt;/g&gt;&lt;script&gt;"));
    let json: serde_json::Value =
        serde_json::from_str(&draw(Format::Json, &manifest, None)).unwrap();
    assert_eq!(json["components"][0]["dependencies"][0], "A");
}

#[test]
fn the_json_is_what_the_command_promises() {
    let json = draw(Format::Json, &shop(), Some(&plan("mix")));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["app"], "boutique");
    let frontend = &json["components"][9];
    assert_eq!(frontend["name"], "Frontend");
    assert_eq!(frontend["listeners"], serde_json::json!(["web"]));
    assert_eq!(frontend["fingerprint"].as_str().unwrap().len(), 16);
    let method = &json["components"][0]["methods"][0];
    assert_eq!(
        (&method["name"], &method["idempotent"]),
        (&"get".into(), &true.into())
    );
    assert_eq!(json["groups"].as_array().unwrap().len(), 3);
}

#[test]
fn who_draws_the_graph_himself_gets_every_component_and_every_edge_within_the_picture() {
    let shop = shop();
    let picture = anylith_topology::draw::picture(&shop);
    let placed: Vec<_> = picture.boxes.iter().map(|it| &it.component).collect();
    let named: Vec<_> = shop.components.iter().map(|it| &it.name).collect();
    assert_eq!(placed, named);
    let edges: usize = shop.components.iter().map(|it| it.dependencies.len()).sum();
    assert_eq!(picture.lines.len(), edges);
    for it in &picture.boxes {
        assert!(it.x >= 0.0 && it.x + it.width <= picture.width, "{it:?}");
        assert!(it.y >= 0.0 && it.y + it.height <= picture.height, "{it:?}");
    }
    for line in &picture.lines {
        let end = picture
            .boxes
            .iter()
            .find(|it| it.component == line.to)
            .unwrap();
        assert!(
            (line.tip_x - end.x).abs() < 0.1,
            "{line:?} does not end at {end:?}"
        );
    }
}
