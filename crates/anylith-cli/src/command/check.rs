//! `anylith check`.

use std::io::{self, Write};

use super::runtime;
use crate::{
    app::App,
    args::CheckArgs,
    failure::Failure,
    inspection::{Inspection, replicas},
    paint::Paint,
};

/// Reports everything that is wrong, at once.
pub(crate) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let app = App::find(&args.app)?;
    let (replicas, asked) = replicas(args.replicas.as_deref());
    let inspection = Inspection::of(&app, &args.overriding, &args.building, asked);
    let inspection = runtime()?.block_on(inspection)?;
    let topologies = match &args.topology {
        Some(one) => vec![one.clone()],
        None => inspection.topologies(),
    };
    inspection.plans(topologies.iter().map(String::as_str), &replicas)?;
    let manifest = &inspection.manifest;
    let many = |count: usize, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    };
    writeln!(
        io::stdout(),
        "{} {} with {}, in {}: {}",
        Paint::for_stdout().bold_green("ok:"),
        manifest.app,
        many(manifest.components.len(), "component", "components"),
        many(topologies.len(), "topology", "topologies"),
        topologies.join(", ")
    )?;
    Ok(())
}
