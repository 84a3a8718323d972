//! `anylith render kubernetes`, `anylith diff`, `anylith certs` and `anylith image`: what they write, what they refuse before anything is
//! written, and what a second time changes.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

mod stage;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use stage::{Call, Stage};

const TOML: &str = r#"
[components.Cart]
key = { env = "A_KEY_THAT_IS_ELSEWHERE" }

[topologies.split]
groups.front = { components = ["Front"], replicas = 2 }
groups.rest = { components = ["*"] }
"#;

const RENDER: &str = "render kubernetes --topology split --image shop:1.4";

fn stage(toml: &str) -> (Stage, PathBuf) {
    let stage = Stage::with(toml);
    let app = stage.temp.path().join("app");
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

fn good(call: Call) -> Call {
    assert_eq!(call.code(), 0, "{}", call.err());
    call
}

#[test]
fn it_says_what_it_wrote_and_what_to_do_next() {
    let (stage, _) = stage(TOML);
    let call = good(stage.call(&format!("{RENDER} --namespace shop")));
    assert_eq!(
        call.out(),
        "kubernetes/application.yaml\nkubernetes/groups/front.yaml\nkubernetes/groups/rest.yaml\n\
         kubernetes/kustomization.yaml\n"
    );
    for words in [
        "kubectl create secret generic puppet-secrets -n shop --from-literal=A_KEY_THAT_IS_ELSEWHERE=",
        "anylith certs --topology split --namespace shop && kubectl apply -f certs/",
        "kubectl apply -n shop -k kubernetes",
    ] {
        assert!(call.err().contains(words), "{}", call.err());
    }
}

#[test]
fn no_secret_is_written_though_the_environment_has_it() {
    let (stage, app) = stage(TOML);
    let mut command = stage.command(RENDER);
    let output = command.env("A_KEY_THAT_IS_ELSEWHERE", "hunter2").output();
    assert!(output.unwrap().status.success());
    for (path, text) in files(&app.join("kubernetes")) {
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn a_second_time_changes_nothing_and_another_topology_leaves_nothing_behind() {
    let (stage, app) = stage(TOML);
    good(stage.call(RENDER));
    let before = files(&app.join("kubernetes"));
    good(stage.call(RENDER));
    assert_eq!(before, files(&app.join("kubernetes")));
    let own = app.join("kubernetes/groups/own.yaml");
    fs::write(&own, "mine").unwrap();
    let call = good(stage.call("render kubernetes --image shop:1.4"));
    assert!(
        call.err().contains("removed kubernetes/groups/front.yaml"),
        "{}",
        call.err()
    );
    let left: Vec<String> = files(&app.join("kubernetes/groups"))
        .keys()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(left, ["monolith.yaml", "own.yaml"]);
}

#[test]
fn bad_input_is_refused_with_the_mend_before_anything_is_written() {
    let long = "x".repeat(64);
    let storage = "[kubernetes.components.Cart]\nstorage = { size = \"1GiB\" }\n";
    let asleep = "[topologies.t]\ngroups.one = { components = [\"Front\"] }\n\
                  groups.two = { components = [\"*\"], replicas = { min = 0, max = 2 } }\n";
    for (toml, flags, words) in [
        (
            TOML,
            "--topology split --image Shop:1",
            "`Shop` has capitals",
        ),
        (TOML, "--topology split --image shop: ", "is no tag"),
        (
            TOML,
            "--topology split --image shop:1 --namespace Shop",
            "cannot be a namespace",
        ),
        (
            TOML,
            &format!("--topology split --image shop:1 --namespace {long}"),
            "at most 63",
        ),
        (
            TOML,
            "--topology spilt --image shop:1",
            "did you mean `split`?",
        ),
        (
            TOML,
            "--topology split --image shop:1 --replicas frnot=2",
            "front",
        ),
        (storage, "--image shop:1", "has no `class`"),
        (asleep, "--topology t --image shop:1", "write min = 1"),
    ] {
        let (stage, app) = stage(toml);
        let call = stage.call(&format!("render kubernetes {flags}"));
        assert_eq!(call.code(), 2, "{flags}: {}", call.err());
        assert!(call.err().contains(words), "{flags}: {}", call.err());
        assert!(!app.join("kubernetes").exists(), "{flags}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let (stage, _) = stage("[kubernetes]\nlag = \"10\"\n");
    let call = stage.call("render kubernetes --image a:b:c --namespace -");
    assert_eq!(call.code(), 2);
    for words in [
        "--image a:b:c",
        "--namespace",
        "is not a length of time",
        "3 problems",
    ] {
        assert!(call.err().contains(words), "{}", call.err());
    }
}

#[test]
fn another_folder_is_not_written_into() {
    let (stage, app) = stage(TOML);
    fs::create_dir(app.join("deploy")).unwrap();
    fs::write(app.join("deploy/mine"), "mine").unwrap();
    let call = stage.call(&format!("{RENDER} -o deploy"));
    assert_eq!(call.code(), 2, "{}", call.err());
    assert!(
        call.err().contains("holds something else"),
        "{}",
        call.err()
    );
}

const DIFF: &str = "diff --topology split --image shop:1.4";

#[test]
fn nothing_differs_from_what_was_rendered_and_what_does_is_shown_file_by_file() {
    let (stage, app) = stage(TOML);
    good(stage.call(RENDER));
    let own = app.join("kubernetes/own.yaml");
    fs::write(own, "mine").unwrap();
    let before = files(&app.join("kubernetes"));
    let call = good(stage.call(DIFF));
    assert_eq!(call.out(), "");
    assert!(call.err().contains("has what would be rendered"));
    // One is edited, one is gone, and in another topology a third is not needed.
    let rest = app.join("kubernetes/groups/rest.yaml");
    let text = fs::read_to_string(&rest).unwrap();
    assert!(text.contains("\n  replicas: 1\n"), "{text}");
    fs::write(
        &rest,
        text.replace("\n  replicas: 1\n", "\n  replicas: 7\n"),
    )
    .unwrap();
    fs::remove_file(app.join("kubernetes/application.yaml")).unwrap();
    let call = stage.call(DIFF);
    assert_eq!(call.code(), 1, "{}", call.err());
    let shown = call.out();
    let heads: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("--- ") || line.starts_with("+++ "))
        .collect();
    assert_eq!(
        heads,
        [
            "--- /dev/null",
            "+++ kubernetes/application.yaml",
            "--- kubernetes/groups/rest.yaml",
            "+++ kubernetes/groups/rest.yaml",
        ]
    );
    assert!(
        call.out().contains("\n-  replicas: 7\n+  replicas: 1\n"),
        "{}",
        call.out()
    );
    assert!(
        call.err()
            .contains("1 file changed, 1 new, 0 not rendered any more"),
        "{}",
        call.err()
    );
    // It has changed nothing, and with what it shows `patch` makes what was rendered.
    let patch = app.join("it.patch");
    fs::write(&patch, call.out()).unwrap();
    let patched = Command::new("patch")
        .args(["-p0", "--quiet", "-i"])
        .arg(&patch)
        .current_dir(&app)
        .status();
    // It is a part of Debian's tools for building, and of no other use here.
    if patched.is_ok_and(|status| status.success()) {
        assert_eq!(before, files(&app.join("kubernetes")));
    }
    let call = stage.call("diff --image shop:1.4");
    assert_eq!(call.code(), 1, "{}", call.err());
    assert!(
        call.out()
            .contains("--- kubernetes/groups/front.yaml\n+++ /dev/null\n"),
        "{}",
        call.out()
    );
    assert!(!call.out().contains("mine"), "{}", call.out());
}

#[test]
fn what_a_folder_is_compared_with_has_to_be_right_and_the_folder_there() {
    let (stage, app) = stage(TOML);
    let call = stage.call(DIFF);
    assert_eq!(call.code(), 2, "{}", call.err());
    assert!(
        call.err().contains("there is no folder kubernetes"),
        "{}",
        call.err()
    );
    fs::create_dir(app.join("deploy")).unwrap();
    fs::write(app.join("deploy/mine"), "mine").unwrap();
    let call = stage.call(&format!("{DIFF} --against deploy"));
    assert_eq!(call.code(), 2, "{}", call.err());
    assert!(
        call.err().contains("holds something else"),
        "{}",
        call.err()
    );
    good(stage.call(RENDER));
    let call = stage.call("diff --image Shop:1 --topology spilt");
    assert_eq!(call.code(), 2, "{}", call.err());
    for words in ["`Shop` has capitals", "did you mean `split`?"] {
        assert!(call.err().contains(words), "{}", call.err());
    }
}

#[test]
fn certificates_are_closed_to_others_and_new_each_time_of_one_authority() {
    let (stage, app) = stage(TOML);
    let certs = "certs --topology split --namespace shop";
    let call = good(stage.call(certs));
    assert_eq!(
        call.out(),
        "certs/puppet-front-tls.yaml\ncerts/puppet-rest-tls.yaml\n"
    );
    let before = files(&app.join("certs"));
    for path in before
        .keys()
        .filter(|path| path.ends_with("puppet-rest-tls.yaml"))
    {
        let mode = fs::metadata(app.join("certs").join(path))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let text = |of: &BTreeMap<PathBuf, Vec<u8>>| {
        String::from_utf8(of[Path::new("puppet-rest-tls.yaml")].clone()).unwrap()
    };
    assert!(
        text(&before).contains("namespace: shop"),
        "{}",
        text(&before)
    );
    good(stage.call(certs));
    let after = files(&app.join("certs"));
    assert_ne!(text(&before), text(&after));
    let roots = |text: &str| {
        text.split("ca.crt:")
            .nth(1)
            .and_then(|it| it.split("tls.crt").next().map(str::to_owned))
    };
    assert_eq!(roots(&text(&before)), roots(&text(&after)));
}

#[test]
fn who_calls_nobody_needs_no_certificate_and_cert_manager_needs_no_command() {
    let (stage, app) = stage(TOML);
    let call = good(stage.call("certs --topology monolith"));
    assert!(
        call.err().contains("no certificate is needed"),
        "{}",
        call.err()
    );
    assert!(!app.join(".anylith-ca").exists());
    let (stage, _) = self::stage("[kubernetes]\nissuer = \"Issuer/ours\"\n");
    let call = stage.call("certs --topology micro");
    assert_eq!(call.code(), 2, "{}", call.err());
    assert!(
        call.err().contains("issued by the Issuer `ours`"),
        "{}",
        call.err()
    );
}

#[test]
fn an_image_has_one_digest_and_a_bad_name_is_refused() {
    let (stage, app) = stage("");
    let one = good(stage.call("image -t registry.example.com/puppet:1"));
    let other = good(stage.call("image -t registry.example.com/puppet:1 -o other.tar"));
    let digest = |call: &Call| call.out().rsplit('@').next().unwrap().to_owned();
    assert_eq!(digest(&one), digest(&other));
    assert!(digest(&one).starts_with("sha256:"), "{}", one.out());
    let [first, second] =
        ["puppet.oci.tar", "other.tar"].map(|name| fs::read(app.join(name)).unwrap());
    assert!(first == second);
    let call = stage.call("image -t Puppet -o third.tar");
    assert_eq!(call.code(), 2, "{}", call.err());
    assert!(call.err().contains("has capitals"), "{}", call.err());
    assert!(!app.join("third.tar").exists());
}
