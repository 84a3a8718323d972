//! A corpus of broken input, each piece with the message that it must give.
//!
//! A file of `broken/` is an `anylith.toml` whose first lines may begin with `#$`: then they are flags, a
//! variable (`#$ env NAME=VALUE`), or the application that it is for (`#$ app NAME`; else the shop). The
//! file of the same name with `.txt` is the message. `UPDATE=1 cargo test -p anylith-topology` rewrites them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod golden;
mod shop;

use std::{ffi::OsString, fs, io, path::PathBuf};

use anylith_core::{Manifest, MethodShape, Singleton};
use anylith_topology::{
    Overrides, Place, Problem, Problems, Reading, ReplicaChange, Secrets, Settings,
};
use shop::{application, shop};

struct Nothing;

impl Secrets for Nothing {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn open(&self, _: &str) -> io::Result<Box<dyn io::Read>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// What is asked with a file.
struct Case {
    name: String,
    text: String,
    manifest: Manifest,
    topology: String,
    replicas: Option<String>,
    overrides: Overrides,
}

fn manifest(app: &str) -> Manifest {
    let web = ("Frontend", &[][..], &["web"][..]);
    match app {
        "two-doors" => application("boutique", &[web, ("Admin", &[], &["admin"])]),
        "shared-door" => application("boutique", &[web, ("Admin", &[], &["web"])]),
        "cyclic" => application(
            "boutique",
            &[
                ("Cart", &["Catalog"], &[]),
                ("Catalog", &["Stock"], &[]),
                ("Stock", &["Cart"], &[]),
            ],
        ),
        "lacking" => application("boutique", &[("Cart", &["Store"], &[])]),
        "doubled" => application("boutique", &[("Cart", &[], &[]), ("Cart", &[], &[])]),
        "empty" => application("boutique", &[]),
        "runs-once" => {
            let mut manifest = application(
                "boutique",
                &[("Payment", &[], &[]), ("Shop", &["Payment"], &[])],
            );
            let methods = &mut manifest.components[0].methods;
            for method in methods.iter_mut() {
                method.idempotent = false;
            }
            methods[0].name = shop::name("watch");
            methods[0].shape = MethodShape::ServerStreaming;
            manifest
        }
        "held-together" => {
            let web = ("Frontend", &["Till", "Cart", "Log"][..], &["web"][..]);
            let mut manifest = application(
                "boutique",
                &[
                    web,
                    ("Till", &[], &[]),
                    ("Cart", &[], &[]),
                    ("Log", &[], &[]),
                ],
            );
            manifest.components[1].singleton = Some(Singleton { hands_over: false });
            for method in &mut manifest.components[2].methods {
                method.routed = Some("user".to_owned());
            }
            manifest.components[3].methods.clear();
            manifest
        }
        other => panic!("no application {other}"),
    }
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut case = Case {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            manifest: shop(),
            topology: "micro".to_owned(),
            replicas: None,
            overrides: Overrides::default(),
            text: text.clone(),
        };
        for line in text.lines().map_while(|line| line.strip_prefix("#$ ")) {
            let (what, value) = line.split_once(' ').unwrap();
            case.overrides = match what {
                "--set" => case.overrides.set(value),
                "--listen" => case.overrides.listen(value),
                "env" => case.overrides.env([value.split_once('=').unwrap()]),
                _ => case.overrides,
            };
            match what {
                "--topology" => case.topology = value.to_owned(),
                "--replicas" => case.replicas = Some(value.to_owned()),
                "app" => case.manifest = manifest(value),
                _ => {}
            }
        }
        cases.push(case);
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

impl Case {
    /// Everything that is wrong, found the way the command finds it.
    fn problems(&self) -> Problems {
        let Reading {
            settings,
            mut problems,
        } = Settings::read("anylith.toml", &self.text, &self.overrides, &Nothing);
        let replicas = match &self.replicas {
            Some(text) => ReplicaChange::parse(text),
            None => Ok(ReplicaChange::NONE),
        };
        let replicas = replicas.unwrap_or_else(|wrong| {
            problems.extend(wrong);
            ReplicaChange::NONE
        });
        if let Err(wrong) = settings.plan(&self.manifest, &self.topology, &replicas) {
            problems.extend(wrong);
        }
        Problems::new(problems)
    }
}

fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/broken/{name}.txt"))
}

#[test]
fn every_broken_input_gives_its_message() {
    let cases = cases();
    assert!(cases.len() >= 45, "only {} cases", cases.len());
    for case in &cases {
        golden::compare(&golden_path(&case.name), &format!("{}\n", case.problems()));
    }
}

#[test]
fn every_problem_says_where_it_is_and_what_to_write() {
    for case in cases() {
        let problems = case.problems();
        assert!(!problems.is_empty(), "{}: nothing was found", case.name);
        for problem in &problems {
            let Problem { place, what, mend } = problem;
            assert!(
                !what.is_empty() && !mend.is_empty(),
                "{}: {problem}",
                case.name
            );
            assert!(
                !what.contains('\n') && !mend.contains('\n'),
                "{}: {problem}",
                case.name
            );
            assert!(
                !problem.to_string().contains('\x1b'),
                "{}: {problem}",
                case.name
            );
            if let Place::File { line, column, .. } = place {
                let text = case.text.lines().nth(line - 1).unwrap_or_default();
                assert!(
                    *column <= text.chars().count() + 1,
                    "{}: {problem}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn several_mistakes_are_reported_together() {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "many-mistakes")
        .unwrap();
    let problems = case.problems();
    let lines: Vec<usize> = problems.iter().filter_map(Problem::line).collect();
    assert_eq!(lines, [3, 5, 8, 12, 12, 13, 15, 19]);
    assert_eq!(
        problems.len(),
        9,
        "the flag is reported as well: {problems}"
    );
}

#[test]
fn no_text_makes_reading_panic() {
    let mut seed = 1_u64;
    let mut random = move |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for case in cases() {
        for _ in 0..40 {
            let mut characters: Vec<char> = case.text.chars().collect();
            for _ in 0..=random(3) {
                let at = random(characters.len() + 1);
                match random(3) {
                    0 => characters.truncate(at),
                    1 => characters.insert(at, ['"', '[', '{', '=', '\n', '.', 'é'][random(7)]),
                    _ if at < characters.len() => drop(characters.remove(at)),
                    _ => {}
                }
            }
            let text: String = characters.into_iter().collect();
            let case = Case {
                text,
                ..cases_like(&case)
            };
            let _ = case.problems().to_string();
        }
    }
}

fn cases_like(case: &Case) -> Case {
    Case {
        name: case.name.clone(),
        text: String::new(),
        manifest: case.manifest.clone(),
        topology: case.topology.clone(),
        replicas: case.replicas.clone(),
        overrides: case.overrides.clone(),
    }
}
