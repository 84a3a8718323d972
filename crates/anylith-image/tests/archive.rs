//! The archive, as a tool for images reads it: by digests alone.

#![allow(clippy::unwrap_used, reason = "a test says with a panic what is wrong")]

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chroot},
    path::{Path, PathBuf},
    process::Command,
};

use anylith_image::{Archive, Image, Libraries, LibraryError, USER};
use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn program() -> (PathBuf, Vec<u8>) {
    let path = PathBuf::from("/bin/true");
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

fn archive() -> Archive {
    let (path, bytes) = program();
    let libraries = Libraries::of(&path, &bytes).unwrap();
    let image = Image {
        reference: "registry.example.com/shop:1.4",
        name: "shop",
        program: &bytes,
        libraries: &libraries,
    };
    image.archive().unwrap()
}

fn entries(bytes: &[u8]) -> BTreeMap<String, (tar::Header, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        found.insert(path, (entry.header().clone(), bytes));
    }
    found
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// What `descriptor` leads to in the archive; its digest and its size are right.
fn follow(files: &BTreeMap<String, (tar::Header, Vec<u8>)>, descriptor: &Value) -> Vec<u8> {
    let said = descriptor["digest"].as_str().unwrap();
    let (_, bytes) = &files[&format!("blobs/{}", said.replacen(':', "/", 1))];
    assert_eq!(digest(bytes), said);
    assert_eq!(descriptor["size"].as_u64().unwrap(), bytes.len() as u64);
    bytes.clone()
}

fn plain(layer: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(layer).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn every_digest_leads_to_what_it_says() {
    let archive = archive();
    let files = entries(&archive.bytes);
    let index: Value = serde_json::from_slice(&files["index.json"].1).unwrap();
    let entry = &index["manifests"][0];
    assert_eq!(entry["digest"], archive.digest.as_str());
    let manifest: Value = serde_json::from_slice(&follow(&files, entry)).unwrap();
    let config: Value = serde_json::from_slice(&follow(&files, &manifest["config"])).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    let contents = config["rootfs"]["diff_ids"].as_array().unwrap();
    assert_eq!(layers.len(), contents.len());
    for (layer, content) in layers.iter().zip(contents) {
        assert_eq!(
            digest(&plain(&follow(&files, layer))),
            content.as_str().unwrap()
        );
    }
    let blobs = files
        .keys()
        .filter(|path| path.starts_with("blobs/sha256/"));
    assert_eq!(
        blobs.filter(|path| !path.ends_with('/')).count(),
        layers.len() + 2
    );
    assert_eq!(config["config"]["User"], format!("{USER}:{USER}"));
    assert_eq!(config["config"]["Entrypoint"][0], "/bin/shop");
    assert!(config.get("created").is_none());
}

#[test]
fn the_same_program_gives_the_same_bytes_and_another_one_another_digest() {
    let (one, other) = (archive(), archive());
    assert_eq!(one.digest, other.digest);
    assert!(one.bytes == other.bytes);
    let (path, mut bytes) = program();
    let libraries = Libraries::of(&path, &bytes).unwrap();
    bytes.push(0);
    let image = Image {
        reference: "registry.example.com/shop:1.4",
        name: "shop",
        program: &bytes,
        libraries: &libraries,
    };
    assert_ne!(image.archive().unwrap().digest, one.digest);
}

/// Unpacks the layers into `root`, as a runtime would.
fn unpack(archive: &Archive, root: &Path) {
    let files = entries(&archive.bytes);
    let index: Value = serde_json::from_slice(&files["index.json"].1).unwrap();
    let manifest: Value = serde_json::from_slice(&follow(&files, &index["manifests"][0])).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        for (path, (header, bytes)) in entries(&plain(&follow(&files, layer))) {
            let path = root.join(path);
            if header.entry_type().is_dir() {
                fs::create_dir_all(&path).unwrap();
            } else {
                fs::write(&path, bytes).unwrap();
            }
            let mode = fs::Permissions::from_mode(header.mode().unwrap());
            fs::set_permissions(&path, mode).unwrap();
        }
    }
}

#[test]
fn the_program_runs_with_nothing_but_what_is_in_the_image() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().to_owned();
    unpack(&archive(), &root);
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode("tmp"), mode("var/lib/shop"), mode("bin/shop")),
        (0o1777, 0o750, 0o755)
    );
    // Only root may change what a process has for its root.
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: it takes root to run it there");
        return;
    }
    // In a process of its own, since a root once changed stays so.
    let own = std::env::current_exe().unwrap();
    let status = Command::new(own)
        .args(["--exact", "in_the_image", "--ignored", "--nocapture"])
        .env("ANYLITH_IMAGE_ROOT", root)
        .status();
    assert!(status.unwrap().success(), "it did not run");
}

#[test]
#[ignore = "it is run by another test, in a process of its own"]
fn in_the_image() {
    let Some(root) = std::env::var_os("ANYLITH_IMAGE_ROOT") else {
        return;
    };
    chroot(root).unwrap();
    std::env::set_current_dir("/").unwrap();
    let status = Command::new("/bin/shop").env_clear().status().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn what_is_no_program_is_refused_in_words() {
    let refused = Libraries::of(Path::new("run.sh"), b"#!/bin/sh\n").unwrap_err();
    assert!(matches!(refused, LibraryError::Program { .. }), "{refused}");
    assert!(refused.to_string().contains("run.sh"), "{refused}");
}
