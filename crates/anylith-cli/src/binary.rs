//! The application's binary: built by cargo, or where `anylith.toml` says.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use anylith_core::Name;
use anylith_topology::AppSettings;
use serde::Deserialize;

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
pub(crate) fn find(
    app: &App,
    settings: &AppSettings,
    building: &Building,
) -> Result<PathBuf, Failure> {
    match &settings.binary {
        Some(binary) => given(app, binary),
        None => built(app, settings, building),
    }
}

fn given(app: &App, binary: &str) -> Result<PathBuf, Failure> {
    let path = app.folder.join(binary);
    let found = fs::metadata(&path);
    if found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0) {
        return Ok(path);
    }
    Err(Failure::input(
        format!(
            "{}: `binary` of [app]: {} is no program",
            app.label(),
            path.display()
        ),
        "build it first, or let `package = \"...\"` say which cargo package builds it",
    ))
}

/// Builds, with cargo's progress on standard error.
fn built(app: &App, settings: &AppSettings, building: &Building) -> Result<PathBuf, Failure> {
    if settings.package.is_none() && !app.folder.join("Cargo.toml").exists() {
        return Err(Failure::input(
            format!(
                "{}: [app] does not say how its binary comes about",
                app.label()
            ),
            "add `package = \"the cargo package to build\"` or `binary = \"path\"` to [app]",
        ));
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--message-format=json-render-diagnostics"])
        .current_dir(&app.folder);
    if let Some(package) = &settings.package {
        command.args(["--package", package]);
    }
    if building.release {
        command.arg("--release");
    }
    let mut cargo = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            let mend = "install Rust from https://rustup.rs, or set `binary = \"path\"` in [app]";
            Failure::new(format!("cargo cannot be run: {error}"), mend)
        })?;
    let mut programs = Vec::new();
    if let Some(output) = cargo.stdout.take() {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
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
    let name = settings.package.as_deref().unwrap_or("the application");
    match cargo.wait() {
        Ok(status) if status.success() => choose(app, settings, &programs),
        _ => Err(Failure::new(
            format!("`{name}` could not be built"),
            "cargo says above what is wrong",
        )),
    }
}

/// The one binary of the package; of several, the one that is called like the application or the package.
fn choose(
    app: &App,
    settings: &AppSettings,
    programs: &[(String, PathBuf)],
) -> Result<PathBuf, Failure> {
    let wanted = [
        settings.name.as_ref().map(Name::as_str),
        settings.package.as_deref(),
    ];
    let called = |(name, _): &&(String, PathBuf)| wanted.contains(&Some(name.as_str()));
    match (programs, programs.iter().find(called)) {
        ([(_, only)], _) | (_, Some((_, only))) => Ok(only.clone()),
        ([], None) => Err(Failure::input(
            format!("{}: the package of [app] has no binary", app.label()),
            "give it a `src/main.rs` that calls `run` of the application, or name another package",
        )),
        (several, None) => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            Err(Failure::input(
                format!("{}: the package of [app] has several binaries", app.label()),
                format!(
                    "set `name` of [app] to the one that is meant: {}",
                    names.join(", ")
                ),
            ))
        }
    }
}
