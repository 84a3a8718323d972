//! The manifests of three applications, as they were looked at. `UPDATE=1 cargo test -p anylith-kube` rewrites them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod apps;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use anylith_kube::flaws;
use apps::App;
use serde_json::Value;

/// Application, topology, and replicas that were asked for → the folder.
type Case = (fn() -> App, &'static str, &'static str, &'static str);

const CASES: [Case; 12] = [
    (App::shop, "monolith", "", "boutique-monolith"),
    (App::shop, "monolith", "3", "boutique-replicated"),
    (App::shop, "micro", "", "boutique-micro"),
    (App::shop, "window", "", "boutique-window"),
    (App::shop, "vault", "", "boutique-vault"),
    (App::hello, "monolith", "", "hello-monolith"),
    (App::hello, "monolith", "2", "hello-replicated"),
    (App::hello, "micro", "Greeter=1..4", "hello-micro"),
    (App::post, "monolith", "", "post-monolith"),
    (App::post, "micro", "ParcelDesk=2", "post-micro"),
    (App::post, "everything", "", "post-everything"),
    (App::post, "crossed", "", "post-crossed"),
];

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/rendered")
        .join(case)
}

/// Every file below `folder`, by its path there.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let below = files(&path).into_iter();
            found.extend(below.map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            found.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    found
}

#[test]
fn each_topology_comes_to_the_manifests_that_were_looked_at() {
    for (app, topology, replicas, case) in CASES {
        let rendered = app().render(topology, replicas).unwrap();
        let folder = folder(case);
        if env::var_os("UPDATE").is_some() {
            let _ = fs::remove_dir_all(&folder);
            for (path, text) in &rendered.files {
                let path = folder.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            continue;
        }
        let kept = files(&folder);
        assert_eq!(
            kept.keys().collect::<Vec<_>>(),
            rendered.files.keys().collect::<Vec<_>>(),
            "{case}"
        );
        for (path, text) in &rendered.files {
            let difference = similar::TextDiff::from_lines(kept[path].as_str(), text);
            assert!(
                kept[path] == *text,
                "{case}/{path} differs; run with UPDATE=1 if this is right\n{}",
                difference.unified_diff()
            );
        }
    }
}

#[test]
fn no_cluster_would_refuse_or_break_on_any_of_it() {
    for (app, topology, replicas, case) in CASES {
        let rendered = app().render(topology, replicas).unwrap();
        assert_eq!(flaws(&rendered.objects), Vec::<String>::new(), "{case}");
    }
}

#[test]
fn the_same_is_rendered_twice_and_read_back_as_it_was_meant() {
    for (app, topology, replicas, case) in CASES {
        let once = app().render(topology, replicas).unwrap();
        let twice = app().render(topology, replicas).unwrap();
        assert_eq!(once.files, twice.files, "{case}");
        let mut read = Vec::new();
        for (path, text) in &once.files {
            if path != "kustomization.yaml" {
                read.extend(serde_saphyr::from_multiple::<Value>(text).unwrap());
            }
        }
        assert_eq!(read.len(), once.objects.len(), "{case}");
        for object in &once.objects {
            let called = (&object["kind"], &object["metadata"]["name"]);
            let same = read
                .iter()
                .find(|it| (&it["kind"], &it["metadata"]["name"]) == called);
            assert!(same == Some(object), "{case}: {called:?}");
        }
    }
}
