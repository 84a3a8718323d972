//! One layer of an image: a tar archive, compressed, and the digests of both.

use std::{collections::BTreeMap, io, path::Path};

use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use crate::archive::Blob;

/// What is at a path in an archive.
#[derive(Debug, Clone)]
pub(crate) enum Entry<'a> {
    /// A folder, of this user, with these permissions.
    Folder { user: u32, mode: u32 },
    /// A file of root, with these permissions.
    File { mode: u32, bytes: &'a [u8] },
}

/// A layer, compressed.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The digest of what is in it before it is compressed.
    pub(crate) content: String,
    pub(crate) blob: Blob,
}

/// A digest, as images have it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Layer {
    /// Makes one of `entries`, as [`tar()`] has them.
    pub(crate) fn new(entries: &BTreeMap<String, Entry<'_>>) -> io::Result<Self> {
        let plain = tar(entries)?;
        // Neither the time nor the machine is in it.
        let mut packed = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::default());
        io::Write::write_all(&mut packed, &plain)?;
        Ok(Self {
            content: digest(&plain),
            blob: Blob::new(packed.finish()?),
        })
    }
}

/// A tar archive of `entries`, by their paths without the first slash. Folders on the way to them are made.
pub(crate) fn tar(entries: &BTreeMap<String, Entry<'_>>) -> io::Result<Vec<u8>> {
    let mut all: BTreeMap<&str, Entry<'_>> = BTreeMap::new();
    for path in entries.keys() {
        for (slash, _) in path.match_indices('/') {
            let way = Entry::Folder {
                user: 0,
                mode: 0o755,
            };
            all.insert(&path[..slash], way);
        }
    }
    all.extend(
        entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry.clone())),
    );
    let mut tar = tar::Builder::new(Vec::new());
    for (path, entry) in all {
        append(&mut tar, path, &entry)?;
    }
    tar.into_inner()
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, entry: &Entry<'_>) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    let (kind, user, mode, bytes) = match *entry {
        Entry::Folder { user, mode } => (EntryType::Directory, user, mode, &[][..]),
        Entry::File { mode, bytes } => (EntryType::Regular, 0, mode, bytes),
    };
    header.set_entry_type(kind);
    header.set_uid(user.into());
    header.set_gid(user.into());
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, Path::new(path), bytes)
}
