//! Where the dashboard of a run is, as it is written into the run folder for its owner.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anylith_supervisor::RunFolder;
use serde::{Deserialize, Serialize};

use crate::token::Token;

/// Where the dashboard of a run is, and the token for it. Its file is for the owner alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invitation {
    /// `http://127.0.0.1:9000`
    pub url: String,
    /// What it asks for.
    pub token: Token,
}

impl Invitation {
    /// The address with the token, as a browser takes it. What follows `#` stays in the browser: no request has it, and so
    /// no log of one.
    pub fn link(&self) -> String {
        format!("{}/#token={}", self.url, self.token.as_str())
    }

    /// That of the run in `folder`; `None` if it has no dashboard.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read(folder: &RunFolder) -> io::Result<Option<Self>> {
        match fs::read(folder.dashboard()) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it, and in one step: who reads it finds all of it, or that of another run.
    pub(crate) fn write(&self, folder: &RunFolder) -> io::Result<()> {
        owners_file(&folder.dashboard(), &serde_json::to_vec(self)?)
    }

    /// Writes a page that leads there, and returns where it is: a program that is told to open it shows its path to all
    /// users of this host, and not the token.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_page(&self, folder: &RunFolder) -> io::Result<PathBuf> {
        let path = folder.dashboard().with_extension("html");
        let page = format!(
            "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\
             <meta http-equiv=\"refresh\" content=\"0;url={0}\"><a href=\"{0}\">The dashboard</a>\n",
            self.link()
        );
        owners_file(&path, page.as_bytes())?;
        Ok(path)
    }

    /// Removes what was written of one into `folder`, by this run or one before it.
    pub fn remove(folder: &RunFolder) {
        for path in [
            folder.dashboard(),
            folder.dashboard().with_extension("html"),
        ] {
            // It may not be there, and the run folder is its owner's alone.
            let _ = fs::remove_file(path);
        }
    }
}

/// Puts a file in the place of what is at `path`, that nobody but its owner can read.
fn owners_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // One that was left there might be open to others.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_the_owner_can_read_what_is_written_and_nothing_is_left_of_it() {
        let temp = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(temp.path());
        let invitation = Invitation {
            url: "http://127.0.0.1:9".to_owned(),
            token: Token::random().unwrap(),
        };
        assert!(Invitation::read(&folder).unwrap().is_none());
        invitation.write(&folder).unwrap();
        let page = invitation.write_page(&folder).unwrap();
        for path in [folder.dashboard(), page.clone()] {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        let found = Invitation::read(&folder).unwrap().unwrap();
        assert_eq!(found.link(), invitation.link());
        assert!(
            fs::read_to_string(page)
                .unwrap()
                .contains(&invitation.link())
        );
        Invitation::remove(&folder);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
