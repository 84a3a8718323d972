//! A call within one process: through a client of Anylith, and through a bare `Arc<dyn …>`.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    child::Child,
    deployment::Binaries,
    direct::LocalRound,
    ratio::Ratio,
    report::Report,
    role::{Part, Placement, Role},
};

/// How many rounds are run. They are short and many, since a few nanoseconds matter.
const ROUNDS: usize = 301;

/// Ours and the bare call of one method, out of a round.
type Method = fn(&LocalRound) -> [f64; 2];

/// A call through a client within one process, beside one through a bare `Arc<dyn …>`.
pub(crate) fn local(report: &mut Report) -> Result<()> {
    let role = Role {
        part: Part::Local,
        placement: Placement::one_core()?,
    };
    let mut child = Child::start(&role, &[])?;
    child.local()?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(child.local()?);
    }
    let methods: [(&str, Method); 2] = [
        ("local, ready at once", |round| round.next),
        ("local, small call", |round| round.price),
    ];
    for (name, method) in methods {
        let ours: Vec<f64> = rounds.iter().map(|round| method(round)[0]).collect();
        let bare: Vec<f64> = rounds.iter().map(|round| method(round)[1]).collect();
        report.ratio(&Ratio::new(
            name,
            "ns",
            &ours,
            ("bare dyn", &bare),
            Some(2.5),
        ))?;
    }
    for (call, [ours, bare]) in allocations()? {
        let name = format!("local, {call}: allocations");
        let bare = ("bare dyn", &[bare][..]);
        report.ratio(&Ratio::new(name, "a call", &[ours], bare, Some(1.0)))?;
    }
    Ok(())
}

/// Call → how often it allocates, ours and the bare one.
fn allocations() -> Result<BTreeMap<String, [f64; 2]>> {
    let program = Binaries::build(&[("bench", "allocations")])?.path("allocations");
    let output = Command::new(program)
        .output()
        .context("cannot count allocations")?;
    ensure!(output.status.success(), "allocations were not counted");
    Ok(serde_json::from_slice(&output.stdout)?)
}
