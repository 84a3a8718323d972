//! `anylith restart`.

use std::path::{Path, PathBuf};

use anylith_core::Name;
use anylith_supervisor::Request;

use super::change;
use crate::{
    app::{self, App},
    args::RestartArgs,
    failure::Failure,
};

/// Starts replicas anew, one by one.
pub(crate) fn restart(args: &RestartArgs) -> Result<(), Failure> {
    let (group, app) = subject(args);
    let app = App::find(&app)?;
    let group = group.map(|group| super::name("group", group)).transpose()?;
    let done = match &group {
        Some(group) => format!("restarted {}", whole(&app, group)?),
        None => "restarted".to_owned(),
    };
    change::make(&app, Request::Restart { group }, &done)
}

/// What is restarted where `word` is typed: a group, with all that is in it.
fn whole(app: &App, word: &Name) -> Result<String, Failure> {
    let groups = change::groups(app)?;
    let group = change::meant(&groups, word);
    Ok(match group {
        Some(group) if group.components != [group.name.clone()] => {
            let components: Vec<&str> = group.components.iter().map(Name::as_str).collect();
            format!("group {}: {}", group.name, components.join(", "))
        }
        _ => word.to_string(),
    })
}

/// The group, and the application. One word alone is an application if it can be one: other commands take it there.
fn subject(args: &RestartArgs) -> (Option<&str>, PathBuf) {
    let here = || args.app_flag.clone().unwrap_or_else(|| ".".into());
    match args.words.as_slice() {
        [] => (None, here()),
        [app] if args.app_flag.is_none() && app::is_one(Path::new(app)) => (None, app.into()),
        [group] => (Some(group), here()),
        [group, app, ..] => (Some(group), app.into()),
    }
}
