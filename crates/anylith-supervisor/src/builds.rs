//! The builds that replicas are started from, kept where nobody writes over them.
//!
//! A binary that cargo has built is written over by the next build. As long as one build runs, that is its own business;
//! while two are there, each replica that fails has to be started from its own. So an upgrade begins with a copy of both in
//! the run folder. That of the build which runs is made of the file that a living replica was started from, which the kernel
//! keeps for it (`/proc/PID/exe`), also if another one has taken its place.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    record::{Build, Record},
    run_folder::RunFolder,
};

/// A build that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Where.
    pub(crate) path: PathBuf,
    /// Where it was taken from.
    pub(crate) source: PathBuf,
    /// Which one that was.
    pub(crate) build: Build,
}

/// A build that is ready to be rolled in.
#[derive(Debug, Clone)]
pub struct KeptBuild {
    /// Where nobody writes over it.
    pub path: PathBuf,
    /// Where it was taken from.
    pub source: PathBuf,
    /// Whether it is the build that stands.
    pub runs_already: bool,
    /// The config that the components have which run. It may hold secrets.
    pub config: BTreeMap<anylith_core::Name, serde_json::Value>,
}

/// Why a build cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Nothing runs.
    #[error("nothing runs that could be upgraded")]
    NothingRuns,
    /// The new build cannot be read or copied.
    #[error("{} cannot be kept in {}", path.display(), folder.display())]
    New {
        /// Where it is.
        path: PathBuf,
        /// Where it was to be kept.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The build that runs is nowhere any more.
    #[error("the build that runs cannot be kept to go back to")]
    Old(#[source] io::Error),
}

/// Keeps the new build at `binary`, and the one that runs in `folder`, to be rolled in and to go back to.
///
/// # Errors
///
/// [`KeepError`].
pub fn keep_builds(folder: &RunFolder, binary: &Path) -> Result<KeptBuild, KeepError> {
    let record = Record::read(&folder.record()).ok_or(KeepError::NothingRuns)?;
    let builds = folder.builds();
    let failed = |source| KeepError::New {
        path: binary.to_owned(),
        folder: builds.clone(),
        source,
    };
    let source = fs::canonicalize(binary).map_err(failed)?;
    let (path, build) = copy(&source, None, &builds).map_err(failed)?;
    keep_standing(&record, &builds).map_err(KeepError::Old)?;
    Ok(KeptBuild {
        path,
        runs_already: record.is_standing(build) && record.memory.rollout.is_none(),
        source,
        config: record.spec.config,
    })
}

/// Keeps the build that stands, if it is not kept yet.
fn keep_standing(record: &Record, builds: &Path) -> io::Result<()> {
    if record.kept.contains_key(&record.memory.build) {
        return Ok(());
    }
    let program = &record.program.path;
    let replicas = record.memory.replicas.values();
    let running = replicas.filter_map(|replica| replica.pid);
    let running = running.map(|pid| PathBuf::from(format!("/proc/{pid}/exe")));
    // A script is run by another program, so its own file is looked at, too.
    let mut places: Vec<PathBuf> = running.collect();
    places.push(program.clone());
    let is_it = |place: &PathBuf| Build::of(place).is_ok_and(|found| found == record.build);
    let place = places.iter().find(|place| is_it(place)).ok_or_else(|| {
        let message = format!(
            "{} was built anew, and no replica runs what was there",
            program.display()
        );
        io::Error::new(io::ErrorKind::NotFound, message)
    })?;
    copy(place, program.file_name().map(Path::new), builds).map(drop)
}

/// Where `build` of a program called `name` is kept.
fn place(builds: &Path, build: Build, name: &Path) -> PathBuf {
    let Build { bytes, changed_ns } = build;
    builds.join(format!("{bytes:x}-{changed_ns:x}")).join(name)
}

/// Copies the file at `source`, under `name` if it has another one, unless it is there already; returns where to, and
/// which build it is.
fn copy(source: &Path, name: Option<&Path>, builds: &Path) -> io::Result<(PathBuf, Build)> {
    let build = Build::of(source)?;
    let name = name.or(source.file_name().map(Path::new));
    let name = name.ok_or(io::ErrorKind::InvalidInput)?;
    let path = place(builds, build, name);
    if Build::of(&path).is_ok_and(|there| there.bytes == build.bytes) {
        return Ok((path, build));
    }
    let folder = path.parent().unwrap_or(builds);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // In one step: what is there is whole.
    let new = path.with_extension("new");
    let copied = fs::copy(source, &new)
        .and_then(|_| fs::set_permissions(&new, fs::Permissions::from_mode(0o700)))
        .and_then(|()| match Build::of(source)? == build {
            true => fs::rename(&new, &path),
            false => Err(io::Error::other("it is being written just now")),
        });
    copied.inspect_err(|_| drop(fs::remove_file(&new)))?;
    Ok((path, build))
}

/// What is to be kept of the builds that `record` knows when the one at `path`, taken from `source`, is about to be rolled in
/// under the number `to`: that, and the one that stands. The files of all others are removed.
pub(crate) fn admit(
    record: &Record,
    folder: &RunFolder,
    to: u32,
    path: &Path,
    source: &Path,
) -> io::Result<BTreeMap<u32, Kept>> {
    let builds = folder.builds();
    let stands = record.memory.build;
    let old = match record.kept.get(&stands) {
        Some(kept) => kept.clone(),
        None => {
            let program = &record.program.path;
            let name = program.file_name().map(Path::new);
            Kept {
                path: place(&builds, record.build, name.unwrap_or(Path::new("program"))),
                source: program.clone(),
                build: record.build,
            }
        }
    };
    for kept in [old.path.as_path(), path] {
        let is_inside = kept.starts_with(&builds) && kept.is_file();
        if !is_inside {
            let message = format!("{} is not kept", kept.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
    }
    let new = Kept {
        path: path.to_owned(),
        source: source.to_owned(),
        build: identity(path).unwrap_or(Build::of(path)?),
    };
    remove_others(&builds, &[&old.path, &new.path]);
    Ok(BTreeMap::from([(stands, old), (to, new)]))
}

/// Which build was copied to `path`, as its folder says.
fn identity(path: &Path) -> Option<Build> {
    let folder = path.parent()?.file_name()?.to_str()?;
    let (bytes, changed) = folder.split_once('-')?;
    Some(Build {
        bytes: u64::from_str_radix(bytes, 16).ok()?,
        changed_ns: i128::from_str_radix(changed, 16).ok()?,
    })
}

fn remove_others(builds: &Path, kept: &[&PathBuf]) {
    let Ok(folders) = fs::read_dir(builds) else {
        return;
    };
    for folder in folders.filter_map(Result::ok) {
        let path = folder.path();
        if !kept.iter().any(|kept| kept.starts_with(&path)) {
            let _ = fs::remove_dir_all(path);
        }
    }
}
