//! The image of the shop: how large it is, and how soon what is in it is ready.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::Node;
use tempfile::TempDir;

use crate::{deployment::Binaries, ratio::quantile, report::Report};

/// How large the image may be as it is pulled, in MB.
const MOST_MB: f64 = 15.0;

/// How often the shop is started.
const STARTS: usize = 15;

/// What the image is called.
const REFERENCE: &str = "registry.example.com/bench/shop:1";

/// The size of the image, and the time from the start of its program, as the monolith that it is by itself, until it is ready.
pub(crate) fn image(report: &mut Report) -> Result<()> {
    let binaries = Binaries::build(&[("anylith-cli", "anylith"), ("boutique", "boutique")])?;
    let home = TempDir::with_prefix("bench-image-")?;
    let shop = binaries.path("boutique");
    let settings = format!("[app]\nname = \"boutique\"\nbinary = {shop:?}\n");
    fs::write(home.path().join("anylith.toml"), settings)?;
    let archive = home.path().join("image.tar");
    let mut command = Command::new(binaries.path("anylith"));
    command.args(["image", "-t", REFERENCE, "-o"]).arg(&archive);
    succeed(command.current_dir(home.path()).stdout(Stdio::null()))?;
    let root = home.path().join("root");
    let pulled = unpack(&archive, &root)?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    report.figure(
        "image, as it is pulled",
        megabytes(pulled),
        "MB",
        Some(MOST_MB),
    )?;
    report.figure("image, unpacked", megabytes(size(&root)?), "MB", None)?;
    let program = root.join("bin/boutique");
    let process = times(|| {
        // It keeps carts where it runs, each time new ones.
        let folder = TempDir::with_prefix("bench-image-")?;
        started(Command::new(&program).current_dir(folder.path()))
    })?;
    tell(report, "start to ready, as a process", &process)?;
    match Node::new() {
        Ok(node) => {
            let load = ["load".as_ref(), "--input".as_ref(), archive.as_os_str()];
            node.podman(load)?;
            let container = times(|| in_container(&node))?;
            tell(
                report,
                "start to ready, in a container, with podman's part",
                &container,
            )?;
        }
        Err(error) => report.note(&format!("{error}"))?,
    }
    ensure!(
        megabytes(pulled) <= MOST_MB,
        "the image is too large: {:.1} MB",
        megabytes(pulled)
    );
    Ok(())
}

fn times(mut one: impl FnMut() -> Result<Duration>) -> Result<Vec<f64>> {
    let times = (0..STARTS).map(|_| Ok(one()?.as_secs_f64() * 1e3));
    times.collect()
}

fn tell(report: &mut Report, what: &str, times: &[f64]) -> Result<()> {
    for (which, share) in [("median", 0.5), ("longest", 1.0)] {
        report.figure(
            &format!("{what}, {which}"),
            quantile(times, share),
            "ms",
            None,
        )?;
    }
    Ok(())
}

/// How long it takes to start a container that is made, until what is in it is ready.
fn in_container(node: &Node) -> Result<Duration> {
    let name = node.podman(["create", "--pull=never", "--network=none", REFERENCE])?;
    let took = started(&mut node.command(["start", "--attach", &name]))?;
    node.podman(["rm", "--force", "--time", "0", &name])?;
    Ok(took)
}

/// Runs `command` until it says that it is ready, and how long that took.
fn started(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let begun = Instant::now();
    let mut child = Ended(command.stderr(Stdio::null()).spawn()?);
    let output = child.0.stdout.take().context("it is piped")?;
    for line in BufReader::new(output).lines() {
        if line?.starts_with("ready: ") {
            return Ok(begun.elapsed());
        }
    }
    bail!("{command:?} ended before it was ready")
}

/// A process that is killed when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Unpacks `archive` to where its layers make up the root of a container. Returns how large it is, packed.
fn unpack(archive: &Path, root: &Path) -> Result<u64> {
    fs::create_dir(root)?;
    let folder = archive.with_extension("parts");
    fs::create_dir(&folder)?;
    let tar = |archive: &Path, to: &Path| {
        let mut tar = Command::new("tar");
        succeed(tar.arg("-xf").arg(archive).arg("-C").arg(to))
    };
    tar(archive, &folder)?;
    let read = |path: &Path| -> Result<serde_json::Value> {
        let text = fs::read_to_string(path)?;
        Ok(serde_json::from_str(&text)?)
    };
    let blob = |part: &serde_json::Value| {
        let digest = part["digest"].as_str().unwrap_or_default();
        folder.join("blobs").join(digest.replacen(':', "/", 1))
    };
    let index = read(&folder.join("index.json"))?;
    let manifest = read(&blob(&index["manifests"][0]))?;
    for layer in manifest["layers"].as_array().context("it has layers")? {
        tar(&blob(layer), root)?;
    }
    size(&folder.join("blobs"))
}

/// How large all files in `folder` are together.
fn size(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += match metadata.is_dir() {
            true => size(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(sum)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
