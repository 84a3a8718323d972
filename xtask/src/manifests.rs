//! Whether a cluster would take what is rendered for it, by the schemas of Kubernetes itself.
//!
//! A package of Python's has these for each version. They judge the golden files of `anylith-kube`, which its tests hold equal
//! to what is rendered; what schemas accept and a cluster refuses, its own tests judge.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    machine,
    step::{Stop, left_out},
    transcript::{self, Show},
};

/// The golden files.
const RENDERED: &str = "crates/anylith-kube/tests/rendered";

/// Where the package is installed.
const BENCH: &str = "target/manifests";

/// The package, with the version whose schemas are meant.
const PACKAGE: &str = "kubernetes-validate==1.37.0";

/// The newest versions of Kubernetes.
const VERSIONS: [&str; 3] = ["1.35", "1.36", "1.37"];

/// Judges every golden file by the schemas of each version, unknown fields being mistakes.
pub(crate) fn judge() -> Result<(), Stop> {
    if !able()? {
        return Ok(());
    }
    let mut files = Vec::new();
    collect(Path::new(RENDERED), &mut files).map_err(Stop::Because)?;
    files.sort();
    for version in VERSIONS {
        let mut judge = Command::new(Path::new(BENCH).join("bin/kubernetes-validate"));
        // What it warns of are kinds of others, of which it has no schema.
        judge.args(["--quiet", "--no-warn", "--strict", "-k", version]);
        judge.args(&files);
        transcript::run(judge, Show::AsItComes)?;
        println!("{} files are what Kubernetes {version} takes", files.len());
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => collect(&path, files)?,
            // It is for kubectl, and no object.
            false if path.ends_with("kustomization.yaml") => {}
            false => files.push(path),
        }
    }
    Ok(())
}

/// Installs the package, unless that was done. Where that is not possible it is said, and on a machine that judges it is a
/// failure.
fn able() -> Result<bool, Stop> {
    let bench = Path::new(BENCH);
    let stamp = bench.join(".installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == PACKAGE) {
        return Ok(true);
    }
    if !machine::has("python3") {
        let needs = "the schemas of Kubernetes need Python 3 with venv and pip";
        return left_out(needs.to_owned()).map(|()| false);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", BENCH]);
    transcript::run(make, Show::IfItFails)?;
    let mut install = Command::new(bench.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", PACKAGE]);
    transcript::run(install, Show::IfItFails)?;
    fs::write(stamp, PACKAGE)?;
    Ok(true)
}
