//! The builds that replicas are started from, kept where nobody writes over them.
//!
//! A binary that cargo has built is written over by the next build, and a replica that fails has to be started from its own
//! all the same. So an upgrade begins with a copy of both builds in the run folder. That of the build which runs is made of
//! the file that a living replica was started from, which the kernel keeps for it (`/proc/PID/exe`), also if another one has
//! taken its place. Where nothing is rolled in the supervisor holds the file open, and copies it only when it was written over and
//! a replica has to be started. One that adopts replicas after another build has taken that place holds the file that they run.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, PermissionsExt},
    },
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

impl Kept {
    /// Whether somebody went back to it: it was taken from where it is kept.
    fn is_return(&self) -> bool {
        self.source == self.path
    }
}

/// A build that could be rolled in.
#[derive(Debug, Clone)]
pub struct NewBuild {
    /// Where it is.
    pub source: PathBuf,
    /// The application that runs.
    pub app: anylith_core::Name,
    /// Whether it is the build that stands.
    pub runs_already: bool,
    /// The config that the components have which run. It may hold secrets.
    pub config: BTreeMap<anylith_core::Name, serde_json::Value>,
    build: Build,
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

impl NewBuild {
    /// Looks at what is at `binary`, for what runs in `folder`. Nothing is kept yet.
    ///
    /// # Errors
    ///
    /// [`KeepError`].
    pub fn find(folder: &RunFolder, binary: &Path) -> Result<Self, KeepError> {
        let record = Record::read(&folder.record()).ok_or(KeepError::NothingRuns)?;
        let failed = |source| not_kept(binary, folder, source);
        let (source, build) = match binary.starts_with(folder.builds()) {
            true => {
                let build = identity(binary).ok_or_else(|| io::ErrorKind::NotFound.into());
                (binary.to_owned(), build.map_err(failed)?)
            }
            false => {
                let source = fs::canonicalize(binary).map_err(failed)?;
                let build = Build::of(&source).map_err(failed)?;
                (source, build)
            }
        };
        Ok(Self {
            source,
            runs_already: record.is_standing(build) && record.memory.rollout.is_none(),
            app: record.spec.app,
            config: record.spec.config,
            build,
        })
    }

    /// Keeps it, and the one that runs in `folder`, to be rolled in and to go back to; returns where. The supervisor
    /// removes what it refuses.
    ///
    /// # Errors
    ///
    /// [`KeepError`]; so also if another build is there by now than was looked at.
    pub fn keep(&self, folder: &RunFolder) -> Result<PathBuf, KeepError> {
        let record = Record::read(&folder.record()).ok_or(KeepError::NothingRuns)?;
        let builds = folder.builds();
        if self.source.starts_with(&builds) {
            // To go back takes no room: both are kept.
            return Ok(self.source.clone());
        }
        let copied = match Build::of(&self.source) {
            Ok(found) if found != self.build => Err(io::Error::other("it was just built anew")),
            found => found.and_then(|_| copy(&self.source, None, &builds)),
        };
        let (path, _) = copied.map_err(|source| not_kept(&self.source, folder, source))?;
        keep_standing(&record, &builds).map_err(KeepError::Old)?;
        Ok(path)
    }
}

fn not_kept(path: &Path, folder: &RunFolder, source: io::Error) -> KeepError {
    KeepError::New {
        path: path.to_owned(),
        folder: folder.builds(),
        source,
    }
}

/// Where a rollback leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayBack {
    /// An upgrade is under way: to the build that it began with.
    Old,
    /// To the one that ran before the one that does, which is kept here.
    Before(PathBuf),
    /// There is none: the first one runs, or one to which somebody went back.
    Nowhere,
}

impl WayBack {
    /// That of what runs in `folder`.
    pub fn of(folder: &RunFolder) -> Self {
        let Some(record) = Record::read(&folder.record()) else {
            return Self::Nowhere;
        };
        if record.memory.rollout.is_some() {
            return Self::Old;
        }
        before(&record).map_or(Self::Nowhere, |(_, kept)| Self::Before(kept.path.clone()))
    }
}

