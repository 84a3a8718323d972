//! The folder that is written to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Everybody.
    Public,
    /// Its user alone: a key, or orders, which hold the application's config.
    Private,
}

/// What is to be in the folder, before it is.
#[derive(Debug)]
pub(super) struct Output {
    folder: PathBuf,
    /// The list of all that was written, by which the next time knows what is no longer needed.
    list: &'static str,
    before: BTreeSet<String>,
    files: BTreeMap<String, (Sort, String)>,
}

/// A file that is not as it is to be.
#[derive(Debug)]
pub(super) struct Change {
    /// Its path in the folder.
    pub(super) path: String,
    /// What it says; `None` if it is not there.
    pub(super) before: Option<String>,
    /// What it is to say; `None` if it is not needed any more.
    pub(super) after: Option<String>,
}

impl Output {
    /// For `folder`, which is new, empty, or what was written before and has this `list`.
    pub(super) fn open(folder: &Path, list: &'static str) -> Result<Self, Failure> {
        let before = match fs::read_to_string(folder.join(list)) {
            Ok(list) => list.lines().map(str::to_owned).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut found = fs::read_dir(folder).into_iter().flatten();
                if found.next().is_some() {
                    return Err(Failure::input(
                        format!("{} holds something else", folder.display()),
                        "name a folder that is not there yet, as in `-o out`",
                    ));
                }
                BTreeSet::new()
            }
            Err(error) => return Err(failed(folder, &error)),
        };
        Ok(Self {
            folder: folder.to_owned(),
            list,
            before,
            files: BTreeMap::new(),
        })
    }

    /// Puts a file at `path`.
    pub(super) fn add(&mut self, path: &str, sort: Sort, text: String) {
        self.files.insert(path.to_owned(), (sort, text));
    }

    /// What was written before and is not needed any more. What somebody else has put there is left alone, and so is a path
    /// that leads elsewhere.
    fn unneeded(&self) -> impl Iterator<Item = &String> {
        let unneeded = self
            .before
            .iter()
            .filter(|path| !self.files.contains_key(*path));
        unneeded.filter(|path| !path.split('/').any(|part| part == ".." || part.is_empty()))
    }

    /// What [`write`](Self::write) would change, in the order of paths. Nothing is written.
    pub(super) fn changes(&self) -> Result<Vec<Change>, Failure> {
        let wanted = self.files.iter();
        let wanted = wanted.map(|(path, (_, text))| (path, Some(text)));
        let unneeded = self.unneeded().map(|path| (path, None));
        let all: BTreeMap<&String, Option<&String>> = wanted.chain(unneeded).collect();
        let mut changes = Vec::new();
        for (path, after) in all {
            let file = self.folder.join(path);
            let before = match fs::read(&file) {
                Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    let what = format!("{} cannot be read: {error}", file.display());
                    return Err(Failure::new(what, "let this user read it"));
                }
            };
            if before.as_ref() != after {
                changes.push(Change {
                    path: path.clone(),
                    before,
                    after: after.cloned(),
                });
            }
        }
        Ok(changes)
    }

    /// Writes everything, each file in one step, and removes what was written before and is not needed any more.
    /// Returns these.
    pub(super) fn write(self) -> Result<Vec<String>, Failure> {
        for (path, (sort, text)) in &self.files {
            let file = self.folder.join(path);
            write_file(&file, *sort, text).map_err(|error| failed(&file, &error))?;
        }
        let mut removed = Vec::new();
        for path in self.unneeded() {
            let file = self.folder.join(path);
            if fs::remove_file(&file).is_ok() {
                removed.push(path.clone());
            }
            if let Some(folder) = file.parent() {
                // Fails where there is something else in it.
                let _ = fs::remove_dir(folder);
            }
        }
        let list: String = self.files.keys().map(|path| format!("{path}\n")).collect();
        let file = self.folder.join(self.list);
        write_file(&file, Sort::Public, &list).map_err(|error| failed(&file, &error))?;
        Ok(removed)
    }
}

fn write_file(file: &Path, sort: Sort, text: &str) -> io::Result<()> {
    let (mode, folder_mode) = match sort {
        Sort::Public => (0o644, 0o755),
        Sort::Private => (0o600, 0o700),
    };
    if let Some(folder) = file.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(folder_mode)
            .create(folder)?;
    }
    // Its time says when it changed, by which a replica notices a new certificate.
    if fs::read(file).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&new)
        .and_then(|mut written| written.write_all(text.as_bytes()));
    let renamed = written.and_then(|()| fs::rename(&new, file));
    renamed.inspect_err(|_| drop(fs::remove_file(&new)))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("{} cannot be written: {error}", path.display()),
        "name a folder that this user may write to with -o",
    )
}
