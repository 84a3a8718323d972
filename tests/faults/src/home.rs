//! The folder of a run: everything that it makes is in it, and goes with it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use rustix::process::Signal;

use crate::{ledger::Ledger, process};

/// What the names of all homes begin with. They are short, since the paths of sockets have to be.
const PREFIX: &str = "anylith-faults-";

/// A run's folder. When it is dropped every process of the run is killed, and the folder removed.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    kept: bool,
}

impl Home {
    /// Makes one.
    pub(crate) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let path = root().join(format!("{PREFIX}{}-{number}", std::process::id()));
        for folder in [Ledger::FOLDER, "app", "run"] {
            fs::create_dir_all(path.join(folder))?;
        }
        let home = Self { path, kept: false };
        fs::write(home.clock(), "+0")?;
        Ok(home)
    }

    /// Leaves the folder where it is, to be looked at.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the application, with its `anylith.toml`.
    pub(crate) fn app(&self) -> PathBuf {
        self.path.join("app")
    }

    /// Puts the run folders on a small disk of their own.
    pub(crate) fn give_disk(&self) -> io::Result<()> {
        let options = c"size=2m";
        rustix::mount::mount(
            c"tmpfs",
            self.run(),
            c"tmpfs",
            rustix::mount::MountFlags::empty(),
            options,
        )?;
        Ok(())
    }

    /// Fills that disk, to the last byte.
    pub(crate) fn fill_disk(&self) {
        let mut ballast = File::create(self.ballast());
        while let Ok(file) = &mut ballast
            && file.write_all(&[0; 4096]).is_ok()
        {}
    }

    /// Writes something to that disk, as anybody might.
    pub(crate) fn try_disk(&self) -> io::Result<()> {
        let path = self.run().join("probe");
        let written = fs::write(&path, [0; 4096]);
        // It may be there, without anything in it.
        let _ = fs::remove_file(path);
        written
    }

    /// Makes room on that disk again.
    pub(crate) fn free_disk(&self) {
        let _ = fs::remove_file(self.ballast());
    }

    /// Removes what certificates are issued with.
    pub(crate) fn lose_authority(&self) {
        for folder in self.authorities() {
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// What certificates are issued with; `None` if there is nothing yet.
    pub(crate) fn authority(&self) -> Option<Vec<u8>> {
        let mut files = self.authorities().map(|it| it.join("authority.json"));
        files.find_map(|file| fs::read(file).ok())
    }

    fn authorities(&self) -> impl Iterator<Item = PathBuf> {
        let folders = fs::read_dir(self.run().join("anylith"));
        let folders = folders.into_iter().flatten().flatten();
        folders.map(|folder| folder.path().join("authority"))
    }

    fn ballast(&self) -> PathBuf {
        self.run().join("ballast")
    }

    /// The file that says by how much the clock on the wall is wrong.
    pub(crate) fn clock(&self) -> PathBuf {
        self.path.join("clock")
    }

    /// Where the run folders are.
    pub(crate) fn run(&self) -> PathBuf {
        self.path.join("run")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        end_processes(&self.path);
        if !self.kept {
            remove(&self.path);
        }
    }
}

/// Removes what runs have left whose suite was killed: their processes, mounts and folders.
pub(crate) fn clear_leftovers() -> io::Result<()> {
    for folder in fs::read_dir(root())? {
        let folder = folder?;
        let name = folder.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        let Some(owner) = owner.and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        if !process::lives(owner) {
            eprintln!(
                "removing what an earlier run left: {}",
                folder.path().display()
            );
            end_processes(&folder.path());
            remove(&folder.path());
        }
    }
    Ok(())
}

/// Not where `TMPDIR` says: the paths of sockets have to be short.
fn root() -> PathBuf {
    PathBuf::from("/tmp")
}

fn end_processes(path: &Path) {
    // A supervisor that is killed first starts nothing again; one that was about to is caught the next time.
    loop {
        let mut found = process::of(path);
        found.retain(|one| process::lives(one.pid));
        if found.is_empty() {
            break;
        }
        found.sort_by_key(|one| one.replica.is_some());
        for one in found {
            one.signal(Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn remove(path: &Path) {
    // A small disk of its own, if there is one.
    let _ = rustix::mount::unmount(path.join("run"), rustix::mount::UnmountFlags::DETACH);
    let _ = fs::remove_dir_all(path);
}