/// The build that ran before the one that stands, and its number, where it is kept. One with a higher number was rolled in and
/// did not stay; and before one to which somebody went back ran what ran before that at first, and not what was fled from.
fn before(record: &Record) -> Option<(u32, &Kept)> {
    let mut older = record.kept.range(..=record.memory.build).rev();
    let (_, mut stands) = older.next()?;
    while stands.is_return() {
        (_, stands) = older.find(|(_, it)| it.path == stands.path)?;
    }
    older.next().map(|(number, kept)| (*number, kept))
}

/// The binary that was launched, open: it can be read as long as this is, whatever becomes of its path.
#[derive(Debug)]
pub(crate) struct Held(File);

impl Held {
    /// Takes hold of what was launched, where it lies or as a replica runs it, if it is anywhere.
    pub(crate) fn find(record: &Record) -> Option<Self> {
        let places = [record.program.path.clone()].into_iter();
        let mut places = places.chain(record.running());
        places.find_map(|place| Self::open(&place, record.build))
    }

    /// Takes hold of `build` at `path`, if it is there.
    fn open(path: &Path, build: Build) -> Option<Self> {
        let file = File::open(path).ok()?;
        let held = Self(file);
        Build::of(&held.path())
            .is_ok_and(|found| found == build)
            .then_some(held)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// Keeps the program that was launched, if what is at its path now is another build; `None` if it is the same, or kept
/// already.
///
/// # Errors
///
/// That build is nowhere any more, or there is no room for it.
pub(crate) fn rescue(
    record: &Record,
    held: Option<&Held>,
    folder: &RunFolder,
) -> io::Result<Option<Kept>> {
    let is_there = Build::of(&record.program.path).is_ok_and(|found| found == record.build);
    if is_there || record.kept.contains_key(&0) {
        return Ok(None);
    }
    let path = keep_launched(record, held, &folder.builds())?;
    Ok(Some(Kept {
        path,
        source: record.program.path.clone(),
        build: record.build,
    }))
}

/// Keeps the build that stands, if it is not kept yet.
fn keep_standing(record: &Record, builds: &Path) -> io::Result<()> {
    match record.kept.contains_key(&record.memory.build) {
        true => Ok(()),
        false => keep_launched(record, None, builds).map(drop),
    }
}

/// Copies the build that was launched, from wherever it still is; returns where to.
fn keep_launched(record: &Record, held: Option<&Held>, builds: &Path) -> io::Result<PathBuf> {
    let program = &record.program.path;
    // A script is run by another program, so its own file is looked at, too.
    let places = held.map(Held::path).into_iter();
    let places = places.chain(record.running());
    let mut places = places.chain([program.clone()]);
    let is_it = |place: &PathBuf| Build::of(place).is_ok_and(|found| found == record.build);
    let place = places.find(is_it).ok_or_else(|| {
        let program = program.display();
        let message = format!("{program} was built anew, and no replica runs what was there");
        io::Error::new(io::ErrorKind::NotFound, message)
    })?;
    let (path, _) = copy(&place, program.file_name().map(Path::new), builds)?;
    Ok(path)
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
/// under the number `to`: that, the one that stands, and the one before, to which a rollback leads if the new one does not stay.
/// The files of all others are removed.
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
    let mut all = BTreeMap::from([(stands, old), (to, new)]);
    if let Some((number, kept)) = before(record) {
        all.insert(number, kept.clone());
    }
    let paths: Vec<&PathBuf> = all.values().map(|kept| &kept.path).collect();
    remove_others(&builds, &paths);
    Ok(all)
}

/// Removes the files of all builds but those that `record` knows.
pub(crate) fn sweep(record: &Record, folder: &RunFolder) {
    let kept: Vec<&PathBuf> = record.kept.values().map(|kept| &kept.path).collect();
    remove_others(&folder.builds(), &kept);
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
