//! Where secrets of `anylith.toml` come from: this process's environment, and files.

use std::{env, fs, path::PathBuf};

use anylith_topology::Secrets;

/// Reads secrets for an application in `folder`.
#[derive(Debug)]
pub(crate) struct SecretStore {
    pub(crate) folder: PathBuf,
}

/// No secret is longer, in bytes; a path that leads to something else should not fill the memory.
const SECRET_BYTES: u64 = 1024 * 1024;

impl Secrets for SecretStore {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let path = self.folder.join(path);
        let found = fs::metadata(&path).map_err(|error| error.to_string())?;
        if !found.is_file() {
            return Err("it is not a file".to_owned());
        }
        if found.len() > SECRET_BYTES {
            return Err("it is longer than 1 MiB".to_owned());
        }
        fs::read_to_string(&path).map_err(|error| error.to_string())
    }
}
