//! The folder in which an authority is kept.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use crate::root::Root;

/// A folder that nobody but its user can look into, with the roots and their keys in one file.
#[derive(Debug)]
pub(crate) struct Keep {
    folder: PathBuf,
}

impl Keep {
    /// Makes the folder, if it is not there, and closes it to everybody else.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let found = fs::symlink_metadata(folder)?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
            let text = "it is not a folder of this user; remove it, or name another";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self) -> PathBuf {
        self.folder.join("authority.json")
    }

    /// What is kept; nothing if it is new.
    pub(crate) fn read(&self) -> io::Result<Vec<Root>> {
        let text = match fs::read(self.file()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&text).map_err(|error| {
            // Not what serde_json found there: it may be a part of a key.
            let (file, line) = (self.file(), error.line());
            let text = format!(
                "{} is damaged in line {line}: put it back from where it was copied to, or remove it, and everybody \
                 needs a new certificate",
                file.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// Writes it in one step, and not before it is on the disk: a lost key makes all that it has signed worthless.
    pub(crate) fn write(&self, roots: &[Root]) -> io::Result<()> {
        let (file, new) = (self.file(), self.folder.join("authority.json.new"));
        let written = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut written| {
                written.write_all(&serde_json::to_vec_pretty(roots)?)?;
                written.sync_all()
            });
        let renamed = written.and_then(|()| fs::rename(&new, file));
        renamed.inspect_err(|_| drop(fs::remove_file(&new)))
    }
}
