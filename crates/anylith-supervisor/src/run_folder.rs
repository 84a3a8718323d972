//! The folder in which a running application keeps its sockets, its logs and what it must remember.

use std::{
    env,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anylith_core::{Fingerprint, Name};

/// The file with the names of the components.
const COMPONENTS: &str = "components";

/// The run folder of one application: `$XDG_RUNTIME_DIR/anylith/<app>-<hash>`, or the same below
/// `/tmp/anylith-<uid>`. Nobody but its user can look into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The run folder of the application called `app` whose home is `home`: the folder of its
    /// `anylith.toml`, or that file where it has another name.
    ///
    /// # Errors
    ///
    /// If `home` does not exist, or there is no safe place for run folders.
    pub fn of(app: &Name, home: &Path) -> io::Result<Self> {
        Ok(Self {
            path: root()?.join(format!("{app}{}", suffix(home)?)),
        })
    }

    /// The run folder that an application at `home` has, whatever its name was when it was started; `None`
    /// if it was never started.
    ///
    /// # Errors
    ///
    /// If `home` does not exist, or run folders cannot be read.
    pub fn find(home: &Path) -> io::Result<Option<Self>> {
        let suffix = suffix(home)?;
        let mut newest = None;
        let folders = match fs::read_dir(root()?) {
            Ok(folders) => folders,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        for folder in folders {
            let folder = folder?;
            if folder.file_name().to_string_lossy().ends_with(&suffix) {
                let changed = folder.metadata()?.modified()?;
                newest = newest.max(Some((changed, folder.path())));
            }
        }
        Ok(newest.map(|(_, path)| Self { path }))
    }

    /// Where the run folders of this user are, as this shell has it.
    ///
    /// # Errors
    ///
    /// If there is no safe place for them.
    pub fn root() -> io::Result<PathBuf> {
        root()
    }

    /// A run folder at `path`, as tests want it. It must be short: Unix sockets in it have at most 107
    /// bytes of path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket at which replicas and the command find the supervisor.
    pub fn control_socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The folder in which replicas bind their sockets.
    pub fn sockets(&self) -> PathBuf {
        self.path.join("r")
    }

    /// The folder of the logs: one file for each replica, and `anylith.log` of the supervisor.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The log of one replica.
    pub fn log_of(&self, replica: &Name) -> PathBuf {
        self.logs().join(format!("{replica}.log"))
    }

    /// The log of the supervisor itself.
    pub fn own_log(&self) -> PathBuf {
        self.logs().join("anylith.log")
    }

    /// The folder in which traces are kept.
    pub fn traces(&self) -> PathBuf {
        self.path.join("traces")
    }

    /// Where the dashboard of a run is, and its token.
    pub fn dashboard(&self) -> PathBuf {
        self.path.join("dashboard.json")
    }

    /// The process that was the last to be the supervisor here, as it said itself; it may be gone.
    pub fn supervisor(&self) -> Option<u32> {
        fs::read_to_string(self.lock()).ok()?.parse().ok()
    }

    /// The components of the application that runs here, or ran here last; empty if that is not known.
    pub fn components(&self) -> Vec<String> {
        let names = fs::read_to_string(self.path.join(COMPONENTS)).unwrap_or_default();
        names.lines().map(str::to_owned).collect()
    }

    /// Keeps the names of the components, for when nobody is there to be asked.
    pub(crate) fn keep_components<'a>(
        &self,
        names: impl Iterator<Item = &'a Name>,
    ) -> io::Result<()> {
        let names: Vec<&str> = names.map(Name::as_str).collect();
        let (names, path) = (names.join("\n"), self.path.join(COMPONENTS));
        if fs::read_to_string(&path).is_ok_and(|kept| kept == names) {
            return Ok(());
        }
        // In one step: where the disk is full, the old names are better than none.
        let new = path.with_extension("new");
        let written = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(names.as_bytes()));
        let renamed = written.and_then(|()| fs::rename(&new, path));
        renamed.inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// Opens the log of a replica to write at its end.
    pub(crate) fn open_log(&self, replica: &Name) -> io::Result<File> {
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.log_of(replica))
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// Where the authority is kept that issues certificates to the replicas.
    pub(crate) fn authority(&self) -> PathBuf {
        self.path.join("authority")
    }

    /// Where the builds are kept that replicas are started from, once one was rolled in.
    pub(crate) fn builds(&self) -> PathBuf {
        self.path.join("builds")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Removes the sockets and logs of earlier runs.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        sweep(&self.sockets())?;
        sweep(&self.logs())
    }

    /// Makes the folder and those in it, for the user alone.
    pub(crate) fn create(&self) -> io::Result<()> {
        for folder in [self.path.clone(), self.sockets(), self.logs()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)?;
        }
        check_owner(&self.path)
    }
}

/// Removes the files that earlier runs have left in `folder`.
pub(crate) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Where all run folders of this user are.
pub(crate) fn root() -> io::Result<PathBuf> {
    if let Some(runtime) = env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(runtime).join("anylith"));
    }
    let uid = rustix::process::getuid().as_raw();
    let root = PathBuf::from(format!("/tmp/anylith-{uid}"));
    // Anybody can make folders in /tmp, so somebody else may have made this one first.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&root)?;
    check_owner(&root)?;
    Ok(root)
}

/// Refuses a folder of somebody else, and closes one of ours that others can enter.
fn check_owner(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() {
        let message = format!(
            "{} is not a folder of this user; remove it, or set XDG_RUNTIME_DIR",
            folder.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// What the names of the run folders of an application at `home` end with.
pub(crate) fn suffix(home: &Path) -> io::Result<String> {
    let home = fs::canonicalize(home)?;
    let hash = Fingerprint::EMPTY.with(&home.to_string_lossy()).0;
    Ok(format!("-{:08x}", hash as u32 ^ (hash >> 32) as u32))
}
