//! An OCI image layout in a tar archive.

use std::{collections::BTreeMap, io};

use tar::{EntryType, Header};

/// A part of an image, by its digest.
#[derive(Debug)]
pub(crate) struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    pub(crate) fn new(digest: String, bytes: Vec<u8>) -> Self {
        Self { digest, bytes }
    }
}

/// An image as an archive.
#[derive(Debug)]
pub struct Archive {
    /// The digest of the image's manifest, by which it can be pulled.
    pub digest: String,
    /// The archive.
    pub bytes: Vec<u8>,
    /// How large the image is as it is pulled, in bytes.
    pub size: usize,
}

impl Archive {
    /// Puts `blobs`, to which `index` leads, into one.
    pub(crate) fn new(digest: String, index: &str, blobs: Vec<Blob>) -> io::Result<Self> {
        let size = blobs.iter().map(|blob| blob.bytes.len()).sum();
        let mut files: BTreeMap<String, Vec<u8>> = blobs
            .into_iter()
            .map(|blob| {
                (
                    format!("blobs/{}", blob.digest.replacen(':', "/", 1)),
                    blob.bytes,
                )
            })
            .collect();
        files.insert("index.json".to_owned(), index.as_bytes().to_vec());
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
        files.insert("oci-layout".to_owned(), layout.to_vec());
        let mut tar = tar::Builder::new(Vec::new());
        for folder in ["blobs", "blobs/sha256"] {
            append(&mut tar, folder, EntryType::Directory, 0o755, &[])?;
        }
        for (path, bytes) in &files {
            append(&mut tar, path, EntryType::Regular, 0o644, bytes)?;
        }
        Ok(Self {
            digest,
            bytes: tar.into_inner()?,
            size,
        })
    }
}

fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
}
