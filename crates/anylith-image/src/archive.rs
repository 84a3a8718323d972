//! An OCI image layout in a tar archive.

use std::{collections::BTreeMap, io};

use crate::layer::{Entry, digest, tar};

/// A part of an image, by its digest.
#[derive(Debug)]
pub struct Blob {
    /// The digest of its bytes.
    pub digest: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let digest = digest(&bytes);
        Self { digest, bytes }
    }
}

/// The media type of a [`Packed::manifest`].
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image, packed: what a registry keeps of it.
#[derive(Debug)]
pub struct Packed {
    /// Its manifest, by whose digest it can be pulled.
    pub manifest: Blob,
    /// What the manifest leads to: the layers, and then the config.
    pub parts: Vec<Blob>,
    /// What leads to the manifest in an archive.
    pub(crate) index: String,
}

impl Packed {
    /// How large it is as it is pulled, in bytes.
    pub fn size(&self) -> usize {
        self.blobs().map(|blob| blob.bytes.len()).sum()
    }

    /// The image as an OCI image layout in a tar archive, which every tool for images reads.
    ///
    /// # Errors
    ///
    /// A path is longer than an archive can have it.
    pub fn archive(&self) -> io::Result<Vec<u8>> {
        let file = |bytes| Entry::File { mode: 0o644, bytes };
        let mut entries: BTreeMap<String, Entry<'_>> = self
            .blobs()
            .map(|blob| {
                let path = format!("blobs/{}", blob.digest.replacen(':', "/", 1));
                (path, file(&blob.bytes))
            })
            .collect();
        entries.extend([
            ("index.json".to_owned(), file(self.index.as_bytes())),
            (
                "oci-layout".to_owned(),
                file(br#"{"imageLayoutVersion":"1.0.0"}"#),
            ),
        ]);
        tar(&entries)
    }

    fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.parts.iter().chain([&self.manifest])
    }
}
