//! What is resident when nothing is asked, and how soon the shop is ready.

use std::fs;

use anyhow::{Context, Result};

use crate::{
    deployment::{Binaries, Deployment},
    ratio::Ratio,
    report::Report,
};

/// How often the shop is started.
const STARTS: usize = 7;

/// Resident memory of an idle replica and of the supervisor, and the time of a start, of the shop as `micro`.
pub(crate) fn memory(report: &mut Report) -> Result<()> {
    let binaries = Binaries::build(&[("anylith-cli", "anylith"), ("boutique", "boutique")])?;
    let (mut small, mut largest, mut supervisor, mut start) = (vec![], vec![], vec![], vec![]);
    for _ in 0..STARTS {
        let shop = Deployment::anylith(&binaries, "micro")?;
        start.push(shop.start.as_secs_f64());
        supervisor.push(resident(
            shop.supervisor().context("nobody watches over the shop")?,
        )?);
        let mut replicas = Vec::new();
        for replica in shop.replicas()? {
            let size = resident(replica.pid)?;
            replicas.push(size);
            if replica.group == "Currency" {
                small.push(size);
            }
        }
        largest.push(replicas.into_iter().fold(0.0, f64::max));
    }
    report.ratio(&Ratio::to_limit(
        "memory of a small replica",
        "MiB",
        &small,
        12.0,
    ))?;
    report.ratio(&Ratio::to_limit(
        "memory of the supervisor",
        "MiB",
        &supervisor,
        30.0,
    ))?;
    report.ratio(&Ratio::to_limit("start of ten replicas", "s", &start, 1.0))?;
    report.note(&format!(
        "the largest replica has {:.1} MiB",
        crate::ratio::quantile(&largest, 0.5)
    ))
}

/// The resident memory of a process, in MiB.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib: f64 = kib.context("/proc has another form here")?.trim().parse()?;
    Ok(kib / 1024.0)
}
