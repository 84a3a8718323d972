//! An OCI image layout in a tar archive.

use std::{collections::BTreeMap, io};

use crate::layer::{Entry, digest, tar};

/// A part of an image, by its digest.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let digest = digest(&bytes);
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
    pub(crate) fn new(digest: String, index: &str, blobs: &[Blob]) -> io::Result<Self> {
        let size = blobs.iter().map(|blob| blob.bytes.len()).sum();
        let file = |bytes| Entry::File { mode: 0o644, bytes };
        let mut entries: BTreeMap<String, Entry<'_>> = blobs
            .iter()
            .map(|blob| {
                let path = format!("blobs/{}", blob.digest.replacen(':', "/", 1));
                (path, file(&blob.bytes))
            })
            .collect();
        entries.extend([
            ("index.json".to_owned(), file(index.as_bytes())),
            (
                "oci-layout".to_owned(),
                file(br#"{"imageLayoutVersion":"1.0.0"}"#),
            ),
        ]);
        Ok(Self {
            digest,
            bytes: tar(&entries)?,
            size,
        })
    }
}
