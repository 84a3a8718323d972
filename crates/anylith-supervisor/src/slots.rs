//! A small file that is whole whenever somebody reads it, and can be written where the disk is full.
//!
//! There are two files of the same size: the one that readers find, and a spare one. The next text is written over the spare
//! one, which takes no byte of the disk that it does not have already; then the two change places, in one step. So who is killed
//! in between, or finds the disk full, leaves the text before. What a text leaves free is filled with spaces.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};

/// So much of a file is filled with spaces at once.
const SPACES: [u8; 4096] = [b' '; 4096];

/// A file that can be written as long as its text is not longer than `capacity`.
#[derive(Debug)]
pub(crate) struct Slots {
    path: PathBuf,
    /// What both files have room for; 0 where there are no two.
    capacity: u64,
    /// Beyond this there are but spaces in both.
    dirty: u64,
}

impl Slots {
    /// The file at `path`, with the room that it has.
    pub(crate) fn at(path: PathBuf) -> Self {
        let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let lengths = [length(&path), length(&spare(&path))];
        Self {
            path,
            capacity: lengths[0].min(lengths[1]),
            dirty: lengths[0].max(lengths[1]),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How long a text may be that can be written, however full the disk is.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Has `text` take the place of what is there. Where it is longer than there is room for, the disk must have that.
    pub(crate) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let length = text.len() as u64;
        if length > self.capacity {
            let new = self.path.with_extension("json.new");
            let placed = fill(&new, text, length).and_then(|()| fs::rename(&new, &self.path));
            placed.inspect_err(|_| drop(fs::remove_file(&new)))?;
            *self = Self::at(std::mem::take(&mut self.path));
            return Ok(());
        }
        let spare = spare(&self.path);
        let opened = File::options().write(true).open(&spare);
        let mut file = opened.inspect_err(|_| self.capacity = 0)?;
        self.dirty = self.dirty.max(length);
        file.write_all(text)?;
        let own = file.metadata()?.len();
        pad(&mut file, length, self.dirty.min(own))?;
        if renameat_with(CWD, &spare, CWD, &self.path, RenameFlags::EXCHANGE).is_err() {
            // Nothing is there that it could change places with, or the file system knows no such step.
            fs::rename(&spare, &self.path)?;
            self.capacity = 0;
        }
        Ok(())
    }

    /// Gives both files room for `capacity` bytes, with `text` in the one that readers find. What was there is there until then,
    /// and stays if there is no room.
    pub(crate) fn resize(&mut self, text: &[u8], capacity: u64) -> io::Result<()> {
        let new = self.path.with_extension("json.new");
        let next = self.path.with_extension("spare.new");
        let placed = fill(&new, text, capacity)
            .and_then(|()| fill(&next, &[], capacity))
            .and_then(|()| fs::rename(&next, spare(&self.path)))
            .and_then(|()| fs::rename(&new, &self.path));
        if placed.is_err() {
            let _ = fs::remove_file(&new);
            let _ = fs::remove_file(&next);
        }
        placed?;
        (self.capacity, self.dirty) = (capacity, text.len() as u64);
        Ok(())
    }
}

/// Removes the file at `path` and all that belongs to it.
pub(crate) fn remove(path: &Path) {
    for ending in ["json", "spare", "json.new", "spare.new"] {
        let _ = fs::remove_file(path.with_extension(ending));
    }
}

/// Where the spare one is of the file at `path`.
fn spare(path: &Path) -> PathBuf {
    path.with_extension("spare")
}

/// Makes a file of `capacity` bytes, `text` and then spaces, all of which the disk has for it.
fn fill(path: &Path, text: &[u8], capacity: u64) -> io::Result<()> {
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        // It may hold secrets.
        .mode(0o600)
        .open(path)?;
    let is_allotted = fallocate(&file, FallocateFlags::empty(), 0, capacity.max(1)).is_ok();
    file.write_all(text)?;
    pad(&mut file, text.len() as u64, capacity)?;
    // A file system that allots nothing beforehand may find out as late as now that there is no room.
    match is_allotted {
        true => Ok(()),
        false => file.sync_data(),
    }
}

/// Writes spaces from where `file` is, at `from`, until `to`.
fn pad(file: &mut File, from: u64, to: u64) -> io::Result<()> {
    let mut left = to.saturating_sub(from);
    while left > 0 {
        let part = left.min(SPACES.len() as u64);
        file.write_all(&SPACES[..part as usize])?;
        left -= part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap().trim_end().to_owned()
    }

    #[test]
    fn what_is_written_takes_no_room_that_it_did_not_have() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state.json");
        let mut slots = Slots::at(path.clone());
        slots.write(b"first").unwrap();
        assert_eq!((read(&path).as_str(), slots.capacity()), ("first", 0));
        slots.resize(b"second", 10_000).unwrap();
        let inodes = || [&path, &spare(&path)].map(|it| fs::metadata(it).unwrap().ino());
        let [one, other] = inodes();
        for (text, order) in [("a long third", [other, one]), ("4th", [one, other])] {
            slots.write(text.as_bytes()).unwrap();
            assert_eq!(read(&path), text);
            assert_eq!(inodes(), order, "they change places");
            let found = fs::metadata(&path).unwrap();
            assert_eq!(found.len(), 10_000);
            assert!(found.blocks() * 512 >= 10_000, "it is no hole");
        }
        // Who comes next does not know how long the texts were.
        let mut slots = Slots::at(path.clone());
        assert_eq!(slots.capacity(), 10_000);
        slots.write(b"5").unwrap();
        assert_eq!(read(&path), "5");
        slots.write(b"6").unwrap();
        assert_eq!(read(&path), "6");
    }

    #[test]
    fn who_is_killed_in_the_middle_leaves_what_was_there() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state.json");
        let mut slots = Slots::at(path.clone());
        slots.resize(b"before", 100).unwrap();
        // Half of it is in the spare one, or all.
        fs::write(spare(&path), "aft").unwrap();
        assert_eq!(read(&path), "before");
        let mut slots = Slots::at(path.clone());
        slots.write(b"after").unwrap();
        assert_eq!(read(&path), "after");
        // One of the two is gone.
        slots.resize(b"before", 100).unwrap();
        fs::remove_file(&path).unwrap();
        slots.write(b"after").unwrap();
        assert_eq!((read(&path).as_str(), slots.capacity()), ("after", 0));
        slots.resize(b"again", 100).unwrap();
        remove(&path);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
