//! What is in an image.

use std::{collections::BTreeMap, io};

use serde_json::json;

use crate::{
    Libraries,
    archive::{Archive, Blob},
    layer::{Entry, Layer},
};

/// Who runs the program: nobody in particular, and not root.
pub const USER: u32 = 65532;

/// An image of a program alone.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// What the image is called: `registry.example.com/shop:1.4`.
    pub reference: &'a str,
    /// What the program is called, as its file is; it may have letters, digits, `_` and `-`.
    pub name: &'a str,
    /// The program.
    pub program: &'a [u8],
    /// What it needs.
    pub libraries: &'a Libraries,
}

impl Image<'_> {
    /// The image as an OCI image layout in a tar archive, which every tool for images reads.
    ///
    /// # Errors
    ///
    /// A path is longer than an archive can have it.
    pub fn archive(&self) -> io::Result<Archive> {
        let surroundings = Layer::new(&self.surroundings())?;
        let program = BTreeMap::from([(
            format!("bin/{}", self.name),
            Entry::File {
                mode: 0o755,
                bytes: self.program,
            },
        )]);
        let program = Layer::new(&program)?;
        let layers = [
            (surroundings, "libraries and users"),
            (program, "the program"),
        ];
        let config = Blob::new(self.config(&layers).to_string().into_bytes());
        let descriptor = |media: &str, blob: &Blob| {
            json!({
                "mediaType": format!("application/vnd.oci.image.{media}"),
                "digest": blob.digest,
                "size": blob.bytes.len(),
            })
        };
        let described: Vec<_> = layers
            .iter()
            .map(|(layer, _)| descriptor("layer.v1.tar+gzip", &layer.blob))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", &config),
            "layers": described,
        });
        let manifest = Blob::new(manifest.to_string().into_bytes());
        let mut entry = descriptor("manifest.v1+json", &manifest);
        entry["platform"] = json!({
            "architecture": self.libraries.elf.architecture().unwrap_or("unknown"),
            "os": "linux",
        });
        // Tools differ in where they look for what it is called.
        entry["annotations"] = json!({
            "io.containerd.image.name": self.reference,
            "org.opencontainers.image.ref.name": self.reference,
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let digest = manifest.digest.clone();
        let [surroundings, program] = layers.map(|(layer, _)| layer.blob);
        let blobs = [surroundings, program, config, manifest];
        Archive::new(digest, &index.to_string(), &blobs)
    }

    /// All but the program: what changes seldom is a layer of its own, which nodes have already.
    fn surroundings(&self) -> BTreeMap<String, Entry<'_>> {
        let text = |text: &'static str| Entry::File {
            mode: 0o644,
            bytes: text.as_bytes(),
        };
        let libraries = self.libraries.found.iter().map(|(path, bytes)| {
            let path = path.to_string_lossy();
            let file = Entry::File { mode: 0o755, bytes };
            (path.trim_start_matches('/').to_owned(), file)
        });
        let mut entries: BTreeMap<String, Entry<'_>> = libraries.collect();
        entries.extend([
            (
                "etc/passwd".to_owned(),
                text("root:x:0:0::/:/sbin/nologin\napp:x:65532:65532::/:/sbin/nologin\n"),
            ),
            ("etc/group".to_owned(), text("root:x:0:\napp:x:65532:\n")),
            ("etc/nsswitch.conf".to_owned(), text("hosts: files dns\n")),
            (
                "tmp".to_owned(),
                Entry::Folder {
                    user: 0,
                    mode: 0o1777,
                },
            ),
            (
                self.home().trim_start_matches('/').to_owned(),
                Entry::Folder {
                    user: USER,
                    mode: 0o750,
                },
            ),
        ]);
        entries
    }

    /// The folder in which the program runs, and may write.
    fn home(&self) -> String {
        format!("/var/lib/{}", self.name)
    }

    fn config(&self, layers: &[(Layer, &str)]) -> serde_json::Value {
        let contents: Vec<&str> = layers
            .iter()
            .map(|(layer, _)| layer.content.as_str())
            .collect();
        let history: Vec<_> = layers
            .iter()
            .map(|(_, comment)| json!({ "created_by": "anylith image", "comment": comment }))
            .collect();
        // When it was made is not in it: that would be another image each time.
        json!({
            "architecture": self.libraries.elf.architecture().unwrap_or("unknown"),
            "os": "linux",
            "config": {
                "Entrypoint": [format!("/bin/{}", self.name)],
                "Env": ["PATH=/bin"],
                "Labels": { "org.opencontainers.image.title": self.name },
                "StopSignal": "SIGTERM",
                "User": format!("{USER}:{USER}"),
                "WorkingDir": self.home(),
            },
            "rootfs": { "type": "layers", "diff_ids": contents },
            "history": history,
        })
    }
}
