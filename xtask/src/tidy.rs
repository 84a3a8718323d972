//! The rules of this repository that no compiler knows.
//!
//! Each rule is a function from what it looks at to what it found. [`run`] gathers the input, applies all
//! of them, and prints every finding as `file:line: rule: mend`.

mod arrows;
mod files;
mod manifests;
mod source;
mod words;

use std::{fmt, fs, process::Command};

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;

use crate::{
    step::{Cargo, Stop},
    transcript,
};

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// The file, from the root of the repository.
    file: String,
    /// The line, from 1.
    line: usize,
    rule: &'static str,
    /// What is wrong and what to do about it.
    mend: String,
}

impl Finding {
    fn new(file: &str, line: usize, rule: &'static str, mend: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            rule,
            mend: mend.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.file, self.line, self.rule, self.mend
        )
    }
}

/// A text file of the repository.
struct File {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
}

/// Checks the repository, and fails if a rule is broken.
pub(crate) fn run() -> Result<(), Stop> {
    let files = text_files().map_err(Stop::Because)?;
    let metadata = MetadataCommand::new().exec()?;
    let mut findings = Vec::new();
    findings.extend(arrows::forbidden(&arrows::crates(&metadata)));
    findings.extend(arrows::not_pure(&arrows::all_dependencies(&metadata)));
    findings.extend(arrows::too_many(
        &tree_of_an_application().map_err(Stop::Because)?,
    ));
    for file in &files {
        findings.extend(files::meaningless_name(&file.path));
        findings.extend(words::unfinished(file));
        findings.extend(words::machine_path(file));
        if file.path.ends_with(".rs") {
            findings.extend(source::check(file));
        }
        if file.path.ends_with("Cargo.toml") && !file.path.starts_with("fuzz/") {
            findings.extend(manifests::check(file));
        }
        if file.path.ends_with("src/lib.rs") {
            findings.extend(files::crowded_lib(file));
        }
    }
    findings.extend(files::no_unreleased(
        files
            .iter()
            .find(|file| file.path == "CHANGELOG.md")
            .map(|file| &*file.text),
    ));
    findings.sort();
    for finding in &findings {
        transcript::say(&finding.to_string());
    }
    for (path, lines) in files::long(&files) {
        println!("note: {path} has {lines} lines; is there a noun in it that wants its own file?");
    }
    if findings.is_empty() {
        println!(
            "tidy: {} files and {} rules, nothing to mend",
            files.len(),
            RULES
        );
        return Ok(());
    }
    println!("tidy: {} to mend", findings.len());
    Err(Stop::Failed { exit_code: 1 })
}

/// How many rules [`run`] applies.
const RULES: usize = 12;

/// Every text file that git knows, or would take.
fn text_files() -> anyhow::Result<Vec<File>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .context("cannot run git, which knows the files of the repository")?;
    anyhow::ensure!(
        output.status.success(),
        "git ls-files failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let mut files = Vec::new();
    for path in output
        .stdout
        .split(|&byte| byte == 0)
        .filter(|path| !path.is_empty())
    {
        let path = String::from_utf8_lossy(path).into_owned();
        // A file that was deleted but not yet committed is still listed, and a picture has no text.
        if let Ok(Ok(text)) = fs::read(&path).map(String::from_utf8) {
            files.push(File { path, text });
        }
    }
    Ok(files)
}

/// What `cargo tree` says an application is built from, one package a line.
fn tree_of_an_application() -> anyhow::Result<String> {
    let tree = [
        "tree",
        "--package",
        "anylith",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ];
    let output = Cargo::new(tree)
        .command()
        .output()
        .context("cannot run cargo tree")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo tree failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
