//! Finds the libraries that a program needs, as its loader would on this machine.

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
};

use crate::elf::{Elf, NotAProgram};

/// Folders in which every loader looks.
const ALWAYS: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// Where more of them are named.
const CONFIG: &str = "/etc/ld.so.conf";

/// Libraries that the C library may open by itself, to look names up.
const OPENED_LATER: [&str; 2] = ["libnss_dns.so.2", "libnss_files.so.2"];

/// A program, and what it needs to run.
#[derive(Debug, Clone)]
pub struct Libraries {
    /// What the program says of itself.
    pub elf: Elf,
    /// The libraries, by where they are in the image; the loader among them. None for a program that needs none.
    pub found: BTreeMap<PathBuf, Vec<u8>>,
}

/// Why a program cannot be put into an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// It, or a library, cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no program, or none for Linux.
    #[error("{} cannot be put into an image", path.display())]
    Program {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: NotAProgram,
    },
    /// A library is nowhere.
    #[error("{} needs the library {library}, which is in none of {}", by.display(), list(searched))]
    Missing {
        /// The library.
        library: String,
        /// Who needs it.
        by: PathBuf,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
}

fn list(folders: &[PathBuf]) -> String {
    let folders: Vec<String> = folders
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    folders.join(", ")
}

impl Libraries {
    /// Finds those of the program at `path`, which is `bytes`.
    ///
    /// # Errors
    ///
    /// It is no program for Linux, or needs a library that is not here.
    pub fn of(path: &Path, bytes: &[u8]) -> Result<Self, LibraryError> {
        let elf = Elf::read(bytes).map_err(|source| LibraryError::Program {
            path: path.to_owned(),
            source,
        })?;
        let mut search = Search {
            usual: usual_folders(&elf),
            elf: elf.clone(),
            found: BTreeMap::new(),
            home: None,
        };
        search.all(path)?;
        Ok(Self {
            elf,
            found: search.found,
        })
    }
}

struct Search {
    elf: Elf,
    usual: Vec<PathBuf>,
    found: BTreeMap<PathBuf, Vec<u8>>,
    /// The folder of the C library, in which its loader looks for certain.
    home: Option<PathBuf>,
}

impl Search {
    fn all(&mut self, program: &Path) -> Result<(), LibraryError> {
        if let Some(loader) = self.elf.interpreter.clone() {
            let bytes = read(Path::new(&loader))?;
            self.found.insert(loader.into(), bytes);
        }
        let mut seen: Vec<String> = Vec::new();
        let mut todo = VecDeque::from([(program.to_owned(), self.elf.clone())]);
        let mut elsewhere = Vec::new();
        while let Some((by, elf)) = todo.pop_front() {
            for name in &elf.needed {
                if seen.contains(name) || self.is_loader(name) {
                    continue;
                }
                seen.push(name.clone());
                let own = own_folders(&elf, &by);
                let (from, bytes, needs) = self.look(name, &own, &by)?;
                let folder = from.parent().unwrap_or(Path::new("/")).to_owned();
                if name.starts_with("libc.so") {
                    self.home = Some(folder.clone());
                }
                todo.push_back((from, needs));
                // What lies beside the program here does not lie beside it there.
                let is_said = elf.paths.iter().any(|path| folder == Path::new(path));
                match is_said || is_trusted(&self.elf, &folder) {
                    true => drop(self.found.insert(folder.join(name), bytes)),
                    false => elsewhere.push((name.clone(), bytes)),
                }
            }
        }
        let home = self.home.clone().unwrap_or_else(|| "/lib".into());
        // What only a cache of this machine leads to, nothing would lead to in the image.
        for (name, bytes) in elsewhere {
            self.found.insert(home.join(name), bytes);
        }
        if self.home.is_some() {
            for name in OPENED_LATER {
                let path = home.join(name);
                if let Ok(bytes) = fs::read(&path) {
                    self.found.insert(path, bytes);
                }
            }
        }
        Ok(())
    }

    /// Whether `name` is that of the loader, which is there already.
    fn is_loader(&self, name: &str) -> bool {
        let loader = self.elf.interpreter.as_deref().map(Path::new);
        loader
            .and_then(Path::file_name)
            .is_some_and(|it| it == name)
    }

