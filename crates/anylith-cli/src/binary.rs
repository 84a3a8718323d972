//! The application's binary: built by cargo, or where `anylith.toml` says.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use anylith_core::Name;
use anylith_topology::{Problems, Settings};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{app::App, args::Building, failure::Failure};

/// What cargo says of something that it has built.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

/// The application's binary, built anew if cargo builds it.
///
/// # Cancellation
///
/// A build that goes on is killed.
pub(crate) async fn find(
    app: &App,
    settings: &Settings,
    building: &Building,
) -> Result<PathBuf, Failure> {
    match &settings.app().binary {
        Some(binary) => given(app, settings, binary),
        None => built(app, settings, building).await,
    }
}

fn given(app: &App, settings: &Settings, binary: &str) -> Result<PathBuf, Failure> {
    let path = app.folder.join(binary);
    let why = match fs::metadata(&path) {
        Ok(found) if found.is_dir() => "is a folder, not a program",
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            "is not a program: nobody may run it"
        }
        Ok(_) => return Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "does not exist",
        Err(_) => "cannot be looked at",
    };
    let what = format!("{} {why}", path.display());
    let mend = "build it first, or let `package = \"…\"` say which cargo package builds it";
    Err(wrong(settings, "binary", what, mend))
}

fn wrong(settings: &Settings, key: &str, what: String, mend: impl Into<String>) -> Failure {
    Failure::Wrong(settings.app_problem(key, what, mend).into())
}

/// Builds, with cargo's progress on standard error.
async fn built(app: &App, settings: &Settings, building: &Building) -> Result<PathBuf, Failure> {
    let package = settings.app().package.as_deref();
    if package.is_none() && !app.folder.join("Cargo.toml").exists() {
        if !settings.app_is_clear() {
            // It may say so in a part that was not understood.
            return Err(Failure::Wrong(Problems::default()));
        }
        let what = "[app] does not say how its binary comes about".to_owned();
        let mend = "add `package = \"the cargo package to build\"` or `binary = \"path\"` to [app]";
        return Err(wrong(settings, "", what, mend));
    }
    let mut command = cargo(app, package, building);
    let mut cargo = command.spawn().map_err(|error| not_run(&command, &error))?;
    let mut programs = Vec::new();
    if let Some(output) = cargo.stdout.take() {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(Artifact {
                executable: Some(path),
                target,
            }) = serde_json::from_str(&line)
                && target.kind.iter().any(|kind| kind == "bin")
            {
                programs.push((target.name, path));
            }
        }
    }
    match cargo.wait().await {
        Ok(status) if status.success() => choose(settings, &programs),
        _ => Err(Failure::new(
            format!(
                "`{}` could not be built",
                package.unwrap_or("the application")
            ),
            "cargo says above what is wrong",
        )),
    }
}

fn not_run(cargo: &Command, error: &io::Error) -> Failure {
    const BINARY: &str = "set `binary = \"path\"` in [app]";
    let program = Path::new(cargo.as_std().get_program());
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::new(
            format!("this user may not run {}", program.display()),
            format!("run it as the user who may, or {BINARY}"),
        ),
        _ => Failure::new(
            format!("cargo cannot be run: {error}"),
            format!("install Rust from https://rustup.rs, or {BINARY}"),
        ),
    }
}

fn cargo(app: &App, package: Option<&str>, building: &Building) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--message-format=json-render-diagnostics"])
        .current_dir(&app.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_of_another_package) {
            command.env_remove(name);
        }
    }
    if let Some(package) = package {
        command.args(["--package", package]);
    }
    if building.release {
        command.arg("--release");
    }
    command
}

/// Whether `variable` is what cargo says to a program that it runs of the package of that program, as it does where this
/// command is run by `cargo run`. Build scripts of the application would be run again for it, and all that follows on them
/// built again.
fn is_of_another_package(variable: &str) -> bool {
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CFG_"];
    prefixes.iter().any(|prefix| variable.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&variable)
}

/// The one binary of the package; of several, the one that is called like the application or the package.
fn choose(settings: &Settings, programs: &[(String, PathBuf)]) -> Result<PathBuf, Failure> {
    let app = settings.app();
    let wanted = [app.name.as_ref().map(Name::as_str), app.package.as_deref()];
    let called = |(name, _): &&(String, PathBuf)| wanted.contains(&Some(name.as_str()));
    let (what, mend) = match (programs, programs.iter().find(called)) {
        ([(_, only)], _) | (_, Some((_, only))) => return Ok(only.clone()),
        ([], None) => (
            "the package of [app] has no binary",
            "give it a `src/main.rs` that calls `run` of the application, or name another package"
                .to_owned(),
        ),
        (several, None) => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            (
                "the package of [app] has several binaries",
                format!(
                    "set `name` of [app] to the one that is meant: {}",
                    names.join(", ")
                ),
            )
        }
    };
    Err(wrong(settings, "package", what.to_owned(), mend))
}
