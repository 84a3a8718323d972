//! `anylith scale`.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::Path,
};

use anylith_core::{Name, Size};
use anylith_supervisor::{Answer, Change, GroupStatus, Request, ScaleSteps, Underway, ask};
use anylith_topology::{MAX_REPLICAS, read_size};

use super::{change, last_run, runtime};
use crate::{app::App, args::ScaleArgs, failure::Failure};

/// Gives groups other numbers of replicas, or ranges for them.
pub(crate) fn scale(args: &ScaleArgs) -> Result<(), Failure> {
    let (numbers, apps): (Vec<&String>, Vec<&String>) =
        args.words.iter().partition(|word| word.contains('='));
    let app = match (apps.as_slice(), &args.app_flag) {
        ([], flag) => flag.clone().unwrap_or_else(|| ".".into()),
        ([app], None) if numbers.is_empty() && is_only_a_name(app) => {
            return Err(Failure::input(
                format!("`{app}` is no GROUP=N, and no application either"),
                format!("write how many replicas the group is to have: `{app}=2`"),
            ));
        }
        ([app], None) => app.into(),
        ([first, ..], _) => {
            return Err(Failure::input(
                format!("`{first}` is no GROUP=N, and no application can be meant"),
                "name one application, and write as in `anylith scale Catalog=3 Cart=2`",
            ));
        }
    };
    let app = App::find(&app)?;
    let mut groups = BTreeMap::new();
    for word in numbers {
        let (group, replicas) = number(word)?;
        if groups.insert(group.clone(), replicas).is_some() {
            let what = format!("`{group}` is there twice");
            return Err(Failure::input(what, "say each group once"));
        }
    }
    if groups.is_empty() {
        return Err(Failure::input(
            "no group is named",
            "write as in `anylith scale Catalog=3`",
        ));
    }
    let request = |dry_run| Request::Scale {
        groups: groups.clone(),
        dry_run,
    };
    if args.dry_run {
        return say(&app, request(true));
    }
    let known = change::groups(&app)?;
    let asked = named(&groups, &known);
    if args.no_wait {
        change::begin(&app, request(false), &Underway::Scale)?;
        let status = app.hint("status");
        let begun = format!("scaling {asked}; `{status}` says how far it is");
        change::tell(&begun);
        return Ok(());
    }
    change::make(&app, request(false), &format!("scaled {asked}"))
}

/// Says what it would do.
fn say(app: &App, request: Request) -> Result<(), Failure> {
    let folder = last_run(app)?;
    let planned = runtime()?.block_on(ask(&folder.control_socket(), request));
    match planned {
        Ok(Answer::Plan(plan)) => Ok(write!(io::stdout(), "{}", ScaleSteps(&plan))?),
        other => change::outcome(app, &folder, Change::Scale, other).map(drop),
    }
}

/// `Catalog=3 rest=2 (the group of Cart)`
fn named(groups: &BTreeMap<Name, Size>, known: &[GroupStatus]) -> String {
    let done: Vec<String> = groups
        .iter()
        .map(|(name, replicas)| match change::meant(known, name) {
            Some(group) if group.name != *name => {
                format!("{}={replicas} (the group of {name})", group.name)
            }
            Some(_) | None => format!("{name}={replicas}"),
        })
        .collect();
    done.join(" ")
}

/// Whether `word` cannot be meant as the path of an application.
fn is_only_a_name(word: &str) -> bool {
    Name::new(word).is_ok() && !Path::new(word).exists()
}

/// Reads `Catalog=3`, or `Catalog=0..5`.
fn number(word: &str) -> Result<(Name, Size), Failure> {
    let (group, replicas) = word.split_once('=').unwrap_or((word, ""));
    match read_size(replicas) {
        Ok(size) => Ok((super::name("group", group)?, size)),
        Err(what) => {
            let mut mend = format!(
                "write a number from 1 to {MAX_REPLICAS}, as in `{group}=2`, or a range, as in `{group}=1..6`"
            );
            if replicas.parse() == Ok(0) {
                mend += &format!("; for none while nothing is called, write `{group}=0..1`");
            }
            Err(Failure::input(format!("{word}: {what}"), mend))
        }
    }
}
