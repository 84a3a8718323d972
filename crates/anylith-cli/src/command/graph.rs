//! `anylith graph`.

mod live;

use std::io::{self, Write};

use anylith_topology::{ReplicaChange, draw};

use super::runtime;
use crate::{app::App, args::GraphArgs, failure::Failure, inspection::Inspection};

/// Draws the dependency graph as the application's binary describes it.
///
/// Without a topology it is drawn even if something is wrong: a cycle is best seen in its picture.
pub(crate) fn graph(args: &GraphArgs) -> Result<(), Failure> {
    let app = App::find(&args.app)?;
    if args.live {
        return live::live(&app, args.json);
    }
    let inspection = Inspection::of(&app, &args.overriding, &args.building, Vec::new());
    let inspection = runtime()?.block_on(inspection)?;
    let plans = inspection.plans(args.topology.as_deref(), &ReplicaChange::NONE);
    if args.topology.is_none() || plans.is_ok() {
        let plan = plans.as_ref().ok().and_then(|plans| plans.first());
        let drawing = draw::draw(args.format, &inspection.manifest, plan);
        io::stdout().lock().write_all(drawing.as_bytes())?;
    }
    plans.map(drop)
}
