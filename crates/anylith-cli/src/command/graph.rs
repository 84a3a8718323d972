//! `anylith graph`.

use std::io::{self, Write};

use anylith_topology::{Problems, ReplicaChange, draw};

use crate::{
    app::App,
    args::{GraphArgs, Overriding},
    binary, describe,
    failure::Failure,
};

/// Draws the dependency graph as the application's binary describes it.
pub(crate) fn graph(args: &GraphArgs) -> Result<(), Failure> {
    let app = App::find(&args.app)?;
    let overriding = Overriding::default();
    let first = app.read(&overriding, None);
    let binary = binary::find(&app, first.settings.app(), &args.building)?;
    let manifest = describe::manifest(&binary, &app.folder)?;
    let plan = match &args.topology {
        Some(topology) => {
            let reading = app.read(&overriding, Some(&manifest));
            let planned = reading
                .settings
                .plan(&manifest, topology, &ReplicaChange::NONE);
            Problems::new(reading.problems).none_or(())?;
            Some(planned?)
        }
        None => None,
    };
    let drawing = draw::draw(args.format, &manifest, plan.as_ref());
    io::stdout().lock().write_all(drawing.as_bytes())?;
    Ok(())
}
