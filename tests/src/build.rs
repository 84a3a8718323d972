//! Where the programs under test are, and making sure that they are.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
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

/// The path of a program of the workspace, after making sure that all of those are built from the sources
/// as they are. `cargo xtask test` has done that, and says so with `E2E_BUILT`.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        if std::env::var_os("E2E_BUILT").is_some() {
            return Ok(());
        }
        build().map_err(|error| format!("{error:#}"))
    });
    built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    let path = profile_folder().join(name);
    ensure!(path.is_file(), "{} was not built", path.display());
    Ok(path)
}

fn build() -> anyhow::Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--quiet",
        "-p",
        "anylith-cli",
        "-p",
        "boutique",
        "-p",
        "parcels",
        "--target-dir",
    ]);
    cargo.arg(target_folder()).current_dir(repository());
    let profile = profile_folder();
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => drop(cargo.args(["--profile", profile])),
    }
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(status.success(), "the programs under test do not build");
    Ok(())
}
