//! `anylith check`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use anylith_core::Manifest;
use anylith_topology::{BUILT_IN, Problem, Problems, ReplicaChange, Settings};

use crate::{app::App, args::CheckArgs, binary, describe, failure::Failure, paint::Paint};

/// Reports everything that is wrong, at once.
pub(crate) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let app = App::find(&args.app)?;
    let first = app.read(&args.overriding, None);
    let asked = binary::find(&app, first.settings.app(), &args.building)
        .and_then(|binary| Ok((describe::manifest(&binary, &app.folder)?, binary)));
    let (manifest, binary) = match asked {
        Ok(asked) => asked,
        // Without the application only the file itself can be checked.
        Err(failure) => return Err(with_first_problems(first.problems, failure)),
    };
    let reading = app.read(&args.overriding, Some(&manifest));
    let settings = &reading.settings;
    let mut problems = reading.problems;
    problems.extend(settings.check(&manifest));
    let own: Vec<String> = settings.topologies().map(ToString::to_string).collect();
    let topologies: Vec<&str> = BUILT_IN
        .into_iter()
        .chain(own.iter().map(String::as_str))
        .collect();
    for topology in &topologies {
        let planned = settings.plan(&manifest, topology, &ReplicaChange::NONE);
        problems.extend(planned.err().into_iter().flatten());
    }
    problems.extend(config_problems(settings, &manifest, &binary, &app.folder)?);
    Problems::new(problems).none_or(())?;
    let good = Paint::for_stdout().bold_green("ok:");
    let (name, components) = (&manifest.app, manifest.components.len());
    writeln!(
        io::stdout(),
        "{good} {name} with {components} components, in {} topologies: {}",
        topologies.len(),
        topologies.join(", ")
    )?;
    Ok(())
}

/// What the application itself says against the config of its components.
pub(crate) fn config_problems(
    settings: &Settings,
    manifest: &Manifest,
    binary: &Path,
    folder: &Path,
) -> Result<Vec<Problem>, Failure> {
    let names = manifest
        .components
        .iter()
        .map(|component| component.name.as_str());
    let configs: BTreeMap<String, &serde_json::Value> = names
        .filter_map(|name| {
            settings
                .config(name)
                .map(|config| (name.to_owned(), config))
        })
        .collect();
    let complaints = describe::complaints(binary, folder, &configs)?;
    let problem = |it: describe::Complaint| settings.complaint(&it.component, &it.key, &it.message);
    Ok(complaints.into_iter().map(problem).collect())
}

/// The problems of the file, and after them why no more could be found.
fn with_first_problems(problems: Vec<Problem>, failure: Failure) -> Failure {
    if problems.is_empty() {
        return failure;
    }
    let paint = Paint::for_stderr();
    let text = failure.text(&paint);
    // The problems decide the exit code; the other text comes before them.
    let _ = io::stderr().write_all(text.as_bytes());
    Failure::Wrong(Problems::new(problems))
}
