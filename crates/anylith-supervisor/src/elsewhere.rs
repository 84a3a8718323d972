//! Where an application runs that this user, or this shell, has no run folder of.
//!
//! A run folder belongs to one user, and where it is depends on `XDG_RUNTIME_DIR`. But the kernel tells everybody the paths
//! of all sockets, and in them are those of the control socket and of the replicas.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use crate::run_folder::{self, RunFolder};

/// Where the kernel has the paths of sockets.
const SOCKETS: &str = "/proc/net/unix";

/// A run folder that is not among those of this user and this shell, and in which something runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The folder.
    pub folder: RunFolder,
    /// The user whose it is, as a number.
    pub uid: u32,
    /// What he is called, if that is known.
    pub user: Option<String>,
    /// What `XDG_RUNTIME_DIR` is there; `None` if it is not set.
    pub runtime: Option<PathBuf>,
}

impl Elsewhere {
    /// Finds where the application at `home` runs, if it does not run here.
    ///
    /// # Errors
    ///
    /// If `home` does not exist, or the sockets cannot be read.
    pub fn find(home: &Path) -> io::Result<Option<Self>> {
        let suffix = run_folder::suffix(home)?;
        let own = run_folder::root()?;
        let sockets = fs::read_to_string(SOCKETS)?;
        let paths = sockets.lines().filter_map(|line| line.split_once(" /"));
        let paths = paths.map(|(_, path)| Path::new("/").join(path));
        // A supervisor that has stopped all has removed its socket, and is about to end.
        let is_gone = |path: &PathBuf| {
            let seen = fs::symlink_metadata(path);
            seen.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let mut paths = paths.filter(|path| !is_gone(path));
        Ok(paths.find_map(|path| Self::of(&path, &suffix).filter(|it| it.root() != Some(&own))))
    }

    /// The run folder that a socket is in, if its name ends with `suffix`.
    fn of(socket: &Path, suffix: &str) -> Option<Self> {
        let mut folders = socket.ancestors().skip(1);
        let is_it = |folder: &&Path| {
            let name = folder.file_name().unwrap_or_default();
            name.to_string_lossy().ends_with(suffix)
        };
        let folder = folders.find(is_it)?;
        // Anybody can make a socket, and this is shown to others, who may type it.
        let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"/_.-".contains(byte);
        if !folder
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .all(is_harmless)
        {
            return None;
        }
        let root = folder.parent()?;
        let name = root.file_name()?.to_str()?;
        let (uid, runtime) = match name.strip_prefix("anylith-") {
            Some(uid) => (uid.parse().ok()?, None),
            None if name == "anylith" => (owner(folder)?, Some(root.parent()?.to_owned())),
            None => return None,
        };
        Some(Self {
            folder: RunFolder::at(folder),
            uid,
            user: name_of(uid),
            runtime,
        })
    }

    /// Where all run folders of that user are.
    fn root(&self) -> Option<&Path> {
        self.folder.path().parent()
    }
}

/// Whose a folder is, or the nearest one above it that this user may see.
fn owner(folder: &Path) -> Option<u32> {
    let is_absolute = folder.components().next() == Some(Component::RootDir);
    let mut seen = folder.ancestors().filter(|_| is_absolute);
    seen.find_map(|folder| Some(fs::metadata(folder).ok()?.uid()))
}

/// What a user is called.
fn name_of(uid: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let mut users = users.lines().map(|line| line.split(':'));
    users.find_map(|mut fields| {
        let name = fields.next()?;
        let its = fields.nth(1)?.parse::<u32>().ok()?;
        (its == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_found_by_the_sockets_in_it() {
        let of = |path: &str| Elsewhere::of(Path::new(path), "-0123abcd");
        let found = of("/tmp/anylith-0/shop-0123abcd/control.sock").unwrap();
        let folder = Path::new("/tmp/anylith-0/shop-0123abcd");
        assert_eq!((found.folder.path(), found.uid), (folder, 0));
        assert_eq!((found.user.as_deref(), found.runtime), (Some("root"), None));
        // Also by those of replicas, where the supervisor is gone.
        let own = tempfile::tempdir().unwrap();
        let path = own.path().join("anylith/shop-0123abcd/r/Cart-1-2.sock");
        let found = of(path.to_str().unwrap()).unwrap();
        assert_eq!(found.runtime.as_deref(), Some(own.path()));
        assert_eq!(found.uid, rustix::process::getuid().as_raw());
        assert_eq!(of("/tmp/anylith-0/shop-99999999/control.sock"), None);
        assert_eq!(of("/run/shop-0123abcd/control.sock"), None);
        assert_eq!(
            of("/tmp/$(reboot)/anylith/shop-0123abcd/control.sock"),
            None
        );
    }
}
