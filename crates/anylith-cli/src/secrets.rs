//! Where secrets of `anylith.toml` come from: this process's environment, and files.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use anylith_topology::Secrets;

/// Finds secrets for an application in `folder`.
#[derive(Debug)]
pub(crate) struct SecretStore {
    pub(crate) folder: PathBuf,
}

impl Secrets for SecretStore {
    fn variable(&self, name: &str) -> Option<OsString> {
        env::var_os(name)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(self.folder.join(path))?))
    }
}
