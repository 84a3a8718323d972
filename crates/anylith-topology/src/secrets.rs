//! Secrets: values that `anylith.toml` does not hold, but says where they are.

use std::{
    ffi::OsString,
    io::{self, Read},
};

/// No secret is longer, in bytes; a path that leads to something else should not fill the memory.
const MOST_BYTES: u64 = 1024 * 1024;

/// Where secrets are: this crate reads no environment and opens no file itself.
///
/// A value `{ env = "NAME" }` or `{ file = "path" }`, in braces, within `[components.…]` is replaced by
/// the text that is found there. A newline at the end of a file is left out.
pub trait Secrets {
    /// The environment variable `name`, if it is set.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// Opens the file at `path`, which is relative to the folder of `anylith.toml`.
    ///
    /// # Errors
    ///
    /// Why it cannot be opened.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read>>;
}

/// Leaves every secret empty: for those who look at the topology only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unread;

impl Secrets for Unread {
    fn variable(&self, _: &str) -> Option<OsString> {
        Some(OsString::new())
    }

    fn open(&self, _: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(io::empty()))
    }
}

/// What is wrong, and its mend.
type Wrong = (String, String);

/// The text of `{ env = "NAME" }`.
pub(crate) fn variable(secrets: &dyn Secrets, name: &str) -> Result<String, Wrong> {
    if name.is_empty() {
        let mend = "write the name of an environment variable: { env = \"NAME\" }";
        return Err(("the secret has no name".to_owned(), mend.to_owned()));
    }
    let value = secrets.variable(name).ok_or_else(|| {
        (
            format!("the environment variable `{name}` is not set"),
            format!("set it: {name}=… before the command"),
        )
    })?;
    value.into_string().map_err(|_| {
        (
            format!("the environment variable `{name}` is not text in UTF-8"),
            "put bytes that are no text into a file, in base64 for one".to_owned(),
        )
    })
}

/// The text of `{ file = "path" }`.
pub(crate) fn file(secrets: &dyn Secrets, path: &str) -> Result<String, Wrong> {
    let wrong = |why: &str| {
        let mend = "write the path of a file that can be read, from the folder of this one";
        (
            format!("the file `{path}` cannot be read: {why}"),
            mend.to_owned(),
        )
    };
    let mut text = String::new();
    let read = secrets
        .open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > MOST_BYTES => return Err(wrong("it is longer than 1 MiB")),
        Ok(_) => {}
        Err(error) => {
            return Err(wrong(match error.kind() {
                io::ErrorKind::NotFound => "there is no such file",
                io::ErrorKind::PermissionDenied => "this user may not read it",
                io::ErrorKind::IsADirectory => "it is a folder",
                io::ErrorKind::InvalidData => "it is not text in UTF-8",
                _ => return Err(wrong(&error.to_string())),
            }));
        }
    }
    let end = text.strip_suffix('\n').unwrap_or(&text);
    let end = end.strip_suffix('\r').unwrap_or(end).len();
    text.truncate(end);
    Ok(text)
}
