//! The page of the dashboard: it is built by Node, and what was built is checked in, so that nobody else needs Node.
//!
//! All of that happens in a copy of the sources below `target/`. [`hold`] says whether what is checked in is what they
//! build; [`build`] makes it so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{
    machine,
    step::{Stop, left_out},
    transcript::{self, Show},
};

/// Where the sources are, and what was built of them.
const SOURCES: &str = "crates/anylith-dashboard/ui";

/// Where it is built.
const BENCH: &str = "target/page";

/// What is built, in either.
const BUILT: &str = "dist";

/// What Node brings, in the bench.
const PACKAGES: &str = "node_modules";

/// The first version of Node that can run what builds the page.
const OLDEST_NODE: (u32, u32) = (20, 19);

/// Checks the types, runs the tests, builds, and compares.
pub(crate) fn hold() -> Result<(), Stop> {
    let Some(node) = able()? else { return Ok(()) };
    println!("with Node {node}");
    let built = work(&["check", "test", "build"])?;
    let kept = files(&Path::new(SOURCES).join(BUILT)).map_err(Stop::Because)?;
    if built == kept {
        println!("{} files are what their sources build", built.len());
        return Ok(());
    }
    let names: BTreeSet<&PathBuf> = built.keys().chain(kept.keys()).collect();
    for name in names
        .into_iter()
        .filter(|name| built.get(*name) != kept.get(*name))
    {
        transcript::say(&format!("{SOURCES}/{BUILT}/{} is another", name.display()));
    }
    transcript::say("`cargo xtask page` builds it anew");
    Err(Stop::Failed { exit_code: 1 })
}

/// Builds, and keeps what was built.
pub(crate) fn build() -> Result<(), Stop> {
    if able()?.is_none() {
        return Err(Stop::Unable("install Node and npm".to_owned()));
    }
    let built = work(&["build"])?;
    let folder = Path::new(SOURCES).join(BUILT);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    for (name, bytes) in &built {
        write(&folder.join(name), bytes).map_err(Stop::Because)?;
    }
    println!("{} files in {}", built.len(), folder.display());
    Ok(())
}

/// The version of Node, if it can be worked with. Where it cannot, that is said, and on a machine that judges it is a
/// failure.
fn able() -> Result<Option<String>, Stop> {
    let node = machine::has("npm").then(|| Command::new("node").arg("--version").output());
    let version = match node {
        Some(Ok(output)) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => String::new(),
    };
    if is_new_enough(&version) {
        return Ok(Some(version));
    }
    let (major, minor) = OLDEST_NODE;
    let needs = format!("the page needs Node {major}.{minor} or later, and npm");
    left_out(needs).map(|()| None)
}

/// Whether `v20.20.2` is not older than [`OLDEST_NODE`].
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.');
    let mut number = || numbers.next()?.parse::<u32>().ok();
    matches!((number(), number()), (Some(major), Some(minor)) if (major, minor) >= OLDEST_NODE)
}

/// Brings the sources to the bench, runs `scripts` there, and returns what was built.
fn work(scripts: &[&str]) -> Result<BTreeMap<PathBuf, Vec<u8>>, Stop> {
    let bench = Path::new(BENCH);
    set_up(bench).map_err(Stop::Because)?;
    let lock = fs::read_to_string(bench.join("package-lock.json"))?;
    if let Some(line) = lock.lines().find(|line| names_a_host(line)) {
        let mend = "package-lock.json names a registry, which is each machine's own business; write it anew with the .npmrc beside it";
        return Err(Stop::Because(anyhow::anyhow!("{mend}: {}", line.trim())));
    }
    // What was installed for this lock file is still good.
    let stamp = bench.join(PACKAGES).join(".installed-for");
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&lock) {
        let install = ["ci", "--ignore-scripts", "--prefer-offline"];
        npm(bench, &install)?;
        fs::write(stamp, lock)?;
    }
    for script in scripts {
        npm(bench, &["run", "--silent", script])?;
    }
    files(&bench.join(BUILT)).map_err(Stop::Because)
}

/// Whether a line of a lock file says where a package was fetched from.
fn names_a_host(line: &str) -> bool {
    line.trim_start().starts_with("\"resolved\": \"http")
}

/// Puts the sources as they are into the bench, and nothing else but the packages that are there.
fn set_up(bench: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(bench)?;
    for entry in fs::read_dir(bench)? {
        let path = entry?.path();
        match path.is_dir() {
            _ if path.ends_with(PACKAGES) => {}
            true => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    for (name, bytes) in files(Path::new(SOURCES))? {
        if !name.starts_with(BUILT) && !name.starts_with(PACKAGES) {
            write(&bench.join(name), &bytes)?;
        }
    }
    Ok(())
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<(), Stop> {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(folder);
    transcript::run(command, Show::IfItFails)
}

/// Every file below `folder`, but for those of packages.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries =
            fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            match path.is_dir() {
                true if path.ends_with(PACKAGES) => {}
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder)?.to_owned();
                    found.insert(name, fs::read(path)?);
                }
            }
        }
    }
    Ok(found)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_node_is_none() {
        assert!(is_new_enough("v20.19.0") && is_new_enough("v24.1.0"));
        assert!(!is_new_enough("v20.18.3") && !is_new_enough("v18.20.4") && !is_new_enough(""));
    }

    #[test]
    fn a_lock_file_that_names_a_registry_is_found() {
        assert!(names_a_host(
            "      \"resolved\": \"https://host/vite.tgz\","
        ));
        assert!(!names_a_host("      \"version\": \"8.0.0\","));
        assert!(!names_a_host("      \"integrity\": \"sha512-abc\","));
    }
}