    fn look(
        &self,
        name: &str,
        own: &[PathBuf],
        by: &Path,
    ) -> Result<(PathBuf, Vec<u8>, Elf), LibraryError> {
        let folders = own.iter().chain(&self.usual);
        for folder in folders.clone() {
            let path = folder.join(name);
            let Ok(bytes) = fs::read(&path) else { continue };
            // There may be one for another machine, which no loader takes.
            match Elf::read(&bytes) {
                Ok(elf) if elf.fits(&self.elf) => return Ok((path, bytes, elf)),
                Ok(_) | Err(_) => {}
            }
        }
        Err(LibraryError::Missing {
            library: name.to_owned(),
            by: by.to_owned(),
            searched: folders.cloned().collect(),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LibraryError> {
    fs::read(path).map_err(|source| LibraryError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Where `elf`, which is the file `by`, says that its libraries are.
fn own_folders(elf: &Elf, by: &Path) -> Vec<PathBuf> {
    let origin = by.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let paths = elf.paths.iter();
    paths
        .map(|path| {
            let path = path.replace("${ORIGIN}", &origin);
            PathBuf::from(path.replace("$ORIGIN", &origin))
        })
        .filter(|path| path.is_absolute())
        .collect()
}

/// Folders of which the loader of `elf` knows without being told.
fn trusted_folders(elf: &Elf) -> Vec<PathBuf> {
    let multiarch = elf.multiarch().into_iter();
    let multiarch =
        multiarch.flat_map(|name| ["/lib", "/usr/lib"].map(|it| Path::new(it).join(name)));
    multiarch.chain(ALWAYS.map(PathBuf::from)).collect()
}

fn is_trusted(elf: &Elf, folder: &Path) -> bool {
    trusted_folders(elf).iter().any(|it| it == folder)
}

/// All folders in which the loader of `elf` looks on this machine.
fn usual_folders(elf: &Elf) -> Vec<PathBuf> {
    let mut folders = trusted_folders(elf);
    configured_folders(Path::new(CONFIG), 0, &mut folders);
    folders
}

/// Adds the folders that the file `config` names, and those that it includes.
fn configured_folders(config: &Path, depth: u32, folders: &mut Vec<PathBuf>) {
    /// Files may include each other.
    const DEEPEST: u32 = 4;
    let Ok(text) = fs::read_to_string(config) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(pattern) = line.strip_prefix("include ") else {
            let folder = PathBuf::from(line);
            if folder.is_absolute() && !folders.contains(&folder) {
                folders.push(folder);
            }
            continue;
        };
        // In practice it is always all files of a folder with one ending.
        let pattern = Path::new(pattern.trim());
        let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name()) else {
            continue;
        };
        let ending = name.to_string_lossy().replacen('*', "", 1);
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_string_lossy().ends_with(&ending))
            .collect();
        files.sort();
        for file in files.iter().filter(|_| depth < DEEPEST) {
            configured_folders(file, depth + 1, folders);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_s_libraries_and_theirs_are_found_where_its_loader_looks() {
        let path = std::env::current_exe().unwrap();
        let libraries = Libraries::of(&path, &fs::read(&path).unwrap()).unwrap();
        let names: Vec<String> = libraries
            .found
            .keys()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert!(
            names.iter().any(|name| name.starts_with("libc.so")),
            "{names:?}"
        );
        assert!(
            names.iter().any(|name| name.starts_with("ld-")),
            "{names:?}"
        );
        for needed in &libraries.elf.needed {
            assert!(names.contains(needed), "{needed} of {names:?}");
        }
    }

    #[test]
    fn folders_of_the_configuration_are_looked_into_and_a_circle_ends() {
        let temp = tempfile::tempdir().unwrap();
        let config = temp.path().join("ld.so.conf");
        let more = temp.path().join("more.conf");
        let include = format!("include {}/*.conf\n", temp.path().display());
        fs::write(&config, format!("# nothing\n/opt/one\n{include}")).unwrap();
        fs::write(&more, format!("/opt/two # two\nrelative\n{include}")).unwrap();
        let mut folders = Vec::new();
        configured_folders(&config, 0, &mut folders);
        assert_eq!(
            folders,
            [PathBuf::from("/opt/one"), PathBuf::from("/opt/two")]
        );
    }
}
