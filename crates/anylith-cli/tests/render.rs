//! `anylith render static`: what it writes, what it refuses, and what a second time changes.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use stage::Stage;

const TOML: &str = r#"
[components.Cart]
key = { env = "A_KEY_THAT_IS_ELSEWHERE" }

[topologies.split]
groups.front = { components = ["Front"], replicas = 2 }
groups.rest = { components = ["*"] }
"#;

const HOSTS: &str = r#"
[hosts.one]
address = "10.0.0.1"
groups = { front = 2 }
listeners.web = "0.0.0.0:80"

[hosts.two]
address = "10.0.0.2"
groups = { rest = 1 }
"#;

const RENDER: &str = "render static --topology split";

fn stage(hosts: &str) -> (Stage, PathBuf) {
    let stage = Stage::with(TOML);
    let app = stage.temp.path().join("app");
    fs::write(app.join("hosts.toml"), hosts).unwrap();
    (stage, app)
}

/// Every file below `folder`, by its path there.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(one) = folders.pop() {
        for entry in fs::read_dir(one).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), text);
            }
        }
    }
    found
}

#[test]
fn it_says_what_it_wrote_and_what_to_do_next() {
    let (stage, _) = stage(HOSTS);
    let call = stage.call(RENDER);
    assert_eq!(call.code(), 0, "{}", call.err());
    assert_eq!(
        call.out(),
        "out/one: front-one-1, front-one-2, web at 0.0.0.0:80\nout/two: rest-two-1\n"
    );
    for word in [
        "valid for 30 days",
        ".anylith-ca",
        "root@10.0.0.2:/opt/puppet/",
        "puppet.target",
    ] {
        assert!(call.err().contains(word), "{}", call.err());
    }
}

#[test]
fn an_account_is_made_where_none_can_be_taken_for_granted() {
    let one = "[hosts.one]\nuser = \"root\"";
    let (stage, _) = stage(&HOSTS.replace("[hosts.one]", one));
    let call = stage.call(RENDER);
    assert_eq!(call.code(), 0, "{}", call.err());
    let told = call.err();
    assert!(
        told.contains("ssh root@10.0.0.1 'chown -R root: "),
        "{told}"
    );
    assert!(
        told.contains("ssh root@10.0.0.2 'useradd -r puppet; "),
        "{told}"
    );
}

#[test]
fn keys_and_orders_are_closed_to_others_and_no_secret_is_written() {
    let (stage, app) = stage(HOSTS);
    let mut command = stage.command(RENDER);
    let output = command.env("A_KEY_THAT_IS_ELSEWHERE", "hunter2").output();
    assert!(output.unwrap().status.success());
    for (path, text) in files(&app.join("out")) {
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("hunter2"), "{}", path.display());
        let mode = fs::metadata(app.join("out").join(&path))
            .unwrap()
            .permissions()
            .mode();
        if path.components().any(|part| part.as_os_str() == "replicas") {
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
    }
    let ca = fs::metadata(app.join(".anylith-ca")).unwrap();
    assert_eq!(ca.permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_second_time_gives_new_certificates_of_the_same_authority_and_nothing_else() {
    let (stage, app) = stage(HOSTS);
    assert_eq!(stage.call(RENDER).code(), 0);
    let before = files(&app.join("out"));
    assert_eq!(stage.call(RENDER).code(), 0);
    let after = files(&app.join("out"));
    assert!(before.keys().eq(after.keys()));
    for (path, text) in &before {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_new = ["certificates.pem", "key.pem"].contains(&name);
        assert_eq!(after[path] != *text, is_new, "{}", path.display());
    }
}

#[test]
fn what_is_no_longer_needed_is_removed_and_what_somebody_else_put_there_stays() {
    let (stage, app) = stage(HOSTS);
    assert_eq!(stage.call(RENDER).code(), 0);
    let own = app.join("out/one/secrets.env");
    fs::write(&own, "A=b").unwrap();
    let moved = HOSTS.replace("[hosts.two]", "[hosts.three]");
    fs::write(app.join("hosts.toml"), moved).unwrap();
    let call = stage.call(RENDER);
    assert_eq!(call.code(), 0, "{}", call.err());
    assert!(app.join("out/three/replicas/rest-three-1/key.pem").exists());
    assert!(!app.join("out/two/replicas/rest-two-1/key.pem").exists());
    assert!(own.exists());
}

#[test]
fn a_folder_with_something_else_in_it_is_refused() {
    let (stage, app) = stage(HOSTS);
    fs::create_dir(app.join("out")).unwrap();
    fs::write(app.join("out/thesis.tex"), "").unwrap();
    stage
        .call(RENDER)
        .is_wrong(&["out holds something else", "-o"]);
    assert!(!app.join(".anylith-ca").exists(), "nothing is begun");
}

#[test]
fn mistakes_in_both_files_are_reported_together_before_anything_is_written() {
    let (stage, app) = stage(&HOSTS.replace("address = \"10.0.0.2\"", "adress = \"10.0.0.2\""));
    let call = stage.call(&format!("{RENDER} --set limits.messag=1MiB"));
    call.is_wrong(&["unknown key `adress`", "did you mean `address`?", "messag"]);
    assert!(!app.join("out").exists());
}

#[test]
fn mistakes_of_the_hosts_and_of_what_is_put_on_them_take_one_round() {
    let hosts = HOSTS
        .replace("\"10.0.0.2\"", "\"shop-2\"")
        .replace("rest = 1", "rset = 1")
        .replace("front = 2", "front = 3");
    let (stage, app) = stage(&hosts);
    let call = stage.call(&format!("{RENDER} --set limits.messag=1MiB"));
    call.is_wrong(&[
        "hosts.toml:4:12: the hosts run 3 of the group `front`, and the topology `split` says 2",
        "hosts.toml:8:11: `shop-2` is not an IP address",
        "hosts.toml:9:12: the topology `split` has no group `rset`",
        "did you mean `rest`?",
        "unknown key `messag`",
        "4 problems",
    ]);
    assert!(!app.join("out").exists());
}

#[test]
fn hosts_that_are_not_there_are_told_how_to_write_them() {
    let (stage, app) = stage(HOSTS);
    fs::remove_file(app.join("hosts.toml")).unwrap();
    stage
        .call(RENDER)
        .is_wrong(&["hosts.toml", "--hosts", "[hosts.one]"]);
}
