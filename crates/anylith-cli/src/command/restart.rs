//! `anylith restart`.

use std::path::{Path, PathBuf};

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
        Some(group) => format!("restarted {group}"),
        None => "restarted".to_owned(),
    };
    change::make(&app, Request::Restart { group }, &done)
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
