//! `anylith diff`.

use std::io::{self, Write as _};

use similar::TextDiff;

use super::{
    output::{Change, Output, Sort},
    render_kubernetes::{LIST, Rendered},
};
use crate::{args::DiffArgs, failure::Failure, paint::Paint};

/// What a command exits with that has found differences, as `diff` does it.
const DIFFERS: u8 = 1;

/// What stands for a file that is not there, as `patch` knows it.
const NOWHERE: &str = "/dev/null";

/// Shows how what would be rendered differs from what is in a folder.
pub(crate) fn diff(args: DiffArgs) -> Result<(), Failure> {
    let folder = args.against.display();
    if !args.against.is_dir() {
        return Err(Failure::input(
            format!("there is no folder {folder}"),
            "render into it first, with `anylith render kubernetes -o FOLDER`, or name another one with --against",
        ));
    }
    let Rendered { manifests, .. } = Rendered::of(args.cluster, &args.image)?;
    let mut output = Output::open(&args.against, LIST)?;
    for (path, text) in manifests.files {
        output.add(&path, Sort::Public, text);
    }
    let changes = output.changes()?;
    let mut said = io::stdout().lock();
    for change in &changes {
        write!(said, "{}", shown(&folder.to_string(), change))?;
    }
    drop(said);
    let mut told = io::stderr().lock();
    let count = |is: fn(&Change) -> bool| changes.iter().filter(|change| is(change)).count();
    let (new, gone) = (
        count(|change| change.before.is_none()),
        count(|change| change.after.is_none()),
    );
    match changes.len() {
        0 => {
            writeln!(told, "{folder} has what would be rendered")?;
            Ok(())
        }
        all => {
            writeln!(
                told,
                "{folder} differs from what would be rendered: {} changed, {new} new, {gone} not rendered any more",
                files(all - new - gone)
            )?;
            Err(Failure::Said(DIFFERS))
        }
    }
}

fn files(number: usize) -> String {
    match number {
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    }
}

/// One file as a unified diff, with which `patch -p0` makes what would be rendered of what is there.
fn shown(folder: &str, change: &Change) -> String {
    let text = |side: &Option<String>| side.clone().unwrap_or_default();
    let name = |side: &Option<String>| match side {
        Some(_) => format!("{}/{}", folder.trim_end_matches('/'), change.path),
        None => NOWHERE.to_owned(),
    };
    let (before, after) = (text(&change.before), text(&change.after));
    let difference = TextDiff::from_lines(&before, &after);
    let difference = difference
        .unified_diff()
        .header(&name(&change.before), &name(&change.after))
        .to_string();
    let paint = Paint::for_stdout();
    let mut lines = difference.lines();
    let heads: Vec<String> = lines.by_ref().take(2).map(|it| paint.bold(it)).collect();
    let lines = lines.map(|line| match line.chars().next() {
        Some('+') => paint.green(line),
        Some('-') => paint.red(line),
        Some('@') => paint.dim(line),
        _ => line.to_owned(),
    });
    let lines = heads.into_iter().chain(lines);
    lines.map(|line| line + "\n").collect()
}
