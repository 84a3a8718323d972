//! Which faults can be made on this machine.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use crate::{
    fault::{Fault, Snag},
    packet::{Ground, Packets},
    topology::Topology,
};

/// Where Debian's package `libfaketime` puts the library that makes a process see another time.
pub(crate) fn faketime() -> Option<PathBuf> {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    places
        .iter()
        .map(|it| {
            Path::new("/usr/lib")
                .join(it)
                .join("faketime/libfaketime.so.1")
        })
        .find(|path| path.is_file())
}

/// Why `fault` cannot be made here in `topology`, or that cannot be had at all; `None` if it can.
pub(crate) fn obstacle(fault: Option<Fault>, topology: Topology) -> Option<&'static str> {
    let ground = GROUND.as_deref().filter(|_| topology == Topology::Static);
    ground.or(match fault? {
        Fault::DiskFull => DISK.as_deref(),
        Fault::ClockJump => faketime()
            .is_none()
            .then_some("the package libfaketime is not installed"),
        Fault::Snag(Snag::Delay) if topology.speaks_tcp() => QUEUE.as_deref(),
        Fault::Snag(_) if topology.speaks_tcp() => GROUND.as_deref(),
        _ => None,
    })
}

/// Why no small disk can be had.
static DISK: LazyLock<Option<String>> = LazyLock::new(|| {
    // Whoever may look at all mounts of a namespace of its own may mount.
    let permitted = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    (!permitted).then(|| "mounting a small disk is not permitted".to_owned())
});

/// Why packets cannot be held back.
static QUEUE: LazyLock<Option<String>> = LazyLock::new(|| {
    let held = || {
        let ground = Ground::new(1)?;
        ground.lift(ground.strike(Packets::Delayed(1, 0))?)
    };
    held().err().map(|error| format!("{error:#}"))
});

/// Why packets cannot be lost.
static GROUND: LazyLock<Option<String>> =
    LazyLock::new(|| Ground::new(1).err().map(|error| format!("{error:#}")));
