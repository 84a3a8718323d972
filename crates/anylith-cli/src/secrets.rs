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
    /// Whether what is missing here is taken for an empty text: it is needed on another machine.
    pub(crate) may_be_elsewhere: bool,
}

impl Secrets for SecretStore {
    fn variable(&self, name: &str) -> Option<OsString> {
        let missing = || self.may_be_elsewhere.then(OsString::new);
        env::var_os(name).or_else(missing)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        match File::open(self.folder.join(path)) {
            Err(_) if self.may_be_elsewhere => Ok(Box::new(io::empty())),
            opened => Ok(Box::new(opened?)),
        }
    }
}
