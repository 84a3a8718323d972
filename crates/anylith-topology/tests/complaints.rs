//! What components say against their config, as the one who wrote it reads it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod shop;

use std::{ffi::OsString, io};

use anylith_topology::{Overrides, Problem, ReplicaChange, Secrets, Settings};
use serde_json::json;
use shop::application;

struct Vault;

impl Secrets for Vault {
    fn variable(&self, name: &str) -> Option<OsString> {
        (name == "KEY").then(|| "hunter\"2".into())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn io::Read>> {
        if path == "key.pem" {
            Ok(Box::new(&b"-----BEGIN\n"[..]))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

const SECRETS: &str = r#"
[components.Payment]
key = { env = "KEY" }
more = { pem = { file = "key.pem" }, kept.file = "name" }
"#;

#[test]
fn secrets_come_from_outside() {
    let overrides = Overrides::default();
    let settings = Settings::parse("anylith.toml", SECRETS, &overrides, &Vault).unwrap();
    let expected =
        json!({"key": "hunter\"2", "more": {"pem": "-----BEGIN", "kept": {"file": "name"}}});
    assert_eq!(settings.config("Payment"), Some(&expected));
}

fn cart(toml: &str) -> Settings {
    let toml = format!("[components.Cart]\n{toml}\n");
    Settings::read("anylith.toml", &toml, &Overrides::default(), &Vault).settings
}

fn complaint(settings: &Settings, key: &str, message: &str) -> Problem {
    settings.complaint("Cart", key, message).unwrap()
}

#[test]
fn secrets_are_never_shown() {
    let overrides = Overrides::default().env([("ANYLITH__components__Payment__pin", "p4ssw0rd")]);
    let settings = Settings::parse("anylith.toml", SECRETS, &overrides, &Vault).unwrap();
    let manifest = application("app", &[("Payment", &[], &[])]);
    let plan = settings
        .plan(&manifest, "monolith", &ReplicaChange::NONE)
        .unwrap();
    let said = |key: &str, message: &str| {
        let complaint = settings.complaint("Payment", key, message);
        complaint.unwrap().to_string()
    };
    let hunter = "string \"hunter\\\"2\"";
    for shown in [
        format!("{settings:?}"),
        format!("{plan:?}"),
        said(
            "key",
            &format!("invalid value: {hunter}, expected p4ssw0rd or hunter\"2"),
        ),
        said("key", &format!("invalid type: {hunter}, expected u8")),
        said("pin", "invalid type: string \"p4ssw0rd\", expected u8"),
        said("pin", "unknown variant `p4ssw0rd`, expected `a` or `b`"),
        said("", "the pin p4ssw0rd is known to all"),
    ] {
        assert!(
            !shown.contains("hunter") && !shown.contains("p4ssw0rd"),
            "{shown}"
        );
    }
}

#[test]
fn what_was_typed_as_a_flag_is_shown() {
    let overrides = Overrides::default().set("components.Cart.limit=numbers");
    let settings = Settings::read("anylith.toml", "", &overrides, &Vault).settings;
    let complaint = complaint(&settings, "limit", "numbers go from 1 to 9");
    assert_eq!(
        complaint.to_string(),
        "--set components.Cart.limit: `limit` in the config of Cart is wrong: numbers go from 1 to 9\n  \
         = write a value that Cart can take"
    );
}

#[test]
fn a_complaint_is_placed_at_its_key() {
    let toml = "name = \"x\"\n[components.Cart.rates]\nEUR = 1\nUSD = \"much\"\nlist = [\n  1,\n  \"two\",\n]\n";
    let settings = cart(toml);
    let line = |key| complaint(&settings, key, "no").line();
    assert_eq!(line("rates.USD"), Some(5));
    assert_eq!(line("rates.list.1"), Some(8));
    assert_eq!(line("rates.JPY"), Some(3));
    assert_eq!(line("other"), Some(1));
    assert_eq!(line(""), Some(1));
    let none = settings
        .complaint("Stock", "", "missing field `url`")
        .unwrap();
    assert_eq!(none.line(), Some(9));
    assert_eq!(none.mend, "add a section [components.Stock] with `url = …`");
}

#[test]
fn an_unknown_key_is_told_its_nearest_name() {
    let settings = cart("lmit = 1\n[components.Cart.store]\npaht = 1");
    let problem = complaint(
        &settings,
        "lmit",
        "unknown field `lmit`, expected `limit` or `url`",
    );
    assert_eq!(problem.what, "unknown key `lmit` in the config of Cart");
    assert_eq!(problem.mend, "did you mean `limit`?");
    let problem = complaint(
        &settings,
        "store.paht",
        "unknown field `paht`, expected one of `path`, `size`, `age`",
    );
    assert_eq!(
        problem.what,
        "unknown key `paht` in `store` in the config of Cart"
    );
    assert_eq!(
        (problem.line(), problem.mend.as_str()),
        (Some(4), "did you mean `path`?")
    );
    let problem = complaint(
        &settings,
        "lmit",
        "unknown field `lmit`, there are no fields",
    );
    assert_eq!(problem.mend, "take it out: there are no keys");
}

#[test]
fn a_wrong_value_is_told_what_can_stand_there() {
    let settings = cart("limit = \"many\"\nmode = \"fsat\"\nurl = 3");
    let said = |key, message| {
        let Problem { what, mend, .. } = complaint(&settings, key, message);
        (what, mend)
    };
    let (what, mend) = said("limit", "invalid type: string \"many\", expected u8");
    assert_eq!(
        what,
        "`limit` in the config of Cart is the text \"many\", not a whole number from 0 to 255"
    );
    assert_eq!(mend, "write a whole number from 0 to 255");
    let (what, mend) = said(
        "limit",
        "invalid value: integer `-1`, expected a nonzero u16",
    );
    assert_eq!(
        what,
        "`limit` in the config of Cart cannot be the number `-1`"
    );
    assert_eq!(mend, "write a whole number from 1 to 65535");
    let (what, mend) = said("mode", "unknown variant `fsat`, expected `fast` or `safe`");
    assert_eq!(
        what,
        "`mode` in the config of Cart is `fsat`, which is not one of its values"
    );
    assert_eq!(mend, "did you mean `fast`?");
    let (_, mend) = said("url", "invalid type: integer `3`, expected a string");
    assert_eq!(mend, "write a text in quotes");
    let (what, mend) = said("", "missing field `size`");
    assert_eq!(what, "the config of Cart has no `size`");
    assert_eq!(mend, "add `size = …` to [components.Cart]");
}

#[test]
fn a_secret_where_a_number_is_wanted_is_told_how_numbers_come_from_outside() {
    let settings = cart("limit = { env = \"KEY\" }");
    let problem = complaint(
        &settings,
        "limit",
        "invalid type: string \"hunter\\\"2\", expected u8",
    );
    assert_eq!(
        problem.mend,
        "a secret is text; write a whole number from 0 to 255, or set ANYLITH__components__Cart__limit"
    );
}

#[test]
fn what_looks_like_a_secret_and_is_none_is_told_how_secrets_are_written() {
    for toml in [
        "key = { env = 5 }",
        "key = { env = \"A\", file = \"b\" }",
        "[components.Cart.key]\nenv = \"KEY\"",
    ] {
        let problem = complaint(&cart(toml), "key", "invalid type: map, expected a string");
        assert_eq!(
            problem.what,
            "`key` in the config of Cart is a table, not a text in quotes"
        );
        assert!(
            problem.mend.contains("in braces: { env = \"NAME\" }"),
            "{toml}"
        );
    }
}

#[test]
fn a_secret_whose_key_is_mistyped_is_told_the_right_one() {
    for (toml, meant) in [
        (
            "key = { evn = \"KEY\" }",
            "did you mean `env` in the place of `evn`?",
        ),
        (
            "key = { fiel = \"p\" }",
            "did you mean `file` in the place of `fiel`?",
        ),
    ] {
        let problem = complaint(&cart(toml), "key", "invalid type: map, expected a string");
        assert_eq!(problem.mend, meant);
    }
}

#[test]
fn a_secret_that_was_not_found_is_one_problem() {
    let settings = cart(
        "url = { env = \"GONE\" }\nsize = 1\n[components.Cart.more]\nkey = { env = \"GONE\" }",
    );
    let is_said = |key, message| settings.complaint("Cart", key, message).is_some();
    assert!(!is_said("url", "invalid type: null, expected a string"));
    assert!(!is_said(
        "more.key",
        "invalid type: null, expected a string"
    ));
    assert!(!is_said("more", "the key is too short"));
    assert!(!is_said("", "missing field `url`"));
    assert!(is_said("", "missing field `mode`"));
    assert!(is_said(
        "size",
        "invalid type: integer `1`, expected a string"
    ));
    assert!(is_said("more.kye", "unknown field `kye`, expected `key`"));
}

#[test]
fn a_failed_start_is_led_back_to_the_line_that_it_speaks_of() {
    let settings = cart("size = 1\nrates = \"data/rates.json\"");
    assert_eq!(
        settings
            .suspect("Cart", "cannot read /srv/data/rates.json: no such file")
            .unwrap(),
        "`rates` of [components.Cart] at anylith.toml:3:1"
    );
    assert_eq!(
        settings.suspect("Cart", "the database is down").unwrap(),
        "[components.Cart] at anylith.toml:1:13"
    );
    assert_eq!(settings.suspect("Stock", "no"), None);
}
