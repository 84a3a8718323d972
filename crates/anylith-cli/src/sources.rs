//! The sources of an application, and when they change.
//!
//! What is watched are folders, with inotify: those of the application's package and of the packages that it is
//! dependent on by path. Of what changes in them counts what is called like a source, and what cargo says that it has
//! read for the last build (its `.d` file), which may be a template or a picture.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use serde::Deserialize;
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::Command,
    time::{Instant, timeout},
};

use crate::{app::App, failure::Failure};

/// An editor writes more than one file, or one more than once: only when nothing has changed for so long all is there.
const QUIET: Duration = Duration::from_millis(20);

/// What changes all the time is waited for no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is watched in a folder.
const CHANGES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ONLYDIR);

/// The sources of an application.
#[derive(Debug)]
pub(crate) struct Sources {
    inotify: AsyncFd<OwnedFd>,
    /// What is watched, by the number that the kernel gives it.
    folders: BTreeMap<i32, PathBuf>,
    /// What cargo has read for the last build, besides what is called like a source.
    read: BTreeSet<PathBuf>,
}

impl Sources {
    /// Watches the sources of `app`, whose cargo package is `package` if `anylith.toml` says so; or `binary`, if that is
    /// all there is of it.
    ///
    /// # Errors
    ///
    /// There can be no more watches (`fs.inotify.max_user_watches`), or cargo does not say which packages there are.
    pub(crate) async fn watch(
        app: &App,
        package: Option<&str>,
        binary: Option<&str>,
    ) -> Result<Self, Failure> {
        #[expect(
            deprecated,
            reason = "unsound for types that change their descriptor; OwnedFd can't"
        )]
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(io::Error::from)
            .and_then(|fd| AsyncFd::with_interest(fd, Interest::READABLE))
            .map_err(|error| not_watched(&app.folder, &error))?;
        let mut sources = Self {
            inotify,
            folders: BTreeMap::new(),
            read: BTreeSet::new(),
        };
        sources.watch_one(&app.folder)?;
        match binary {
            Some(binary) => {
                let binary = app.folder.join(binary);
                sources.watch_one(binary.parent().unwrap_or(&app.folder))?;
                sources.read.insert(binary);
            }
            None => {
                for folder in packages(app, package).await? {
                    sources.watch_all(&folder)?;
                }
            }
        }
        Ok(sources)
    }

    /// Learns what cargo has read to build `binary`. What it has read elsewhere is watched from now on.
    pub(crate) fn learn(&mut self, binary: &Path) -> Result<(), Failure> {
        let Ok(text) = fs::read_to_string(binary.with_extension("d")) else {
            return Ok(());
        };
        self.read = read_for(&text);
        let folders: BTreeSet<PathBuf> = self
            .read
            .iter()
            .filter_map(|file| Some(file.parent()?.to_owned()))
            .collect();
        for folder in folders {
            self.watch_one(&folder)?;
        }
        Ok(())
    }

    /// Waits until a source has changed, and nothing changes any more for a moment, or has for a second.
    ///
    /// # Cancellation
    ///
    /// What has changed until then counts as seen.
    pub(crate) async fn changed(&mut self) -> Result<(), Failure> {
        while !self.next().await? {}
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match timeout(QUIET, self.next()).await {
                Ok(next) => drop(next?),
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes what has happened next; returns whether a source was among it.
    async fn next(&mut self) -> Result<bool, Failure> {
        let mut happened = Vec::new();
        let read = self.inotify.async_io(Interest::READABLE, |fd| {
            happened = read_events(fd)?;
            Ok(())
        });
        read.await
            .map_err(|error| not_watched(Path::new("the sources"), &error))?;
        let mut is_source = false;
        for Happened {
            folder,
            name,
            flags,
        } in happened
        {
            // More has happened than the kernel could keep.
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                is_source = true;
            }
            let (Some(folder), Some(name)) = (self.folders.get(&folder), name) else {
                continue;
            };
            let path = folder.join(name);
            if flags.contains(ReadFlags::ISDIR) {
                let is_new = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                if is_new && is_watched(&path) {
                    self.watch_all(&path)?;
                    is_source = true;
                }
                continue;
            }
            // What is created is written afterwards, and counts then.
            let counts = !flags.contains(ReadFlags::CREATE);
            is_source |= counts && (self.read.contains(&path) || is_called_like_one(&path));
        }
        Ok(is_source)
    }

    /// Watches `folder` and all that is in it.
    fn watch_all(&mut self, folder: &Path) -> Result<(), Failure> {
        let mut left = vec![folder.to_owned()];
        while let Some(folder) = left.pop() {
            self.watch_one(&folder)?;
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            let folders = entries.flatten().filter(|entry| {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                is_folder && is_watched(&entry.path())
            });
            left.extend(folders.map(|entry| entry.path()));
        }
        Ok(())
    }

    fn watch_one(&mut self, folder: &Path) -> Result<(), Failure> {
        match inotify::add_watch(&self.inotify, folder, CHANGES) {
            Ok(number) => {
                self.folders.insert(number, folder.to_owned());
                Ok(())
            }
            // It is gone again.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(not_watched(folder, &error.into())),
        }
    }
}

