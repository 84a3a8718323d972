//! Where the programs under test are, and making sure that they are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the repository")
}

/// The folder that everything is built into: `target`, unless cargo was told otherwise.
pub fn target_folder() -> PathBuf {
    profile_folder()
        .parent()
        .expect("a profile has its folder in the target folder")
        .to_owned()
}

/// `target/debug`, or that of another profile: where this program was built, and so what it tests.
fn profile_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let folder = program.parent().expect("a program lies in a folder");
    // Cargo puts tests into PROFILE/deps, and all else into PROFILE.
    let folder = match folder.file_name() {
        Some(name) if name == "deps" => folder.parent(),
        _ => Some(folder),
    };
    folder.expect("a profile has a folder").to_owned()
}

/// The path of a program of the workspace, after making sure that it is built from the sources as they are.
/// `cargo xtask test` has done that, and says so with `E2E_BUILT`.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    static BUILT: Mutex<BTreeMap<&str, Result<(), String>>> = Mutex::new(BTreeMap::new());
    let package = match name {
        "anylith" => "anylith-cli",
        "boutique" => "boutique",
        _ => "parcels",
    };
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_built = built.entry(package).or_insert_with(|| {
        if std::env::var_os("E2E_BUILT").is_some() {
            return Ok(());
        }
        build(package).map_err(|error| format!("{error:#}"))
    });
    is_built.clone().map_err(anyhow::Error::msg)?;
    let path = profile_folder().join(name);
    ensure!(path.is_file(), "{} was not built", path.display());
    Ok(path)
}

fn build(package: &str) -> anyhow::Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "-p", package, "--target-dir"]);
    cargo.arg(target_folder()).current_dir(repository());
    let profile = profile_folder();
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => drop(cargo.args(["--profile", profile])),
    }
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(
        status.success(),
        "{package}, which is under test, does not build"
    );
    Ok(())
}