/// Something that has happened in a folder.
struct Happened {
    folder: i32,
    name: Option<PathBuf>,
    flags: ReadFlags,
}

/// All that has happened so far, at least one thing.
fn read_events(fd: &OwnedFd) -> io::Result<Vec<Happened>> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(fd, &mut buffer);
    let mut happened = Vec::new();
    loop {
        match reader.next() {
            Ok(event) => happened.push(Happened {
                folder: event.wd(),
                name: event
                    .file_name()
                    .map(|name| PathBuf::from(name.to_string_lossy().into_owned())),
                flags: event.events(),
            }),
            Err(Errno::WOULDBLOCK) if !happened.is_empty() => return Ok(happened),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a folder within a package has sources: the one that cargo builds into has none, nor has one that is hidden.
fn is_watched(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with('.') && name != "target" && !folder.join("CACHEDIR.TAG").exists()
}

/// Whether a file is a source by its name.
fn is_called_like_one(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default();
    (extension == "rs" || extension == "toml") && !name.starts_with('.')
}

/// The files in what cargo writes of a build: `target: file file`, with `\ ` for a blank in a name.
fn read_for(text: &str) -> BTreeSet<PathBuf> {
    let (_, files) = text.split_once(": ").unwrap_or_default();
    let mut read = BTreeSet::new();
    let mut name = String::new();
    let mut characters = files.trim_end().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&' ') => name.extend(characters.next()),
            ' ' | '\n' => {
                read.insert(PathBuf::from(std::mem::take(&mut name)));
            }
            other => name.push(other),
        }
    }
    read.insert(PathBuf::from(name));
    read.remove(Path::new(""));
    read
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    path: Option<PathBuf>,
}

impl Package {
    fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

/// The folders of the package that is built, and of those that it is dependent on by path.
async fn packages(app: &App, package: Option<&str>) -> Result<Vec<PathBuf>, Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(&app.folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await;
    let output = output.map_err(|error| {
        let mend = "install Rust from https://rustup.rs, or set `binary = \"path\"` in [app]";
        Failure::new(format!("cargo cannot be run: {error}"), mend)
    })?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(|_| {
        Failure::new(
            "cargo does not say which packages there are",
            "cargo says above what is wrong",
        )
    })?;
    let is_it = |found: &&Package| match package {
        Some(name) => found.name == name,
        None => found.folder() == app.folder,
    };
    let mut left: Vec<PathBuf> = metadata
        .packages
        .iter()
        .filter(is_it)
        .map(|found| found.folder().to_owned())
        .collect();
    let mut folders = Vec::new();
    while let Some(folder) = left.pop() {
        if folders.contains(&folder) {
            continue;
        }
        let found = metadata.packages.iter();
        let found = found.filter(|package| package.folder() == folder);
        left.extend(
            found.flat_map(|package| package.dependencies.iter().filter_map(|it| it.path.clone())),
        );
        folders.push(folder);
    }
    Ok(folders)
}

fn not_watched(what: &Path, error: &io::Error) -> Failure {
    let mend = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "allow more watches: sysctl fs.inotify.max_user_watches=524288"
        }
        _ => "",
    };
    Failure::new(
        format!("{} cannot be watched: {error}", what.display()),
        mend,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_has_read_is_understood_with_blanks_in_names() {
        let text = "/t/debug/shop: /s/build.rs /s/my\\ pages/a.html /s/src/main.rs\n";
        let read = read_for(text);
        let files: Vec<&Path> = read.iter().map(PathBuf::as_path).collect();
        let expected = ["/s/build.rs", "/s/my pages/a.html", "/s/src/main.rs"];
        assert_eq!(files, expected.map(Path::new));
        assert!(read_for("").is_empty());
    }

    #[test]
    fn what_editors_leave_beside_a_source_is_none() {
        for path in ["/s/src/main.rs", "/s/Cargo.toml", "/s/anylith.toml"] {
            assert!(is_called_like_one(Path::new(path)), "{path}");
        }
        for path in [
            "/s/src/main.rs~",
            "/s/.main.rs.swp",
            "/s/.#main.rs",
            "/s/4913",
            "/s/x.db",
        ] {
            assert!(!is_called_like_one(Path::new(path)), "{path}");
        }
    }
}
